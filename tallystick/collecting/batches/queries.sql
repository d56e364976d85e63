-- name: insert_run
INSERT INTO batch_run (book_id, run_id, kind, of_what, transaction_id, message_place, begun_at)
VALUES ($1, $2, $3, $4, transaction_order(), $5, $6)

-- Notes of one run come one after the other, so that none comes behind its end.

-- name: enter_to_note
SELECT pg_advisory_xact_lock(hashtextextended('tallystick.batch_run ' || $2::uuid, $1))

-- name: find_run
SELECT kind, of_what, EXISTS (SELECT FROM batch_run_note AS note
                              WHERE (note.book_id, note.run_id) = (run.book_id, run.run_id) AND last)
FROM batch_run AS run WHERE book_id = $1 AND run_id = $2

-- name: insert_note
INSERT INTO batch_run_note (book_id, run_id, counts, failures, last, transaction_id, message_place, at)
VALUES ($1, $2, $3, $4, $5, transaction_order(), $6, $7)

-- name: page_runs
SELECT run_id, kind, of_what, begun_at FROM batch_run AS run
WHERE book_id = $1 AND ($2::text IS NULL OR kind = $2) AND ($3::uuid IS NULL OR run_id = $3)
  AND ($4::uuid IS NULL OR (transaction_id, message_place) < (
      SELECT cursor.transaction_id, cursor.message_place FROM batch_run AS cursor
      WHERE cursor.book_id = $1 AND cursor.run_id = $4))
ORDER BY transaction_id DESC, message_place DESC LIMIT $5

-- name: find_notes
SELECT run_id, counts, jsonb_array_length(failures), last, at FROM batch_run_note
WHERE book_id = $1 AND run_id = ANY ($2::uuid[]) ORDER BY run_id, transaction_id, message_place

-- name: find_failures
SELECT failure ->> 'customer', failure ->> 'code', failure ->> 'message'
FROM batch_run_note CROSS JOIN LATERAL jsonb_array_elements(failures) WITH ORDINALITY AS given (failure, nth)
WHERE book_id = $1 AND run_id = $2 ORDER BY transaction_id, message_place, nth LIMIT $3
