-- Rows are looked up one by one, behind OFFSET 0 or a sum, since a plan that was made while tables were small goes through
-- all of a book otherwise.

-- What payments decide by is what a customer owes and what is under way of it: whoever appends anything to the payments of a
-- customer holds this lock, taken before the transaction's place in the order, for all of its customers in one order.

-- name: lock_customers
SELECT count(pg_advisory_xact_lock(hashtextextended('tallystick.payments ' || user_ref, $1::integer)))
FROM (SELECT DISTINCT unnest($2::text[]) AS user_ref ORDER BY 1) AS paying

-- name: lock_customers_of
SELECT count(pg_advisory_xact_lock(hashtextextended('tallystick.payments ' || user_ref, $1::integer)))
FROM (SELECT DISTINCT user_ref FROM payment
      WHERE book_id = $1::integer AND payment_id = ANY ($2::uuid[]) ORDER BY user_ref) AS paying

-- name: enter_to_pay
SELECT place, horizon FROM enter_to_pay($1)

-- name: find_invoices
SELECT found.invoice_id, whose.ref, asset_id, asset.code, issue.account_id
FROM unnest($2::uuid[]) AS wanted (invoice_id)
CROSS JOIN LATERAL (
    SELECT * FROM invoice WHERE book_id = $1 AND invoice.invoice_id = wanted.invoice_id OFFSET 0
) AS found
CROSS JOIN LATERAL (
    SELECT ref FROM customer WHERE book_id = $1 AND customer.customer_id = found.customer_id OFFSET 0
) AS whose
JOIN asset USING (book_id, asset_id)
LEFT JOIN LATERAL (
    SELECT account_id, transaction_id FROM invoice_issue
    WHERE book_id = $1 AND invoice_issue.invoice_id = wanted.invoice_id OFFSET 0
) AS issue ON issue.transaction_id < $3
WHERE found.transaction_id < $3

-- name: find_open_invoices_of
SELECT invoice.invoice_id, customer.ref, invoice.asset_id, asset.code, account_id, owed.outstanding::bigint
FROM customer
CROSS JOIN LATERAL (
    SELECT invoice_id, asset_id FROM invoice WHERE book_id = $1 AND invoice.customer_id = customer.customer_id OFFSET 0
) AS invoice
JOIN LATERAL (
    SELECT account_id, due_on, number, transaction_id FROM invoice_issue
    WHERE book_id = $1 AND invoice_issue.invoice_id = invoice.invoice_id OFFSET 0
) AS issue ON issue.transaction_id < $3
JOIN asset ON asset.book_id = $1 AND asset.asset_id = invoice.asset_id
LEFT JOIN LATERAL (
    SELECT debits - credits AS outstanding FROM account_sums($1, issue.account_id, $3 - 1)
) AS owed ON true
WHERE customer.book_id = $1 AND ref = ANY ($2::text[]) AND owed.outstanding > 0
ORDER BY ref, due_on, number

-- name: sum_under_way
SELECT wanted.invoice_id, coalesce(under_way.amount, 0)::bigint
FROM unnest($2::uuid[]) AS wanted (invoice_id)
CROSS JOIN LATERAL (
    SELECT sum(amount) AS amount FROM payment
    WHERE book_id = $1 AND payment.invoice_id = wanted.invoice_id
      AND (SELECT count(*) FROM payment_step AS step
           WHERE step.book_id = $1 AND step.payment_id = payment.payment_id AND step.step IN ('settled', 'failed')) = 0
) AS under_way

-- name: insert_payments
INSERT INTO payment (book_id, payment_id, invoice_id, user_ref, email, requested_at, payment_type, asset_id, amount,
                     provider, transaction_id, message_place, started_at)
SELECT $1, payment_id, invoice_id, user_ref, email, requested_at, payment_type, asset_id, amount, provider,
       (SELECT transaction_order()), place, $2
FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::timestamptz[], $8::text[], $9::integer[], $10::bigint[],
            $11::text[], $12::integer[])
     AS given (payment_id, invoice_id, user_ref, email, requested_at, payment_type, asset_id, amount, provider, place)

-- name: insert_steps
WITH no_trouble AS (DELETE FROM payment_trouble WHERE book_id = $1 AND payment_id = ANY ($3::uuid[]))
INSERT INTO payment_step (book_id, payment_id, step, provider_id, token, reason, transaction_id, message_place, at)
SELECT $1, payment_id, step, provider_id, token, reason, (SELECT transaction_order()), place, $2
FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::integer[])
     AS given (payment_id, step, provider_id, token, reason, place)

-- name: find_usable_accounts
SELECT found.code, asset, account_id, min_balance IS NOT NULL OR max_balance IS NOT NULL
FROM unnest($2::text[]) AS wanted (code)
CROSS JOIN LATERAL (
    SELECT * FROM account_now WHERE book_id = $1 AND account_now.code = wanted.code AND closed_at IS NULL OFFSET 0
) AS found

-- name: find_payments
SELECT found.payment_id, invoice_id, user_ref, email, requested_at, payment_type, amount, asset.code, provider,
       coalesce(ended, CASE WHEN submitted_at IS NOT NULL THEN 'submitted' WHEN opened_at IS NOT NULL THEN 'opened'
                            ELSE 'started' END),
       provider_id, token, reason,
       (SELECT receipt_id FROM receipt WHERE receipt.book_id = $1 AND receipt.payment_id = wanted.payment_id),
       started_at, opened_at, submitted_at
FROM (SELECT DISTINCT unnest($2::uuid[]) AS payment_id) AS wanted
CROSS JOIN LATERAL (
    SELECT * FROM payment WHERE book_id = $1 AND payment.payment_id = wanted.payment_id OFFSET 0
) AS found
JOIN asset USING (book_id, asset_id)
CROSS JOIN LATERAL (
    SELECT max(step) FILTER (WHERE step IN ('settled', 'failed')) AS ended, max(provider_id) AS provider_id,
           max(token) AS token, max(reason) AS reason, max(at) FILTER (WHERE step = 'opened') AS opened_at,
           max(at) FILTER (WHERE step = 'submitted') AS submitted_at
    FROM payment_step WHERE book_id = $1 AND payment_step.payment_id = wanted.payment_id
) AS steps

-- name: find_by_provider_ids
SELECT wanted.provider_id, opened.payment_id
FROM unnest($2::text[]) AS wanted (provider_id)
CROSS JOIN LATERAL (
    SELECT payment_id FROM payment_step
    WHERE book_id = $1 AND payment_step.provider_id = wanted.provider_id AND step = 'opened' OFFSET 0
) AS opened
WHERE $3::text IS NULL OR $3 = (
    SELECT provider FROM payment WHERE payment.book_id = $1 AND payment.payment_id = opened.payment_id)

-- name: page_payments
SELECT payment_id FROM payment
WHERE book_id = $1 AND ($2::uuid IS NULL OR payment_id < $2) AND ($3::text IS NULL OR user_ref = $3)
  AND ($4::uuid IS NULL OR invoice_id = $4)
  AND ($5::text IS NULL OR $5 = coalesce((
      SELECT step FROM payment_step AS last
      WHERE (last.book_id, last.payment_id) = (payment.book_id, payment.payment_id)
      ORDER BY array_position(ARRAY['opened', 'submitted', 'settled', 'failed'], step) DESC LIMIT 1), 'started'))
ORDER BY payment_id DESC LIMIT $6

-- name: find_history
SELECT step, at, provider_id, reason FROM (
    SELECT 'started' AS step, started_at AS at, NULL AS provider_id, NULL AS reason, 0 AS nth
    FROM payment WHERE book_id = $1 AND payment_id = $2
    UNION ALL
    SELECT step, at, provider_id, reason, array_position(ARRAY['opened', 'submitted', 'settled', 'failed'], step)
    FROM payment_step WHERE book_id = $1 AND payment_id = $2) AS taken
ORDER BY nth

-- name: note_trouble
INSERT INTO payment_trouble (book_id, payment_id, code, message, tries, began_at, last_at)
SELECT $1, payment_id, code, message, 1, $2, $2
FROM unnest($3::uuid[], $4::text[], $5::text[]) AS given (payment_id, code, message)
WHERE EXISTS (SELECT FROM payment WHERE payment.book_id = $1 AND payment.payment_id = given.payment_id OFFSET 0)
ON CONFLICT (book_id, payment_id) DO UPDATE
    SET code = excluded.code, message = excluded.message, tries = payment_trouble.tries + 1, last_at = excluded.last_at

-- name: end_trouble
DELETE FROM payment_trouble WHERE book_id = $1 AND payment_id = ANY ($2::uuid[])

-- name: list_stuck
SELECT payment_id, code, message, tries, began_at, last_at FROM payment_trouble
WHERE book_id = $1 AND ($2::uuid IS NULL OR payment_id > $2) ORDER BY payment_id LIMIT $3
