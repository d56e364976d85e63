-- name: find_bound
SELECT settled_horizon()

-- name: count_messages
SELECT count(*) FROM message WHERE book_id = $1 AND transaction_id < $2

-- name: read_messages
SELECT transaction_id, place, key, operation, principal, hash, body, refused, answer, recorded_at
FROM message
WHERE book_id = $1 AND transaction_id < $2 AND (transaction_id, place) > ($3, $4)
ORDER BY transaction_id, place LIMIT $5

-- name: opened_at
SELECT opened_at FROM book WHERE book_id = $1

-- name: any_book
SELECT EXISTS (SELECT FROM book)

-- name: insert_book
INSERT INTO book (book_id, name, opened_at) OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3)

-- The place in the order is told to the twin, where otherwise the store gives it: so every fact comes to stand where it
-- stood. The messages come one after the other, so that all that is ordered below one has ended.

-- name: take_told_order
CREATE OR REPLACE FUNCTION tallystick.transaction_order() RETURNS bigint LANGUAGE sql STABLE AS
$$ SELECT current_setting('tallystick.place')::bigint $$

-- name: take_told_horizon
CREATE OR REPLACE FUNCTION tallystick.settled_horizon() RETURNS bigint LANGUAGE sql STABLE AS
$$ SELECT current_setting('tallystick.horizon')::bigint $$

-- name: tell_place
SELECT set_config('tallystick.place', $1, true), set_config('tallystick.horizon', $2, true)

-- name: definition
SELECT pg_get_functiondef($1::text::regprocedure)

-- name: raise_base
UPDATE transaction_base
SET base = greatest(base, $1 - pg_snapshot_xmin(pg_current_snapshot())::text::bigint)

-- name: raise_books
SELECT setval(pg_get_serial_sequence('tallystick.book', 'book_id'), max(book_id)) FROM book

-- name: raise_customers
SELECT setval('customer_number', max(customer_id)) FROM customer

-- Usage and its customers, of which the journal keeps count and hash.

-- name: read_customers
SELECT customer_id, ref, created_at FROM customer WHERE book_id = $1 AND transaction_id = $2 AND message_place = $3

-- name: insert_customers
INSERT INTO customer (book_id, transaction_id, message_place, customer_id, ref, created_at)
SELECT $1, $2, $3, customer_id, ref, created_at
FROM unnest($4::bigint[], $5::text[], $6::timestamptz[]) AS made (customer_id, ref, created_at)

-- name: read_usage
SELECT customer_id, occurred_at, transaction_id, event_key, book_id, message_place, sign, type, source, event_id, quantities,
       dimensions
FROM usage_of_message($1, $2, $3)
ORDER BY event_key

-- name: read_keys
SELECT event_key, content, customer_id, occurred_at, book_id FROM find_usage_keys($1, $2::uuid[]) ORDER BY event_key

-- name: read_conflicts
SELECT book_id, event_key, transaction_id, message_place, position, field, said, reported_at FROM usage_conflict
WHERE book_id = $1 AND transaction_id = $2 AND message_place = $3

-- name: read_not_billable
SELECT book_id, event_key, transaction_id, message_place, reason, judged_at FROM usage_not_billable
WHERE book_id = $1 AND transaction_id = $2 AND message_place = $3

-- name: read_month_events
SELECT book_id, month, piece, step, rows, first_order, last_order, checksum, file, sha256, transaction_id, message_place, at
FROM usage_month_event WHERE book_id = $1 AND transaction_id = $2 AND message_place = $3

-- name: months_away
SELECT usage_months_away($1, '-infinity', 'infinity')

-- name: ensure_months
SELECT ensure_usage_months($1, ARRAY(SELECT DISTINCT date_trunc('month', instant AT TIME ZONE 'UTC')::date
                                     FROM unnest($2::timestamptz[]) AS instant))

-- name: usage_through
SELECT min(usage_through) FROM (
    SELECT usage_through FROM invoice WHERE book_id = $1 AND transaction_id = $2 AND message_place = $3
    UNION ALL
    SELECT usage_through FROM subscription_bill WHERE book_id = $1 AND transaction_id = $2 AND message_place = $3
) AS made

-- name: drafts_beside_others
SELECT usage_through, transaction_id FROM invoice
WHERE book_id = $1 AND transaction_id < $2 AND usage_through < transaction_id
UNION
SELECT usage_through, transaction_id FROM subscription_bill
WHERE book_id = $1 AND transaction_id < $2 AND usage_through < transaction_id
ORDER BY transaction_id

-- What was paid in, and may not have been seen by all that are ordered behind it.

-- name: batches_before
SELECT batch_id FROM batch WHERE book_id = $1 AND batch_id < $2 ORDER BY batch_id DESC LIMIT $3

-- name: changes_of_batches
SELECT page, batch_id, slots, amounts FROM net_change
WHERE book_id = $1 AND page = ANY ($2::bigint[]) AND batch_id = ANY ($3::bigint[])

-- The log.

-- name: read_batches
SELECT batch_id, leaf_hashes FROM batch WHERE book_id = $1 AND batch_id < $2 ORDER BY batch_id

-- name: read_checkpoints
SELECT size, root, through FROM checkpoint WHERE book_id = $1 AND through < $2 ORDER BY size

-- name: find_leaf
SELECT transfer_id, (SELECT key FROM message
                     WHERE (message.book_id, transaction_id, place) = (transfer.book_id, batch_id, message_place))
FROM transfer WHERE book_id = $1 AND batch_id = $2 AND position = $3

-- name: any_key_of
SELECT key FROM message WHERE book_id = $1 AND transaction_id = $2 ORDER BY place LIMIT 1

-- The facts, one statement for each table: all that a message made, in the order of their keys.

-- name: facts_of_asset
SELECT row_to_json(fact)::text FROM asset AS fact WHERE book_id = $1 AND transaction_id < $2 ORDER BY asset_id

-- name: facts_of_account
SELECT row_to_json(fact)::text FROM account AS fact WHERE book_id = $1 AND transaction_id < $2 ORDER BY account_id

-- name: facts_of_account_closing
SELECT row_to_json(fact)::text FROM account_closing AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY account_id

-- name: facts_of_account_limit
SELECT row_to_json(fact)::text FROM account_limit AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY account_id, transaction_id

-- name: facts_of_account_metadata
SELECT row_to_json(fact)::text FROM account_metadata AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY account_id, transaction_id

-- name: facts_of_batch
SELECT row_to_json(fact)::text FROM (
    SELECT batch_id, transfers, recorded_at, pages FROM batch WHERE book_id = $1 AND batch_id < $2 ORDER BY batch_id
) AS fact

-- name: facts_of_transfer
SELECT row_to_json(fact)::text FROM transfer AS fact WHERE book_id = $1 AND batch_id < $2 ORDER BY batch_id, position

-- name: facts_of_net_change
SELECT row_to_json(fact)::text FROM net_change AS fact WHERE book_id = $1 AND batch_id < $2 ORDER BY page, batch_id

-- name: facts_of_dated_change
SELECT row_to_json(fact)::text FROM dated_change AS fact WHERE book_id = $1 AND batch_id < $2 ORDER BY page, batch_id

-- name: facts_of_transfer_reference
SELECT row_to_json(fact)::text FROM transfer_reference AS fact
WHERE book_id = $1 AND batch_id < $2 ORDER BY batch_id, position

-- name: facts_of_hold
SELECT row_to_json(fact)::text FROM hold AS fact WHERE book_id = $1 AND batch_id < $2 ORDER BY batch_id, position

-- name: facts_of_hold_use
SELECT row_to_json(fact)::text FROM hold_use AS fact WHERE book_id = $1 AND batch_id < $2 ORDER BY hold_id, nth

-- name: facts_of_reversal
SELECT row_to_json(fact)::text FROM reversal AS fact WHERE book_id = $1 AND batch_id < $2 ORDER BY reversed_id

-- name: facts_of_sweep
SELECT row_to_json(fact)::text FROM sweep AS fact WHERE book_id = $1 AND batch_id < $2 ORDER BY batch_id, position

-- name: facts_of_message_attachment
SELECT row_to_json(fact)::text FROM (
    SELECT transaction_id, place, size FROM message_attachment
    WHERE book_id = $1 AND transaction_id < $2 ORDER BY transaction_id, place
) AS fact

-- name: facts_of_customer
SELECT row_to_json(fact)::text FROM customer AS fact WHERE book_id = $1 AND transaction_id < $2 ORDER BY customer_id

-- name: facts_of_billable_rule
SELECT row_to_json(fact)::text FROM billable_rule AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY transaction_id, message_place

-- name: facts_of_meter
SELECT row_to_json(fact)::text FROM meter AS fact WHERE book_id = $1 AND transaction_id < $2 ORDER BY code

-- name: facts_of_price
SELECT row_to_json(fact)::text FROM price AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY product, charge, effective_at

-- name: facts_of_billing_zone
SELECT row_to_json(fact)::text FROM billing_zone AS fact WHERE book_id = $1 AND transaction_id < $2 ORDER BY product

-- name: facts_of_invoice
SELECT row_to_json(fact)::text FROM invoice AS fact WHERE book_id = $1 AND transaction_id < $2 ORDER BY invoice_id

-- name: facts_of_invoice_line
SELECT row_to_json(fact)::text FROM invoice_line AS fact
WHERE book_id = $1 AND EXISTS (
    SELECT FROM invoice
    WHERE (invoice.book_id, invoice.invoice_id) = (fact.book_id, fact.invoice_id) AND transaction_id < $2)
ORDER BY invoice_id, position

-- name: facts_of_invoice_issue
SELECT row_to_json(fact)::text FROM invoice_issue AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY invoice_id

-- name: facts_of_payment
SELECT row_to_json(fact)::text FROM payment AS fact WHERE book_id = $1 AND transaction_id < $2 ORDER BY payment_id

-- name: facts_of_payment_step
SELECT row_to_json(fact)::text FROM payment_step AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY payment_id, step

-- name: facts_of_receipt
SELECT row_to_json(fact)::text FROM receipt AS fact WHERE book_id = $1 AND transaction_id < $2 ORDER BY receipt_id

-- name: facts_of_api_key
SELECT row_to_json(fact)::text FROM api_key AS fact WHERE book_id = $1 AND transaction_id < $2 ORDER BY key_id

-- name: facts_of_api_key_revocation
SELECT row_to_json(fact)::text FROM api_key_revocation AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY key_id

-- name: facts_of_credit_unit
SELECT row_to_json(fact)::text FROM credit_unit AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY asset_id, meter

-- name: facts_of_credit_grant
SELECT row_to_json(fact)::text FROM credit_grant AS fact WHERE book_id = $1 AND transaction_id < $2 ORDER BY grant_id

-- name: facts_of_credit_use
SELECT row_to_json(fact)::text FROM credit_use AS fact WHERE book_id = $1 AND transaction_id < $2 ORDER BY transfer_id

-- name: facts_of_credit_end
SELECT row_to_json(fact)::text FROM credit_end AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY grant_id, for_good

-- name: facts_of_wallet_threshold
SELECT row_to_json(fact)::text FROM wallet_threshold AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY transaction_id, message_place

-- name: facts_of_wallet_low
SELECT row_to_json(fact)::text FROM wallet_low AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY transaction_id, customer_id, asset_id

-- name: facts_of_tax_rate
SELECT row_to_json(fact)::text FROM tax_rate AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY transaction_id, message_place

-- name: facts_of_tax_rounding
SELECT row_to_json(fact)::text FROM tax_rounding AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY transaction_id, message_place

-- name: facts_of_tax_category
SELECT row_to_json(fact)::text FROM tax_category AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY transaction_id, message_place

-- name: facts_of_tax_customer
SELECT row_to_json(fact)::text FROM tax_customer AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY transaction_id, message_place

-- name: facts_of_tax_answer
SELECT row_to_json(fact)::text FROM tax_answer AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY transaction_id, message_place, reference

-- name: facts_of_invoice_tax
SELECT row_to_json(fact)::text FROM invoice_tax AS fact
WHERE book_id = $1 AND EXISTS (
    SELECT FROM invoice
    WHERE (invoice.book_id, invoice.invoice_id) = (fact.book_id, fact.invoice_id) AND transaction_id < $2)
ORDER BY invoice_id, position

-- name: facts_of_plan_version
SELECT row_to_json(fact)::text FROM plan_version AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY plan, effective_at

-- name: facts_of_subscription
SELECT row_to_json(fact)::text FROM subscription AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY subscription_id

-- name: facts_of_subscription_revision
SELECT row_to_json(fact)::text FROM subscription_revision AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY subscription_id, revision

-- name: facts_of_subscription_span
SELECT row_to_json(fact)::text FROM subscription_span AS fact
WHERE book_id = $1 AND EXISTS (
    SELECT FROM subscription_revision AS made
    WHERE (made.book_id, made.subscription_id, made.revision) = (fact.book_id, fact.subscription_id, fact.revision)
      AND transaction_id < $2)
ORDER BY subscription_id, revision, during

-- name: facts_of_subscription_bill
SELECT row_to_json(fact)::text FROM subscription_bill AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY subscription_id, due_at

-- name: facts_of_usage_correction
SELECT row_to_json(fact)::text FROM usage_correction AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY transaction_id, message_place, event_key

-- name: facts_of_usage_event
SELECT row_to_json(event)::text
FROM usage_correction AS made
CROSS JOIN LATERAL usage_rows(made.book_id, made.event_key) AS event
WHERE made.book_id = $1 AND made.transaction_id < $2 AND event.transaction_id = made.transaction_id
  AND event.message_place = made.message_place
ORDER BY event.transaction_id, event.message_place, event.event_key, event.sign

-- name: facts_of_usage_retention
SELECT row_to_json(fact)::text FROM usage_retention AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY transaction_id, message_place

-- name: facts_of_event
SELECT row_to_json(fact)::text FROM event AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY transaction_id, message_place, position

-- name: facts_of_webhook_endpoint
SELECT row_to_json(fact)::text FROM webhook_endpoint AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY transaction_id, message_place

-- name: facts_of_party
SELECT row_to_json(fact)::text FROM party AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY transaction_id, message_place

-- name: facts_of_invoice_request
SELECT row_to_json(fact)::text FROM invoice_request AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY invoice_id

-- name: facts_of_invoice_series
SELECT row_to_json(fact)::text FROM invoice_series AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY product, kind, transaction_id, message_place

-- name: facts_of_invoice_state
SELECT row_to_json(fact)::text FROM invoice_state AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY invoice_id, transaction_id, message_place, state

-- name: facts_of_credit_note
SELECT row_to_json(fact)::text FROM credit_note AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY credit_note_id

-- name: facts_of_credit_note_line
SELECT row_to_json(fact)::text FROM credit_note_line AS fact
WHERE book_id = $1 AND EXISTS (
    SELECT FROM credit_note AS note
    WHERE (note.book_id, note.credit_note_id) = (fact.book_id, fact.credit_note_id) AND transaction_id < $2)
ORDER BY credit_note_id, position

-- name: facts_of_credit_note_tax
SELECT row_to_json(fact)::text FROM credit_note_tax AS fact
WHERE book_id = $1 AND EXISTS (
    SELECT FROM credit_note AS note
    WHERE (note.book_id, note.credit_note_id) = (fact.book_id, fact.credit_note_id) AND transaction_id < $2)
ORDER BY credit_note_id, position

-- name: facts_of_allocation_policy
SELECT row_to_json(fact)::text FROM allocation_policy AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY transaction_id, message_place

-- name: facts_of_repayment
SELECT row_to_json(fact)::text FROM repayment AS fact WHERE book_id = $1 AND transaction_id < $2 ORDER BY repayment_id

-- name: facts_of_repayment_allocation
SELECT row_to_json(fact)::text FROM repayment_allocation AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY transfer_id

-- name: facts_of_repayment_return
SELECT row_to_json(fact)::text FROM repayment_return AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY return_id

-- name: facts_of_allocation_undo
SELECT row_to_json(fact)::text FROM allocation_undo AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY transfer_id

-- name: facts_of_debit_agreement
SELECT row_to_json(fact)::text FROM debit_agreement AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY customer_id, transaction_id, message_place

-- name: facts_of_charge_retry_policy
SELECT row_to_json(fact)::text FROM charge_retry_policy AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY transaction_id, message_place

-- name: facts_of_charge
SELECT row_to_json(fact)::text FROM charge AS fact WHERE book_id = $1 AND transaction_id < $2 ORDER BY charge_id

-- name: facts_of_charge_invoice
SELECT row_to_json(fact)::text FROM charge_invoice AS fact JOIN charge USING (book_id, charge_id)
WHERE book_id = $1 AND transaction_id < $2 ORDER BY charge_id, invoice_id

-- name: facts_of_charge_outcome
SELECT row_to_json(fact)::text FROM charge_outcome AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY charge_id

-- name: facts_of_alert_rule
SELECT row_to_json(fact)::text FROM alert_rule AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY transaction_id, message_place, rule

-- name: facts_of_alert
SELECT row_to_json(fact)::text FROM alert AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY transaction_id, message_place, rule, customer

-- name: facts_of_slip
SELECT row_to_json(fact)::text FROM slip AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY slip_id

-- name: facts_of_slip_invoice
SELECT row_to_json(fact)::text FROM slip_invoice AS fact JOIN slip USING (book_id, slip_id)
WHERE book_id = $1 AND transaction_id < $2 ORDER BY slip_id, invoice_id

-- name: facts_of_slip_notice
SELECT row_to_json(fact)::text FROM slip_notice AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY reference

-- name: facts_of_slip_withdrawal
SELECT row_to_json(fact)::text FROM slip_withdrawal AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY reference

-- name: facts_of_slip_settlement
SELECT row_to_json(fact)::text FROM slip_settlement AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY reference

-- name: facts_of_slip_cancellation
SELECT row_to_json(fact)::text FROM slip_cancellation AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY slip_id

-- name: facts_of_dunning_rules
SELECT row_to_json(fact)::text FROM dunning_rules AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY transaction_id, message_place

-- name: facts_of_reminder
SELECT row_to_json(fact)::text FROM reminder AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY invoice_id, level

-- name: facts_of_batch_run
SELECT row_to_json(fact)::text FROM batch_run AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY run_id

-- name: facts_of_batch_run_note
SELECT row_to_json(fact)::text FROM batch_run_note AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY transaction_id, message_place

-- name: facts_of_bank_file
SELECT row_to_json(fact)::text FROM bank_file AS fact WHERE book_id = $1 AND transaction_id < $2 ORDER BY file_id

-- name: facts_of_charge_sent
SELECT row_to_json(fact)::text FROM charge_sent AS fact JOIN bank_file USING (book_id, file_id)
WHERE book_id = $1 AND transaction_id < $2 ORDER BY charge_id

-- name: facts_of_bank_statement
SELECT row_to_json(fact)::text FROM bank_statement AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY statement_id

-- name: facts_of_bank_entry
SELECT row_to_json(fact)::text FROM bank_entry AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY statement_id, position

-- name: facts_of_bank_match
SELECT row_to_json(fact)::text FROM bank_match AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY statement_id, position, transaction_id

-- name: facts_of_payout_report
SELECT row_to_json(fact)::text FROM payout_report AS fact WHERE book_id = $1 AND transaction_id < $2 ORDER BY payout_id

-- name: facts_of_payout_line
SELECT row_to_json(fact)::text FROM payout_line AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY payout_id, position

-- name: facts_of_payout
SELECT row_to_json(fact)::text FROM payout AS fact WHERE book_id = $1 AND transaction_id < $2 ORDER BY payout_id

-- name: facts_of_payout_step
SELECT row_to_json(fact)::text FROM payout_step AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY payout_id, step, transaction_id

-- name: facts_of_payout_match
SELECT row_to_json(fact)::text FROM payout_match AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY payout_id, position, nth

-- name: facts_of_payout_match_undo
SELECT row_to_json(fact)::text FROM payout_match_undo AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY payout_id, position, nth

-- name: facts_of_provider_event
SELECT row_to_json(fact)::text FROM provider_event AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY provider, event_id

-- name: facts_of_refund
SELECT row_to_json(fact)::text FROM refund AS fact WHERE book_id = $1 AND transaction_id < $2 ORDER BY refund_id

-- name: facts_of_refund_step
SELECT row_to_json(fact)::text FROM refund_step AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY refund_id, step

-- name: facts_of_dispute
SELECT row_to_json(fact)::text FROM dispute AS fact WHERE book_id = $1 AND transaction_id < $2 ORDER BY dispute_id

-- name: facts_of_dispute_end
SELECT row_to_json(fact)::text FROM dispute_end AS fact WHERE book_id = $1 AND transaction_id < $2 ORDER BY dispute_id

-- name: facts_of_late_capture
SELECT row_to_json(fact)::text FROM late_capture AS fact WHERE book_id = $1 AND transaction_id < $2 ORDER BY payment_id

-- name: facts_of_payout_arrival_undo
SELECT row_to_json(fact)::text FROM payout_arrival_undo AS fact
WHERE book_id = $1 AND transaction_id < $2 ORDER BY statement_id, position, of_transaction
