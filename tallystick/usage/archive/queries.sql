-- name: stored_months
SELECT month, piece, rows, bytes, first_order, last_order, exact FROM stored_usage_months($1)

-- name: pieces
SELECT DISTINCT ON (event.month, event.piece) event.month, event.piece, event.step, event.rows, event.first_order,
       event.last_order, exported.checksum, exported.file, exported.sha256
FROM usage_month_event AS event
LEFT JOIN LATERAL (
    SELECT checksum, file, sha256 FROM usage_month_event AS written
    WHERE written.book_id = $1 AND written.month = event.month AND written.piece = event.piece AND written.step = 'exported'
    ORDER BY written.transaction_id DESC, written.message_place DESC LIMIT 1
) AS exported ON true
WHERE event.book_id = $1 AND ($2::date IS NULL OR event.month = $2)
ORDER BY event.month, event.piece, event.transaction_id DESC, event.message_place DESC

-- name: insert_event
INSERT INTO usage_month_event (book_id, month, piece, step, rows, first_order, last_order, checksum, file, sha256,
                               transaction_id, message_place, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, transaction_order(), $11, $12)

-- name: detach
SELECT rows, first_order, last_order FROM detach_usage_month($1, $2, $3)

-- name: attach
SELECT attach_usage_pieces($1, $2, $3::integer[])

-- name: drop
SELECT drop_usage_piece($1, $2, $3)

-- name: make_piece
SELECT make_usage_piece($1, $2, $3)

-- name: name_piece
SELECT usage_piece($1, $2, $3)

-- name: sum_piece
SELECT rows, first_order, last_order, checksum FROM sum_usage_piece($1, $2, $3)

-- name: holds_levels
SELECT EXISTS (
    SELECT FROM meter
    WHERE book_id = $1 AND aggregation = 'time_weighted' AND EXISTS (
        SELECT FROM usage_event
        WHERE usage_event.book_id = $1 AND occurred_at >= $2 AND occurred_at < $3 AND type = event_type))

-- name: newest_retention
SELECT attached_months, kept_months, set_at FROM usage_retention
WHERE book_id = $1 ORDER BY transaction_id DESC, message_place DESC LIMIT 1

-- name: insert_retention
INSERT INTO usage_retention (book_id, transaction_id, message_place, attached_months, kept_months, set_at)
VALUES ($1, transaction_order(), $2, $3, $4, $5)

-- name: books_with_usage
SELECT book_id FROM book WHERE to_regclass('tallystick.usage_event_' || book_id) IS NOT NULL ORDER BY book_id

-- name: ensure_months
SELECT ensure_usage_months($1, $2::date[])
