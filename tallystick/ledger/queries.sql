-- name: find_asset
SELECT asset_id, code, exponent::integer FROM asset WHERE book_id = $1 AND code = $2

-- name: insert_asset
INSERT INTO asset (book_id, asset_id, code, exponent)
SELECT $1, coalesce(max(asset_id), 0) + 1, $2, $3 FROM asset WHERE book_id = $1
ON CONFLICT ON CONSTRAINT asset_once DO NOTHING

-- name: find_accounts
SELECT account_id, account.code, asset.code, min_balance, max_balance, opened_at, closed_at
FROM account JOIN asset USING (book_id, asset_id) LEFT JOIN account_closing USING (book_id, account_id)
WHERE book_id = $1 AND account.code = ANY ($2::text[])

-- name: list_accounts
SELECT account_id, account.code, asset.code, min_balance, max_balance, opened_at, closed_at
FROM account JOIN asset USING (book_id, asset_id) LEFT JOIN account_closing USING (book_id, account_id)
WHERE book_id = $1 AND account.code > $2
ORDER BY account.code LIMIT $3

-- name: open_accounts
WITH wanted AS (
    SELECT DISTINCT ON (code) *
    FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[]) AS given (code, asset, min_balance, max_balance)
), opened AS (
    INSERT INTO account (book_id, account_id, asset_id, code, min_balance, max_balance,
                         transaction_id, message_place, opened_at)
    SELECT $1, nextval('account_number'), asset_id, wanted.code, min_balance, max_balance, (SELECT transaction_order()), $6, $7
    FROM wanted JOIN asset ON asset.book_id = $1 AND asset.code = wanted.asset
    ORDER BY wanted.code
    ON CONFLICT ON CONSTRAINT account_once DO NOTHING
    RETURNING account_id, code, asset_id, min_balance, max_balance, opened_at
)
SELECT account_id, opened.code, asset.code, min_balance, max_balance, opened_at, NULL::timestamptz
FROM opened JOIN asset ON asset.book_id = $1 AND asset.asset_id = opened.asset_id

-- name: insert_closing
INSERT INTO account_closing (book_id, account_id, transaction_id, message_place, closed_at)
VALUES ($1, $2, transaction_order(), $3, $4)

-- name: take_gate_exclusively
SELECT pg_advisory_xact_lock(1, $1)

-- name: bump_epoch
INSERT INTO account_epoch (book_id, epoch) VALUES ($1, 1)
ON CONFLICT (book_id) DO UPDATE SET epoch = account_epoch.epoch + 1

-- name: take_gate
SELECT pg_advisory_xact_lock_shared(1, $1)

-- name: lock_limited
SELECT count(pg_advisory_xact_lock(wanted)) FROM unnest($1::bigint[]) AS wanted

-- name: find_epoch
SELECT coalesce((SELECT epoch FROM account_epoch WHERE book_id = $1), 0)

-- name: order_transaction
SELECT transaction_order()

-- name: load_accounts
SELECT account_id, asset_id, min_balance, max_balance, closed_at IS NOT NULL,
       account.transaction_id IS DISTINCT FROM (
           SELECT pg_current_xact_id_if_assigned()::text::bigint + base FROM transaction_base) AS committed
FROM account LEFT JOIN account_closing USING (book_id, account_id)
WHERE book_id = $1 AND account_id = ANY ($2::bigint[])

-- name: find_known_transfers
SELECT transfer_id, debit_account_id, credit_account_id, amount, asset_id, reason::integer, effective_at
FROM transfer WHERE book_id = $1 AND transfer_id = ANY ($2::uuid[])

-- name: insert_batch
INSERT INTO batch (book_id, batch_id, transfers, recorded_at, leaf_hashes, accounts, debits, credits)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)

-- name: find_balances_before
SELECT wanted.account_id,
       coalesce(newest.debits, 0) + coalesce(later.debits, 0),
       coalesce(newest.credits, 0) + coalesce(later.credits, 0),
       EXISTS (SELECT FROM net_change WHERE book_id = $1 AND account_id = wanted.account_id
                                        AND batch_id > $3 AND debits > 0),
       EXISTS (SELECT FROM net_change WHERE book_id = $1 AND account_id = wanted.account_id
                                        AND batch_id > $3 AND credits > 0)
FROM unnest($2::bigint[]) AS wanted (account_id)
LEFT JOIN LATERAL (
    SELECT batch_id, debits, credits FROM balance_snapshot
    WHERE book_id = $1 AND account_id = wanted.account_id AND batch_id < $3
    ORDER BY batch_id DESC LIMIT 1
) AS newest ON true
LEFT JOIN LATERAL (
    SELECT sum(debits) AS debits, sum(credits) AS credits FROM net_change
    WHERE book_id = $1 AND account_id = wanted.account_id
      AND batch_id > coalesce(newest.batch_id, 0) AND batch_id < $3
) AS later ON true

-- name: find_transfer
SELECT transfer_id, debit.code, credit.code, asset.code, amount, reason::integer, effective_at,
       batch.recorded_at, sealed_batch.first_place + position
FROM transfer
JOIN batch USING (book_id, batch_id)
JOIN asset USING (book_id, asset_id)
JOIN account AS debit ON debit.book_id = $1 AND debit.account_id = debit_account_id
JOIN account AS credit ON credit.book_id = $1 AND credit.account_id = credit_account_id
LEFT JOIN sealed_batch ON (sealed_batch.book_id, sealed_batch.batch_id) = (transfer.book_id, transfer.batch_id)
WHERE transfer.book_id = $1 AND transfer_id = $2

-- name: page_history
SELECT transfer_id, debit.code, credit.code, asset.code, amount, reason::integer, effective_at,
       batch.recorded_at, sealed_batch.first_place + position, transfer.batch_id, position
FROM transfer
JOIN batch USING (book_id, batch_id)
JOIN asset USING (book_id, asset_id)
JOIN account AS debit ON debit.book_id = $1 AND debit.account_id = debit_account_id
JOIN account AS credit ON credit.book_id = $1 AND credit.account_id = credit_account_id
LEFT JOIN sealed_batch ON (sealed_batch.book_id, sealed_batch.batch_id) = (transfer.book_id, transfer.batch_id)
WHERE transfer.book_id = $1
  AND transfer.batch_id IN (
      SELECT batch_id FROM net_change JOIN batch AS period USING (book_id, batch_id)
      WHERE book_id = $1 AND account_id = $2 AND batch_id >= $3
        AND period.recorded_at >= $5 AND period.recorded_at < $6
      ORDER BY batch_id LIMIT $7
  )
  AND (debit_account_id = $2 OR credit_account_id = $2)
  AND (transfer.batch_id, position) > ($3, $4)
ORDER BY transfer.batch_id, position
LIMIT $7

-- name: insert_book
INSERT INTO book (name, opened_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING

-- name: find_book
SELECT book_id FROM book WHERE name = $1

-- name: list_books
SELECT book_id, name FROM book ORDER BY book_id

-- name: find_account_ids
SELECT code, account_id,
       transaction_id IS DISTINCT FROM (
           SELECT pg_current_xact_id_if_assigned()::text::bigint + base FROM transaction_base) AS committed
FROM account WHERE book_id = $1 AND code = ANY ($2::text[])

-- name: try_lead
SELECT pg_try_advisory_lock(2, $1)

-- name: find_unsealed
SELECT batch_id, transfers, leaf_hashes, accounts FROM batch
WHERE book_id = $1 AND batch_id > $2 AND batch_id < settled_horizon()
ORDER BY batch_id LIMIT $3

-- name: insert_sealed
INSERT INTO sealed_batch (book_id, batch_id, first_place, transfers)
SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::integer[])

-- name: insert_tile_roots
INSERT INTO tile_root (book_id, level, place, hash)
SELECT $1, * FROM unnest($2::smallint[], $3::bigint[], $4::bytea[])

-- name: insert_checkpoint
INSERT INTO checkpoint (book_id, size, root, through, note, signed_at) VALUES ($1, $2, $3, $4, $5, $6)

-- name: count_changes
SELECT wanted.account_id, (
    SELECT count(*) FROM (
        SELECT FROM net_change
        WHERE book_id = $1 AND account_id = wanted.account_id AND batch_id <= $3 AND batch_id > coalesce((
            SELECT max(batch_id) FROM balance_snapshot WHERE book_id = $1 AND account_id = wanted.account_id), 0)
        LIMIT $4
    ) AS since)
FROM unnest($2::bigint[]) AS wanted (account_id)

-- name: insert_snapshots
INSERT INTO balance_snapshot (book_id, account_id, batch_id, debits, credits)
SELECT $1, wanted.account_id, $3,
       coalesce(newest.debits, 0) + coalesce(later.debits, 0),
       coalesce(newest.credits, 0) + coalesce(later.credits, 0)
FROM unnest($2::bigint[]) AS wanted (account_id)
LEFT JOIN LATERAL (
    SELECT batch_id, debits, credits FROM balance_snapshot
    WHERE book_id = $1 AND account_id = wanted.account_id
    ORDER BY batch_id DESC LIMIT 1
) AS newest ON true
LEFT JOIN LATERAL (
    SELECT sum(debits) AS debits, sum(credits) AS credits FROM net_change
    WHERE book_id = $1 AND account_id = wanted.account_id
      AND batch_id > coalesce(newest.batch_id, 0) AND batch_id <= $3
) AS later ON true

-- name: newest_checkpoint
SELECT size, root, through, note, signed_at FROM checkpoint WHERE book_id = $1 ORDER BY size DESC LIMIT 1

-- name: first_checkpoint_over
SELECT size, root, through, note, signed_at FROM checkpoint WHERE book_id = $1 AND size > $2 ORDER BY size LIMIT 1

-- name: list_checkpoints
SELECT size, root, through, note, signed_at FROM checkpoint WHERE book_id = $1 ORDER BY size

-- name: read_leaf_ranges
SELECT wanted.ordinal, substring(
    leaf_hashes
    FROM (32 * (greatest(wanted.first, first_place) - first_place) + 1)::integer
    FOR (32 * (least(wanted.first + wanted.width, first_place + sealed_batch.transfers)
               - greatest(wanted.first, first_place)))::integer)
FROM unnest($2::bigint[], $3::bigint[]) WITH ORDINALITY AS wanted (first, width, ordinal)
JOIN sealed_batch ON book_id = $1
    AND first_place < wanted.first + wanted.width
    AND first_place >= coalesce((SELECT max(first_place) FROM sealed_batch
                                 WHERE book_id = $1 AND first_place <= wanted.first), 0)
JOIN batch USING (book_id, batch_id)
ORDER BY wanted.ordinal, first_place

-- name: read_tile_roots
SELECT wanted.ordinal, hash
FROM unnest($2::smallint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS wanted (level, first, width, ordinal)
JOIN tile_root ON book_id = $1 AND tile_root.level = wanted.level
    AND place >= wanted.first AND place < wanted.first + wanted.width
ORDER BY wanted.ordinal, place

-- name: find_sums
SELECT asset.code,
       coalesce(newest.debits, 0) + coalesce(later.debits, 0),
       coalesce(newest.credits, 0) + coalesce(later.credits, 0)
FROM account JOIN asset USING (book_id, asset_id)
LEFT JOIN LATERAL (
    SELECT batch_id, debits, credits FROM balance_snapshot
    WHERE book_id = $1 AND account_id = $2 ORDER BY batch_id DESC LIMIT 1
) AS newest ON true
LEFT JOIN LATERAL (
    SELECT sum(debits) AS debits, sum(credits) AS credits FROM net_change
    WHERE book_id = $1 AND account_id = $2 AND batch_id > coalesce(newest.batch_id, 0)
) AS later ON true
WHERE book_id = $1 AND account_id = $2


-- name: outline_batches
SELECT batch_id, transfers FROM batch WHERE book_id = $1 AND batch_id > $2 ORDER BY batch_id LIMIT $3

-- name: count_transfers
SELECT coalesce(sum(transfers), 0)::bigint FROM batch WHERE book_id = $1

-- name: batches_between
SELECT batch_id, batch.transfers, recorded_at, leaf_hashes, accounts, debits, credits,
       sealed_batch.first_place, sealed_batch.transfers
FROM batch LEFT JOIN sealed_batch USING (book_id, batch_id)
WHERE book_id = $1 AND batch_id > $2 AND batch_id <= $3
ORDER BY batch_id

-- name: transfers_between
SELECT batch_id, debit_account_id, credit_account_id, amount, effective_at, transfer_id, book_id, position, asset_id,
       message_place, reason
FROM transfer WHERE book_id = $1 AND batch_id > $2 AND batch_id <= $3
ORDER BY batch_id, position

-- name: messages_between
SELECT transaction_id, place, key, operation, refused, recorded_at, hash, sha256(body),
       substring(body FROM 1 FOR 4096), substring(body FROM greatest(length(body) - 511, 1))
FROM message WHERE book_id = $1 AND transaction_id > $2 AND transaction_id <= $3
ORDER BY transaction_id, place

-- name: every_net_change
SELECT account_id, batch_id, debits, credits, book_id FROM net_change WHERE book_id = $1

-- name: net_changes_of_batches
SELECT account_id, batch_id, debits, credits, book_id FROM net_change
WHERE book_id = $1 AND batch_id = ANY ($2::bigint[])
ORDER BY batch_id, account_id

-- name: checkpoints_between
SELECT size, root, through, note, signed_at FROM checkpoint
WHERE book_id = $1 AND size > $2 AND size <= $3 ORDER BY size

-- name: find_tile_roots
SELECT level::integer, place, hash
FROM unnest($2::smallint[], $3::bigint[]) AS wanted (level, place)
JOIN tile_root USING (level, place) WHERE book_id = $1

-- name: tile_roots_beyond
SELECT level::integer, place FROM tile_root
WHERE book_id = $1 AND (level > 7 OR place >= $2::bigint >> (8 * level))
ORDER BY level, place LIMIT 100

-- name: sealed_without_batch
SELECT batch_id, first_place FROM sealed_batch
WHERE book_id = $1 AND NOT EXISTS (
    SELECT FROM batch WHERE (batch.book_id, batch.batch_id) = (sealed_batch.book_id, sealed_batch.batch_id))
ORDER BY first_place LIMIT 100

-- name: false_snapshots
WITH snapshot AS (
    SELECT account_id, batch_id, debits, credits,
           lag(batch_id, 1, 0::bigint) OVER earlier AS batch_before,
           lag(debits, 1, 0::numeric) OVER earlier AS debits_before,
           lag(credits, 1, 0::numeric) OVER earlier AS credits_before
    FROM balance_snapshot WHERE book_id = $1
    WINDOW earlier AS (PARTITION BY account_id ORDER BY batch_id)
)
SELECT account_id, batch_id,
       snapshot.debits, debits_before + coalesce(since.debits, 0),
       snapshot.credits, credits_before + coalesce(since.credits, 0)
FROM snapshot LEFT JOIN LATERAL (
    SELECT sum(debits) AS debits, sum(credits) AS credits FROM net_change
    WHERE book_id = $1 AND account_id = snapshot.account_id AND batch_id > batch_before AND batch_id <= snapshot.batch_id
) AS since ON true
WHERE snapshot.debits <> debits_before + coalesce(since.debits, 0)
   OR snapshot.credits <> credits_before + coalesce(since.credits, 0)
   OR NOT EXISTS (SELECT FROM sealed_batch WHERE (book_id, sealed_batch.batch_id) = ($1, snapshot.batch_id))
ORDER BY account_id, batch_id LIMIT 100

-- name: moved_after_closing
SELECT account_id, batch_id FROM account_closing JOIN net_change USING (book_id, account_id)
WHERE book_id = $1 AND batch_id > transaction_id
ORDER BY batch_id, account_id LIMIT 100

-- name: name_of_book
SELECT name FROM book WHERE book_id = $1
