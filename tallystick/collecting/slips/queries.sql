-- Who issues slips, hears of them or makes charges goes one after the other: two at once could ask for one invoice twice.

-- name: enter_to_slips
SELECT pg_advisory_xact_lock(7, $1)

-- name: find_payable
SELECT invoice.customer_id, customer.ref, asset.code, issue.invoice_id IS NOT NULL
FROM invoice JOIN customer USING (book_id, customer_id) JOIN asset USING (book_id, asset_id)
LEFT JOIN invoice_issue AS issue USING (book_id, invoice_id)
WHERE book_id = $1 AND invoice_id = $2

-- name: find_busy
SELECT part.invoice_id, slip.slip_id,
       EXISTS (SELECT FROM slip_announced AS announced
               WHERE (announced.book_id, announced.slip_id) = (slip.book_id, slip.slip_id))
FROM (SELECT slip_id, invoice_id FROM slip_invoice WHERE book_id = $1 AND invoice_id = ANY ($2::uuid[]) OFFSET 0) AS part
CROSS JOIN LATERAL (
    SELECT * FROM slip WHERE book_id = $1 AND slip.slip_id = part.slip_id OFFSET 0
) AS slip
WHERE EXISTS (SELECT FROM slip_announced AS announced
              WHERE (announced.book_id, announced.slip_id) = (slip.book_id, slip.slip_id))
   OR ($3::timestamptz AT TIME ZONE zone)::date <= expires_on
      AND NOT EXISTS (SELECT FROM slip_cancellation AS gone
                      WHERE (gone.book_id, gone.slip_id) = (slip.book_id, slip.slip_id))
      AND NOT EXISTS (SELECT FROM slip_settlement AS come
                      WHERE (come.book_id, come.slip_id) = (slip.book_id, slip.slip_id))
ORDER BY slip.transaction_id, slip.message_place, part.invoice_id

-- name: insert_slip
WITH issued AS (
    INSERT INTO slip (book_id, slip_id, number, customer_id, asset_id, amount, expires_on, zone, transaction_id, message_place,
                      issued_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, transaction_order(), $9, $10)
)
INSERT INTO slip_invoice (book_id, slip_id, invoice_id, amount)
SELECT $1, $2, given.* FROM unnest($11::uuid[], $12::bigint[]) AS given

-- name: find_by_number
SELECT slip_id, number FROM slip WHERE book_id = $1 AND number = ANY ($2::text[])

-- name: find_slips
SELECT slip.slip_id, number, whose.ref, asset.code, amount, expires_on, zone, issued_at, customer_id, slip.asset_id,
       EXISTS (SELECT FROM slip_cancellation AS gone
               WHERE (gone.book_id, gone.slip_id) = (slip.book_id, slip.slip_id) OFFSET 0)
FROM unnest($2::uuid[]) WITH ORDINALITY AS wanted (slip_id, nth)
CROSS JOIN LATERAL (
    SELECT * FROM slip WHERE book_id = $1 AND slip.slip_id = wanted.slip_id OFFSET 0
) AS slip
CROSS JOIN LATERAL (
    SELECT ref FROM customer WHERE book_id = $1 AND customer.customer_id = slip.customer_id OFFSET 0
) AS whose
JOIN asset ON asset.book_id = $1 AND asset.asset_id = slip.asset_id
ORDER BY nth

-- name: find_parts
SELECT slip_id, invoice_id, slip_invoice.amount FROM slip_invoice CROSS JOIN LATERAL (
    SELECT due_on, issued_at FROM invoice_issue
    WHERE book_id = $1 AND invoice_issue.invoice_id = slip_invoice.invoice_id OFFSET 0
) AS issue
WHERE book_id = $1 AND slip_id = ANY ($2::uuid[]) ORDER BY due_on, issued_at, invoice_id

-- name: find_notices
SELECT slip_id, reference, amount, store, paid_at, late,
       EXISTS (SELECT FROM slip_withdrawal AS gone
               WHERE (gone.book_id, gone.reference) = (notice.book_id, notice.reference)),
       EXISTS (SELECT FROM slip_settlement AS come
               WHERE (come.book_id, come.reference) = (notice.book_id, notice.reference)),
       noticed_at
FROM slip_notice AS notice
WHERE book_id = $1 AND slip_id = ANY ($2::uuid[]) ORDER BY transaction_id, message_place

-- name: find_settlements
SELECT slip_id, reference, settled.amount, paid_on, settled.repayment_id,
       (settled.amount - coalesce((SELECT sum(placed.amount) FROM repayment_allocation AS placed
                                   WHERE placed.book_id = $1 AND placed.repayment_id = settled.repayment_id), 0))::bigint,
       settled_at
FROM slip_settlement AS settled
WHERE book_id = $1 AND slip_id = ANY ($2::uuid[]) ORDER BY transaction_id, message_place, reference

-- name: page_slips
SELECT slip_id FROM slip
WHERE book_id = $1 AND ($2::text IS NULL OR customer_id = (SELECT customer_id FROM customer WHERE book_id = $1 AND ref = $2))
  AND ($3::uuid IS NULL OR slip_id IN (SELECT slip_id FROM slip_invoice WHERE book_id = $1 AND invoice_id = $3))
  AND ($4::uuid IS NULL OR (transaction_id, message_place) > (
      SELECT cursor.transaction_id, cursor.message_place FROM slip AS cursor WHERE cursor.book_id = $1 AND cursor.slip_id = $4))
ORDER BY transaction_id, message_place LIMIT $5

-- name: slip_exists
SELECT EXISTS (SELECT FROM slip WHERE book_id = $1 AND slip_id = $2)

-- name: find_references
SELECT reference, slip_id, amount, kind FROM (
    SELECT reference, slip_id, amount, 'notice' AS kind FROM slip_notice
    WHERE book_id = $1 AND reference = ANY ($2::text[])
    UNION ALL
    SELECT reference, slip_id, amount, 'settlement' FROM slip_settlement
    WHERE book_id = $1 AND reference = ANY ($2::text[])
) AS said
ORDER BY reference, kind

-- name: insert_notice
INSERT INTO slip_notice (book_id, reference, slip_id, amount, store, paid_at, late, transaction_id, message_place, noticed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, transaction_order(), $8, $9)

-- name: insert_withdrawal
INSERT INTO slip_withdrawal (book_id, reference, reason, transaction_id, message_place, withdrawn_at)
VALUES ($1, $2, $3, transaction_order(), $4, $5)

-- name: insert_cancellation
INSERT INTO slip_cancellation (book_id, slip_id, reason, transaction_id, message_place, cancelled_at)
VALUES ($1, $2, $3, transaction_order(), $4, $5)

-- name: insert_settlements
INSERT INTO slip_settlement (book_id, reference, slip_id, amount, paid_on, repayment_id, transaction_id, message_place, settled_at)
SELECT $1, given.*, (SELECT transaction_order()), $2, $3
FROM unnest($4::text[], $5::uuid[], $6::bigint[], $7::date[], $8::uuid[]) AS given
