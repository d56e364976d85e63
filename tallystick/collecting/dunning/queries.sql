-- Who reminds waits for who makes charges or slips and the other way round, so that each sees what the other has made.

-- name: enter_to_remind
SELECT pg_advisory_xact_lock(7, $1)

-- name: insert_rules
INSERT INTO dunning_rules (book_id, rules, transaction_id, message_place, set_at) VALUES ($1, $2, transaction_order(), $3, $4)

-- name: find_rules
SELECT rules FROM dunning_rules WHERE book_id = $1 AND transaction_id < $2
ORDER BY transaction_id DESC, message_place DESC LIMIT 1

-- name: list_assets
SELECT asset_id, code, exponent::integer FROM asset WHERE book_id = $1 ORDER BY asset_id

-- name: find_reminded
SELECT invoice_id, max(level)::integer, max(on_day), max(on_day) FILTER (WHERE fee_days IS NOT NULL)
FROM reminder WHERE book_id = $1 AND invoice_id = ANY ($2::uuid[]) GROUP BY invoice_id

-- What a store says was paid, and what the bank was asked for and has not answered.

-- name: find_coming
SELECT invoice_id FROM slip_invoice JOIN slip_announced USING (book_id, slip_id)
WHERE book_id = $1 AND invoice_id = ANY ($2::uuid[])
UNION
SELECT invoice_id FROM charge_invoice CROSS JOIN LATERAL (
    SELECT transaction_id FROM charge WHERE book_id = $1 AND charge.charge_id = charge_invoice.charge_id OFFSET 0
) AS charge
LEFT JOIN LATERAL (
    SELECT transaction_id FROM charge_outcome
    WHERE book_id = $1 AND charge_outcome.charge_id = charge_invoice.charge_id OFFSET 0
) AS outcome ON outcome.transaction_id < $3
WHERE book_id = $1 AND invoice_id = ANY ($2::uuid[]) AND charge.transaction_id < $3 AND outcome.transaction_id IS NULL

-- name: insert_reminders
WITH made AS (
    INSERT INTO reminder (book_id, invoice_id, level, customer_id, on_day, outstanding, fee, fee_days, fee_terms,
                          transaction_id, message_place, reminded_at)
    SELECT $1, invoice_id, level, customer_id, $4, outstanding, fee, fee_days, fee_terms, (SELECT transaction_order()), $2, $3
    FROM unnest($5::uuid[], $6::smallint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::integer[], $11::jsonb[])
         AS given (invoice_id, level, customer_id, outstanding, fee, fee_days, fee_terms)
    RETURNING invoice_id, level, fee
)
INSERT INTO late_fee_due (book_id, invoice_id, level) SELECT $1, invoice_id, level FROM made WHERE fee > 0

-- Overdue invoices, those among them of which it is not noted yet; each with the reminder that comes next.

-- name: page_debtors
SELECT chunk.customer_id, ref
FROM (
    SELECT DISTINCT late.customer_id
    FROM (
        SELECT customer_id, invoice_id, due_on FROM overdue_open WHERE book_id = $1 AND customer_id > $2
        UNION ALL
        SELECT customer_id, invoice_id, due_on FROM invoice_due WHERE book_id = $1 AND customer_id > $2 AND due_on < $3
    ) AS late
    LEFT JOIN LATERAL (
        SELECT level, on_day FROM reminder WHERE book_id = $1 AND reminder.invoice_id = late.invoice_id
        ORDER BY level DESC LIMIT 1
    ) AS newest ON true
    JOIN unnest($4::integer[], $5::integer[]) WITH ORDINALITY AS rule (after_days, gap, level)
        ON rule.level = coalesce(newest.level, 0) + 1
    WHERE late.due_on + after_days <= $3 AND (on_day IS NULL OR on_day + gap <= $3)
    ORDER BY late.customer_id LIMIT $6
) AS chunk
JOIN customer ON customer.book_id = $1 AND customer.customer_id = chunk.customer_id
ORDER BY chunk.customer_id

-- name: page_fees
SELECT invoice_id, level::integer, ref
FROM late_fee_due JOIN reminder USING (book_id, invoice_id, level) JOIN customer USING (book_id, customer_id)
WHERE book_id = $1 AND (invoice_id, level) > ($2::uuid, $3::integer) ORDER BY invoice_id, level LIMIT $4

-- name: find_fees
SELECT wanted.invoice_id, wanted.level::integer, ref, asset.code, fee, fee_days, fee_terms, series, number
FROM unnest($2::uuid[], $3::smallint[]) AS wanted (invoice_id, level)
CROSS JOIN LATERAL (
    SELECT customer_id, fee, fee_days, fee_terms FROM reminder
    WHERE book_id = $1 AND reminder.invoice_id = wanted.invoice_id AND reminder.level = wanted.level OFFSET 0
) AS reminder
CROSS JOIN LATERAL (
    SELECT asset_id FROM invoice WHERE book_id = $1 AND invoice.invoice_id = wanted.invoice_id OFFSET 0
) AS invoice
CROSS JOIN LATERAL (
    SELECT series, number FROM invoice_issue WHERE book_id = $1 AND invoice_issue.invoice_id = wanted.invoice_id OFFSET 0
) AS issue
CROSS JOIN LATERAL (
    SELECT ref FROM customer WHERE book_id = $1 AND customer.customer_id = reminder.customer_id OFFSET 0
) AS whose
JOIN asset ON asset.book_id = $1 AND asset.asset_id = invoice.asset_id
WHERE fee > 0

-- name: end_fees
DELETE FROM late_fee_due USING unnest($2::uuid[], $3::smallint[]) AS done (invoice_id, level)
WHERE book_id = $1 AND late_fee_due.invoice_id = ANY ($2)
  AND (late_fee_due.invoice_id, late_fee_due.level) = (done.invoice_id, done.level)

-- name: page_reminders
SELECT reminder.invoice_id, issue.series, issue.number, level::integer, ref, asset.code, on_day, issue.due_on, outstanding,
       fee, fee_days, asked.invoice_id
FROM reminder
JOIN invoice USING (book_id, invoice_id)
JOIN invoice_issue AS issue USING (book_id, invoice_id)
JOIN customer ON customer.book_id = $1 AND customer.customer_id = reminder.customer_id
JOIN asset ON asset.book_id = $1 AND asset.asset_id = invoice.asset_id
LEFT JOIN invoice_request AS asked ON asked.book_id = $1 AND asked.product = fee_terms ->> 'product'
    AND asked.reference = 'late-fee/' || reminder.invoice_id || '/' || level
WHERE reminder.book_id = $1 AND ($2::text IS NULL OR ref = $2) AND ($3::uuid IS NULL OR reminder.invoice_id = $3)
  AND (reminder.invoice_id, level) > ($4::uuid, $5::integer)
ORDER BY reminder.invoice_id, level LIMIT $6
