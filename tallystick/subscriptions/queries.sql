-- name: make_customer
INSERT INTO customer (book_id, customer_id, ref, transaction_id, created_at)
VALUES ($1, nextval('customer_number'), $2, transaction_order(), $3)
ON CONFLICT ON CONSTRAINT customer_once DO NOTHING

-- name: find_customer
SELECT customer_id FROM customer WHERE book_id = $1 AND ref = $2

-- name: insert_subscription
INSERT INTO subscription (book_id, subscription_id, customer_id, start_at, transaction_id, message_place, created_at)
VALUES ($1, $2, $3, $4, transaction_order(), $5, $6)
ON CONFLICT ON CONSTRAINT subscription_once DO NOTHING

-- name: insert_revision
INSERT INTO subscription_revision (book_id, subscription_id, revision, kind, effective_at, differs_from, rests_on,
                                   transaction_id, message_place, revised_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, transaction_order(), $8, $9)

-- name: insert_spans
INSERT INTO subscription_span (book_id, subscription_id, revision, during, plan, version_at, phase, quantity, paused, cycle)
SELECT $1, $2, $3, tstzrange(given.start_at, given.end_at), given.plan, given.version_at, given.phase, given.quantity,
       given.paused, given.cycle::jsonb
FROM unnest($4::timestamptz[], $5::timestamptz[], $6::text[], $7::timestamptz[], $8::text[], $9::bigint[], $10::boolean[],
            $11::text[])
     AS given (start_at, end_at, plan, version_at, phase, quantity, paused, cycle)

-- name: set_due
INSERT INTO subscription_due (book_id, subscription_id, due_at)
SELECT $1, given.subscription_id, given.due_at
FROM unnest($2::text[], $3::timestamptz[]) AS given (subscription_id, due_at)
ON CONFLICT (book_id, subscription_id) DO UPDATE SET due_at = excluded.due_at

-- name: lock_due
SELECT subscription_id FROM subscription_due
WHERE book_id = $1 AND subscription_id = ANY ($2::text[]) ORDER BY subscription_id COLLATE "C" FOR UPDATE

-- name: take_due
SELECT subscription_id FROM subscription_due
WHERE book_id = $1 AND due_at <= $2 AND subscription_id > $3 COLLATE "C"
ORDER BY subscription_id COLLATE "C" LIMIT $4 FOR UPDATE

-- name: find_subscriptions
SELECT subscription.subscription_id, subscription.customer_id, customer.ref, subscription.start_at, newest.revision,
       newest.kind, newest.effective_at, newest.differs_from, newest.rests_on, newest.revised_at, due.due_at, bill.due_at,
       bill.revision, bill.invoice_id, bill.carried, bill.carried_from, bill.usage_through
FROM subscription
JOIN customer USING (book_id, customer_id)
JOIN LATERAL (
    SELECT * FROM subscription_revision AS revision
    WHERE (revision.book_id, revision.subscription_id) = (subscription.book_id, subscription.subscription_id)
    ORDER BY revision DESC LIMIT 1) AS newest ON true
LEFT JOIN subscription_due AS due
    ON (due.book_id, due.subscription_id) = (subscription.book_id, subscription.subscription_id)
LEFT JOIN LATERAL (
    SELECT * FROM subscription_bill AS billed
    WHERE (billed.book_id, billed.subscription_id) = (subscription.book_id, subscription.subscription_id)
    ORDER BY due_at DESC LIMIT 1) AS bill ON true
WHERE subscription.book_id = $1 AND subscription.subscription_id = ANY ($2::text[])
ORDER BY subscription.subscription_id COLLATE "C"

-- name: find_spans
SELECT wanted.subscription_id, lower(during), upper(during), plan, version_at, phase, quantity, paused, cycle::text
FROM unnest($2::text[], $3::integer[]) AS wanted (subscription_id, revision)
CROSS JOIN LATERAL (
    SELECT during, plan, version_at, phase, quantity, paused, cycle FROM subscription_span AS span
    WHERE book_id = $1 AND span.subscription_id = wanted.subscription_id AND span.revision = wanted.revision OFFSET 0
) AS span
ORDER BY wanted.subscription_id, during

-- name: find_revision
SELECT revision, kind, effective_at, differs_from, rests_on, revised_at FROM subscription_revision
WHERE book_id = $1 AND subscription_id = $2 AND revision = $3

-- name: list_revisions
SELECT revision, kind, effective_at, differs_from, rests_on, revised_at FROM subscription_revision
WHERE book_id = $1 AND subscription_id = $2 ORDER BY revision

-- name: changed_from
SELECT wanted.subscription_id, min(differs_from)
FROM unnest($2::text[], $3::integer[]) AS wanted (subscription_id, revision)
CROSS JOIN LATERAL (
    SELECT differs_from FROM subscription_revision AS newer
    WHERE book_id = $1 AND newer.subscription_id = wanted.subscription_id AND newer.revision > wanted.revision OFFSET 0
) AS newer
GROUP BY 1

-- name: page_subscriptions
SELECT subscription_id FROM subscription
WHERE book_id = $1 AND subscription_id > $2 COLLATE "C"
  AND ($3::text IS NULL OR customer_id = (SELECT customer_id FROM customer WHERE customer.book_id = $1 AND ref = $3))
ORDER BY subscription_id COLLATE "C" LIMIT $4

-- name: late_from
SELECT wanted.subscription_id, (
    SELECT min(occurred_at) FROM usage_event
    WHERE usage_event.book_id = $1 AND usage_event.customer_id = wanted.customer_id
      AND occurred_at < wanted.billed_until AND transaction_id >= wanted.usage_through AND transaction_id < $6)
FROM unnest($2::text[], $3::bigint[], $4::timestamptz[], $5::bigint[])
     AS wanted (subscription_id, customer_id, billed_until, usage_through)

-- name: find_billed
SELECT wanted.subscription_id, line.invoice_id, line.position, line.product, line.charge, line.price_at, line.meter,
       line.period_start, line.period_end, line.events, line.quantity, line.amount, line.adjusts_invoice,
       line.adjusts_position, line.detail ->> 'explanation', bill.usage_through, coalesce((line.detail ->> 'covered')::numeric, 0)
       - coalesce((line.detail ->> 'returned')::numeric, 0)
FROM unnest($2::text[], $3::timestamptz[]) AS wanted (subscription_id, from_at)
CROSS JOIN LATERAL (
    SELECT invoice_id, due_at, usage_through FROM subscription_bill AS bill
    WHERE book_id = $1 AND bill.subscription_id = wanted.subscription_id OFFSET 0
) AS bill
CROSS JOIN LATERAL (
    SELECT * FROM invoice_line WHERE book_id = $1 AND invoice_line.invoice_id = bill.invoice_id OFFSET 0
) AS line
LEFT JOIN LATERAL (
    SELECT period_start FROM invoice_line AS corrected
    WHERE book_id = $1 AND corrected.invoice_id = line.adjusts_invoice AND corrected.position = line.adjusts_position
    OFFSET 0
) AS corrected ON line.adjusts_invoice <> line.invoice_id
WHERE coalesce(corrected.period_start, line.period_start) >= wanted.from_at
ORDER BY wanted.subscription_id, due_at, line.position

-- name: insert_bills
INSERT INTO subscription_bill (book_id, subscription_id, due_at, revision, invoice_id, carried, carried_from, usage_through,
                               transaction_id, message_place, billed_at)
SELECT $1, given.subscription_id, given.due_at, given.revision, given.invoice_id, given.carried, given.carried_from, $8,
       (SELECT transaction_order()), $9, $10
FROM unnest($2::text[], $3::timestamptz[], $4::integer[], $5::uuid[], $6::bigint[], $7::timestamptz[])
     AS given (subscription_id, due_at, revision, invoice_id, carried, carried_from)

-- name: find_assets
SELECT asset_id, code, exponent::integer FROM asset WHERE book_id = $1 AND code = ANY ($2::text[])

-- name: insert_waiting
INSERT INTO subscription_waiting (book_id, plan, period_start, invoice_id)
SELECT book_id, product, period_start, invoice_id FROM invoice WHERE book_id = $1 AND invoice_id = ANY ($2::uuid[])
ON CONFLICT DO NOTHING

-- name: first_waiting
SELECT plan FROM subscription_waiting WHERE book_id = $1 ORDER BY plan LIMIT 1

-- name: page_waiting
SELECT invoice_id FROM subscription_waiting
WHERE book_id = $1 AND plan = $2 ORDER BY period_start, invoice_id LIMIT $3

-- name: end_waiting
DELETE FROM subscription_waiting
WHERE book_id = $1 AND plan = $2 AND invoice_id = ANY ($3::uuid[]) AND (EXISTS (
    SELECT FROM invoice_issue
    WHERE invoice_issue.book_id = $1 AND invoice_issue.invoice_id = subscription_waiting.invoice_id OFFSET 0)
OR EXISTS (
    SELECT FROM invoice_state AS ended
    WHERE ended.book_id = $1 AND ended.invoice_id = subscription_waiting.invoice_id AND ended.state = 'void' OFFSET 0))

-- name: read_horizon
SELECT settled_horizon(), transaction_order()

-- name: ended_with_late
SELECT due.subscription_id, greatest($3, bill.due_at + interval '1 microsecond')
FROM subscription_due AS due
JOIN subscription
    ON (subscription.book_id, subscription.subscription_id) = (due.book_id, due.subscription_id)
JOIN LATERAL (
    SELECT due_at, usage_through FROM subscription_bill AS billed
    WHERE (billed.book_id, billed.subscription_id) = (due.book_id, due.subscription_id)
    ORDER BY billed.due_at DESC LIMIT 1) AS bill ON true
WHERE due.book_id = $1 AND due.due_at IS NULL
  AND CASE WHEN $2::text[] IS NULL THEN bill.due_at >= $4 ELSE due.subscription_id = ANY ($2) END
  AND EXISTS (
      SELECT FROM usage_event
      WHERE usage_event.book_id = $1 AND usage_event.customer_id = subscription.customer_id
        AND occurred_at >= subscription.start_at AND occurred_at < bill.due_at
        AND usage_event.transaction_id >= bill.usage_through AND usage_event.transaction_id < settled_horizon())
ORDER BY due.subscription_id COLLATE "C"
