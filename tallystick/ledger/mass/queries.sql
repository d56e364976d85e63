-- name: find_asset_ids
SELECT code, asset_id FROM asset WHERE book_id = $1 AND code = ANY ($2::text[])

-- name: look_at_accounts
SELECT code, min_balance IS NOT NULL OR max_balance IS NOT NULL FROM account_now
WHERE book_id = $1 AND code = ANY ($2::text[])

-- name: export_horizon
SELECT settled_horizon()

-- name: count_exported
SELECT coalesce(sum(transfers), 0)::bigint FROM batch
WHERE book_id = $1 AND batch_id < $2 AND recorded_at >= $3 AND recorded_at < $4

-- name: exported_accounts
SELECT account_id FROM (
    SELECT account_id FROM account WHERE book_id = $1 AND code COLLATE "C" = $2
    UNION ALL
    SELECT account_id FROM account
    WHERE book_id = $1 AND code COLLATE "C" >= $2 || '/' AND code COLLATE "C" < $2 || '0'
) AS found ORDER BY account_id

-- name: outline_exported
SELECT batch_id, batch.transfers, recorded_at, first_place
FROM batch LEFT JOIN sealed_batch USING (book_id, batch_id)
WHERE book_id = $1 AND batch_id > $2 AND batch_id < $3 AND recorded_at >= $4 AND recorded_at < $5
ORDER BY batch_id LIMIT $6

-- name: outline_exported_pages
SELECT touching.batch_id, batch.transfers, recorded_at, first_place
FROM (
    SELECT DISTINCT batch_id FROM net_change
    WHERE book_id = $1 AND page = ANY ($7::bigint[]) AND batch_id > $2 AND batch_id < $3
) AS touching
CROSS JOIN LATERAL (
    SELECT transfers, recorded_at FROM batch WHERE book_id = $1 AND batch.batch_id = touching.batch_id OFFSET 0
) AS batch
LEFT JOIN LATERAL (
    SELECT first_place FROM sealed_batch WHERE book_id = $1 AND sealed_batch.batch_id = touching.batch_id OFFSET 0
) AS sealed ON true
WHERE recorded_at >= $4 AND recorded_at < $5
ORDER BY touching.batch_id LIMIT $6

-- name: exported_transfers
SELECT batch_id, debit_account_id, credit_account_id, amount, effective_at, transfer_id, position, asset_id, reason
FROM transfer WHERE book_id = $1 AND batch_id = ANY ($2::bigint[])
ORDER BY batch_id, position

-- name: exported_references
SELECT batch_id, position::integer, reference FROM transfer_reference
WHERE book_id = $1 AND batch_id = ANY ($2::bigint[])

-- name: exported_codes
SELECT account_id, code FROM account WHERE book_id = $1 AND account_id = ANY ($2::bigint[])

-- name: exported_assets
SELECT asset_id, code FROM asset WHERE book_id = $1
