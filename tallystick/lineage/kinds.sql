-- The pieces of the one query that follows a chain, by kind of record; `trace.py` puts them together.
--
-- found_KIND             the records that an id names
-- made                   what a message made, of a kind whose records have a key of columns (`kinds.py`)
-- made_KIND              the same of another kind
-- back_KIND_OTHER        what a record came from
-- forward_KIND_OTHER     what was made of a record
-- told_KIND              a record, for people
--
-- A record is named by its kind and as much of (u, a, b, t, at) as its key takes. Each piece sees the record it goes out
-- from as `chain`, passes over `chain.skip` others, brings `chain.most` at the most, and says how many there are where
-- that is bounded: a message has no more than its transaction. No piece may read more than its index brings it. Where the
-- book stands as `+book_id`, no index that begins with the book is of use, so that the one by transaction is taken.

-- name: found_message
SELECT 'message', NULL::uuid, transaction_id, place::bigint, NULL::text, NULL::timestamptz
FROM message WHERE book_id = $1 AND key = $2

-- name: found_message_at
SELECT 'message', NULL::uuid, transaction_id, place::bigint, NULL::text, NULL::timestamptz
FROM message WHERE book_id = $1 AND transaction_id = $5::bigint AND place = $6::integer

-- name: found_transfer
SELECT 'transfer', NULL::uuid, batch_id, position::bigint, NULL::text, NULL::timestamptz
FROM transfer WHERE book_id = $1 AND transfer_id = $3

-- name: found_transfer_at
SELECT 'transfer', NULL::uuid, batch_id, $4::bigint - first_place, NULL::text, NULL::timestamptz
FROM (SELECT batch_id, first_place, transfers FROM sealed_batch
      WHERE book_id = $1 AND first_place <= $4::bigint ORDER BY first_place DESC LIMIT 1) AS sealed
WHERE $4::bigint < first_place + transfers

-- name: found_account
SELECT 'account', NULL::uuid, account_id, NULL::bigint, NULL::text, NULL::timestamptz
FROM account WHERE book_id = $1 AND code = $2

-- name: found_asset
SELECT 'asset', NULL::uuid, asset_id::bigint, NULL::bigint, NULL::text, NULL::timestamptz
FROM asset WHERE book_id = $1 AND code = $2

-- name: found_customer
SELECT 'customer', NULL::uuid, customer_id, NULL::bigint, NULL::text, NULL::timestamptz
FROM customer WHERE book_id = $1 AND ref = $2

-- name: found_usage
SELECT 'usage', event_key, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz
FROM usage_key WHERE book_id = $1 AND event_key = ANY ($10::uuid[])

-- name: found_usage_not_billable
SELECT 'usage_not_billable', event_key, transaction_id, message_place::bigint, NULL::text, NULL::timestamptz
FROM usage_not_billable WHERE book_id = $1 AND event_key = ANY ($10::uuid[])

-- name: found_meter
SELECT 'meter', NULL::uuid, NULL::bigint, NULL::bigint, code, NULL::timestamptz
FROM meter WHERE book_id = $1 AND code = $2

-- name: found_price
SELECT 'price', NULL::uuid, NULL::bigint, NULL::bigint, product || '/' || charge, effective_at
FROM price
WHERE book_id = $1 AND (product, charge) = (split_part($2, '/', 1), split_part(split_part($2, '/', 2), '@', 1))
  AND effective_at = $11::timestamptz

-- name: found_draft
SELECT 'draft', invoice_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz
FROM invoice
WHERE book_id = $1 AND invoice_id = $3 AND $9::integer IS NULL
  AND NOT EXISTS (SELECT FROM invoice_issue
                  WHERE invoice_issue.book_id = $1 AND invoice_issue.invoice_id = invoice.invoice_id)

-- name: found_invoice
SELECT 'invoice', invoice_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz
FROM invoice_issue WHERE book_id = $1 AND $9::integer IS NULL AND invoice_id = $3

-- name: found_invoice_by_number
SELECT 'invoice', invoice_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz
FROM invoice_issue WHERE book_id = $1 AND $9::integer IS NULL AND series = $7::text AND number = $8::bigint

-- name: found_line
SELECT 'line', invoice_id, NULL::bigint, position::bigint, NULL::text, NULL::timestamptz
FROM invoice_line
WHERE book_id = $1 AND position = $9::integer AND invoice_id = coalesce($3, (
    SELECT invoice_id FROM invoice_issue WHERE book_id = $1 AND series = $7::text AND number = $8::bigint))

-- name: found_payment
SELECT 'payment', payment_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz
FROM payment WHERE book_id = $1 AND payment_id = $3

-- name: found_payment_by_provider_id
SELECT 'payment', payment_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz
FROM payment_step WHERE book_id = $1 AND provider_id = $2 AND step = 'opened'

-- name: found_receipt
SELECT 'receipt', receipt_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz
FROM receipt WHERE book_id = $1 AND receipt_id = $3

-- name: found_key
SELECT 'key', key_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz
FROM api_key WHERE book_id = $1 AND key_id = $3

-- name: made_transfer
SELECT 'transfer', NULL::uuid, batch_id, position::bigint, NULL::text, NULL::timestamptz, count(*) OVER ()
FROM transfer WHERE chain.kind = 'message' AND book_id = $1 AND batch_id = chain.a AND message_place = chain.b
ORDER BY position LIMIT chain.most OFFSET chain.skip

-- name: made
SELECT '{kind}', {key}, count(*) OVER ()
FROM {table}
WHERE chain.kind = 'message' AND book_id = $1 AND transaction_id = chain.a AND message_place = chain.b
ORDER BY {order} LIMIT chain.most OFFSET chain.skip

-- name: made_usage
SELECT 'usage', event_key, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, count(*) OVER ()
FROM usage_of_message($1, chain.a, chain.b::integer) AS event
WHERE chain.kind = 'message' AND NOT EXISTS (
    SELECT FROM usage_correction
    WHERE usage_correction.book_id = $1 AND usage_correction.event_key = event.event_key
      AND usage_correction.transaction_id = chain.a AND usage_correction.message_place = chain.b)
ORDER BY occurred_at, event_key LIMIT chain.most OFFSET chain.skip

-- name: made_usage_not_billable
SELECT 'usage_not_billable', event_key, transaction_id, message_place::bigint, NULL::text, NULL::timestamptz, count(*) OVER ()
FROM usage_not_billable
WHERE chain.kind = 'message' AND +book_id = $1 AND transaction_id = chain.a AND message_place = chain.b
ORDER BY event_key LIMIT chain.most OFFSET chain.skip

-- name: made_usage_retention
SELECT 'usage_retention', NULL::uuid, transaction_id, message_place::bigint, NULL::text, NULL::timestamptz, count(*) OVER ()
FROM usage_retention
WHERE chain.kind = 'message' AND book_id = $1 AND transaction_id = chain.a AND message_place = chain.b

-- name: made_billable_rule
SELECT 'billable_rule', NULL::uuid, transaction_id, message_place::bigint, NULL::text, NULL::timestamptz, count(*) OVER ()
FROM billable_rule
WHERE chain.kind = 'message' AND book_id = $1 AND transaction_id = chain.a AND message_place = chain.b

-- name: back_receipt_payment
SELECT 'payment', payment_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM receipt WHERE chain.kind = 'receipt' AND book_id = $1 AND receipt_id = chain.u

-- name: back_step_payment
SELECT 'payment', chain.u, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
WHERE chain.kind = 'payment_step'

-- name: back_payment_invoice
SELECT 'invoice', invoice_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM payment WHERE chain.kind = 'payment' AND book_id = $1 AND payment_id = chain.u

-- name: back_invoice_draft
SELECT 'draft', chain.u, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1 WHERE chain.kind = 'invoice'

-- name: back_draft_line
SELECT 'line', invoice_id, NULL::bigint, position::bigint, NULL::text, NULL::timestamptz, count(*) OVER ()
FROM invoice_line WHERE chain.kind = 'draft' AND book_id = $1 AND invoice_id = chain.u
ORDER BY position LIMIT chain.most OFFSET chain.skip

-- name: back_line_usage
SELECT 'usage', covered.event_key, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz,
       CASE WHEN adjusts_invoice IS NULL THEN events END
FROM invoice_line AS line
JOIN LATERAL covered_usage($1, line.invoice_id, line.position, NULL, NULL, chain.most, chain.skip) AS covered ON true
WHERE chain.kind = 'line' AND line.book_id = $1 AND line.invoice_id = chain.u AND line.position = chain.b
ORDER BY occurred_at, covered.event_key

-- name: back_line_adjusted
SELECT 'line', adjusts_invoice, NULL::bigint, adjusts_position::bigint, NULL::text, NULL::timestamptz, 1
FROM invoice_line
WHERE chain.kind = 'line' AND book_id = $1 AND invoice_id = chain.u AND position = chain.b AND adjusts_position >= 0

-- name: back_line_price
SELECT 'price', NULL::uuid, NULL::bigint, NULL::bigint, product || '/' || charge, price_at, 1
FROM invoice_line WHERE chain.kind = 'line' AND book_id = $1 AND invoice_id = chain.u AND position = chain.b

-- name: back_price_meter
SELECT 'meter', NULL::uuid, NULL::bigint, NULL::bigint, meter, NULL::timestamptz, 1
FROM price
WHERE chain.kind = 'price' AND book_id = $1 AND meter IS NOT NULL AND effective_at = chain.at
  AND (product, charge) = (split_part(chain.t, '/', 1), split_part(chain.t, '/', 2))

-- name: back_of_usage
SELECT 'usage', chain.u, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
WHERE chain.kind IN ('usage_correction', 'usage_conflict')

-- name: back_transfer_invoice
SELECT 'invoice', invoice_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM transfer
JOIN invoice_issue ON invoice_issue.book_id = $1 AND account_id = debit_account_id
WHERE chain.kind = 'transfer' AND transfer.book_id = $1 AND batch_id = chain.a AND position = chain.b AND reason = 2

-- name: back_transfer_payment
SELECT 'payment', payment_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM transfer
JOIN receipt USING (book_id, message_place, transfer_id)
WHERE chain.kind = 'transfer' AND book_id = $1 AND batch_id = chain.a AND position = chain.b AND reason = 3
  AND receipt.transaction_id = chain.a

-- name: back_transfer_hold
SELECT 'transfer', NULL::uuid, held.batch_id, held.position::bigint, NULL::text, NULL::timestamptz, 1
FROM transfer
JOIN hold_use USING (book_id, batch_id, position)
JOIN transfer AS held ON held.book_id = $1 AND held.transfer_id = hold_id
WHERE chain.kind = 'transfer' AND transfer.book_id = $1 AND transfer.batch_id = chain.a
  AND transfer.position = chain.b AND transfer.reason IN (7, 8, 9)

-- name: back_transfer_reversed
SELECT 'transfer', NULL::uuid, reversed.batch_id, reversed.position::bigint, NULL::text, NULL::timestamptz, 1
FROM transfer
JOIN reversal USING (book_id, batch_id, position)
JOIN transfer AS reversed ON reversed.book_id = $1 AND reversed.transfer_id = reversed_id
WHERE chain.kind = 'transfer' AND transfer.book_id = $1 AND transfer.batch_id = chain.a
  AND transfer.position = chain.b AND transfer.reason = 5

-- name: back_account_invoice
SELECT 'invoice', invoice_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM account
JOIN invoice_issue USING (book_id, transaction_id, message_place, account_id)
WHERE chain.kind = 'account' AND book_id = $1 AND account_id = chain.a

-- name: back_of_account
SELECT 'account', NULL::uuid, chain.a, NULL::bigint, NULL::text, NULL::timestamptz, 1
WHERE chain.kind IN ('account_limit', 'account_metadata', 'account_closing')

-- name: back_revocation_key
SELECT 'key', chain.u, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1 WHERE chain.kind = 'key_revocation'

-- name: forward_usage_line
SELECT 'line', line.invoice_id, NULL::bigint, line.position::bigint, NULL::text, NULL::timestamptz, count(*) OVER ()
FROM usage_key AS known
JOIN invoice ON invoice.book_id = $1 AND invoice.customer_id = known.customer_id AND invoice.period_end > known.occurred_at
JOIN invoice_line AS line ON line.book_id = $1 AND line.invoice_id = invoice.invoice_id
    AND known.occurred_at >= line.period_start AND known.occurred_at < line.period_end
WHERE chain.kind = 'usage' AND known.book_id = $1 AND known.event_key = chain.u
  AND covers_usage($1, chain.u, usage_through, (detail ->> 'covers_from')::bigint, line.meter)
ORDER BY invoice.period_start, line.invoice_id, line.position LIMIT chain.most OFFSET chain.skip

-- name: forward_usage_correction
SELECT 'usage_correction', event_key, transaction_id, message_place::bigint, NULL::text, NULL::timestamptz, count(*) OVER ()
FROM usage_correction WHERE chain.kind = 'usage' AND book_id = $1 AND event_key = chain.u
ORDER BY transaction_id, message_place LIMIT chain.most OFFSET chain.skip

-- name: forward_usage_conflict
SELECT 'usage_conflict', event_key, transaction_id, message_place::bigint, position::text, NULL::timestamptz, count(*) OVER ()
FROM usage_conflict WHERE chain.kind = 'usage' AND book_id = $1 AND event_key = chain.u
ORDER BY transaction_id, message_place, position LIMIT chain.most OFFSET chain.skip

-- name: forward_line_draft
SELECT 'draft', chain.u, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1 WHERE chain.kind = 'line'

-- name: forward_line_adjusting
SELECT 'line', invoice_id, NULL::bigint, position::bigint, NULL::text, NULL::timestamptz, count(*) OVER ()
FROM invoice_line
WHERE chain.kind = 'line' AND book_id = $1 AND adjusts_invoice = chain.u AND adjusts_position = chain.b
ORDER BY invoice_id, position LIMIT chain.most OFFSET chain.skip

-- name: forward_draft_invoice
SELECT 'invoice', invoice_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM invoice_issue WHERE chain.kind = 'draft' AND book_id = $1 AND invoice_id = chain.u

-- name: forward_invoice_payment
SELECT 'payment', payment_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, count(*) OVER ()
FROM payment WHERE chain.kind = 'invoice' AND book_id = $1 AND invoice_id = chain.u
ORDER BY payment_id LIMIT chain.most OFFSET chain.skip

-- name: forward_payment_step
SELECT 'payment_step', payment_id, NULL::bigint, NULL::bigint, step, NULL::timestamptz, count(*) OVER ()
FROM payment_step WHERE chain.kind = 'payment' AND book_id = $1 AND payment_id = chain.u
ORDER BY transaction_id

-- name: forward_payment_receipt
SELECT 'receipt', receipt_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM receipt WHERE chain.kind = 'payment' AND book_id = $1 AND payment_id = chain.u

-- name: forward_transfer_payment
SELECT 'payment', payment_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, count(*) OVER ()
FROM transfer
JOIN invoice_issue USING (book_id, message_place, transfer_id)
JOIN payment USING (book_id, invoice_id)
WHERE chain.kind = 'transfer' AND book_id = $1 AND batch_id = chain.a AND position = chain.b AND reason = 2
  AND invoice_issue.transaction_id = chain.a
ORDER BY payment_id LIMIT chain.most OFFSET chain.skip

-- name: forward_transfer_receipt
SELECT 'receipt', receipt_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM transfer
JOIN receipt USING (book_id, message_place, transfer_id)
WHERE chain.kind = 'transfer' AND book_id = $1 AND batch_id = chain.a AND position = chain.b AND reason = 3
  AND receipt.transaction_id = chain.a

-- name: forward_transfer_use
SELECT 'transfer', NULL::uuid, hold_use.batch_id, hold_use.position::bigint, NULL::text, NULL::timestamptz, count(*) OVER ()
FROM transfer
JOIN hold_use ON hold_use.book_id = $1 AND hold_id = transfer_id
WHERE chain.kind = 'transfer' AND transfer.book_id = $1 AND transfer.batch_id = chain.a
  AND transfer.position = chain.b AND reason = 6
ORDER BY nth LIMIT chain.most OFFSET chain.skip

-- name: forward_transfer_reversal
SELECT 'transfer', NULL::uuid, reversal.batch_id, reversal.position::bigint, NULL::text, NULL::timestamptz, 1
FROM transfer
JOIN reversal ON reversal.book_id = $1 AND reversed_id = transfer_id
WHERE chain.kind = 'transfer' AND transfer.book_id = $1 AND transfer.batch_id = chain.a AND transfer.position = chain.b

-- name: forward_account_limit
SELECT 'account_limit', NULL::uuid, account_id, transaction_id, NULL::text, NULL::timestamptz, NULL::bigint
FROM account_limit WHERE chain.kind = 'account' AND book_id = $1 AND account_id = chain.a
ORDER BY transaction_id DESC LIMIT chain.most OFFSET chain.skip

-- name: forward_account_metadata
SELECT 'account_metadata', NULL::uuid, account_id, transaction_id, NULL::text, NULL::timestamptz, NULL::bigint
FROM account_metadata WHERE chain.kind = 'account' AND book_id = $1 AND account_id = chain.a
ORDER BY transaction_id DESC LIMIT chain.most OFFSET chain.skip

-- name: forward_account_closing
SELECT 'account_closing', NULL::uuid, account_id, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM account_closing WHERE chain.kind = 'account' AND book_id = $1 AND account_id = chain.a

-- name: forward_account_transfer
SELECT 'transfer', NULL::uuid, batch_id, position::bigint, NULL::text, NULL::timestamptz, NULL::bigint
FROM (
    SELECT book_id, batch_id, slots FROM net_change
    WHERE book_id = $1 AND page = page_of(chain.a) ORDER BY batch_id DESC LIMIT 1000
) AS changed
JOIN LATERAL (
    SELECT position FROM transfer
    WHERE transfer.book_id = $1 AND transfer.batch_id = changed.batch_id
      AND (debit_account_id = chain.a OR credit_account_id = chain.a)
    ORDER BY position DESC LIMIT least(chain.most, 20) + chain.skip
) AS touching ON true
WHERE chain.kind = 'account'
  AND (position(slot_of(chain.a) IN slots) > 0 OR position(held_slot_of(chain.a) IN slots) > 0)
ORDER BY batch_id DESC, position DESC LIMIT least(chain.most, 20) OFFSET chain.skip

-- name: forward_customer_draft
SELECT 'draft', invoice_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, count(*) OVER ()
FROM invoice WHERE chain.kind = 'customer' AND book_id = $1 AND customer_id = chain.a
ORDER BY period_start DESC, product, asset_id LIMIT chain.most OFFSET chain.skip

-- name: forward_key_revocation
SELECT 'key_revocation', key_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM api_key_revocation WHERE chain.kind = 'key' AND book_id = $1 AND key_id = chain.u

-- name: told_message
SELECT transaction_id || '.' || place, operation || CASE WHEN refused THEN ', refused' ELSE '' END, recorded_at,
       NULL::bigint, NULL::integer, NULL::integer, NULL::uuid, NULL::bigint, NULL::integer, transaction_id, place
FROM message WHERE chain.kind = 'message' AND book_id = $1 AND transaction_id = chain.a AND place = chain.b

-- name: told_transfer
SELECT transfer_id::text,
       debit.code || ' → ' || credit.code || coalesce(', ' || reference, '')
       || coalesce(', at most ' || asked, '')
       || CASE WHEN expires_at < 9223372036854775807
               THEN ', until ' || to_char(to_timestamp(expires_at / 1000000), 'YYYY-MM-DD HH24:MI:SS') ELSE '' END,
       recorded_at, amount, transfer.asset_id, reason::integer, transfer_id, batch_id, position::integer,
       batch_id, transfer.message_place::integer
FROM transfer
JOIN batch USING (book_id, batch_id)
LEFT JOIN transfer_reference USING (book_id, batch_id, position)
LEFT JOIN sweep USING (book_id, batch_id, position)
LEFT JOIN hold USING (book_id, batch_id, position)
JOIN account AS debit ON debit.book_id = $1 AND debit.account_id = debit_account_id
JOIN account AS credit ON credit.book_id = $1 AND credit.account_id = credit_account_id
WHERE chain.kind = 'transfer' AND transfer.book_id = $1 AND batch_id = chain.a AND position = chain.b

-- name: told_account
SELECT code, code, opened_at, NULL::bigint, asset_id, NULL::integer, NULL::uuid, NULL::bigint, NULL::integer,
       transaction_id, message_place
FROM account WHERE chain.kind = 'account' AND book_id = $1 AND account_id = chain.a

-- name: told_account_limit
SELECT code, code || ', from ' || coalesce(account_limit.min_balance::text, 'no limit') || ' to '
       || coalesce(account_limit.max_balance::text, 'no limit'),
       changed_at, NULL::bigint, asset_id, NULL::integer, NULL::uuid, NULL::bigint, NULL::integer,
       account_limit.transaction_id, account_limit.message_place
FROM account_limit JOIN account USING (book_id, account_id)
WHERE chain.kind = 'account_limit' AND book_id = $1 AND account_id = chain.a AND account_limit.transaction_id = chain.b

-- name: told_account_metadata
SELECT code, code || ', ' || metadata::text, changed_at, NULL::bigint, NULL::integer, NULL::integer, NULL::uuid,
       NULL::bigint, NULL::integer, account_metadata.transaction_id, account_metadata.message_place
FROM account_metadata JOIN account USING (book_id, account_id)
WHERE chain.kind = 'account_metadata' AND book_id = $1 AND account_id = chain.a
  AND account_metadata.transaction_id = chain.b

-- name: told_account_closing
SELECT code, code, closed_at, NULL::bigint, NULL::integer, NULL::integer, NULL::uuid, NULL::bigint, NULL::integer,
       account_closing.transaction_id, account_closing.message_place
FROM account_closing JOIN account USING (book_id, account_id)
WHERE chain.kind = 'account_closing' AND book_id = $1 AND account_id = chain.a

-- name: told_asset
SELECT code, code || ', ' || exponent || ' decimal digits', NULL::timestamptz, NULL::bigint, NULL::integer,
       NULL::integer, NULL::uuid, NULL::bigint, NULL::integer, transaction_id, message_place
FROM asset WHERE chain.kind = 'asset' AND book_id = $1 AND asset_id = chain.a

-- name: told_customer
SELECT ref, ref, created_at, NULL::bigint, NULL::integer, NULL::integer, NULL::uuid, NULL::bigint, NULL::integer,
       transaction_id, message_place
FROM customer WHERE chain.kind = 'customer' AND book_id = $1 AND customer_id = chain.a

-- name: told_usage
SELECT coalesce(newest.source || '/' || newest.event_id, known.event_key::text),
       coalesce(newest.type || ' of ' || ref || ', ' || newest.quantities::text || coalesce(' ' || newest.dimensions::text, ''),
                'usage of ' || ref || ', whose month is not attached')
       || CASE WHEN EXISTS (SELECT FROM usage_correction AS taken WHERE taken.book_id = $1 AND taken.event_key = chain.u
                            AND kind = 'void') THEN ', taken back' ELSE '' END,
       known.occurred_at, NULL::bigint, NULL::integer, NULL::integer, NULL::uuid, NULL::bigint, NULL::integer,
       first.transaction_id, first.message_place
FROM usage_key AS known
JOIN customer ON customer.book_id = $1 AND customer.customer_id = known.customer_id
LEFT JOIN LATERAL (
    SELECT * FROM usage_rows($1, chain.u) WHERE sign = 1 ORDER BY transaction_id DESC, message_place DESC LIMIT 1
) AS newest ON true
LEFT JOIN LATERAL (
    SELECT * FROM usage_rows($1, chain.u) ORDER BY transaction_id, message_place LIMIT 1
) AS first ON true
WHERE chain.kind = 'usage' AND known.book_id = $1 AND known.event_key = chain.u

-- name: told_usage_correction
SELECT transaction_id || '.' || message_place, kind || ': ' || reason, corrected_at, NULL::bigint, NULL::integer,
       NULL::integer, NULL::uuid, NULL::bigint, NULL::integer, transaction_id, message_place
FROM usage_correction
WHERE chain.kind = 'usage_correction' AND book_id = $1 AND event_key = chain.u AND transaction_id = chain.a
  AND message_place = chain.b

-- name: told_usage_conflict
SELECT transaction_id || '.' || message_place, 'another event under its id' || coalesce(', with other ' || field, ''),
       reported_at, NULL::bigint, NULL::integer, NULL::integer, NULL::uuid, NULL::bigint, NULL::integer, transaction_id,
       message_place
FROM usage_conflict
WHERE chain.kind = 'usage_conflict' AND book_id = $1 AND event_key = chain.u AND transaction_id = chain.a
  AND message_place = chain.b AND position = chain.t::integer

-- name: told_usage_not_billable
SELECT event_key::text, 'not billed: ' || reason, judged_at, NULL::bigint, NULL::integer, NULL::integer, NULL::uuid,
       NULL::bigint, NULL::integer, transaction_id, message_place
FROM usage_not_billable
WHERE chain.kind = 'usage_not_billable' AND book_id = $1 AND event_key = chain.u AND transaction_id = chain.a
  AND message_place = chain.b

-- name: told_usage_month
SELECT transaction_id || '.' || message_place,
       to_char(month, 'YYYY-MM') || ' ' || step || ', ' || rows || ' rows' || coalesce(' in ' || file, ''), at, NULL::bigint,
       NULL::integer, NULL::integer, NULL::uuid, NULL::bigint, NULL::integer, transaction_id, message_place
FROM usage_month_event
WHERE chain.kind = 'usage_month' AND book_id = $1 AND month = split_part(chain.t, '/', 1)::date
  AND piece = split_part(chain.t, '/', 2)::integer AND transaction_id = chain.a AND message_place = chain.b

-- name: told_usage_retention
SELECT transaction_id || '.' || message_place,
       'attached for ' || coalesce(attached_months || ' months', 'ever') || ', kept for '
       || coalesce(kept_months || ' months', 'ever'), set_at, NULL::bigint, NULL::integer, NULL::integer, NULL::uuid,
       NULL::bigint, NULL::integer, transaction_id, message_place
FROM usage_retention
WHERE chain.kind = 'usage_retention' AND book_id = $1 AND transaction_id = chain.a AND message_place = chain.b

-- name: told_billable_rule
SELECT transaction_id || '.' || message_place, 'what is billed', set_at, NULL::bigint, NULL::integer, NULL::integer,
       NULL::uuid, NULL::bigint, NULL::integer, transaction_id, message_place
FROM billable_rule
WHERE chain.kind = 'billable_rule' AND book_id = $1 AND transaction_id = chain.a AND message_place = chain.b

-- name: told_meter
SELECT code, name || ', ' || aggregation || coalesce(' of ' || quantity, '') || ' over ' || event_type, created_at,
       NULL::bigint, NULL::integer, NULL::integer, NULL::uuid, NULL::bigint, NULL::integer, transaction_id, message_place
FROM meter WHERE chain.kind = 'meter' AND book_id = $1 AND code = chain.t

-- name: told_price
SELECT product || '/' || charge || '@' || to_char(effective_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       name || ', ' || (model ->> 'model'), created_at, NULL::bigint, asset_id, NULL::integer, NULL::uuid, NULL::bigint,
       NULL::integer, transaction_id, message_place
FROM price
WHERE chain.kind = 'price' AND book_id = $1 AND effective_at = chain.at
  AND (product, charge) = (split_part(chain.t, '/', 1), split_part(chain.t, '/', 2))

-- name: told_billing_zone
SELECT product, product || ' by the months of ' || zone, set_at, NULL::bigint, NULL::integer, NULL::integer, NULL::uuid,
       NULL::bigint, NULL::integer, transaction_id, message_place
FROM billing_zone WHERE chain.kind = 'billing_zone' AND book_id = $1 AND product = chain.t

-- name: told_draft
SELECT invoice_id::text,
       ref || ', ' || invoice.product || coalesce(
           ' from ' || to_char(period_start AT TIME ZONE monthly.zone, 'YYYY-MM-DD')
           || ' to ' || to_char(period_end AT TIME ZONE monthly.zone, 'YYYY-MM-DD'), ', as it asked'),
       drafted_at, total, asset_id, NULL::integer, NULL::uuid, NULL::bigint, NULL::integer, invoice.transaction_id,
       invoice.message_place
FROM invoice JOIN customer USING (book_id, customer_id)
LEFT JOIN (SELECT book_id, product AS month_product, zone FROM billing_zone) AS monthly USING (book_id, month_product)
WHERE chain.kind = 'draft' AND book_id = $1 AND invoice_id = chain.u

-- name: told_line
SELECT invoice_id || '/' || position, coalesce(description, detail ->> 'explanation'), NULL::timestamptz, amount, asset_id, NULL::integer,
       NULL::uuid, NULL::bigint, NULL::integer, transaction_id, message_place
FROM invoice_line JOIN invoice USING (book_id, invoice_id)
WHERE chain.kind = 'line' AND book_id = $1 AND invoice_id = chain.u AND position = chain.b

-- name: told_invoice
SELECT series || '-' || CASE WHEN number < 1000000 THEN lpad(number::text, 6, '0') ELSE number::text END,
       ref || ', due on ' || due_on, issued_at, total, asset_id, NULL::integer, transfer_id, batch_id, position::integer,
       invoice_issue.transaction_id, invoice_issue.message_place
FROM invoice_issue
JOIN invoice USING (book_id, invoice_id)
JOIN customer USING (book_id, customer_id)
LEFT JOIN transfer USING (book_id, transfer_id, asset_id)
WHERE chain.kind = 'invoice' AND book_id = $1 AND invoice_id = chain.u

-- name: told_payment
SELECT payment_id::text, user_ref || ' by ' || payment_type || ' through ' || provider, started_at, amount, asset_id,
       NULL::integer, NULL::uuid, NULL::bigint, NULL::integer, transaction_id, message_place
FROM payment WHERE chain.kind = 'payment' AND book_id = $1 AND payment_id = chain.u

-- name: told_payment_step
SELECT payment_id::text, step || coalesce(' as ' || provider_id, '') || coalesce(': ' || reason, ''), at, NULL::bigint,
       NULL::integer, NULL::integer, NULL::uuid, NULL::bigint, NULL::integer, transaction_id, message_place
FROM payment_step WHERE chain.kind = 'payment_step' AND book_id = $1 AND payment_id = chain.u AND step = chain.t

-- name: told_receipt
SELECT receipt_id::text, debit.code || ' → ' || credit.code, issued_at, amount, transfer.asset_id, NULL::integer,
       transfer_id, batch_id, position::integer, receipt.transaction_id, receipt.message_place
FROM receipt
JOIN transfer USING (book_id, transfer_id)
JOIN account AS debit ON debit.book_id = $1 AND debit.account_id = debit_account_id
JOIN account AS credit ON credit.book_id = $1 AND credit.account_id = credit_account_id
WHERE chain.kind = 'receipt' AND receipt.book_id = $1 AND receipt_id = chain.u

-- name: told_key
SELECT key_id::text, name || ' for ' || array_to_string(scopes, ', '), created_at, NULL::bigint, NULL::integer,
       NULL::integer, NULL::uuid, NULL::bigint, NULL::integer, transaction_id, message_place
FROM api_key WHERE chain.kind = 'key' AND book_id = $1 AND key_id = chain.u

-- name: told_key_revocation
SELECT key_id::text, name, revoked_at, NULL::bigint, NULL::integer, NULL::integer, NULL::uuid, NULL::bigint,
       NULL::integer, api_key_revocation.transaction_id, api_key_revocation.message_place
FROM api_key_revocation JOIN api_key USING (book_id, key_id)
WHERE chain.kind = 'key_revocation' AND book_id = $1 AND key_id = chain.u

-- name: found_credit_grant
SELECT 'credit_grant', grant_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz
FROM credit_grant WHERE book_id = $1 AND grant_id = $3

-- name: back_invoice_use
SELECT 'credit_use', transfer_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, count(*) OVER ()
FROM credit_use WHERE chain.kind = 'invoice' AND book_id = $1 AND invoice_id = chain.u AND position IS NULL
ORDER BY transfer_id LIMIT chain.most OFFSET chain.skip

-- name: back_line_use
SELECT 'credit_use', transfer_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, count(*) OVER ()
FROM credit_use WHERE chain.kind = 'line' AND book_id = $1 AND invoice_id = chain.u AND position = chain.b
ORDER BY transfer_id LIMIT chain.most OFFSET chain.skip

-- name: back_use_grant
SELECT 'credit_grant', grant_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM credit_use WHERE chain.kind = 'credit_use' AND book_id = $1 AND transfer_id = chain.u

-- name: back_end_grant
SELECT 'credit_grant', chain.u, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
WHERE chain.kind = 'credit_end'

-- name: back_transfer_use
SELECT 'credit_use', transfer_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM transfer JOIN credit_use USING (book_id, transfer_id)
WHERE chain.kind = 'transfer' AND book_id = $1 AND batch_id = chain.a AND transfer.position = chain.b
  AND reason IN (12, 21)

-- name: back_transfer_credit
SELECT 'credit_grant', grant_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM transfer JOIN credit_grant USING (book_id, message_place, transfer_id)
WHERE chain.kind = 'transfer' AND book_id = $1 AND batch_id = chain.a AND position = chain.b AND reason = 11
  AND credit_grant.transaction_id = chain.a

-- name: back_transfer_credit_end
SELECT 'credit_end', grant_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM transfer JOIN credit_end USING (book_id, message_place, transfer_id)
WHERE chain.kind = 'transfer' AND book_id = $1 AND batch_id = chain.a AND position = chain.b AND transfer.reason IN (13, 14)
  AND credit_end.transaction_id = chain.a

-- name: forward_grant_use
SELECT 'credit_use', transfer_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, count(*) OVER ()
FROM credit_use WHERE chain.kind = 'credit_grant' AND book_id = $1 AND grant_id = chain.u
ORDER BY transaction_id, transfer_id LIMIT chain.most OFFSET chain.skip

-- name: forward_grant_end
SELECT 'credit_end', grant_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM credit_end WHERE chain.kind = 'credit_grant' AND book_id = $1 AND grant_id = chain.u
ORDER BY for_good DESC LIMIT 1

-- name: forward_use_invoice
SELECT 'invoice', invoice_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM credit_use WHERE chain.kind = 'credit_use' AND book_id = $1 AND transfer_id = chain.u AND position IS NULL

-- name: forward_use_line
SELECT 'line', invoice_id, NULL::bigint, position::bigint, NULL::text, NULL::timestamptz, 1
FROM credit_use WHERE chain.kind = 'credit_use' AND book_id = $1 AND transfer_id = chain.u AND position IS NOT NULL

-- name: told_credit_grant
SELECT grant_id::text, ref || ', ' || credit_grant.kind || coalesce(', until ' || to_char(expires_at AT TIME ZONE 'UTC',
       'YYYY-MM-DD HH24:MI:SS'), ''), granted_at, amount, asset_id, NULL::integer, transfer_id, NULL::bigint,
       NULL::integer, credit_grant.transaction_id, credit_grant.message_place
FROM credit_grant JOIN customer USING (book_id, customer_id)
WHERE chain.kind = 'credit_grant' AND book_id = $1 AND grant_id = chain.u

-- name: told_credit_use
SELECT credit_use.transfer_id::text, 'of ' || grant_id || ' for ' || invoice_id || coalesce('/' || position, ''), used_at,
       credit_use.amount, asset_id, NULL::integer, credit_use.transfer_id, NULL::bigint, NULL::integer,
       credit_use.transaction_id, credit_use.message_place
FROM credit_use JOIN credit_grant USING (book_id, grant_id)
WHERE chain.kind = 'credit_use' AND book_id = $1 AND credit_use.transfer_id = chain.u

-- name: told_credit_end
SELECT grant_id::text, credit_end.kind || coalesce(': ' || reason, ''), ended_at, credit_end.amount, asset_id,
       NULL::integer, credit_end.transfer_id, NULL::bigint, NULL::integer, credit_end.transaction_id,
       credit_end.message_place
FROM credit_end JOIN credit_grant USING (book_id, grant_id)
WHERE chain.kind = 'credit_end' AND book_id = $1 AND grant_id = chain.u
ORDER BY for_good DESC LIMIT 1

-- name: told_wallet_low
SELECT wallet_low.transaction_id || '.' || wallet_low.message_place, ref || ' has less than ' || threshold, noticed_at,
       balance, asset_id, NULL::integer, NULL::uuid, NULL::bigint, NULL::integer, wallet_low.transaction_id,
       wallet_low.message_place
FROM wallet_low JOIN customer USING (book_id, customer_id)
WHERE chain.kind = 'wallet_low' AND book_id = $1 AND customer_id = chain.b AND asset_id = chain.t::integer
  AND wallet_low.transaction_id = chain.a

-- name: told_tax_rate
SELECT transaction_id || '.' || message_place,
       jurisdiction || ', ' || category || ', ' || name || ', ' || coalesce(rate::text, 'no more'), set_at, NULL::bigint,
       NULL::integer, NULL::integer, NULL::uuid, NULL::bigint, NULL::integer, transaction_id, message_place
FROM tax_rate
WHERE chain.kind = 'tax_rate' AND book_id = $1 AND transaction_id = chain.a AND message_place = chain.b

-- name: told_tax_customer
SELECT tax_customer.transaction_id || '.' || tax_customer.message_place,
       ref || ' in ' || jurisdiction || ', ' || treatment || coalesce(': ' || reason, ''), set_at, NULL::bigint,
       NULL::integer, NULL::integer, NULL::uuid, NULL::bigint, NULL::integer, tax_customer.transaction_id,
       tax_customer.message_place
FROM tax_customer JOIN customer USING (book_id, customer_id)
WHERE chain.kind = 'tax_customer' AND book_id = $1 AND tax_customer.transaction_id = chain.a
  AND tax_customer.message_place = chain.b

-- name: found_plan
SELECT 'plan', NULL::uuid, NULL::bigint, NULL::bigint, plan, effective_at
FROM plan_version WHERE book_id = $1 AND plan = $2 ORDER BY effective_at DESC LIMIT 1

-- name: told_plan
SELECT plan, (content ->> 'name') || ' from ' || to_char(effective_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), created_at,
       NULL::bigint, NULL::integer, NULL::integer, NULL::uuid, NULL::bigint, NULL::integer, transaction_id, message_place
FROM plan_version WHERE chain.kind = 'plan' AND book_id = $1 AND plan = chain.t AND effective_at = chain.at

-- name: found_subscription
SELECT 'subscription', NULL::uuid, NULL::bigint, NULL::bigint, subscription_id, NULL::timestamptz
FROM subscription WHERE book_id = $1 AND subscription_id = $2

-- name: told_subscription
SELECT subscription_id, 'of ' || ref || ' from ' || to_char(start_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
       subscription.created_at, NULL::bigint, NULL::integer, NULL::integer, NULL::uuid, NULL::bigint, NULL::integer,
       subscription.transaction_id, subscription.message_place
FROM subscription JOIN customer USING (book_id, customer_id)
WHERE chain.kind = 'subscription' AND book_id = $1 AND subscription_id = chain.t

-- name: told_subscription_revision
SELECT subscription_id, 'revision ' || revision || ': ' || kind || ' from ' || to_char(effective_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
       revised_at, NULL::bigint, NULL::integer, NULL::integer, NULL::uuid, NULL::bigint, NULL::integer, transaction_id,
       message_place
FROM subscription_revision
WHERE chain.kind = 'subscription_revision' AND book_id = $1 AND subscription_id = chain.t AND revision = chain.a

-- name: told_subscription_bill
SELECT subscription_id, 'billed for ' || to_char(due_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"') || ' by revision ' || revision,
       billed_at, NULL::bigint, NULL::integer, NULL::integer, NULL::uuid, NULL::bigint, NULL::integer, transaction_id,
       message_place
FROM subscription_bill
WHERE chain.kind = 'subscription_bill' AND book_id = $1 AND subscription_id = chain.t AND due_at = chain.at

-- name: forward_subscription_revision
SELECT 'subscription_revision', NULL::uuid, revision::bigint, NULL::bigint, subscription_id, NULL::timestamptz,
       count(*) OVER ()
FROM subscription_revision WHERE chain.kind = 'subscription' AND book_id = $1 AND subscription_id = chain.t
ORDER BY revision LIMIT chain.most OFFSET chain.skip

-- name: forward_subscription_bill
SELECT 'subscription_bill', NULL::uuid, NULL::bigint, NULL::bigint, subscription_id, due_at, count(*) OVER ()
FROM subscription_bill WHERE chain.kind = 'subscription' AND book_id = $1 AND subscription_id = chain.t
ORDER BY due_at LIMIT chain.most OFFSET chain.skip

-- name: forward_bill_draft
SELECT 'draft', invoice_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM subscription_bill
WHERE chain.kind = 'subscription_bill' AND book_id = $1 AND subscription_id = chain.t AND due_at = chain.at
  AND invoice_id IS NOT NULL

-- name: back_bill_subscription
SELECT 'subscription', NULL::uuid, NULL::bigint, NULL::bigint, chain.t, NULL::timestamptz, 1
WHERE chain.kind IN ('subscription_bill', 'subscription_revision')

-- name: back_draft_bill
SELECT 'subscription_bill', NULL::uuid, NULL::bigint, NULL::bigint, subscription_id, due_at, 1
FROM subscription_bill WHERE chain.kind IN ('draft', 'invoice') AND book_id = $1 AND invoice_id = chain.u

-- name: found_event
SELECT 'event', event_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz
FROM event WHERE book_id = $1 AND event_id = $3

-- name: told_event
SELECT event_id::text, type || ', ' || subject, told_at, NULL::bigint, NULL::integer, NULL::integer, NULL::uuid,
       NULL::bigint, NULL::integer, transaction_id, message_place
FROM event WHERE chain.kind = 'event' AND book_id = $1 AND event_id = chain.u

-- name: found_credit_note
SELECT 'credit_note', credit_note_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz
FROM credit_note WHERE book_id = $1 AND $9::integer IS NULL AND credit_note_id = $3

-- name: found_credit_note_by_number
SELECT 'credit_note', credit_note_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz
FROM credit_note WHERE book_id = $1 AND $9::integer IS NULL AND series = $7::text AND number = $8::bigint

-- name: forward_invoice_credit_note
SELECT 'credit_note', credit_note_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, count(*) OVER ()
FROM credit_note WHERE chain.kind = 'invoice' AND book_id = $1 AND invoice_id = chain.u
ORDER BY transaction_id, number LIMIT chain.most OFFSET chain.skip

-- name: forward_invoice_state
SELECT 'invoice_state', invoice_id, transaction_id, message_place::bigint, state, NULL::timestamptz, count(*) OVER ()
FROM invoice_state WHERE chain.kind = 'invoice' AND book_id = $1 AND invoice_id = chain.u
ORDER BY transaction_id, message_place, state LIMIT chain.most OFFSET chain.skip

-- name: forward_draft_state
SELECT 'invoice_state', invoice_id, transaction_id, message_place::bigint, state, NULL::timestamptz, count(*) OVER ()
FROM invoice_state
WHERE chain.kind = 'draft' AND book_id = $1 AND invoice_id = chain.u AND state = 'void'
  AND NOT EXISTS (SELECT FROM invoice_issue WHERE invoice_issue.book_id = $1 AND invoice_issue.invoice_id = chain.u)
ORDER BY transaction_id LIMIT chain.most OFFSET chain.skip

-- name: back_credit_note_invoice
SELECT 'invoice', invoice_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM credit_note WHERE chain.kind = 'credit_note' AND book_id = $1 AND credit_note_id = chain.u

-- name: back_invoice_state
SELECT CASE WHEN EXISTS (SELECT FROM invoice_issue WHERE invoice_issue.book_id = $1 AND invoice_issue.invoice_id = chain.u)
            THEN 'invoice' ELSE 'draft' END, chain.u, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
WHERE chain.kind = 'invoice_state'

-- name: told_credit_note
SELECT note.series || '-' || CASE WHEN number < 1000000 THEN lpad(number::text, 6, '0') ELSE number::text END,
       'credit note' || coalesce(': ' || reason, ''), note.issued_at, note.total, asset_id, NULL::integer, NULL::uuid,
       NULL::bigint, NULL::integer, note.transaction_id, note.message_place
FROM credit_note AS note JOIN invoice USING (book_id, invoice_id)
WHERE chain.kind = 'credit_note' AND book_id = $1 AND credit_note_id = chain.u

-- name: told_invoice_state
SELECT invoice_id::text, replace(state, '_', ' ') || coalesce(': ' || reason, ''), at, outstanding, asset_id,
       NULL::integer, NULL::uuid, NULL::bigint, NULL::integer, noted.transaction_id, noted.message_place
FROM invoice_state AS noted JOIN invoice USING (book_id, invoice_id)
WHERE chain.kind = 'invoice_state' AND book_id = $1 AND invoice_id = chain.u AND noted.transaction_id = chain.a
  AND noted.message_place = chain.b AND state = chain.t


-- name: found_repayment
SELECT 'repayment', repayment_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz
FROM repayment WHERE book_id = $1 AND repayment_id = $3

-- name: found_repayment_return
SELECT 'repayment_return', return_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz
FROM repayment_return WHERE book_id = $1 AND return_id = $3

-- name: found_charge
SELECT 'charge', charge_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz
FROM charge WHERE book_id = $1 AND charge_id = $3

-- name: back_repayment_invoice
SELECT 'invoice', invoice_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, count(*) OVER ()
FROM (SELECT DISTINCT invoice_id FROM repayment_allocation
      WHERE chain.kind = 'repayment' AND book_id = $1 AND repayment_id = chain.u) AS repaid
ORDER BY invoice_id LIMIT chain.most OFFSET chain.skip

-- name: back_repayment_outcome
SELECT 'charge_outcome', charge_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM charge_outcome JOIN repayment USING (book_id, repayment_id, transaction_id, message_place)
WHERE chain.kind = 'repayment' AND book_id = $1 AND repayment_id = chain.u

-- name: back_return_repayment
SELECT 'repayment', repayment_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM repayment_return
WHERE chain.kind = 'repayment_return' AND book_id = $1 AND return_id = chain.u AND repayment_id IS NOT NULL

-- name: back_charge_invoice
SELECT 'invoice', invoice_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, count(*) OVER ()
FROM charge_invoice WHERE chain.kind = 'charge' AND book_id = $1 AND charge_id = chain.u
ORDER BY invoice_id LIMIT chain.most OFFSET chain.skip

-- name: back_outcome_charge
SELECT 'charge', chain.u, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1 WHERE chain.kind = 'charge_outcome'

-- name: back_transfer_repayment
SELECT 'repayment', repayment_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM transfer JOIN repayment USING (book_id, message_place, transfer_id)
WHERE chain.kind = 'transfer' AND book_id = $1 AND batch_id = chain.a AND position = chain.b AND reason = 18
  AND repayment.transaction_id = chain.a

-- name: back_transfer_allocation
SELECT 'repayment', repayment_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM transfer JOIN repayment_allocation AS placed USING (book_id, message_place, transfer_id)
WHERE chain.kind = 'transfer' AND book_id = $1 AND batch_id = chain.a AND position = chain.b AND reason = 19
  AND placed.transaction_id = chain.a AND repayment_id IS NOT NULL

-- name: back_transfer_return
SELECT 'repayment_return', return_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM transfer JOIN repayment_return AS gone USING (book_id, message_place, transfer_id)
WHERE chain.kind = 'transfer' AND book_id = $1 AND batch_id = chain.a AND position = chain.b AND transfer.reason = 20
  AND gone.transaction_id = chain.a

-- name: forward_invoice_repayment
SELECT 'repayment', repayment_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, count(*) OVER ()
FROM (SELECT DISTINCT repayment_id FROM repayment_allocation
      WHERE chain.kind = 'invoice' AND book_id = $1 AND invoice_id = chain.u AND repayment_id IS NOT NULL) AS repaying
ORDER BY repayment_id LIMIT chain.most OFFSET chain.skip

-- name: forward_invoice_charge
SELECT 'charge', charge_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, count(*) OVER ()
FROM charge_invoice WHERE chain.kind = 'invoice' AND book_id = $1 AND invoice_id = chain.u
ORDER BY charge_id LIMIT chain.most OFFSET chain.skip

-- name: forward_charge_outcome
SELECT 'charge_outcome', charge_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM charge_outcome WHERE chain.kind = 'charge' AND book_id = $1 AND charge_id = chain.u

-- name: forward_outcome_repayment
SELECT 'repayment', repayment_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM charge_outcome
WHERE chain.kind = 'charge_outcome' AND book_id = $1 AND charge_id = chain.u AND repayment_id IS NOT NULL

-- name: forward_repayment_return
SELECT 'repayment_return', return_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM repayment_return
WHERE chain.kind = 'repayment' AND book_id = $1 AND repayment_id = chain.u AND kind = 'reversal'

-- name: told_repayment
SELECT repayment_id::text, ref || ', ' || channel || ' ' || reference, received_at, amount, asset_id, NULL::integer,
       transfer_id, NULL::bigint, NULL::integer, repayment.transaction_id, repayment.message_place
FROM repayment JOIN customer USING (book_id, customer_id)
WHERE chain.kind = 'repayment' AND book_id = $1 AND repayment_id = chain.u

-- name: told_repayment_return
SELECT return_id::text, kind || ', ' || ref || ': ' || reason, returned_at, amount, asset_id, NULL::integer, transfer_id,
       NULL::bigint, NULL::integer, gone.transaction_id, gone.message_place
FROM repayment_return AS gone JOIN customer USING (book_id, customer_id)
WHERE chain.kind = 'repayment_return' AND book_id = $1 AND return_id = chain.u

-- name: told_debit_agreement
SELECT agreed.transaction_id || '.' || agreed.message_place,
       ref || ', ' || CASE WHEN bank_account IS NULL THEN 'no debit any more' ELSE
            'day ' || coalesce(day::text, 'last') || ', ' || country || ', ' || replace(rule, '_', ' ') END
            || ', from ' || from_on, agreed_at, NULL::bigint, NULL::integer, NULL::integer, NULL::uuid, NULL::bigint,
       NULL::integer, agreed.transaction_id, agreed.message_place
FROM debit_agreement AS agreed JOIN customer USING (book_id, customer_id)
WHERE chain.kind = 'debit_agreement' AND book_id = $1 AND customer_id = chain.t::bigint
  AND agreed.transaction_id = chain.a AND agreed.message_place = chain.b

-- name: told_charge
SELECT charge_id::text, ref || ', debit on ' || debit_on || ', attempt ' || attempt, made_at, amount, asset_id,
       NULL::integer, NULL::uuid, NULL::bigint, NULL::integer, charge.transaction_id, charge.message_place
FROM charge JOIN customer USING (book_id, customer_id)
WHERE chain.kind = 'charge' AND book_id = $1 AND charge_id = chain.u

-- name: told_charge_outcome
SELECT charge_id::text, coalesce(error_kind, 'taken') || coalesce(', again on ' || retry_on, ''), at, taken, asset_id,
       NULL::integer, NULL::uuid, NULL::bigint, NULL::integer, outcome.transaction_id, outcome.message_place
FROM charge_outcome AS outcome JOIN charge USING (book_id, charge_id)
WHERE chain.kind = 'charge_outcome' AND book_id = $1 AND charge_id = chain.u

-- name: found_refund
SELECT 'refund', refund_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz
FROM refund WHERE book_id = $1 AND refund_id = $3

-- name: found_dispute
SELECT 'dispute', dispute_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz
FROM dispute WHERE book_id = $1 AND dispute_id = $3

-- name: back_refund_payment
SELECT 'payment', payment_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM refund WHERE chain.kind = 'refund' AND book_id = $1 AND refund_id = chain.u

-- name: back_step_refund
SELECT 'refund', chain.u, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1 WHERE chain.kind = 'refund_step'

-- name: back_dispute_payment
SELECT 'payment', payment_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM dispute WHERE chain.kind = 'dispute' AND book_id = $1 AND dispute_id = chain.u

-- name: back_end_dispute
SELECT 'dispute', chain.u, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1 WHERE chain.kind = 'dispute_end'

-- name: back_transfer_refund
SELECT 'refund', refund_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM transfer JOIN refund USING (book_id, message_place, transfer_id)
WHERE chain.kind = 'transfer' AND book_id = $1 AND batch_id = chain.a AND position = chain.b AND transfer.reason = 22
  AND refund.transaction_id = chain.a

-- name: back_transfer_refund_step
SELECT 'refund_step', refund_id, NULL::bigint, NULL::bigint, step, NULL::timestamptz, 1
FROM transfer JOIN refund_step USING (book_id, message_place)
WHERE chain.kind = 'transfer' AND book_id = $1 AND batch_id = chain.a AND position = chain.b AND transfer.reason IN (23, 24)
  AND refund_step.transaction_id = chain.a AND transfer_id = ANY (transfer_ids)

-- name: back_transfer_dispute
SELECT 'dispute', dispute_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM transfer JOIN dispute USING (book_id, message_place, transfer_id)
WHERE chain.kind = 'transfer' AND book_id = $1 AND batch_id = chain.a AND position = chain.b AND transfer.reason = 25
  AND dispute.transaction_id = chain.a

-- name: back_transfer_dispute_end
SELECT 'dispute_end', dispute_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM transfer JOIN dispute_end USING (book_id, message_place, transfer_id)
WHERE chain.kind = 'transfer' AND book_id = $1 AND batch_id = chain.a AND position = chain.b AND transfer.reason IN (26, 27)
  AND dispute_end.transaction_id = chain.a

-- name: forward_payment_refund
SELECT 'refund', refund_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, count(*) OVER ()
FROM refund WHERE chain.kind = 'payment' AND book_id = $1 AND payment_id = chain.u
ORDER BY refund_id LIMIT chain.most OFFSET chain.skip

-- name: forward_refund_step
SELECT 'refund_step', refund_id, NULL::bigint, NULL::bigint, step, NULL::timestamptz, count(*) OVER ()
FROM refund_step WHERE chain.kind = 'refund' AND book_id = $1 AND refund_id = chain.u
ORDER BY transaction_id

-- name: forward_payment_dispute
SELECT 'dispute', dispute_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, count(*) OVER ()
FROM dispute WHERE chain.kind = 'payment' AND book_id = $1 AND payment_id = chain.u
ORDER BY dispute_id LIMIT chain.most OFFSET chain.skip

-- name: forward_dispute_end
SELECT 'dispute_end', dispute_id, NULL::bigint, NULL::bigint, NULL::text, NULL::timestamptz, 1
FROM dispute_end WHERE chain.kind = 'dispute' AND book_id = $1 AND dispute_id = chain.u

-- name: told_refund
SELECT refund_id::text, user_ref || ', from ' || CASE take_from WHEN 'invoice' THEN 'the invoice' ELSE 'what lay unallocated' END
       || ': ' || refund.reason, refund.requested_at, refund.amount, asset_id, NULL::integer, refund.transfer_id, NULL::bigint,
       NULL::integer, refund.transaction_id, refund.message_place
FROM refund JOIN payment USING (book_id, payment_id)
WHERE chain.kind = 'refund' AND book_id = $1 AND refund_id = chain.u

-- name: told_refund_step
SELECT refund_id::text, step || coalesce(' as ' || provider_id, '') || coalesce(': ' || failure, ''), at, NULL::bigint,
       NULL::integer, NULL::integer, transfer_ids[1], NULL::bigint, NULL::integer, transaction_id, message_place
FROM refund_step WHERE chain.kind = 'refund_step' AND book_id = $1 AND refund_id = chain.u AND step = chain.t

-- name: told_dispute
SELECT dispute_id::text, user_ref || ', ' || dispute.provider_id || CASE dispute.reason WHEN '' THEN '' ELSE ': ' || dispute.reason END,
       opened_at, dispute.amount, asset_id, NULL::integer, dispute.transfer_id, NULL::bigint, NULL::integer,
       dispute.transaction_id, dispute.message_place
FROM dispute JOIN payment USING (book_id, payment_id)
WHERE chain.kind = 'dispute' AND book_id = $1 AND dispute_id = chain.u

-- name: told_dispute_end
SELECT dispute_id::text, outcome, at, NULL::bigint, NULL::integer, NULL::integer, transfer_id, NULL::bigint, NULL::integer,
       transaction_id, message_place
FROM dispute_end WHERE chain.kind = 'dispute_end' AND book_id = $1 AND dispute_id = chain.u
