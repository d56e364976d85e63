-- name: insert_key
INSERT INTO api_key (book_id, key_id, name, hash, scopes, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: find_key
SELECT key_id, book.name, scopes, expires_at, revoked_at
FROM api_key JOIN book USING (book_id) LEFT JOIN api_key_revocation USING (book_id, key_id)
WHERE hash = $1
ORDER BY created_at, key_id LIMIT 1

-- name: list_keys
SELECT key_id, name, scopes, created_at, expires_at, revoked_at
FROM api_key LEFT JOIN api_key_revocation USING (book_id, key_id)
WHERE book_id = $1 ORDER BY created_at, key_id

-- name: revoke_key
INSERT INTO api_key_revocation (book_id, key_id, revoked_at)
SELECT book_id, key_id, $3 FROM api_key WHERE book_id = $1 AND key_id = $2
ON CONFLICT DO NOTHING

-- name: insert_refusal
INSERT INTO refused_access (book_id, principal, operation, code, refused_at) VALUES ($1, $2, $3, $4, $5)
