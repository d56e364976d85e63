-- What has expired is absent, whether or not its row was swept. Rows are written in order of their keys, so that those who
-- write many do not wait for each other in a circle.

-- name: get_many
SELECT key, value, revision FROM kept_value
WHERE bucket = $1 AND key = ANY ($2::text[]) AND (expires_at IS NULL OR expires_at > $3)

-- name: put_many
INSERT INTO kept_value (bucket, key, value, revision, expires_at)
SELECT $1, key, value, nextval('kept_value_revision'), $4
FROM (SELECT key, value FROM unnest($2::text[], $3::bytea[]) AS given (key, value) ORDER BY key) AS sorted
ON CONFLICT (bucket, key) DO UPDATE
SET value = excluded.value, revision = excluded.revision, expires_at = excluded.expires_at
RETURNING key, revision

-- name: create
INSERT INTO kept_value (bucket, key, value, revision, expires_at)
VALUES ($1, $2, $3, nextval('kept_value_revision'), $4)
ON CONFLICT (bucket, key) DO UPDATE
SET value = excluded.value, revision = excluded.revision, expires_at = excluded.expires_at
WHERE kept_value.expires_at <= $5
RETURNING revision

-- name: compare_and_set
UPDATE kept_value SET value = $4, revision = nextval('kept_value_revision'), expires_at = $5
WHERE bucket = $1 AND key = $2 AND revision = $3 AND (expires_at IS NULL OR expires_at > $6)
RETURNING revision

-- name: delete
DELETE FROM kept_value WHERE bucket = $1 AND key = $2 AND revision = coalesce($3, revision)
RETURNING expires_at IS NULL OR expires_at > $4

-- name: sweep
DELETE FROM kept_value USING (
    SELECT bucket, key FROM kept_value WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
) AS expired
WHERE (kept_value.bucket, kept_value.key) = (expired.bucket, expired.key)
