-- name: find_to_note
SELECT wanted.invoice_id, whose.ref, invoice.product, asset.code, standing.total, owed, standing.outstanding,
       noted, noted_outstanding, standing.overdue, issue.series, issue.number, issue.due_on
FROM unnest($2::uuid[]) WITH ORDINALITY AS wanted (invoice_id, place)
CROSS JOIN LATERAL (
    SELECT customer_id, asset_id, product FROM invoice
    WHERE book_id = $1 AND invoice.invoice_id = wanted.invoice_id OFFSET 0
) AS invoice
CROSS JOIN LATERAL (
    SELECT series, number, due_on FROM invoice_issue
    WHERE book_id = $1 AND invoice_issue.invoice_id = wanted.invoice_id OFFSET 0
) AS issue
CROSS JOIN LATERAL (
    SELECT * FROM invoice_standing WHERE book_id = $1 AND invoice_standing.invoice_id = wanted.invoice_id OFFSET 0
) AS standing
CROSS JOIN LATERAL (
    SELECT ref FROM customer WHERE book_id = $1 AND customer.customer_id = invoice.customer_id OFFSET 0
) AS whose
CROSS JOIN LATERAL (SELECT code FROM asset WHERE book_id = $1 AND asset.asset_id = invoice.asset_id OFFSET 0) AS asset
ORDER BY place

-- name: insert_states
INSERT INTO invoice_state (book_id, invoice_id, state, outstanding, reason, transaction_id, message_place, at)
SELECT $1, given.invoice_id, given.state, given.outstanding, $4, (SELECT transaction_order()), given.place, $3
FROM unnest($2::integer[], $5::uuid[], $6::text[], $7::bigint[]) AS given (place, invoice_id, state, outstanding)

-- name: end_due
DELETE FROM invoice_due WHERE book_id = $1 AND invoice_id = ANY ($2::uuid[])

-- name: begin_due
INSERT INTO invoice_due (book_id, invoice_id, customer_id, due_on, told)
SELECT $1, given.invoice_id, customer_id, given.due_on,
       EXISTS (SELECT FROM invoice_state AS state
               WHERE (state.book_id, state.invoice_id, state.state) = ($1, given.invoice_id, 'due') OFFSET 0)
FROM unnest($2::uuid[], $3::date[]) AS given (invoice_id, due_on)
CROSS JOIN LATERAL (
    SELECT customer_id FROM invoice WHERE book_id = $1 AND invoice.invoice_id = given.invoice_id OFFSET 0
) AS invoice
ON CONFLICT (book_id, invoice_id) DO NOTHING

-- name: find_header
SELECT customer.ref, invoice.product, asset.code, asset_id, customer_id, issue.series, issue.number, issue.account_id,
       standing.total, owed, standing.outstanding, settled, credited, noted, standing.overdue,
       EXISTS (SELECT FROM invoice_state AS state
               WHERE (state.book_id, state.invoice_id, state.state) = ($1, invoice.invoice_id, 'written_off')),
       request.invoice_id IS NOT NULL, request.series, invoice.period_end
FROM invoice
JOIN invoice_standing AS standing USING (book_id, invoice_id)
JOIN customer USING (book_id, customer_id)
JOIN asset USING (book_id, asset_id)
LEFT JOIN invoice_issue AS issue USING (book_id, invoice_id)
LEFT JOIN invoice_request AS request USING (book_id, invoice_id)
WHERE book_id = $1 AND invoice_id = $2

-- name: find_lines_left
SELECT position, coalesce(description, price.name), line.product, line.charge, tax_category, post_to, amount,
       coalesce((SELECT sum(taken.amount) FROM credit_note AS note
                 JOIN credit_note_line AS taken USING (book_id, credit_note_id)
                 WHERE note.book_id = $1 AND note.invoice_id = $2 AND taken.line = line.position), 0)::bigint
FROM invoice_line AS line
LEFT JOIN price ON price.book_id = line.book_id AND price.product = line.product
    AND price.charge = line.charge AND price.effective_at = price_at
WHERE line.book_id = $1 AND invoice_id = $2
ORDER BY position

-- name: find_taxes_left
SELECT position, category, inclusive, tax.base, tax.amount, coalesce(taken.base, 0)::bigint, coalesce(taken.amount, 0)::bigint
FROM invoice_tax AS tax
LEFT JOIN (
    SELECT credit_note_tax.position, sum(credit_note_tax.base) AS base, sum(credit_note_tax.amount) AS amount
    FROM credit_note JOIN credit_note_tax USING (book_id, credit_note_id)
    WHERE book_id = $1 AND invoice_id = $2 GROUP BY 1
) AS taken USING (position)
WHERE book_id = $1 AND invoice_id = $2
ORDER BY position

-- name: find_reference
SELECT credit_note_id, content FROM credit_note WHERE book_id = $1 AND invoice_id = $2 AND reference = $3

-- name: insert_credit_note
INSERT INTO credit_note (book_id, credit_note_id, invoice_id, reference, series, number, total, applied, reason, content,
                         transaction_id, message_place, issued_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, transaction_order(), $11, $12)

-- name: insert_credit_lines
INSERT INTO credit_note_line (book_id, credit_note_id, position, line, description, amount)
SELECT $1, $2, place - 1, line, description, amount
FROM unnest($3::integer[], $4::text[], $5::bigint[]) WITH ORDINALITY AS given (line, description, amount, place)

-- name: insert_credit_taxes
INSERT INTO credit_note_tax (book_id, credit_note_id, position, base, amount)
SELECT $1, $2, position, base, amount FROM unnest($3::integer[], $4::bigint[], $5::bigint[]) AS given (position, base, amount)

-- name: find_credit_notes
SELECT credit_note_id, note.series, note.number, invoice_id, issue.series, issue.number, customer.ref, invoice.product,
       asset.code, reference, note.total, applied, reason, note.issued_at
FROM credit_note AS note
JOIN invoice_issue AS issue USING (book_id, invoice_id)
JOIN invoice USING (book_id, invoice_id)
JOIN customer USING (book_id, customer_id)
JOIN asset USING (book_id, asset_id)
WHERE book_id = $1 AND ($2::uuid IS NULL OR invoice_id = $2) AND ($3::uuid IS NULL OR credit_note_id = $3)
ORDER BY note.transaction_id, note.message_place, note.number

-- name: find_credit_lines
SELECT credit_note_id, taken.line, coalesce(taken.description, line.description, price.name), taken.amount
FROM credit_note_line AS taken
CROSS JOIN LATERAL (
    SELECT invoice_id FROM credit_note WHERE book_id = $1 AND credit_note.credit_note_id = taken.credit_note_id OFFSET 0
) AS note
CROSS JOIN LATERAL (
    SELECT product, charge, price_at, description FROM invoice_line
    WHERE book_id = $1 AND invoice_line.invoice_id = note.invoice_id AND invoice_line.position = taken.line OFFSET 0
) AS line
LEFT JOIN price ON price.book_id = $1 AND price.product = line.product AND price.charge = line.charge
    AND price.effective_at = price_at
WHERE taken.book_id = $1 AND credit_note_id = ANY ($2::uuid[])
ORDER BY credit_note_id, taken.position

-- name: find_credit_taxes
SELECT credit_note_id, jurisdiction, category, name, rate, inclusive, taken.base, taken.amount
FROM credit_note_tax AS taken
CROSS JOIN LATERAL (
    SELECT invoice_id FROM credit_note WHERE book_id = $1 AND credit_note.credit_note_id = taken.credit_note_id OFFSET 0
) AS note
CROSS JOIN LATERAL (
    SELECT jurisdiction, category, name, rate, inclusive FROM invoice_tax
    WHERE book_id = $1 AND invoice_tax.invoice_id = note.invoice_id AND invoice_tax.position = taken.position OFFSET 0
) AS tax
WHERE taken.book_id = $1 AND credit_note_id = ANY ($2::uuid[])
ORDER BY credit_note_id, taken.position

-- name: list_due
SELECT invoice_id, due.due_on
FROM invoice_due AS due
JOIN invoice USING (book_id, invoice_id)
LEFT JOIN invoice_request AS request USING (book_id, invoice_id)
LEFT JOIN (SELECT book_id, product AS month_product, zone FROM billing_zone) AS monthly USING (book_id, month_product)
WHERE book_id = $1 AND due.due_on <= ($2::timestamptz AT TIME ZONE 'UTC')::date + 1
  AND due.due_on <= ($2 AT TIME ZONE coalesce(request.zone, monthly.zone))::date
  AND (due.due_on < ($2 AT TIME ZONE coalesce(request.zone, monthly.zone))::date OR NOT told)
  AND ($3::uuid IS NULL OR (due.due_on, invoice_id) > (
      (SELECT issue.due_on FROM invoice_issue AS issue WHERE issue.book_id = $1 AND issue.invoice_id = $3), $3))
ORDER BY due.due_on, invoice_id LIMIT $4

-- name: find_late
SELECT due.invoice_id, told, due.due_on < ($3::timestamptz AT TIME ZONE coalesce(request.zone, monthly.zone))::date
FROM invoice_due AS due
CROSS JOIN LATERAL (
    SELECT month_product FROM invoice WHERE book_id = $1 AND invoice.invoice_id = due.invoice_id OFFSET 0
) AS invoice
LEFT JOIN LATERAL (
    SELECT zone FROM invoice_request WHERE book_id = $1 AND invoice_request.invoice_id = due.invoice_id OFFSET 0
) AS request ON true
LEFT JOIN billing_zone AS monthly ON monthly.book_id = $1 AND monthly.product = invoice.month_product
WHERE due.book_id = $1 AND due.invoice_id = ANY ($2::uuid[])
  AND due.due_on <= ($3 AT TIME ZONE coalesce(request.zone, monthly.zone))::date

-- name: note_told
UPDATE invoice_due SET told = true WHERE book_id = $1 AND invoice_id = ANY ($2::uuid[])

-- name: void_draft
INSERT INTO invoice_state (book_id, invoice_id, state, outstanding, reason, transaction_id, message_place, at)
VALUES ($1, $2, 'void', 0, $5, transaction_order(), $3, $4)

-- name: find_facts
SELECT fact.at, fact.what, fact.amount, fact.outstanding, fact.series, fact.number, fact.transfer_id, fact.account,
       fact.reason, message.key
FROM (
    SELECT drafted_at AS at, CASE WHEN request.invoice_id IS NULL THEN 'drafted' ELSE 'requested' END AS what,
           total AS amount, NULL::bigint AS outstanding, NULL::text AS series, NULL::bigint AS number,
           NULL::uuid AS transfer_id, NULL::text AS account, memo AS reason, invoice.transaction_id, invoice.message_place,
           0 AS rank, 0 AS place
    FROM invoice LEFT JOIN invoice_request AS request USING (book_id, invoice_id)
    WHERE book_id = $1 AND invoice_id = $2
    UNION ALL
    SELECT issued_at, 'issued', NULL, NULL, series, number, NULL, NULL, NULL, transaction_id, message_place, 1, 0
    FROM invoice_issue WHERE book_id = $1 AND invoice_id = $2
    UNION ALL
    SELECT issued_at, 'credit_note', total, NULL, series, number, NULL, NULL, reason, transaction_id, message_place, 2, 0
    FROM credit_note WHERE book_id = $1 AND invoice_id = $2
    UNION ALL
    SELECT batch.recorded_at, transfer.reason::text, transfer.amount, NULL, NULL, NULL, transfer.transfer_id, other.code, NULL,
           batch_id, transfer.message_place, 3, transfer.position
    FROM invoice_issue AS issue
    JOIN net_change AS change ON change.book_id = $1 AND change.page = page_of(issue.account_id)
        AND position(slot_of(issue.account_id) IN slots) > 0
    JOIN transfer USING (batch_id)
    JOIN batch USING (batch_id)
    JOIN account AS other ON other.book_id = $1
        AND other.account_id = CASE WHEN debit_account_id = issue.account_id THEN credit_account_id ELSE debit_account_id END
    WHERE issue.book_id = $1 AND invoice_id = $2 AND transfer.book_id = $1 AND batch.book_id = $1
      AND issue.account_id IN (debit_account_id, credit_account_id)
    UNION ALL
    SELECT at, state, NULL, outstanding, NULL, NULL, NULL, NULL, reason, transaction_id, message_place, 4, 0
    FROM invoice_state WHERE book_id = $1 AND invoice_id = $2
    UNION ALL
    SELECT noticed_at, 'announced', notice.amount, NULL, NULL, NULL, NULL, NULL, 'slip ' || number, notice.transaction_id,
           notice.message_place, 5, 0
    FROM slip_invoice JOIN slip USING (book_id, slip_id) JOIN slip_notice AS notice USING (book_id, slip_id)
    WHERE book_id = $1 AND invoice_id = $2
    UNION ALL
    SELECT withdrawn_at, 'announcement_withdrawn', notice.amount, NULL, NULL, NULL, NULL, NULL, gone.reason,
           gone.transaction_id, gone.message_place, 5, 0
    FROM slip_invoice JOIN slip_notice AS notice USING (book_id, slip_id)
    JOIN slip_withdrawal AS gone USING (book_id, reference)
    WHERE book_id = $1 AND invoice_id = $2
    UNION ALL
    SELECT reminded_at, 'reminded', fee, reminder.outstanding, NULL, NULL, NULL, NULL, 'reminder ' || level,
           transaction_id, message_place, 5, 0
    FROM reminder WHERE book_id = $1 AND invoice_id = $2
) AS fact
LEFT JOIN message ON message.book_id = $1 AND message.transaction_id = fact.transaction_id
    AND message.place = fact.message_place
ORDER BY fact.transaction_id, fact.message_place, fact.rank, fact.place

-- name: enter_to_decide
SELECT enter_to_decide($1)

-- Whoever issues invoices waits until the transaction ends.

-- name: enter_to_stop_issuing
SELECT pg_advisory_xact_lock(4, $1)

-- name: has_uses
SELECT EXISTS (SELECT FROM credit_use WHERE book_id = $1 AND invoice_id = $2)

-- name: find_owed_accounts
SELECT account_id FROM invoice_issue WHERE book_id = $1 AND invoice_id = ANY ($2::uuid[]) ORDER BY account_id
