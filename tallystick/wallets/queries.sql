-- Who grants waits until whoever spends is done, and the other way round: so a grant is seen by all that is ordered after
-- it, and by nothing that is ordered before. Those who spend do not wait for each other here.

-- name: enter_to_grant
SELECT pg_advisory_xact_lock(4, $1)

-- name: enter_to_spend
SELECT pg_advisory_xact_lock_shared(4, $1)

-- name: make_customer
INSERT INTO customer (book_id, customer_id, ref, transaction_id, message_place, created_at)
VALUES ($1, nextval('customer_number'), $2, transaction_order(), $3, $4)
ON CONFLICT ON CONSTRAINT customer_once DO NOTHING

-- name: find_customer
SELECT customer_id FROM customer WHERE book_id = $1 AND ref = $2

-- name: insert_unit
INSERT INTO credit_unit (book_id, asset_id, meter, units, transaction_id, message_place, bound_at)
VALUES ($1, $2, $3, $4, transaction_order(), $5, $6)
ON CONFLICT DO NOTHING

-- name: find_unit
SELECT units FROM credit_unit WHERE book_id = $1 AND asset_id = $2 AND meter = $3

-- name: find_bound
SELECT meter FROM credit_unit WHERE book_id = $1 AND asset_id = $2 AND meter = ANY ($3::text[])

-- name: list_units
SELECT asset_id, asset.code, exponent::integer, meter, units
FROM credit_unit JOIN asset USING (book_id, asset_id)
WHERE book_id = $1 AND credit_unit.transaction_id < (SELECT transaction_order())
ORDER BY asset_id, meter

-- name: list_units_told
SELECT asset.code, meter, units
FROM credit_unit JOIN asset USING (book_id, asset_id) WHERE book_id = $1 ORDER BY asset.code COLLATE "C", meter COLLATE "C"

-- name: insert_grant
INSERT INTO credit_grant (book_id, grant_id, customer_id, asset_id, amount, priority, kind, expires_at, products, charges,
                          meters, account_id, transfer_id, transaction_id, message_place, granted_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, transaction_order(), $14, $15)

-- name: insert_expiry
INSERT INTO credit_expiry (book_id, expires_at, grant_id) VALUES ($1, $2, $3)

-- name: find_grants
SELECT grant_id, ref, asset.code, amount, owed.credits - owed.debits, priority, credit_grant.kind, expires_at, products,
       charges, meters, granted_at, customer_id,
       CASE WHEN credit_end.for_good OR owed.credits = owed.debits THEN credit_end.kind END
FROM credit_grant
JOIN customer USING (book_id, customer_id)
JOIN asset USING (book_id, asset_id)
LEFT JOIN LATERAL (SELECT kind, for_good FROM credit_end
                   WHERE (credit_end.book_id, credit_end.grant_id) = (credit_grant.book_id, credit_grant.grant_id)
                   ORDER BY for_good DESC LIMIT 1) AS credit_end ON true
CROSS JOIN LATERAL account_sums(book_id, account_id) AS owed
WHERE book_id = $1 AND grant_id = ANY ($2::uuid[])

-- name: page_grants
SELECT grant_id FROM credit_grant JOIN asset USING (book_id, asset_id)
WHERE book_id = $1 AND customer_id = $2 AND ($3::text IS NULL OR asset.code = $3)
  AND ($4 OR NOT credit_has_ended(credit_grant.book_id, grant_id, 9223372036854775807))
ORDER BY priority, expires_at, credit_grant.transaction_id, credit_grant.message_place

-- name: find_grants_left
SELECT grant_id, customer_id, asset_id, account_id, (owed.credits - owed.debits - owed.held_debits)::bigint, products,
       charges, meters
FROM (
    SELECT book_id, grant_id, customer_id, asset_id, account_id, products, charges, meters, row_number() OVER (
        PARTITION BY customer_id ORDER BY priority, expires_at, transaction_id, message_place) AS nth
    FROM credit_grant
    WHERE book_id = $1 AND customer_id = ANY ($2::bigint[]) AND transaction_id < $4
      AND (expires_at IS NULL OR expires_at > $3)
      AND NOT credit_has_ended(book_id, grant_id, $4)
) AS open
CROSS JOIN LATERAL account_sums(book_id, account_id, $4) AS owed
WHERE nth <= $5
ORDER BY customer_id, nth

-- name: read_place
SELECT transaction_order()

-- name: any_grants
SELECT EXISTS (SELECT FROM credit_grant WHERE book_id = $1)

-- name: insert_uses
INSERT INTO credit_use (book_id, transfer_id, grant_id, invoice_id, position, amount, quantity, transaction_id,
                        message_place, used_at)
SELECT $1, given.transfer_id, grant_id, invoice_id, position, amount, quantity, (SELECT transaction_order()), $2, $3
FROM unnest($4::uuid[], $5::uuid[], $6::uuid[], $7::integer[], $8::bigint[], $9::numeric[])
     AS given (transfer_id, grant_id, invoice_id, position, amount, quantity)

-- name: end_used
WITH ended AS (
    INSERT INTO credit_end (book_id, grant_id, kind, amount, transaction_id, message_place, ended_at)
    SELECT book_id, grant_id, 'used', 0, (SELECT transaction_order()), $2, $3
    FROM credit_grant CROSS JOIN LATERAL account_sums(book_id, account_id) AS owed
    WHERE book_id = $1 AND grant_id = ANY ($4::uuid[]) AND owed.credits = owed.debits
    ORDER BY grant_id
    ON CONFLICT DO NOTHING
    RETURNING book_id, grant_id
)
DELETE FROM credit_expiry USING ended CROSS JOIN LATERAL (
    SELECT book_id, expires_at, grant_id FROM credit_grant
    WHERE (credit_grant.book_id, credit_grant.grant_id) = (ended.book_id, ended.grant_id) OFFSET 0
) AS granted
WHERE (credit_expiry.book_id, credit_expiry.expires_at, credit_expiry.grant_id)
    = (granted.book_id, granted.expires_at, granted.grant_id)

-- name: insert_ends
WITH ended AS (
    INSERT INTO credit_end (book_id, grant_id, kind, amount, transfer_id, reason, transaction_id, message_place, ended_at)
    SELECT $1, given.grant_id, $2, given.amount, given.transfer_id, $3, (SELECT transaction_order()), $4, $5
    FROM unnest($6::uuid[], $7::bigint[], $8::uuid[]) AS given (grant_id, amount, transfer_id)
    RETURNING book_id, grant_id
)
DELETE FROM credit_expiry USING ended CROSS JOIN LATERAL (
    SELECT book_id, expires_at, grant_id FROM credit_grant
    WHERE (credit_grant.book_id, credit_grant.grant_id) = (ended.book_id, ended.grant_id) OFFSET 0
) AS granted
WHERE (credit_expiry.book_id, credit_expiry.expires_at, credit_expiry.grant_id)
    = (granted.book_id, granted.expires_at, granted.grant_id)

-- name: find_to_end
SELECT grant_id, customer_id, asset_id, account_id, (owed.credits - owed.debits - owed.held_debits)::bigint,
       NULL::text[], NULL::text[], NULL::text[], asset.code, credit_grant.kind, expires_at,
       CASE WHEN credit_end.for_good OR credit_has_ended(book_id, grant_id, 9223372036854775807) THEN credit_end.kind END
FROM credit_grant
JOIN asset USING (book_id, asset_id)
LEFT JOIN LATERAL (SELECT kind, for_good FROM credit_end
                   WHERE (credit_end.book_id, credit_end.grant_id) = (credit_grant.book_id, credit_grant.grant_id)
                   ORDER BY for_good DESC LIMIT 1) AS credit_end ON true
CROSS JOIN LATERAL account_sums(book_id, account_id, (SELECT transaction_order())) AS owed
WHERE book_id = $1 AND grant_id = ANY ($2::uuid[])
ORDER BY grant_id

-- name: due_grants
SELECT grant_id FROM credit_expiry WHERE book_id = $1 AND expires_at <= $2 ORDER BY expires_at, grant_id LIMIT $3

-- name: insert_threshold
INSERT INTO wallet_threshold (book_id, customer_id, asset_id, threshold, transaction_id, message_place, set_at)
VALUES ($1, $2, $3, $4, transaction_order(), $5, $6)

-- name: find_watched
SELECT watched.customer_id, watched.asset_id, newest.threshold
FROM unnest($2::bigint[], $3::integer[]) AS watched (customer_id, asset_id)
JOIN LATERAL (
    SELECT threshold FROM wallet_threshold
    WHERE wallet_threshold.book_id = $1 AND wallet_threshold.customer_id = watched.customer_id
      AND wallet_threshold.asset_id = watched.asset_id AND transaction_id < (SELECT transaction_order())
    ORDER BY transaction_id DESC, message_place DESC LIMIT 1
) AS newest ON threshold IS NOT NULL
ORDER BY watched.customer_id, watched.asset_id

-- name: lock_watched
SELECT count(pg_advisory_xact_lock(hashtextextended('tallystick.wallet ' || $1::integer || ' ' || customer_id, asset_id)))
FROM unnest($2::bigint[], $3::integer[]) AS watched (customer_id, asset_id)

-- name: sum_watched
SELECT (sum(before.credits - before.debits))::bigint, (sum(whole.credits - whole.debits))::bigint
FROM unnest($2::bigint[], $3::integer[]) WITH ORDINALITY AS watched (customer_id, asset_id, place)
JOIN LATERAL (
    SELECT account_id, asset_id FROM credit_grant
    WHERE book_id = $1 AND credit_grant.customer_id = watched.customer_id OFFSET 0
) AS granted ON granted.asset_id = watched.asset_id
CROSS JOIN LATERAL account_sums($1, account_id, (SELECT transaction_order())) AS before
CROSS JOIN LATERAL account_sums($1, account_id) AS whole
GROUP BY place ORDER BY place

-- name: insert_low
INSERT INTO wallet_low (book_id, customer_id, asset_id, threshold, balance, transaction_id, message_place, noticed_at)
VALUES ($1, $2, $3, $4, $5, transaction_order(), $6, $7)

-- name: page_low
SELECT wallet_low.transaction_id, wallet_low.message_place, customer_id, asset_id, ref, asset.code, threshold, balance, noticed_at
FROM wallet_low
JOIN customer USING (book_id, customer_id)
JOIN asset USING (book_id, asset_id)
WHERE book_id = $1 AND ($2::bigint IS NULL OR customer_id = $2)
  AND (wallet_low.transaction_id, wallet_low.message_place, customer_id, asset_id) > ($3, $4, $5, $6)
ORDER BY wallet_low.transaction_id, wallet_low.message_place, customer_id, asset_id LIMIT $7

-- name: find_uses
SELECT transfer_id, grant_id, invoice_id, position, quantity FROM credit_use
WHERE book_id = $1 AND transfer_id = ANY ($2::uuid[])

-- name: uses_of_invoices
SELECT credit_use.invoice_id, grant_id, asset.code, position, credit_use.amount, quantity, credit_use.transfer_id
FROM credit_use
CROSS JOIN LATERAL (
    SELECT asset_id, priority, expires_at FROM credit_grant
    WHERE book_id = $1 AND credit_grant.grant_id = credit_use.grant_id OFFSET 0
) AS granted
JOIN asset ON asset.book_id = $1 AND asset.asset_id = granted.asset_id
WHERE credit_use.book_id = $1 AND credit_use.invoice_id = ANY ($2::uuid[])
  AND (position IS NOT NULL  -- what repays an invoice after its issue is no part of what it says
       OR EXISTS (SELECT FROM invoice_issue AS issue
                  WHERE issue.book_id = $1 AND issue.invoice_id = credit_use.invoice_id
                    AND issue.transaction_id = credit_use.transaction_id OFFSET 0))
ORDER BY 1, position NULLS FIRST, credit_use.transaction_id, priority, expires_at, grant_id

-- name: any_units_used
SELECT EXISTS (SELECT FROM credit_use WHERE book_id = $1 AND position IS NOT NULL)

-- name: is_alone
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND classid = 4 AND objid::bigint = $1::integer AND objsubid = 2 AND pid = pg_backend_pid()
      AND mode = 'ExclusiveLock' AND granted)

-- name: watch_expiry_again
INSERT INTO credit_expiry (book_id, expires_at, grant_id)
SELECT book_id, expires_at, grant_id FROM credit_grant
WHERE book_id = $1 AND grant_id = ANY ($2::uuid[]) AND expires_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM credit_end
                  WHERE (credit_end.book_id, credit_end.grant_id) = (credit_grant.book_id, credit_grant.grant_id)
                    AND for_good OFFSET 0)
ON CONFLICT DO NOTHING

-- name: name_wallet
SELECT ref, asset.code FROM customer, asset
WHERE customer.book_id = $1 AND customer_id = $2 AND asset.book_id = $1 AND asset_id = $3
