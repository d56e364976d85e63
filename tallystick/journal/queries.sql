-- name: find_kept
SELECT transaction_id, place, key, operation, principal, hash, body, refused, answer, recorded_at
FROM message WHERE book_id = $1 AND key = ANY ($2::text[])

-- name: insert_messages
INSERT INTO message (book_id, transaction_id, place, key, operation, principal, hash, body, refused, answer, recorded_at)
SELECT $1, (SELECT transaction_order()), place, key, operation, principal, hash, body, refused, answer, $9
FROM unnest($2::integer[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::bytea[], $8::boolean[], $10::bytea[])
    AS kept (place, key, operation, principal, hash, body, refused, answer)
