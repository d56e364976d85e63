-- name: lock_invoice
SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text, 3))

-- name: lock_payment
SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text, 4))

-- name: sum_under_way
SELECT coalesce(sum(amount), 0)
FROM payment
WHERE book_id = $1 AND invoice_id = $2 AND NOT EXISTS (
    SELECT FROM payment_step
    WHERE (payment_step.book_id, payment_step.payment_id) = (payment.book_id, payment.payment_id)
      AND step IN ('settled', 'failed'))

-- name: oldest_invoice_of
SELECT invoice_id
FROM customer
JOIN invoice USING (book_id, customer_id)
JOIN invoice_issue USING (book_id, invoice_id)
LEFT JOIN LATERAL (
    SELECT debits - credits AS outstanding FROM account_sums(invoice_issue.book_id, invoice_issue.account_id)
) AS owed ON true
LEFT JOIN LATERAL (
    SELECT sum(amount) AS amount FROM payment
    WHERE payment.book_id = invoice.book_id AND payment.invoice_id = invoice.invoice_id AND NOT EXISTS (
        SELECT FROM payment_step
        WHERE (payment_step.book_id, payment_step.payment_id) = (payment.book_id, payment.payment_id)
          AND step IN ('settled', 'failed'))
) AS under_way ON true
WHERE book_id = $1 AND ref = $2 AND owed.outstanding > 0
ORDER BY owed.outstanding <= coalesce(under_way.amount, 0), due_on, number LIMIT 1

-- name: customer_of_invoice
SELECT ref FROM invoice JOIN customer USING (book_id, customer_id) WHERE book_id = $1 AND invoice_id = $2

-- name: usable_accounts
SELECT code, min_balance IS NOT NULL OR max_balance IS NOT NULL
FROM account_now
WHERE book_id = $1 AND code = ANY ($2::text[]) AND asset = $3 AND closed_at IS NULL

-- name: insert_payment
INSERT INTO payment (book_id, payment_id, invoice_id, user_ref, email, requested_at, payment_type, asset_id, amount,
                     provider, transaction_id, message_place, started_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, transaction_order(), $11, $12)

-- name: insert_job
INSERT INTO payment_job (book_id, payment_id, leased_until) VALUES ($1, $2, $3)

-- name: lease_job
UPDATE payment_job SET leased_until = $3, attempts = 0 WHERE book_id = $1 AND payment_id = $2

-- name: delete_job
DELETE FROM payment_job WHERE book_id = $1 AND payment_id = $2

-- name: claim_jobs
UPDATE payment_job SET attempts = attempts + 1,
    leased_until = $1::timestamptz + least($2::interval * (1 << least(attempts, 20)), $4::interval)
WHERE (book_id, payment_id) IN (
    SELECT book_id, payment_id FROM payment_job WHERE leased_until <= $1
    ORDER BY leased_until LIMIT $3 FOR UPDATE SKIP LOCKED)
RETURNING (SELECT name FROM book WHERE book.book_id = payment_job.book_id), payment_id, attempts

-- name: release_jobs
UPDATE payment_job SET leased_until = $1
WHERE leased_until > $1 AND coalesce((
    SELECT step FROM payment_step
    WHERE (payment_step.book_id, payment_step.payment_id) = (payment_job.book_id, payment_job.payment_id)
    ORDER BY step = 'opened' LIMIT 1), 'started') <> 'opened'

-- name: insert_step
INSERT INTO payment_step (book_id, payment_id, step, provider_id, token, reason, transaction_id, message_place, at)
VALUES ($1, $2, $3, $4, $5, $6, transaction_order(), $7, $8)

-- name: find_payment
SELECT payment.payment_id, invoice_id, user_ref, email, requested_at, payment_type, amount, asset.code, provider,
       coalesce(ended.step, submitted.step, opened.step, 'started'), opened.provider_id, opened.token, ended.reason,
       receipt_id, started_at, opened.at
FROM payment
JOIN asset USING (book_id, asset_id)
LEFT JOIN payment_step AS opened ON opened.book_id = payment.book_id
    AND opened.payment_id = payment.payment_id AND opened.step = 'opened'
LEFT JOIN payment_step AS submitted ON submitted.book_id = payment.book_id
    AND submitted.payment_id = payment.payment_id AND submitted.step = 'submitted'
LEFT JOIN payment_step AS ended ON ended.book_id = payment.book_id
    AND ended.payment_id = payment.payment_id AND ended.step IN ('settled', 'failed')
LEFT JOIN receipt ON receipt.book_id = payment.book_id AND receipt.payment_id = payment.payment_id
WHERE payment.book_id = $1 AND payment.payment_id = $2

-- name: find_by_provider_id
SELECT payment_id FROM payment_step WHERE book_id = $1 AND provider_id = $2 AND step = 'opened'
