-- name: insert_version
INSERT INTO plan_version (book_id, plan, effective_at, content, phases, transaction_id, message_place, created_at)
VALUES ($1, $2, $3, $4::text::jsonb, $5::text::jsonb, transaction_order(), $6, $7)
ON CONFLICT (book_id, plan, effective_at) DO NOTHING

-- name: lock_plan
SELECT pg_advisory_xact_lock(hashtextextended('tallystick.plan/' || $2::text, $1::integer))

-- name: find_version
SELECT plan, effective_at, content::text, phases::text FROM plan_version
WHERE book_id = $1 AND plan = $2 AND effective_at = $3

-- name: version_at
SELECT plan, effective_at, content::text, phases::text FROM plan_version
WHERE book_id = $1 AND plan = $2 AND effective_at <= $3 ORDER BY effective_at DESC LIMIT 1

-- name: newest_version
SELECT plan, effective_at, content::text, phases::text FROM plan_version
WHERE book_id = $1 AND plan = $2 ORDER BY effective_at DESC LIMIT 1

-- name: versions_of
SELECT plan, effective_at, content::text, phases::text FROM plan_version
WHERE book_id = $1 AND plan = ANY ($2::text[]) ORDER BY plan COLLATE "C", effective_at

-- name: page_versions
SELECT plan, effective_at, content::text, phases::text FROM plan_version
WHERE book_id = $1 AND (plan COLLATE "C", effective_at) > ($2, $3)
ORDER BY plan COLLATE "C", effective_at LIMIT $4

-- name: is_plan
SELECT EXISTS (SELECT FROM plan_version WHERE book_id = $1 AND plan = $2)

-- name: has_prices
SELECT EXISTS (SELECT FROM price WHERE book_id = $1 AND product = $2)
