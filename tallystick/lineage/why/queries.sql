-- name: find_known
SELECT event_key, ref, occurred_at,
       EXISTS (SELECT FROM usage_months_away($1, occurred_at, occurred_at + interval '1 microsecond'))
FROM usage_key JOIN customer USING (book_id, customer_id)
WHERE book_id = $1 AND event_key = ANY ($2::uuid[])
LIMIT 1

-- name: event_rows
SELECT sign::integer, type, source, event_id, quantities::text, dimensions::text, message.recorded_at, message.key,
       message.principal, convert_from(message.body, 'UTF8')::jsonb #>> '{input,door}'
FROM usage_rows($1, $2) AS event
LEFT JOIN message ON message.book_id = $1 AND message.transaction_id = event.transaction_id
    AND message.place = event.message_place
ORDER BY event.transaction_id, event.message_place, sign

-- name: corrections_of
SELECT kind, reason, corrected_at, message.key, message.principal
FROM usage_correction AS correction
LEFT JOIN message ON message.book_id = $1 AND message.transaction_id = correction.transaction_id
    AND message.place = correction.message_place
WHERE correction.book_id = $1 AND correction.event_key = $2
ORDER BY correction.transaction_id, correction.message_place

-- name: conflicts_of
SELECT field, said::text, reported_at, message.key, message.principal,
       convert_from(message.body, 'UTF8')::jsonb #>> '{input,door}'
FROM usage_conflict AS conflict
LEFT JOIN message ON message.book_id = $1 AND message.transaction_id = conflict.transaction_id
    AND message.place = conflict.message_place
WHERE conflict.book_id = $1 AND conflict.event_key = $2
ORDER BY conflict.transaction_id, conflict.message_place, position
LIMIT 100

-- name: refusals_of
SELECT refused.event_key, reason, judged_at, message.key, message.principal,
       convert_from(message.body, 'UTF8')::jsonb #>> '{input,door}', (
           SELECT rule::text FROM billable_rule
           WHERE billable_rule.book_id = $1
             AND (billable_rule.transaction_id, billable_rule.message_place) < (refused.transaction_id, refused.message_place)
           ORDER BY billable_rule.transaction_id DESC, billable_rule.message_place DESC LIMIT 1)
FROM usage_not_billable AS refused
LEFT JOIN LATERAL (
    SELECT key, principal, body FROM message
    WHERE book_id = $1 AND message.transaction_id = refused.transaction_id AND message.place = refused.message_place OFFSET 0
) AS message ON true
WHERE refused.book_id = $1 AND refused.event_key = ANY ($2::uuid[])
ORDER BY refused.transaction_id, refused.message_place
LIMIT 100

-- name: meters_of
SELECT code, name, aggregation, quantity
FROM meter
WHERE book_id = $1 AND event_type = $2 AND (quantity IS NULL OR $3::text::jsonb ? quantity)
  AND (aggregation <> 'unique' OR $4::text::jsonb ? dimension) AND usage_matches($4::text::jsonb, filters)
ORDER BY code COLLATE "C"

-- name: lines_of
SELECT line.invoice_id, line.position
FROM usage_key AS known
JOIN invoice ON invoice.book_id = $1 AND invoice.customer_id = known.customer_id AND invoice.period_end > known.occurred_at
JOIN invoice_line AS line ON line.book_id = $1 AND line.invoice_id = invoice.invoice_id
    AND known.occurred_at >= line.period_start AND known.occurred_at < line.period_end AND line.meter IS NOT NULL
WHERE known.book_id = $1 AND known.event_key = $2
  AND ($3 OR covers_usage($1, $2, usage_through, (detail ->> 'covers_from')::bigint, line.meter))
ORDER BY invoice.period_start, line.invoice_id, line.position

-- name: payments_of
SELECT invoice_id, payment_id, amount, provider, (
           SELECT step FROM payment_step WHERE payment_step.book_id = $1 AND payment_step.payment_id = payment.payment_id
           ORDER BY transaction_id DESC, message_place DESC LIMIT 1), started_at, receipt_id, issued_at
FROM payment LEFT JOIN receipt USING (book_id, payment_id)
WHERE book_id = $1 AND invoice_id = ANY ($2::uuid[])
ORDER BY payment.transaction_id, payment.message_place

-- name: months_of
SELECT step, at, file FROM usage_month_event
WHERE book_id = $1 AND month = date_trunc('month', $2::timestamptz AT TIME ZONE 'UTC')::date
ORDER BY transaction_id, message_place

-- name: invoiced_month
SELECT EXISTS (
    SELECT FROM usage_key AS known
    JOIN invoice ON invoice.book_id = $1 AND invoice.customer_id = known.customer_id
        AND known.occurred_at >= invoice.period_start AND known.occurred_at < invoice.period_end
    WHERE known.book_id = $1 AND known.event_key = $2)

-- name: priced_meters
SELECT DISTINCT meter FROM price WHERE book_id = $1 AND meter = ANY ($2::text[]) AND effective_at <= $3
