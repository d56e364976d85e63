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
SELECT count(DISTINCT event_key) FROM usage_event AS event
WHERE event.book_id = $1 AND occurred_at >= $3 AND occurred_at < $4
  AND event.transaction_id >= (
      SELECT min(usage_through) FROM invoice WHERE book_id = $1 AND product = $2 AND period_start = $3)
  AND EXISTS (
      SELECT FROM message
      WHERE message.book_id = $1 AND operation IN ('usage.record', 'usage.amend', 'usage.void')
        AND message.transaction_id >= (
            SELECT min(usage_through) FROM invoice WHERE book_id = $1 AND product = $2 AND period_start = $3))
  AND EXISTS (
      SELECT FROM invoice
      JOIN price USING (book_id, product, asset_id)
      JOIN meter ON meter.book_id = price.book_id AND meter.code = price.meter
      WHERE invoice.book_id = $1 AND product = $2 AND period_start = $3 AND invoice.customer_id = event.customer_id
        AND price.effective_at <= occurred_at AND price.transaction_id < usage_through
        AND meter.event_type = event.type AND (meter.quantity IS NULL OR quantities ? meter.quantity)
        AND usage_matches(dimensions, filters)
        AND event.transaction_id >= (
            SELECT max(later.usage_through) FROM invoice AS later
            WHERE later.book_id = $1 AND later.customer_id = event.customer_id AND later.product = $2
              AND later.asset_id = invoice.asset_id))

-- name: find_late
SELECT customer_id, asset_id, invoice_id, period_start, period_end, usage_through, min(occurred_at), max(occurred_at)
FROM late_usage($1, $2, $3::bigint[], 0, 9223372036854775807, $4)
GROUP BY 1, 2, 3, 4, 5, 6

-- name: find_late_customers
SELECT customer_id, ref FROM customer
WHERE book_id = $1 AND customer_id IN (SELECT late.customer_id FROM late_usage($1, $2, NULL, $3, $4, $5) AS late)
ORDER BY customer_id

-- name: find_carrying
SELECT customer_id, asset_id, adjusts_invoice, adjusts_position
FROM invoice CROSS JOIN LATERAL (
    SELECT adjusts_invoice, adjusts_position FROM invoice_line
    WHERE book_id = $1 AND invoice_line.invoice_id = invoice.invoice_id AND detail ? 'carried_over' OFFSET 0
) AS line
WHERE book_id = $1 AND product = $2 AND customer_id = ANY ($3::bigint[])
  AND usage_through = (
      SELECT max(later.usage_through) FROM (
          SELECT asset_id, usage_through FROM invoice AS later
          WHERE book_id = $1 AND later.customer_id = invoice.customer_id AND later.product = $2 OFFSET 0
      ) AS later
      WHERE later.asset_id = invoice.asset_id)

-- name: lock_adjustments
SELECT pg_advisory_xact_lock(hashtextextended('tallystick.adjustments.' || $2, $1))

-- name: find_billed
SELECT customer_id, asset_id, invoice.invoice_id, position, charge, price_at, line.period_start, line.period_end,
       usage_through, line.events, line.quantity, line.amount, detail ->> 'share',
       coalesce((detail ->> 'covered')::numeric, 0) - coalesce(more.returned, 0), series, number, more.events,
       more.quantity, more.amount, more.through, coalesce(whole.starts, invoice.period_start),
       coalesce(whole.ends, invoice.period_end)
FROM invoice
CROSS JOIN LATERAL (
    SELECT * FROM invoice_line WHERE book_id = $1 AND invoice_line.invoice_id = invoice.invoice_id OFFSET 0
) AS line
LEFT JOIN LATERAL (
    SELECT series, number FROM invoice_issue WHERE book_id = $1 AND invoice_issue.invoice_id = invoice.invoice_id OFFSET 0
) AS issue ON true
LEFT JOIN LATERAL (
    SELECT sum(adjusting.events)::bigint AS events, sum(adjusting.quantity) AS quantity,
           sum(adjusting.amount)::bigint AS amount, max(of_it.usage_through) AS through,
           sum((adjusting.detail ->> 'returned')::numeric) AS returned
    FROM invoice_line AS adjusting CROSS JOIN LATERAL (
        SELECT usage_through FROM invoice WHERE book_id = $1 AND invoice.invoice_id = adjusting.invoice_id OFFSET 0
    ) AS of_it
    WHERE adjusting.book_id = $1 AND adjusting.adjusts_invoice = line.invoice_id
      AND adjusting.adjusts_position = line.position
) AS more ON true
LEFT JOIN LATERAL (
    SELECT of_it.period_start AS starts, of_it.period_end AS ends FROM invoice AS of_it
    WHERE of_it.book_id = $1 AND of_it.customer_id = invoice.customer_id AND of_it.product = $2
      AND of_it.asset_id = invoice.asset_id AND of_it.period_start <= line.period_start
      AND of_it.period_end > line.period_start
    ORDER BY of_it.period_start DESC LIMIT 1
) AS whole ON true
WHERE invoice.book_id = $1 AND invoice.product = $2 AND customer_id = ANY ($3::bigint[]) AND adjusts_invoice IS NULL
  AND line.meter IS NOT NULL
ORDER BY line.period_start, charge COLLATE "C", invoice.invoice_id, position

-- name: find_months_away
SELECT usage_months_away($1, '-infinity', 'infinity')

-- name: behind_prices
SELECT coalesce(max(transaction_id), 0) + 1 FROM price
WHERE book_id = $1 AND product = $2 AND transaction_id < transaction_order()

-- name: is_any_month_away
SELECT EXISTS (SELECT FROM usage_months_away($1, $2, $3))

-- name: count_reasons
SELECT count(DISTINCT event_key) FILTER (WHERE kind IS NULL), count(DISTINCT event_key) FILTER (WHERE kind = 'amend'),
       count(DISTINCT event_key) FILTER (WHERE kind = 'void')
FROM usage_event AS event
LEFT JOIN usage_correction AS correction USING (book_id, event_key, transaction_id, message_place)
WHERE book_id = $1 AND customer_id = $2 AND occurred_at >= $3 AND occurred_at < $4 AND transaction_id >= $5
  AND transaction_id < $6 AND type = $7 AND ($8::text IS NULL OR quantities ? $8)
  AND usage_matches(dimensions, $9::text::jsonb)

-- name: customer_exists
SELECT EXISTS (SELECT FROM customer WHERE book_id = $1 AND customer_id = $2)

-- name: invoice_exists
SELECT EXISTS (SELECT FROM invoice WHERE book_id = $1 AND invoice_id = $2)

-- name: event_exists
SELECT EXISTS (SELECT FROM usage_key WHERE book_id = $1 AND event_key = $2)

-- name: find_customers
SELECT customer_id, ref FROM customer WHERE book_id = $1 AND ref = ANY ($2::text[]) ORDER BY customer_id

-- name: find_drafted
SELECT customer_id, asset_id FROM invoice
WHERE book_id = $1 AND customer_id = ANY ($2::bigint[]) AND product = $3 AND period_start = $4

-- name: insert_invoices
INSERT INTO invoice (book_id, invoice_id, customer_id, product, period_start, period_end, asset_id, total, terms_days,
                     usage_through, transaction_id, message_place, drafted_at)
SELECT $1, given.invoice_id, given.customer_id, $6, given.period_start, given.period_end, given.asset_id, given.total, $9,
       $10, (SELECT transaction_order()), $11, $12
FROM unnest($2::uuid[], $3::bigint[], $4::integer[], $5::bigint[], $7::timestamptz[], $8::timestamptz[])
     WITH ORDINALITY AS given (invoice_id, customer_id, asset_id, total, period_start, period_end, place)
ORDER BY given.place
ON CONFLICT DO NOTHING
RETURNING invoice_id

-- name: insert_taxes
INSERT INTO invoice_tax (book_id, invoice_id, position, jurisdiction, category, name, rate, inclusive, base, amount,
                         treatment, reason)
SELECT $1, given.invoice_id, given.position, jurisdiction, category, name, rate::numeric, inclusive, base, amount,
       treatment, reason
FROM unnest($2::uuid[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::text[], $8::boolean[], $9::bigint[],
            $10::bigint[], $11::text[], $12::text[])
     AS given (invoice_id, position, jurisdiction, category, name, rate, inclusive, base, amount, treatment, reason)

-- name: find_taxes
SELECT invoice_id, jurisdiction, category, name, rate, inclusive, base, amount, treatment, reason FROM invoice_tax
WHERE book_id = $1 AND invoice_id = ANY ($2::uuid[])
ORDER BY invoice_id, position

-- name: lock_series
INSERT INTO number_series (book_id, series, last, kind) VALUES ($1, $2, 0, $3)
ON CONFLICT (book_id, series) DO UPDATE SET last = number_series.last
RETURNING kind

-- name: take_numbers
UPDATE number_series SET last = last + $3 WHERE book_id = $1 AND series = $2 RETURNING last

-- name: insert_series
INSERT INTO invoice_series (book_id, product, kind, series, transaction_id, message_place, set_at)
VALUES ($1, $2, $3, $4, transaction_order(), $5, $6)

-- name: find_series
SELECT series FROM invoice_series WHERE book_id = $1 AND product IN ($2, '') AND kind = $3
ORDER BY product DESC, transaction_id DESC, message_place DESC LIMIT 1

-- name: page_drafts
SELECT invoice_id, customer_id, asset.code, asset_id, total, terms_days
FROM invoice JOIN asset USING (book_id, asset_id)
WHERE book_id = $1 AND period_start = $2 AND product = $3
  AND ($4::uuid IS NULL OR (customer_id, asset_id, invoice_id) > (
      SELECT customer_id, asset_id, invoice_id FROM invoice AS cursor
      WHERE cursor.book_id = $1 AND cursor.invoice_id = $4))
  AND (SELECT true FROM invoice_issue AS issue
       WHERE issue.book_id = $1 AND issue.invoice_id = invoice.invoice_id LIMIT 1) IS NULL
  AND (SELECT true FROM invoice_state AS ended
       WHERE ended.book_id = $1 AND ended.invoice_id = invoice.invoice_id AND ended.state = 'void') IS NULL
ORDER BY customer_id, asset_id, invoice_id LIMIT $5

-- name: insert_issues
INSERT INTO invoice_issue (book_id, invoice_id, series, number, account_id, transfer_id, due_on,
                           transaction_id, message_place, issued_at)
SELECT $1, given.invoice_id, given.series, given.number, given.account_id, given.transfer_id, given.due_on,
       (SELECT transaction_order()), $2, $3
FROM unnest($4::uuid[], $5::text[], $6::bigint[], $7::bigint[], $8::uuid[], $9::date[])
     AS given (invoice_id, series, number, account_id, transfer_id, due_on)

-- name: insert_due
INSERT INTO invoice_due (book_id, invoice_id, customer_id, due_on)
SELECT $1, given.invoice_id, given.customer_id, given.due_on
FROM unnest($2::uuid[], $3::bigint[], $4::date[]) AS given (invoice_id, customer_id, due_on)

-- name: find_invoices
SELECT wanted.invoice_id, whose.ref, invoice.product, asset.code, asset.exponent::integer, period_start, period_end,
       invoice.total, usage_through, drafted_at, issue.series, number, coalesce(issue.due_on, request.due_on), issued_at,
       issue.account_id, transfer_id, standing.owed, standing.outstanding, standing.noted, standing.overdue,
       standing.credited, request.reference, request.memo, request.cost_rank
FROM unnest($2::uuid[]) WITH ORDINALITY AS wanted (invoice_id, place)
CROSS JOIN LATERAL (
    SELECT * FROM invoice WHERE book_id = $1 AND invoice.invoice_id = wanted.invoice_id OFFSET 0
) AS invoice
CROSS JOIN LATERAL (
    SELECT * FROM invoice_standing WHERE book_id = $1 AND invoice_standing.invoice_id = wanted.invoice_id OFFSET 0
) AS standing
CROSS JOIN LATERAL (
    SELECT ref FROM customer WHERE book_id = $1 AND customer.customer_id = invoice.customer_id OFFSET 0
) AS whose
JOIN asset ON asset.book_id = $1 AND asset.asset_id = invoice.asset_id
LEFT JOIN LATERAL (
    SELECT series, number, due_on, issued_at, account_id, transfer_id FROM invoice_issue
    WHERE book_id = $1 AND invoice_issue.invoice_id = wanted.invoice_id OFFSET 0
) AS issue ON true
LEFT JOIN LATERAL (
    SELECT reference, due_on, memo, cost_rank FROM invoice_request
    WHERE book_id = $1 AND invoice_request.invoice_id = wanted.invoice_id OFFSET 0
) AS request ON true
ORDER BY place

-- What a receipt says of invoices: nothing of it changes once they are issued, so how they stand is not looked at. Each is
-- looked up by itself, behind OFFSET 0, since a plan that was made while tables were small goes through all of a book
-- otherwise.

-- name: find_stated
SELECT found.invoice_id, customer.ref, found.product, asset.code, asset.exponent::integer, period_start, period_end, total,
       usage_through, issue.series, issue.number, coalesce(issue.due_on, request.due_on), request.reference, request.memo
FROM unnest($2::uuid[]) AS wanted (invoice_id)
CROSS JOIN LATERAL (
    SELECT * FROM invoice WHERE book_id = $1 AND invoice.invoice_id = wanted.invoice_id OFFSET 0
) AS found
CROSS JOIN LATERAL (
    SELECT ref FROM customer WHERE book_id = $1 AND customer.customer_id = found.customer_id OFFSET 0
) AS customer
JOIN asset USING (book_id, asset_id)
LEFT JOIN LATERAL (
    SELECT * FROM invoice_issue WHERE book_id = $1 AND invoice_issue.invoice_id = wanted.invoice_id OFFSET 0
) AS issue ON true
LEFT JOIN LATERAL (
    SELECT * FROM invoice_request WHERE book_id = $1 AND invoice_request.invoice_id = wanted.invoice_id OFFSET 0
) AS request ON true

-- name: find_outstanding
SELECT wanted.invoice_id, (sums.debits - sums.credits)::bigint
FROM unnest($2::uuid[]) AS wanted (invoice_id)
CROSS JOIN LATERAL (
    SELECT account_id FROM invoice_issue WHERE book_id = $1 AND invoice_issue.invoice_id = wanted.invoice_id OFFSET 0
) AS issue
CROSS JOIN LATERAL account_sums($1, issue.account_id) AS sums

-- name: find_account
SELECT account_id, asset_id, asset.code,
       owed.debits - owed.credits - owed.held_credits
FROM invoice
JOIN asset USING (book_id, asset_id)
LEFT JOIN invoice_issue USING (book_id, invoice_id)
LEFT JOIN LATERAL account_sums(invoice_issue.book_id, invoice_issue.account_id) AS owed ON true
WHERE book_id = $1 AND invoice_id = $2

-- name: find_lines
SELECT invoice_id, position, line.charge, coalesce(description, price.name), price_at, line.meter, period_start,
       period_end, events, quantity, amount, detail::text, adjusts_invoice, adjusts_position, unit_amount, tax_category,
       post_to
FROM invoice_line AS line
LEFT JOIN price ON price.book_id = line.book_id AND price.product = line.product
    AND price.charge = line.charge AND price.effective_at = price_at
WHERE line.book_id = $1 AND invoice_id = ANY ($2::uuid[])
ORDER BY invoice_id, position

-- name: page_invoices
SELECT invoice_id FROM invoice
WHERE book_id = $1
  AND ($2::text IS NULL OR customer_id = (SELECT customer_id FROM customer WHERE customer.book_id = $1 AND ref = $2))
  AND ($3::timestamptz IS NULL OR period_start = $3)
  AND ($4::uuid IS NULL OR (coalesce(period_start, drafted_at), customer_id, product, asset_id, invoice_id) > (
      SELECT coalesce(period_start, drafted_at), customer_id, product, asset_id, invoice_id FROM invoice AS cursor
      WHERE cursor.book_id = $1 AND cursor.invoice_id = $4))
ORDER BY coalesce(period_start, drafted_at), customer_id, product, asset_id, invoice_id LIMIT $5

-- name: find_standings
SELECT wanted.invoice_id, issued, owed, outstanding, noted, overdue
FROM unnest($2::uuid[]) WITH ORDINALITY AS wanted (invoice_id, place)
CROSS JOIN LATERAL (
    SELECT * FROM invoice_standing WHERE book_id = $1 AND invoice_standing.invoice_id = wanted.invoice_id OFFSET 0
) AS standing
ORDER BY place

-- name: line_exists
SELECT EXISTS (SELECT FROM invoice_line WHERE book_id = $1 AND invoice_id = $2 AND position = $3)

-- name: page_events
SELECT event_key, source, event_id, type, occurred_at, quantities::text, message.key, change
FROM covered_usage($1, $2, $3, (SELECT occurred_at FROM usage_key WHERE book_id = $1 AND event_key = $4), $4, $5, 0) AS covered
LEFT JOIN message ON message.book_id = $1 AND message.transaction_id = covered.transaction_id
    AND message.place = covered.message_place
ORDER BY occurred_at, event_key

-- name: amounts_by_charge
SELECT invoice_id, charge, sum(amount)::bigint FROM invoice_line
WHERE book_id = $1 AND invoice_id = ANY ($2::uuid[])
GROUP BY invoice_id, charge ORDER BY invoice_id, charge

-- name: find_drafts
SELECT invoice_id, customer_id, asset.code, asset_id, total, terms_days
FROM (SELECT * FROM invoice WHERE book_id = $1 AND invoice_id = ANY ($2::uuid[]) OFFSET 0) AS invoice
JOIN asset USING (book_id, asset_id)
WHERE product = $3 AND terms_days IS NOT NULL
  AND NOT EXISTS (SELECT FROM invoice_issue
                  WHERE invoice_issue.book_id = $1 AND invoice_issue.invoice_id = invoice.invoice_id OFFSET 0)
  AND (SELECT true FROM invoice_state AS ended
       WHERE ended.book_id = $1 AND ended.invoice_id = invoice.invoice_id AND ended.state = 'void') IS NULL
ORDER BY period_start, customer_id, asset_id, invoice_id LIMIT $4

-- name: is_drafted
SELECT EXISTS (
    SELECT FROM invoice JOIN invoice_line AS line USING (book_id, invoice_id)
    WHERE book_id = $1 AND line.period_start < $3 AND line.period_end > $2 AND line.meter IS NOT NULL
      AND NOT EXISTS (SELECT FROM invoice_issue
                      WHERE invoice_issue.book_id = $1 AND invoice_issue.invoice_id = invoice.invoice_id)
      AND NOT EXISTS (SELECT FROM invoice_state AS ended
                      WHERE ended.book_id = $1 AND ended.invoice_id = invoice.invoice_id AND ended.state = 'void'))

-- name: enter_to_draft
SELECT pg_advisory_xact_lock(hashtextextended('tallystick.drafts.' || $2, $1))

-- name: uses_of_lines
SELECT used.invoice_id, used.position, asset.code, used.amount::bigint, used.quantity,
       CASE WHEN ended.kind IS NOT NULL THEN ended.kind WHEN expires_at <= $4 THEN 'expired' END,
       used.grant_id, customer_id, granted.asset_id, granted.account_id, 0::bigint, products, charges, meters
FROM (
    SELECT given.invoice_id, given.position, paid.grant_id, sum(paid.amount) AS amount, sum(paid.quantity) AS quantity
    FROM unnest($2::uuid[], $3::integer[]) AS given (invoice_id, position)
    CROSS JOIN LATERAL (
        SELECT grant_id, amount, quantity FROM credit_use
        WHERE book_id = $1 AND credit_use.invoice_id = given.invoice_id AND credit_use.position = given.position
        UNION ALL
        SELECT grant_id, credit_use.amount, credit_use.quantity
        FROM invoice_line AS adjusting
        JOIN credit_use ON credit_use.book_id = $1 AND credit_use.invoice_id = adjusting.invoice_id
            AND credit_use.position = adjusting.position
        WHERE adjusting.book_id = $1 AND adjusts_invoice = given.invoice_id AND adjusts_position = given.position
          AND (adjusting.invoice_id, adjusting.position) <> (given.invoice_id, given.position)
    ) AS paid
    GROUP BY given.invoice_id, given.position, paid.grant_id
    HAVING sum(paid.amount) > 0
) AS used
CROSS JOIN LATERAL (
    SELECT * FROM credit_grant WHERE book_id = $1 AND credit_grant.grant_id = used.grant_id OFFSET 0
) AS granted
JOIN asset ON asset.book_id = $1 AND asset.asset_id = granted.asset_id
LEFT JOIN LATERAL (
    SELECT kind FROM credit_end WHERE book_id = $1 AND credit_end.grant_id = used.grant_id AND for_good OFFSET 0
) AS ended ON true
ORDER BY used.invoice_id, used.position, priority, expires_at, granted.transaction_id, granted.message_place

-- Invoice by invoice: of sums over all of them together the planner would go through the lines of the whole book.

-- name: find_postings
SELECT wanted.invoice_id, product, asset.code, total, posted.post_to, coalesce(posted.amount, 0)::bigint
FROM unnest($2::uuid[]) AS wanted (invoice_id)
CROSS JOIN LATERAL (
    SELECT product, asset_id, total FROM invoice WHERE book_id = $1 AND invoice.invoice_id = wanted.invoice_id OFFSET 0
) AS invoice
JOIN asset ON asset.book_id = $1 AND asset.asset_id = invoice.asset_id
LEFT JOIN LATERAL (
    SELECT post_to, sum(amount) AS amount FROM invoice_line AS line
    WHERE line.book_id = $1 AND line.invoice_id = wanted.invoice_id AND post_to IS NOT NULL GROUP BY post_to
) AS posted ON true

-- name: refs_of_customers
SELECT customer_id, ref FROM customer WHERE book_id = $1 AND customer_id = ANY ($2::bigint[])
