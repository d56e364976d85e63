-- name: find_kept
SELECT transaction_id, place, key, operation, principal, hash, body, refused, answer, recorded_at
FROM message WHERE book_id = $1 AND key = ANY ($2::text[])

-- name: insert_messages
INSERT INTO message (book_id, transaction_id, place, key, operation, principal, hash, body, refused, answer, recorded_at)
SELECT $1, (SELECT transaction_order()), place, key, operation, principal, hash, body, refused, answer, $9
FROM unnest($2::integer[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::bytea[], $8::boolean[], $10::bytea[])
    AS kept (place, key, operation, principal, hash, body, refused, answer)

-- name: find_made_by
SELECT transaction_id, place, key, operation, principal, hash, body, refused, answer, recorded_at
FROM message WHERE book_id = $1 AND transaction_id = $2 AND place = $3

-- name: page_messages
SELECT transaction_id, place, key, operation, principal, hash, body, refused, answer, recorded_at
FROM message WHERE book_id = $1 AND (transaction_id, place) > ($2, $3)
ORDER BY transaction_id, place LIMIT $4
