-- name: find_kept
SELECT transaction_id, place, key, operation, principal, hash, body, refused, answer, recorded_at
FROM message WHERE book_id = $1 AND key = ANY ($2::text[])

-- name: insert_messages
INSERT INTO message (book_id, transaction_id, place, key, operation, principal, hash, body, refused, answer, recorded_at)
SELECT $1, (SELECT transaction_order()), place, key, operation, principal, hash, body, refused, answer, $9
FROM unnest($2::integer[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::bytea[], $8::boolean[], $10::bytea[])
    AS kept (place, key, operation, principal, hash, body, refused, answer)

-- name: insert_attachment
INSERT INTO message_attachment (book_id, transaction_id, place, size, content)
VALUES ($1, transaction_order(), $2, $3, $4)

-- name: find_attachment
SELECT size, content FROM message_attachment WHERE book_id = $1 AND transaction_id = $2 AND place = $3

-- name: find_answers
SELECT key, refused, answer FROM message WHERE book_id = $1 AND operation = $2 AND key = ANY ($3::text[])

-- name: attached_between
SELECT transaction_id, place, key, body, size, content
FROM message LEFT JOIN message_attachment USING (book_id, transaction_id, place)
WHERE book_id = $1 AND (transaction_id, place) > ($2, $3) AND transaction_id <= $4 AND NOT refused
  AND position('"input":{"attachment":"'::bytea IN substring(body FROM 1 FOR 1024)) > 0
ORDER BY transaction_id, place LIMIT $5
