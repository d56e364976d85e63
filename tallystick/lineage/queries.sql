-- name: follow
WITH RECURSIVE chain (depth, most, skip, path, kind, u, a, b, t, at, total) AS (
    SELECT 0, $12::integer, $15::integer, ARRAY[row_number() OVER ()], found.*, NULL::bigint
    FROM (
        {found}
    ) AS found
    UNION ALL
    SELECT depth + 1, least(most, 20), 0, chain.path || next.nth, next.kind, next.u, next.a, next.b, next.t, next.at, next.total
    FROM chain CROSS JOIN LATERAL (
        SELECT row_number() OVER () AS nth, edge.* FROM (
            {edges}
        ) AS edge (kind, u, a, b, t, at, total)
    ) AS next
    WHERE depth < $13::integer
), link AS (
    SELECT * FROM chain LIMIT $14::integer
)
SELECT chain.path, chain.kind, told.id, told.title, told.at, amount, asset.code, asset.exponent::integer, reason,
       transfer_id, first_place + position, chain.total, told.transaction_id || '.' || told.message_place, message.key,
       message.operation, message.principal, message.recorded_at
FROM link AS chain
CROSS JOIN LATERAL (
    {told}
) AS told (id, title, at, amount, asset_id, reason, transfer_id, batch_id, position, transaction_id, message_place)
LEFT JOIN asset ON asset.book_id = $1 AND asset.asset_id = told.asset_id
LEFT JOIN sealed_batch ON sealed_batch.book_id = $1 AND sealed_batch.batch_id = told.batch_id
LEFT JOIN message ON message.book_id = $1 AND message.transaction_id = told.transaction_id
    AND message.place = told.message_place
ORDER BY chain.path

-- name: find_message
SELECT transaction_id, place, key, operation, principal, hash, body, refused, answer, recorded_at
FROM message WHERE book_id = $1 AND key = $2

-- name: plan_for_any_id
SELECT set_config('plan_cache_mode', 'force_generic_plan', true)
