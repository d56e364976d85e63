-- name: insert_zone
INSERT INTO billing_zone (book_id, product, zone, transaction_id, message_place, set_at)
VALUES ($1, $2, $3, transaction_order(), $4, $5)
ON CONFLICT (book_id, product) DO NOTHING

-- name: find_zone
SELECT zone FROM billing_zone WHERE book_id = $1 AND product = $2

-- name: read_order
SELECT settled_horizon(), transaction_order()

-- name: has_unsettled
SELECT EXISTS (
    SELECT FROM message WHERE book_id = $1 AND transaction_id >= $2 AND transaction_id < $3
) AND EXISTS (
    SELECT FROM usage_event
    WHERE book_id = $1 AND transaction_id >= $2 AND transaction_id < $3
      AND customer_id = ANY ($4::bigint[]) AND occurred_at >= $5 AND occurred_at < $6
)

-- name: count_late
SELECT count(*) FROM usage_event AS event
WHERE event.book_id = $1 AND occurred_at >= $3 AND occurred_at < $4
  AND event.transaction_id >= (
      SELECT min(usage_through) FROM invoice WHERE book_id = $1 AND product = $2 AND period_start = $3)
  AND EXISTS (
      SELECT FROM message
      WHERE message.book_id = $1 AND operation = 'usage.record' AND message.transaction_id >= (
          SELECT min(usage_through) FROM invoice WHERE book_id = $1 AND product = $2 AND period_start = $3))
  AND EXISTS (
      SELECT FROM invoice
      JOIN price USING (book_id, product, asset_id)
      JOIN meter ON meter.book_id = price.book_id AND meter.code = price.meter
      WHERE invoice.book_id = $1 AND product = $2 AND period_start = $3 AND invoice.customer_id = event.customer_id
        AND event.transaction_id >= usage_through AND price.effective_at <= occurred_at
        AND meter.event_type = event.type AND (meter.quantity IS NULL OR quantities ? meter.quantity))

-- name: customer_exists
SELECT EXISTS (SELECT FROM customer WHERE book_id = $1 AND customer_id = $2)

-- name: invoice_exists
SELECT EXISTS (SELECT FROM invoice WHERE book_id = $1 AND invoice_id = $2)

-- name: event_exists
SELECT EXISTS (SELECT FROM usage_event WHERE book_id = $1 AND event_key = $2)

-- name: find_customers
SELECT customer_id, ref FROM customer WHERE book_id = $1 AND ref = ANY ($2::text[]) ORDER BY customer_id

-- name: find_drafted
SELECT customer_id, asset_id FROM invoice
WHERE book_id = $1 AND customer_id = ANY ($2::bigint[]) AND product = $3 AND period_start = $4

-- name: insert_invoices
INSERT INTO invoice (book_id, invoice_id, customer_id, product, period_start, period_end, asset_id, total, terms_days,
                     usage_through, transaction_id, message_place, drafted_at)
SELECT $1, given.invoice_id, given.customer_id, $6, $7, $8, given.asset_id, given.total, $9,
       $10, (SELECT transaction_order()), $11, $12
FROM unnest($2::uuid[], $3::bigint[], $4::integer[], $5::bigint[])
     WITH ORDINALITY AS given (invoice_id, customer_id, asset_id, total, place)
ORDER BY given.place
ON CONFLICT DO NOTHING
RETURNING invoice_id

-- name: insert_lines
INSERT INTO invoice_line (book_id, invoice_id, position, product, charge, price_at, meter, period_start, period_end,
                          events, quantity, amount, detail)
SELECT $1, given.invoice_id, given.position, $2, given.charge, given.price_at, given.meter, given.period_start,
       given.period_end, given.events, given.quantity, given.amount, given.detail::jsonb
FROM unnest($3::uuid[], $4::integer[], $5::text[], $6::timestamptz[], $7::text[], $8::timestamptz[], $9::timestamptz[],
            $10::bigint[], $11::numeric[], $12::bigint[], $13::text[])
     AS given (invoice_id, position, charge, price_at, meter, period_start, period_end, events, quantity, amount, detail)

-- name: lock_series
INSERT INTO number_series (book_id, series, last) VALUES ($1, $2, 0)
ON CONFLICT (book_id, series) DO UPDATE SET last = number_series.last

-- name: take_numbers
UPDATE number_series SET last = last + $3 WHERE book_id = $1 AND series = $2 RETURNING last

-- name: page_drafts
SELECT invoice_id, asset.code, asset_id, total, terms_days
FROM invoice JOIN asset USING (book_id, asset_id)
WHERE book_id = $1 AND period_start = $2 AND product = $3
  AND ($4::uuid IS NULL OR (customer_id, asset_id) > (
      SELECT customer_id, asset_id FROM invoice AS cursor WHERE cursor.book_id = $1 AND cursor.invoice_id = $4))
  AND NOT EXISTS (SELECT FROM invoice_issue
                  WHERE invoice_issue.book_id = $1 AND invoice_issue.invoice_id = invoice.invoice_id)
ORDER BY customer_id, asset_id LIMIT $5

-- name: insert_issues
INSERT INTO invoice_issue (book_id, invoice_id, series, number, account_id, transfer_id, due_on,
                           transaction_id, message_place, issued_at)
SELECT $1, given.invoice_id, $2, given.number, given.account_id, given.transfer_id, given.due_on,
       (SELECT transaction_order()), $3, $4
FROM unnest($5::uuid[], $6::bigint[], $7::bigint[], $8::uuid[], $9::date[])
     AS given (invoice_id, number, account_id, transfer_id, due_on)

-- name: find_invoices
SELECT invoice_id, customer.ref, product, asset.code, asset.exponent::integer, period_start, period_end, total,
       usage_through, drafted_at, series, number, due_on, issued_at, invoice_issue.account_id, transfer_id,
       owed.debits - owed.credits
FROM unnest($2::uuid[]) WITH ORDINALITY AS wanted (invoice_id, place)
JOIN invoice USING (invoice_id)
JOIN customer USING (book_id, customer_id)
JOIN asset USING (book_id, asset_id)
LEFT JOIN invoice_issue USING (book_id, invoice_id)
LEFT JOIN LATERAL account_sums(invoice_issue.book_id, invoice_issue.account_id) AS owed ON true
WHERE book_id = $1
ORDER BY place

-- name: find_account
SELECT account_id, asset_id, asset.code,
       owed.debits - owed.credits
FROM invoice
JOIN asset USING (book_id, asset_id)
LEFT JOIN invoice_issue USING (book_id, invoice_id)
LEFT JOIN LATERAL account_sums(invoice_issue.book_id, invoice_issue.account_id) AS owed ON true
WHERE book_id = $1 AND invoice_id = $2

-- name: find_lines
SELECT invoice_id, position, invoice_line.charge, price.name, price_at, invoice_line.meter, period_start, period_end,
       events, quantity, amount, detail::text
FROM invoice_line
JOIN price ON price.book_id = invoice_line.book_id AND price.product = invoice_line.product
    AND price.charge = invoice_line.charge AND price.effective_at = price_at
WHERE invoice_line.book_id = $1 AND invoice_id = ANY ($2::uuid[])
ORDER BY invoice_id, position

-- name: page_invoices
SELECT invoice_id FROM invoice
WHERE book_id = $1
  AND ($2::text IS NULL OR customer_id = (SELECT customer_id FROM customer WHERE customer.book_id = $1 AND ref = $2))
  AND ($3::timestamptz IS NULL OR period_start = $3)
  AND ($4::uuid IS NULL OR (period_start, customer_id, product, asset_id) > (
      SELECT period_start, customer_id, product, asset_id FROM invoice AS cursor
      WHERE cursor.book_id = $1 AND cursor.invoice_id = $4))
ORDER BY period_start, customer_id, product, asset_id LIMIT $5

-- name: find_covered
SELECT customer_id, usage_through, invoice_line.period_start, invoice_line.period_end, event_type, meter.quantity
FROM invoice_line
JOIN invoice USING (book_id, invoice_id)
LEFT JOIN meter ON meter.book_id = invoice_line.book_id AND meter.code = invoice_line.meter
WHERE invoice_line.book_id = $1 AND invoice_id = $2 AND position = $3

-- name: page_events
SELECT event_key, source, event_id, type, occurred_at, quantities::text, message.key
FROM usage_event
LEFT JOIN message ON message.book_id = usage_event.book_id AND message.transaction_id = usage_event.transaction_id
    AND message.place = usage_event.message_place
WHERE usage_event.book_id = $1 AND customer_id = $2 AND usage_event.transaction_id < $3
  AND occurred_at >= $4 AND occurred_at < $5 AND type = $6 AND ($7::text IS NULL OR quantities ? $7::text)
  AND ($8::uuid IS NULL OR (occurred_at, event_key) > (
      SELECT occurred_at, event_key FROM usage_event AS cursor WHERE cursor.book_id = $1 AND cursor.event_key = $8))
ORDER BY occurred_at, event_key LIMIT $9
