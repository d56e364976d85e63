-- name: name_of_book
SELECT name FROM book WHERE book_id = $1

-- name: cut_batches
WITH running AS (
    SELECT batch_id,
           (sum(batch.transfers) OVER earlier - batch.transfers) / $3 AS piece,
           sum(batch.transfers) OVER earlier AS done,
           coalesce(sum(batch.transfers) FILTER (WHERE first_place IS NOT NULL) OVER earlier, 0)::bigint AS size,
           max(recorded_at) FILTER (WHERE first_place IS NOT NULL) OVER earlier AS settled_at,
           bool_or(first_place IS NULL) OVER earlier AS unsealed
    FROM batch LEFT JOIN sealed_batch USING (book_id, batch_id)
    WHERE book_id = $1 AND batch_id > $2
    WINDOW earlier AS (ORDER BY batch_id)
)
SELECT DISTINCT ON (piece) batch_id, done, size, settled_at, unsealed FROM running ORDER BY piece, batch_id DESC

-- name: extents_of_net_change
SELECT block, lowest, highest
FROM generate_series(0, pg_relation_size('net_change') / 8192, 64) AS block, LATERAL (
    SELECT min(batch_id) AS lowest, max(batch_id) AS highest FROM net_change
    WHERE ctid >= format('(%s,0)', block)::tid AND ctid < format('(%s,0)', block + 64)::tid AND book_id = $1
) AS one WHERE lowest IS NOT NULL ORDER BY block

-- name: extents_of_balance_snapshot
SELECT block, lowest, highest
FROM generate_series(0, pg_relation_size('balance_snapshot') / 8192, 64) AS block, LATERAL (
    SELECT min(batch_id) AS lowest, max(batch_id) AS highest FROM balance_snapshot
    WHERE ctid >= format('(%s,0)', block)::tid AND ctid < format('(%s,0)', block + 64)::tid AND book_id = $1
) AS one WHERE lowest IS NOT NULL ORDER BY block

-- name: batches_between
SELECT batch_id, batch.transfers, recorded_at, leaf_hashes, pages,
       sealed_batch.first_place, sealed_batch.transfers, settled_at
FROM batch LEFT JOIN sealed_batch USING (book_id, batch_id)
WHERE book_id = $1 AND batch_id > $2 AND batch_id <= $3
ORDER BY batch_id

-- name: transfers_between
SELECT batch_id, debit_account_id, credit_account_id, amount, effective_at, transfer_id, position, asset_id,
       message_place, reason
FROM transfer WHERE book_id = $1 AND batch_id > $2 AND batch_id <= $3

-- name: messages_between
SELECT transaction_id, place, key, operation, refused, recorded_at, hash, sha256(body),
       substring(body FROM 1 FOR 2048), substring(body FROM greatest(length(body) - 511, 1))
FROM message WHERE book_id = $1 AND (transaction_id, place) > ($2, $3) AND transaction_id <= $4
ORDER BY transaction_id, place LIMIT $5

-- name: references_between
SELECT batch_id, position::integer, reference FROM transfer_reference
WHERE book_id = $1 AND batch_id > $2 AND batch_id <= $3
ORDER BY batch_id, position

-- name: holds_between
SELECT batch_id, position::integer, expires_at FROM hold
WHERE book_id = $1 AND batch_id > $2 AND batch_id <= $3
ORDER BY batch_id, position

-- name: sweeps_between
SELECT batch_id, position::integer, asked FROM sweep
WHERE book_id = $1 AND batch_id > $2 AND batch_id <= $3
ORDER BY batch_id, position

-- name: uses_between
SELECT batch_id, position::integer, hold_id, nth, amount, asked, ends::integer
FROM hold_use WHERE book_id = $1 AND batch_id > $2 AND batch_id <= $3

-- name: reversals_between
SELECT batch_id, position::integer, reversed_id
FROM reversal WHERE book_id = $1 AND batch_id > $2 AND batch_id <= $3

-- name: net_changes_between
SELECT batch_id, page, slots, array_send(amounts), positions
FROM net_change
WHERE ctid >= format('(%s,0)', $4::bigint)::tid AND ctid < format('(%s,0)', $5::bigint)::tid
  AND book_id = $1 AND batch_id > $2 AND batch_id <= $3

-- name: snapshots_between
SELECT page, batch_id, slots, array_to_string(sums, ',', '?')
FROM balance_snapshot
WHERE ctid >= format('(%s,0)', $4::bigint)::tid AND ctid < format('(%s,0)', $5::bigint)::tid
  AND book_id = $1 AND batch_id > $2 AND batch_id <= $3

-- name: uses_of_holds
SELECT hold_id, nth, batch_id, position::integer, amount, ends::integer
FROM hold_use WHERE book_id = $1 AND hold_id = ANY ($2::uuid[])
ORDER BY hold_id, nth

-- name: find_related
SELECT transfer_id, debit_account_id, credit_account_id, asset_id, amount, reason::integer, transfer.batch_id,
       transfer.position::integer, coalesce(expires_at, 9223372036854775807)
FROM transfer
LEFT JOIN hold ON (hold.book_id, hold.batch_id, hold.position) = ($1, transfer.batch_id, transfer.position)
WHERE transfer.book_id = $1 AND transfer_id = ANY ($2::uuid[])

-- name: assets_of_accounts
SELECT account_id, asset_id FROM account WHERE book_id = $1 AND account_id = ANY ($2::bigint[])

-- name: limits_ever
SELECT account_id, -9223372036854775808, min_balance, max_balance FROM account
WHERE book_id = $1 AND (
    min_balance IS NOT NULL OR max_balance IS NOT NULL
    OR EXISTS (SELECT FROM account_limit AS changed
               WHERE (changed.book_id, changed.account_id) = (account.book_id, account.account_id)))
UNION ALL
SELECT account_id, transaction_id, min_balance, max_balance FROM account_limit WHERE book_id = $1
ORDER BY 1, 2

-- name: closings
SELECT account_id, transaction_id FROM account_closing WHERE book_id = $1 ORDER BY account_id

-- name: checkpoints_between
SELECT size, root, through, note, signed_at FROM checkpoint
WHERE book_id = $1 AND size > $2 AND size <= $3 ORDER BY size

-- name: find_tile_roots
SELECT wanted.level::integer, wanted.place, hash
FROM unnest($2::smallint[], $3::bigint[]) AS wanted (level, place)
CROSS JOIN LATERAL (
    SELECT hash FROM tile_root
    WHERE book_id = $1 AND tile_root.level = wanted.level AND tile_root.place = wanted.place OFFSET 0
) AS root

-- name: tile_roots_beyond
SELECT level::integer, place FROM tile_root
WHERE book_id = $1 AND (level > 7 OR place >= $2::bigint >> (8 * level))
ORDER BY level, place LIMIT 100

-- name: sealed_without_batch
SELECT batch_id, first_place FROM sealed_batch
WHERE book_id = $1 AND batch_id > $2 AND NOT EXISTS (
    SELECT FROM batch WHERE (batch.book_id, batch.batch_id) = (sealed_batch.book_id, sealed_batch.batch_id))
ORDER BY first_place LIMIT 100

-- name: newest_account_id
SELECT least(coalesce(max(account_id), 0), count(*) + 1000000) FROM account WHERE book_id = $1

-- name: false_accounts
WITH numbered AS (
    SELECT account_id, asset_id, code, transaction_id, message_place, opened_at,
           lag(account_id, 1, 0::bigint) OVER (ORDER BY account_id) AS id_before,
           max(transaction_id) OVER (ORDER BY account_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS latest
    FROM account WHERE book_id = $1
)
SELECT account_id, numbered.transaction_id, id_before, asset.asset_id IS NULL, coalesce(numbered.transaction_id < latest, false),
       coalesce(recorded_at <> numbered.opened_at, false)
FROM numbered
LEFT JOIN asset ON asset.book_id = $1 AND asset.asset_id = numbered.asset_id
LEFT JOIN message ON message.book_id = $1 AND message.transaction_id = numbered.transaction_id
    AND message.place = numbered.message_place
WHERE account_id <> id_before + 1 OR asset.asset_id IS NULL OR numbered.transaction_id < latest
   OR recorded_at <> numbered.opened_at
ORDER BY account_id LIMIT 100

-- name: false_account_facts
WITH fact AS (
    SELECT 'account_limit' AS kind, account_id, transaction_id, message_place, changed_at AS at
    FROM account_limit WHERE book_id = $1
    UNION ALL
    SELECT 'account_metadata', account_id, transaction_id, message_place, changed_at
    FROM account_metadata WHERE book_id = $1
    UNION ALL
    SELECT 'account_closing', account_id, transaction_id, message_place, closed_at
    FROM account_closing WHERE book_id = $1
)
SELECT kind, fact.account_id, fact.transaction_id, account.account_id IS NULL,
       coalesce(fact.transaction_id < account.transaction_id, false), coalesce(recorded_at <> at, false)
FROM fact
LEFT JOIN account ON account.book_id = $1 AND account.account_id = fact.account_id
LEFT JOIN message ON message.book_id = $1 AND message.transaction_id = fact.transaction_id
    AND message.place = fact.message_place
WHERE account.account_id IS NULL OR fact.transaction_id < account.transaction_id OR recorded_at <> at
ORDER BY fact.transaction_id, fact.account_id LIMIT 100

-- name: batch_ending_at
SELECT batch_id, first_place + sealed_batch.transfers, settled_at FROM sealed_batch
WHERE book_id = $1 AND first_place < $2 ORDER BY first_place DESC LIMIT 1

-- name: sums_through
WITH newest AS (
    SELECT page, coalesce(batch_id, -9223372036854775808) AS batch_id, slots, sums
    FROM generate_series(0, (SELECT max(account_id) / 16 FROM account WHERE book_id = $1)) AS page
    LEFT JOIN LATERAL (
        SELECT batch_id, slots, sums FROM balance_snapshot AS snapshot
        WHERE book_id = $1 AND snapshot.page = page.page AND batch_id <= $2
        ORDER BY batch_id DESC LIMIT 1
    ) AS kept ON true
), entry AS (
    SELECT page, get_byte(slots, at - 1) AS slot, sums[2 * at - 1] AS debits, sums[2 * at] AS credits
    FROM newest, generate_series(1, length(slots)) AS at
    UNION ALL
    SELECT page, get_byte(net_change.slots, at - 1), amounts[2 * at - 1], amounts[2 * at]
    FROM newest JOIN net_change USING (page), generate_series(1, length(net_change.slots)) AS at
    WHERE book_id = $1 AND net_change.batch_id > newest.batch_id AND net_change.batch_id <= $2
)
SELECT page * 32 + slot, sum(debits), sum(credits) FROM entry GROUP BY 1 ORDER BY 1

-- name: export_snapshot
SELECT pg_export_snapshot()

-- name: stay_idle
SET LOCAL idle_in_transaction_session_timeout = 0
