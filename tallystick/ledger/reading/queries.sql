-- name: find_sums
SELECT asset.code, debits, credits, held_debits, held_credits
FROM account JOIN asset USING (book_id, asset_id), account_sums($1, $2)
WHERE book_id = $1 AND account_id = $2

-- name: find_sums_before
SELECT asset.code, debits, credits, held_debits, held_credits
FROM account JOIN asset USING (book_id, asset_id), account_sums($1, $2, batch_before($1, $3))
WHERE book_id = $1 AND account_id = $2

-- name: find_dated_sums
WITH moment AS MATERIALIZED (
    SELECT batch_before($1, $3) AS through
), run AS MATERIALIZED (
    SELECT through FROM dated_run WHERE book_id = $1 AND page = page_of($2)
), kept AS MATERIALIZED (
    SELECT batch_id, position(slot_of($2) IN slots) AS at, sums FROM dated_snapshot
    WHERE book_id = $1 AND page = page_of($2) AND batch_id <= (SELECT through FROM moment)
    ORDER BY batch_id DESC LIMIT 1
)
SELECT 1, debits, credits, held_debits, held_credits, NULL::bytea
FROM moment, account_sums($1, $2, through)
UNION ALL
SELECT 2, debits, credits, NULL, NULL, entries
FROM run JOIN LATERAL (
    SELECT debits, credits, entries FROM dated_block
    WHERE book_id = $1 AND account_id = $2 AND through = run.through AND first_at < $4
    ORDER BY first_at DESC, first_batch DESC, first_position DESC LIMIT 1
) AS newest ON true
UNION ALL
SELECT 3, NULL, NULL, NULL, NULL, entries FROM dated_change
WHERE book_id = $1 AND page = page_of($2) AND batch_id > coalesce((SELECT max(through) FROM run), 0)
UNION ALL
SELECT 4, sums[2 * at - 1], sums[2 * at], NULL, NULL, NULL FROM kept WHERE at > 0
UNION ALL
SELECT 5, NULL, NULL, NULL, NULL, entries FROM dated_change
WHERE book_id = $1 AND page = page_of($2) AND batch_id > coalesce((SELECT batch_id FROM kept), 0)
  AND batch_id <= (SELECT through FROM moment)

-- name: asset_of_account
SELECT asset.code FROM account JOIN asset USING (book_id, asset_id) WHERE book_id = $1 AND account_id = $2

-- name: pages_to_sort
SELECT page FROM (
    SELECT DISTINCT page FROM dated_change WHERE book_id = $1 AND batch_id > $2 AND batch_id <= $3
) AS changed
WHERE (SELECT count(*) FROM (
    SELECT FROM dated_change
    WHERE book_id = $1 AND page = changed.page AND batch_id <= $3 AND batch_id > coalesce((
        SELECT max(through) FROM dated_run WHERE book_id = $1 AND page = changed.page), 0)
    LIMIT $4) AS gathered) = $4
ORDER BY page

-- name: dated_runs
SELECT page, through, level::integer FROM dated_run
WHERE book_id = $1 AND page = ANY ($2::bigint[]) ORDER BY page, through

-- name: dated_changes
SELECT wanted.page, change.batch_id, entries
FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS wanted (page, since, through)
CROSS JOIN LATERAL (
    SELECT batch_id, entries FROM dated_change
    WHERE book_id = $1 AND page = wanted.page AND batch_id > since AND batch_id <= through
    ORDER BY batch_id OFFSET 0
) AS change
ORDER BY wanted.page, change.batch_id

-- name: delete_dated_blocks
WITH run AS MATERIALIZED (
    SELECT wanted.page, found.through
    FROM unnest($2::bigint[], $3::bigint[]) AS wanted (page, since)
    CROSS JOIN LATERAL (
        SELECT through FROM dated_run WHERE book_id = $1 AND dated_run.page = wanted.page AND through > since OFFSET 0
    ) AS found
)
DELETE FROM dated_block USING run
WHERE book_id = $1 AND page_of(account_id) = run.page AND dated_block.through = run.through
  AND account_id = ANY (ARRAY(SELECT page * 16 + slot FROM unnest($2::bigint[]) AS page, generate_series(0, 15) AS slot))
  AND dated_block.through = ANY (ARRAY(SELECT through FROM run))

-- name: delete_dated_runs
DELETE FROM dated_run USING unnest($2::bigint[], $3::bigint[]) AS wanted (page, since)
WHERE book_id = $1 AND dated_run.page = ANY ($2) AND dated_run.page = wanted.page AND through > since

-- name: insert_dated_runs
INSERT INTO dated_run (book_id, page, through, level) SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::smallint[])

-- name: insert_dated_blocks
INSERT INTO dated_block (book_id, account_id, through, first_at, first_batch, first_position, debits, credits, entries)
SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::smallint[], $7::numeric[],
                         $8::numeric[], $9::bytea[])

-- name: newest_dated_snapshots
SELECT wanted.page, slots, sums
FROM unnest($2::bigint[]) AS wanted (page)
JOIN LATERAL (
    SELECT slots, sums FROM dated_snapshot WHERE book_id = $1 AND page = wanted.page ORDER BY batch_id DESC LIMIT 1
) AS newest ON true

-- name: insert_dated_snapshots
INSERT INTO dated_snapshot (book_id, page, batch_id, slots, sums)
SELECT $1, page, batch_id, slots, sums::numeric[]
FROM unnest($2::bigint[], $3::bigint[], $4::bytea[], $5::text[]) AS kept (page, batch_id, slots, sums)

-- name: forget_sorted
WITH blocks AS (DELETE FROM dated_block WHERE book_id = $1), runs AS (DELETE FROM dated_run WHERE book_id = $1)
DELETE FROM dated_snapshot WHERE book_id = $1

-- name: pages_with_dates
SELECT page, max(batch_id) FROM dated_change
WHERE book_id = $1 AND batch_id <= (SELECT max(batch_id) FROM sealed_batch WHERE book_id = $1)
GROUP BY page ORDER BY page

-- name: turn_to_batch
SELECT coalesce(
    (SELECT batch_id FROM sealed_batch
     WHERE book_id = $1 AND (settled_at, batch_id) >= ($2::timestamptz, $3::bigint) ORDER BY settled_at, batch_id LIMIT 1),
    (SELECT min(batch_id) FROM waiting_batches($1) WHERE (settled_at, batch_id) >= ($2, $3)),
    9223372036854775807)

-- name: turn_back_to_batch
SELECT coalesce(
    (SELECT max(batch_id) FROM waiting_batches($1) WHERE (settled_at, batch_id) <= ($2::timestamptz, $3::bigint)),
    (SELECT batch_id FROM sealed_batch
     WHERE book_id = $1 AND (settled_at, batch_id) <= ($2, $3) ORDER BY settled_at DESC, batch_id DESC LIMIT 1),
    0)

-- name: find_batch_before
SELECT batch_before($1, $2)

-- name: changes_onwards
SELECT wanted.page, change.batch_id, slots, positions
FROM unnest($2::bigint[]) AS wanted (page)
CROSS JOIN LATERAL (
    SELECT batch_id, slots, positions FROM net_change
    WHERE book_id = $1 AND page = wanted.page AND batch_id >= $3 AND batch_id <= $4
    ORDER BY batch_id LIMIT $5
) AS change

-- name: changes_backwards
SELECT wanted.page, change.batch_id, slots, positions
FROM unnest($2::bigint[]) AS wanted (page)
CROSS JOIN LATERAL (
    SELECT batch_id, slots, positions FROM net_change
    WHERE book_id = $1 AND page = wanted.page AND batch_id >= $3 AND batch_id <= $4
    ORDER BY batch_id DESC LIMIT $5
) AS change

-- name: dated_beside
SELECT wanted.page, wanted.batch_id, entries
FROM unnest($2::bigint[], $3::bigint[]) AS wanted (page, batch_id)
CROSS JOIN LATERAL (
    SELECT entries FROM dated_change WHERE book_id = $1 AND page = wanted.page AND batch_id = wanted.batch_id LIMIT 1
) AS beside

-- name: instants_of_batches
SELECT batch_id, settled_at FROM sealed_batch WHERE book_id = $1 AND batch_id = ANY ($2::bigint[])
UNION ALL
SELECT batch_id, settled_at FROM waiting_batches($1) WHERE batch_id = ANY ($2)

-- name: dated_blocks_onwards
SELECT block.entries
FROM unnest($2::bigint[]) AS wanted (account_id)
CROSS JOIN LATERAL (
    SELECT through FROM dated_run WHERE book_id = $1 AND page = page_of(wanted.account_id) OFFSET 0
) AS run
CROSS JOIN LATERAL (
    (SELECT entries FROM dated_block
     WHERE book_id = $1 AND account_id = wanted.account_id AND through = run.through
       AND (first_at, first_batch, first_position) <= ($3, $4, $5)
     ORDER BY first_at DESC, first_batch DESC, first_position DESC LIMIT 1)
    UNION ALL
    (SELECT entries FROM dated_block
     WHERE book_id = $1 AND account_id = wanted.account_id AND through = run.through
       AND (first_at, first_batch, first_position) > ($3, $4, $5)
     ORDER BY first_at, first_batch, first_position LIMIT $6)
) AS block

-- name: dated_blocks_backwards
SELECT block.entries
FROM unnest($2::bigint[]) AS wanted (account_id)
CROSS JOIN LATERAL (
    SELECT through FROM dated_run WHERE book_id = $1 AND page = page_of(wanted.account_id) OFFSET 0
) AS run
CROSS JOIN LATERAL (
    SELECT entries FROM dated_block
    WHERE book_id = $1 AND account_id = wanted.account_id AND through = run.through
      AND (first_at, first_batch, first_position) < ($3, $4, $5)
    ORDER BY first_at DESC, first_batch DESC, first_position DESC LIMIT $6
) AS block

-- name: dated_unsorted
SELECT wanted.page, change.batch_id, entries
FROM unnest($2::bigint[]) AS wanted (page)
CROSS JOIN LATERAL (
    SELECT batch_id, entries FROM dated_change
    WHERE book_id = $1 AND page = wanted.page AND batch_id > coalesce((
        SELECT max(through) FROM dated_run WHERE book_id = $1 AND page = wanted.page), 0)
    ORDER BY batch_id OFFSET 0
) AS change

-- name: place_of_transfer
SELECT batch_id, position::integer FROM transfer WHERE book_id = $1 AND transfer_id = $2

-- name: transfers_at
SELECT found.transfer_id,
       (SELECT code FROM account WHERE book_id = $1 AND account_id = found.debit_account_id),
       (SELECT code FROM account WHERE book_id = $1 AND account_id = found.credit_account_id),
       (SELECT code FROM asset WHERE book_id = $1 AND asset_id = found.asset_id),
       found.amount, found.reason::integer, found.effective_at,
       (SELECT recorded_at FROM batch WHERE book_id = $1 AND batch_id = wanted.batch_id),
       sealed.settled_at, sealed.first_place + wanted.position,
       (SELECT reference FROM transfer_reference
        WHERE book_id = $1 AND batch_id = wanted.batch_id AND position = wanted.position),
       (SELECT transfer_id FROM transfer
        WHERE book_id = $1 AND (batch_id, position) = (
            SELECT batch_id, position FROM reversal WHERE book_id = $1 AND reversed_id = found.transfer_id))
FROM unnest($2::bigint[], $3::smallint[]) WITH ORDINALITY AS wanted (batch_id, position, ordinal)
CROSS JOIN LATERAL (
    SELECT transfer_id, debit_account_id, credit_account_id, asset_id, amount, reason, effective_at FROM transfer
    WHERE book_id = $1 AND batch_id = wanted.batch_id AND position = wanted.position LIMIT 1
) AS found
LEFT JOIN LATERAL (
    SELECT settled_at, first_place FROM sealed_batch WHERE book_id = $1 AND batch_id = wanted.batch_id LIMIT 1
) AS sealed ON true
ORDER BY wanted.ordinal

-- name: relations_at
SELECT (SELECT hold_id FROM hold_use
        WHERE book_id = $1 AND batch_id = wanted.batch_id AND position = wanted.position),
       (SELECT expires_at FROM hold WHERE book_id = $1 AND batch_id = wanted.batch_id AND position = wanted.position),
       (SELECT reversed_id FROM reversal
        WHERE book_id = $1 AND batch_id = wanted.batch_id AND position = wanted.position)
FROM unnest($2::bigint[], $3::smallint[]) WITH ORDINALITY AS wanted (batch_id, position, ordinal)
ORDER BY wanted.ordinal

-- name: accounts_below
SELECT string_agg(int8send(account_id), ''::bytea ORDER BY account_id)
FROM account
WHERE book_id = $1 AND (code || '/') COLLATE "C" >= CASE $2 WHEN '' THEN '' ELSE $2 || '/' END
  AND (code || '/') COLLATE "C" < CASE WHEN $2 = '' THEN U&'\+10FFFF' WHEN $3 THEN $2 || '0' ELSE $2 || '/' || chr(1) END

-- name: children_of
WITH RECURSIVE child AS (
    (SELECT split_part(substr(code, length($2::text) + 1), '/', 1) AS name, 1 AS nth
     FROM account
     WHERE book_id = $1 AND (code || '/') COLLATE "C" < CASE $2 WHEN '' THEN U&'\+10FFFF' ELSE left($2, -1) || '0' END
       AND (code || '/') COLLATE "C" > $2 || CASE $3 WHEN '' THEN '' ELSE left($3, -1) || '0' END
     ORDER BY (code || '/') COLLATE "C" LIMIT 1)
    UNION ALL
    SELECT split_part(substr(next.code, length($2) + 1), '/', 1), nth + 1
    FROM child CROSS JOIN LATERAL (
        SELECT code FROM account
        WHERE book_id = $1
          AND (code || '/') COLLATE "C" < CASE $2 WHEN '' THEN U&'\+10FFFF' ELSE left($2, -1) || '0' END
          AND (code || '/') COLLATE "C" >= $2 || name || '0'
        ORDER BY (code || '/') COLLATE "C" LIMIT 1
    ) AS next WHERE nth < $4
)
SELECT name FROM child ORDER BY nth

-- name: roll_up
WITH member AS MATERIALIZED (
    SELECT name, account_id, asset_id, code = $2 || name AS own
    FROM unnest($3::text[]) AS child (name)
    CROSS JOIN LATERAL (
        SELECT account_id, asset_id, code FROM account
        WHERE book_id = $1 AND (code || '/') COLLATE "C" >= $2 || name || '/'
          AND (code || '/') COLLATE "C" < $2 || name || '0' OFFSET 0
    ) AS account
), kept AS MATERIALIZED (
    SELECT touched.page, batch_id, slots, sums
    FROM (SELECT DISTINCT page_of(account_id) AS page FROM member) AS touched
    LEFT JOIN LATERAL (
        SELECT batch_id, slots, sums FROM balance_snapshot
        WHERE book_id = $1 AND page = touched.page ORDER BY batch_id DESC LIMIT 1
    ) AS newest ON true
), entry AS (
    SELECT page, get_byte(slots, at - 1) AS slot, sums[2 * at - 1] AS debits, sums[2 * at] AS credits
    FROM kept, generate_series(1, length(slots)) AS at
    UNION ALL
    SELECT kept.page, get_byte(change.slots, at - 1), amounts[2 * at - 1], amounts[2 * at]
    FROM kept CROSS JOIN LATERAL (
        SELECT slots, amounts FROM net_change
        WHERE book_id = $1 AND page = kept.page AND batch_id > coalesce(kept.batch_id, 0) OFFSET 0
    ) AS change, generate_series(1, length(change.slots)) AS at
), total AS MATERIALIZED (
    SELECT page * 16 + (slot & 15) AS account_id,
           coalesce(sum(credits - debits) FILTER (WHERE slot < 16), 0) AS balance,
           coalesce(sum(debits) FILTER (WHERE slot >= 16), 0) AS held,
           coalesce(sum(credits) FILTER (WHERE slot >= 16), 0) AS incoming
    FROM entry GROUP BY page * 16 + (slot & 15)
)
SELECT name, asset.code, count(*), count(*) FILTER (WHERE own), coalesce(sum(balance), 0), coalesce(sum(held), 0),
       coalesce(sum(incoming), 0)
FROM member LEFT JOIN total USING (account_id)
JOIN asset ON (asset.book_id, asset.asset_id) = ($1, member.asset_id)
GROUP BY name, asset.code ORDER BY asset.code
