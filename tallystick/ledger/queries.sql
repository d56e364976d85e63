-- name: find_asset
SELECT asset_id, code, exponent::integer FROM asset WHERE book_id = $1 AND code = $2

-- name: insert_asset
INSERT INTO asset (book_id, asset_id, code, exponent)
SELECT $1, coalesce(max(asset_id), 0) + 1, $2, $3 FROM asset WHERE book_id = $1
ON CONFLICT ON CONSTRAINT asset_once DO NOTHING

-- name: find_accounts
SELECT account_id, found.code, asset, min_balance, max_balance, opened_at, closed_at, metadata::text
FROM unnest($2::text[]) AS wanted (code)
CROSS JOIN LATERAL (SELECT * FROM account_now WHERE book_id = $1 AND account_now.code = wanted.code LIMIT 1) AS found

-- name: list_accounts
SELECT account_id, code, asset, min_balance, max_balance, opened_at, closed_at, metadata::text
FROM account_now
WHERE book_id = $1 AND code > $2
ORDER BY code LIMIT $3

-- name: open_accounts
WITH wanted AS (
    SELECT DISTINCT ON (code) given.*, asset_id
    FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[]) WITH ORDINALITY
        AS given (code, asset, min_balance, max_balance, ordinal)
    JOIN asset ON asset.book_id = $1 AND asset.code = given.asset
    WHERE (SELECT true FROM account WHERE book_id = $1 AND account.code = given.code LIMIT 1) IS NULL
    ORDER BY code, ordinal
)
INSERT INTO account (book_id, account_id, asset_id, code, min_balance, max_balance,
                     transaction_id, message_place, opened_at)
SELECT $1, $8 + row_number() OVER (ORDER BY ordinal), asset_id, code, min_balance, max_balance,
       (SELECT transaction_order()), $6, $7
FROM wanted
RETURNING account_id, code, min_balance, max_balance

-- name: take_numbering
SELECT pg_advisory_xact_lock(3, $1)

-- name: newest_account
SELECT account_id, transaction_id, coalesce(pg_current_xact_id_if_assigned()::text::bigint + base, 9223372036854775807)
FROM account, transaction_base WHERE book_id = $1 ORDER BY account_id DESC LIMIT 1

-- name: insert_limit
INSERT INTO account_limit (book_id, account_id, transaction_id, message_place, min_balance, max_balance, changed_at)
VALUES ($1, $2, transaction_order(), $3, $4, $5, $6)

-- name: insert_metadata
INSERT INTO account_metadata (book_id, account_id, transaction_id, message_place, metadata, changed_at)
VALUES ($1, $2, transaction_order(), $3, $4::text::jsonb, $5)

-- name: insert_closing
INSERT INTO account_closing (book_id, account_id, transaction_id, message_place, closed_at)
VALUES ($1, $2, transaction_order(), $3, $4)

-- name: take_gate_exclusively
SELECT pg_advisory_xact_lock(1, $1)

-- name: bump_epoch
INSERT INTO account_epoch (book_id, epoch) VALUES ($1, 1)
ON CONFLICT (book_id) DO UPDATE SET epoch = account_epoch.epoch + 1

-- name: enter_ledger
SELECT epoch, place, horizon, ordinal, debit, credit, amount, asset_id, reason, effective_at, batch_id, position
FROM enter_ledger($1, $2::uuid[], $3)

-- name: lock_limited
SELECT count(pg_advisory_xact_lock(($1::bigint << 40) + wanted)) FROM unnest($2::bigint[]) AS wanted

-- name: take_place
SELECT transaction_order(), settled_horizon()

-- name: order_transaction
SELECT transaction_order(), settled_horizon()

-- name: load_accounts
SELECT account_id, asset_id, min_balance, max_balance, closed_at IS NOT NULL, changed_by,
       transaction_id IS DISTINCT FROM (
           SELECT pg_current_xact_id_if_assigned()::text::bigint + base FROM transaction_base) AS committed
FROM account_now WHERE book_id = $1 AND account_id = ANY ($2::bigint[])

-- name: find_known_transfers
SELECT wanted.ordinal::integer, debit_account_id, credit_account_id, amount, asset_id, reason::integer, effective_at,
       batch_id, position::integer
FROM unnest($2::uuid[]) WITH ORDINALITY AS wanted (transfer_id, ordinal)
CROSS JOIN LATERAL (
    SELECT * FROM transfer WHERE book_id = $1 AND transfer.transfer_id = wanted.transfer_id OFFSET 0
) AS found
ORDER BY wanted.ordinal

-- name: find_known_details
SELECT wanted.ordinal::integer, hold.expires_at, coalesce(sweep.asked, used.asked), reference,
       used.asked IS NOT NULL OR undone.position IS NOT NULL
FROM unnest($2::bigint[], $3::smallint[], $4::uuid[]) WITH ORDINALITY AS wanted (batch_id, position, related, ordinal)
LEFT JOIN LATERAL (
    SELECT expires_at FROM hold
    WHERE (hold.book_id, hold.batch_id, hold.position) = ($1, wanted.batch_id, wanted.position) OFFSET 0
) AS hold ON true
LEFT JOIN LATERAL (
    SELECT asked FROM sweep
    WHERE (sweep.book_id, sweep.batch_id, sweep.position) = ($1, wanted.batch_id, wanted.position) OFFSET 0
) AS sweep ON true
LEFT JOIN LATERAL (
    SELECT reference FROM transfer_reference AS said
    WHERE (said.book_id, said.batch_id, said.position) = ($1, wanted.batch_id, wanted.position) OFFSET 0
) AS said ON true
LEFT JOIN LATERAL (
    SELECT hold_id, asked FROM hold_use
    WHERE (hold_use.book_id, hold_use.batch_id, hold_use.position) = ($1, wanted.batch_id, wanted.position) OFFSET 0
) AS used ON used.hold_id = related
LEFT JOIN LATERAL (
    SELECT reversed_id, position FROM reversal
    WHERE (reversal.book_id, reversal.batch_id, reversal.position) = ($1, wanted.batch_id, wanted.position) OFFSET 0
) AS undone ON undone.reversed_id = related
ORDER BY wanted.ordinal

-- name: find_targets
SELECT wanted.ordinal, debit_account_id, credit_account_id, asset_id, target.amount, reason::integer,
       coalesce(hold.expires_at, 9223372036854775807),
       greatest(target.batch_id, uses.newest, undone.batch_id), coalesce(uses.amount, 0)::bigint,
       coalesce(uses.nth, 0), coalesce(uses.ended, false), undone.batch_id IS NOT NULL
FROM unnest($2::uuid[]) WITH ORDINALITY AS wanted (transfer_id, ordinal)
CROSS JOIN LATERAL (
    SELECT * FROM transfer WHERE book_id = $1 AND transfer.transfer_id = wanted.transfer_id OFFSET 0
) AS target
LEFT JOIN LATERAL (
    SELECT expires_at FROM hold
    WHERE (hold.book_id, hold.batch_id, hold.position) = ($1, target.batch_id, target.position) OFFSET 0
) AS hold ON target.reason = 6
LEFT JOIN LATERAL (
    SELECT batch_id FROM reversal WHERE book_id = $1 AND reversed_id = target.transfer_id OFFSET 0
) AS undone ON target.reason <> 6
LEFT JOIN LATERAL (
    SELECT sum(amount) AS amount, max(nth) AS nth, max(ends) = 1 AS ended, max(batch_id) AS newest FROM hold_use
    WHERE hold_use.book_id = $1 AND hold_use.hold_id = target.transfer_id AND target.reason = 6
) AS uses ON true

-- name: insert_batch
INSERT INTO batch (book_id, batch_id, transfers, recorded_at, leaf_hashes, pages)
VALUES ($1, $2, $3, $4, $5, $6)

-- name: write_small
WITH moved AS (
    INSERT INTO transfer (batch_id, debit_account_id, credit_account_id, amount, effective_at, transfer_id, book_id,
                          position, asset_id, message_place, reason)
    SELECT $2, debit, credit, amount, effective_at, transfer_id, $1, ordinal - 1, asset_id, message_place, reason
    FROM unnest($7::uuid[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::integer[], $13::smallint[],
                $14::smallint[]) WITH ORDINALITY
        AS given (transfer_id, debit, credit, amount, effective_at, asset_id, message_place, reason, ordinal)
), changed AS (
    INSERT INTO net_change (page, batch_id, book_id, slots, amounts, positions)
    SELECT page, $2, $1, slots, ($18::bigint[])[first:last], positions
    FROM unnest($15::bigint[], $16::bytea[], $17::bytea[], $19::integer[], $20::integer[])
        AS given (page, slots, positions, first, last)
)
INSERT INTO batch (book_id, batch_id, transfers, recorded_at, leaf_hashes, pages)
VALUES ($1, $2, $3, $4, $5, $6)

-- name: insert_references
INSERT INTO transfer_reference (book_id, batch_id, position, reference)
SELECT $1, $2, * FROM unnest($3::smallint[], $4::text[])

-- name: find_page_snapshots
SELECT wanted.page, batch_id, slots, sums
FROM unnest($2::bigint[]) AS wanted (page)
JOIN LATERAL (
    SELECT batch_id, slots, sums FROM balance_snapshot
    WHERE book_id = $1 AND page = wanted.page AND batch_id < $3
    ORDER BY batch_id DESC LIMIT 1
) AS newest ON true

-- name: find_page_changes
SELECT wanted.page, batch_id, slots, amounts
FROM unnest($2::bigint[], $3::bigint[]) AS wanted (page, since)
CROSS JOIN LATERAL (
    SELECT batch_id, slots, amounts FROM net_change
    WHERE book_id = $1 AND net_change.page = wanted.page AND batch_id >= wanted.since OFFSET 0
) AS change

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
SELECT batch_id, transfers, leaf_hashes, pages, recorded_at FROM batch
WHERE book_id = $1 AND batch_id > $2 AND batch_id < settled_horizon()
ORDER BY batch_id LIMIT $3

-- name: find_settled
SELECT settled_at FROM sealed_batch WHERE book_id = $1 AND batch_id = $2

-- name: insert_sealed
INSERT INTO sealed_batch (book_id, batch_id, first_place, transfers, settled_at)
SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::integer[], $5::timestamptz[])

-- name: insert_tile_roots
INSERT INTO tile_root (book_id, level, place, hash)
SELECT $1, * FROM unnest($2::smallint[], $3::bigint[], $4::bytea[])

-- name: insert_checkpoint
INSERT INTO checkpoint (book_id, size, root, through, note, signed_at) VALUES ($1, $2, $3, $4, $5, $6)

-- name: count_changes
SELECT wanted.page, (
    SELECT count(*) FROM (
        SELECT FROM net_change
        WHERE book_id = $1 AND page = wanted.page AND batch_id <= $3 AND batch_id > coalesce((
            SELECT max(batch_id) FROM balance_snapshot WHERE book_id = $1 AND page = wanted.page), 0)
        LIMIT $4
    ) AS since)
FROM unnest($2::bigint[]) AS wanted (page)

-- name: insert_snapshots
WITH newest AS (
    SELECT wanted.page, batch_id, slots, sums
    FROM unnest($2::bigint[]) AS wanted (page)
    LEFT JOIN LATERAL (
        SELECT batch_id, slots, sums FROM balance_snapshot
        WHERE book_id = $1 AND page = wanted.page ORDER BY batch_id DESC LIMIT 1
    ) AS kept ON true
), entry AS (
    SELECT page, get_byte(slots, at - 1) AS slot, sums[2 * at - 1] AS debits, sums[2 * at] AS credits
    FROM newest, generate_series(1, length(slots)) AS at
    UNION ALL
    SELECT newest.page, get_byte(change.slots, at - 1), amounts[2 * at - 1], amounts[2 * at]
    FROM newest CROSS JOIN LATERAL (
        SELECT slots, amounts FROM net_change
        WHERE book_id = $1 AND page = newest.page AND batch_id > coalesce(newest.batch_id, 0) AND batch_id <= $3 OFFSET 0
    ) AS change, generate_series(1, length(change.slots)) AS at
), total AS (
    SELECT page, slot, sum(debits) AS debits, sum(credits) AS credits FROM entry GROUP BY page, slot
)
INSERT INTO balance_snapshot (book_id, page, batch_id, slots, sums)
SELECT $1, page, $3, string_agg(set_byte('\x00'::bytea, 0, slot), ''::bytea ORDER BY slot) FILTER (WHERE side = 1),
       array_agg(amount ORDER BY slot, side)
FROM total, unnest(ARRAY[debits, credits]) WITH ORDINALITY AS each (amount, side)
GROUP BY page

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
CROSS JOIN LATERAL (
    SELECT leaf_hashes FROM batch WHERE book_id = $1 AND batch.batch_id = sealed_batch.batch_id OFFSET 0
) AS batch
ORDER BY wanted.ordinal, first_place

-- name: read_tile_roots
SELECT wanted.ordinal, hash
FROM unnest($2::smallint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS wanted (level, first, width, ordinal)
CROSS JOIN LATERAL (
    SELECT place, hash FROM tile_root
    WHERE book_id = $1 AND tile_root.level = wanted.level
      AND place >= wanted.first AND place < wanted.first + wanted.width OFFSET 0
) AS root
ORDER BY wanted.ordinal, place

-- name: list_log_keys
SELECT number, verifier, after_size, overlap_until, made_at, last_size
FROM log_key LEFT JOIN log_key_end USING (book_id, number)
WHERE book_id = $1 ORDER BY number

-- name: insert_log_key
INSERT INTO log_key (book_id, number, verifier, after_size, overlap_until, made_at)
SELECT $1, $2, $3, CASE WHEN $2 = 1 THEN 0 ELSE coalesce(max(size), 0) END, $4, $5 FROM checkpoint WHERE book_id = $1
ON CONFLICT DO NOTHING

-- name: end_log_keys
INSERT INTO log_key_end (book_id, number, last_size, ended_at)
SELECT $1, number, coalesce((SELECT max(size) FROM checkpoint WHERE book_id = $1), 0), $3
FROM unnest($2::integer[]) AS number
ON CONFLICT ON CONSTRAINT log_key_end_pkey DO NOTHING

-- name: checkpoint_of_size
SELECT size, root, through, note, signed_at FROM checkpoint WHERE book_id = $1 AND size = $2

-- name: find_place
SELECT sealed_batch.first_place + position FROM transfer LEFT JOIN sealed_batch USING (book_id, batch_id)
WHERE book_id = $1 AND transfer_id = $2

-- name: read_sealed_transfers
SELECT batch_id, transfer.position, transfer_id, debit_account_id, credit_account_id, amount, effective_at, asset_id,
       transfer.message_place, reason::integer, batch.recorded_at, message.hash
FROM sealed_batch
JOIN batch USING (book_id, batch_id)
JOIN transfer USING (book_id, batch_id)
JOIN message ON message.book_id = $1 AND message.transaction_id = batch_id AND message.place = transfer.message_place
WHERE sealed_batch.book_id = $1
  AND first_place < $2::bigint + $3::bigint
  AND first_place >= coalesce((SELECT max(first_place) FROM sealed_batch WHERE book_id = $1 AND first_place <= $2), 0)
  AND transfer.position >= $2 - first_place AND transfer.position < $2 + $3 - first_place
ORDER BY first_place, transfer.position

-- name: read_details_of_batches
SELECT batch_id, position, hold_id, NULL::bigint, asked, NULL::text FROM hold_use
WHERE $3 AND book_id = $1 AND batch_id = ANY ($2::bigint[])
UNION ALL
SELECT batch_id, position, reversed_id, NULL, NULL, NULL FROM reversal
WHERE $3 AND book_id = $1 AND batch_id = ANY ($2::bigint[])
UNION ALL
SELECT batch_id, position, NULL, expires_at, NULL, NULL FROM hold WHERE book_id = $1 AND batch_id = ANY ($2::bigint[])
UNION ALL
SELECT batch_id, position, NULL, NULL, asked, NULL FROM sweep WHERE book_id = $1 AND batch_id = ANY ($2::bigint[])
UNION ALL
SELECT batch_id, position, NULL, NULL, NULL, reference FROM transfer_reference
WHERE book_id = $1 AND batch_id = ANY ($2::bigint[])

-- name: lines_of_witnesses
SELECT line FROM cosignature WHERE book_id = $1 AND size = $2 ORDER BY witness

-- name: newest_cosigned
SELECT size, root, through, note, signed_at FROM checkpoint
WHERE book_id = $1 AND size = (SELECT max(size) FROM cosignature WHERE book_id = $1)

-- name: expiry_pass
SELECT coalesce((SELECT through_at FROM hold_expiry_pass WHERE book_id = $1), -9223372036854775808),
       coalesce((SELECT before FROM hold_expiry_pass WHERE book_id = $1), 0), settled_horizon()

-- name: due_holds
SELECT transfer_id FROM (
    SELECT batch_id, position FROM hold WHERE book_id = $1 AND expires_at > $2 AND expires_at <= $4
    UNION ALL
    SELECT batch_id, position FROM hold WHERE book_id = $1 AND batch_id >= $3 AND expires_at <= least($2::bigint, $4)
) AS due
JOIN transfer ON (transfer.book_id, transfer.batch_id, transfer.position) = ($1, due.batch_id, due.position)
WHERE NOT EXISTS (SELECT FROM hold_use WHERE book_id = $1 AND hold_id = transfer_id AND ends = 1)
LIMIT $5

-- name: note_expiry_pass
INSERT INTO hold_expiry_pass (book_id, through_at, before) VALUES ($1, $2, $3)
ON CONFLICT (book_id) DO UPDATE SET through_at = greatest(hold_expiry_pass.through_at, excluded.through_at),
                                    before = excluded.before
WHERE hold_expiry_pass.through_at <= excluded.through_at

-- name: find_exchange
SELECT payer.code, sold_pool.code, bought_pool.code, payee.code, exchange.sold, numerator, denominator, rest.code,
       bought, rounding::integer, sold_id, bought_id, rounding_id
FROM exchange
JOIN transfer AS sale ON sale.book_id = $1 AND sale.transfer_id = sold_id
JOIN account AS payer ON payer.book_id = $1 AND payer.account_id = sale.debit_account_id
JOIN account AS sold_pool ON sold_pool.book_id = $1 AND sold_pool.account_id = sale.credit_account_id
JOIN transfer AS purchase ON purchase.book_id = $1 AND purchase.transfer_id = bought_id
JOIN account AS bought_pool ON bought_pool.book_id = $1 AND bought_pool.account_id = purchase.debit_account_id
JOIN account AS payee ON payee.book_id = $1 AND payee.account_id = purchase.credit_account_id
LEFT JOIN transfer AS remainder ON remainder.book_id = $1 AND remainder.transfer_id = rounding_id
LEFT JOIN account AS rest ON rest.book_id = $1 AND rest.account_id = remainder.credit_account_id
WHERE exchange.book_id = $1 AND exchange_id = $2

-- name: insert_exchange
INSERT INTO exchange (book_id, exchange_id, transaction_id, message_place, sold_id, bought_id, rounding_id,
                      numerator, denominator, sold, bought, rounding, exchanged_at)
VALUES ($1, $2, transaction_order(), $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
