-- name: find_taken
SELECT payment.payment_id, payment.invoice_id, user_ref, provider, opened.provider_id, payment.amount, asset.code,
       coalesce(ended.step, 'started'), ended.transaction_id, transfer.credit_account_id, issue.account_id
FROM payment
JOIN asset USING (book_id, asset_id)
JOIN invoice_issue AS issue USING (book_id, invoice_id)
LEFT JOIN payment_step AS opened ON opened.book_id = payment.book_id
    AND opened.payment_id = payment.payment_id AND opened.step = 'opened'
LEFT JOIN payment_step AS ended ON ended.book_id = payment.book_id
    AND ended.payment_id = payment.payment_id AND ended.step IN ('settled', 'failed')
LEFT JOIN receipt ON receipt.book_id = payment.book_id AND receipt.payment_id = payment.payment_id
LEFT JOIN transfer ON transfer.book_id = payment.book_id AND transfer.transfer_id = receipt.transfer_id
WHERE payment.book_id = $1 AND payment.payment_id = $2

-- What went back of a payment and did not come back; each with the newest transaction that says so.

-- name: find_given_back
SELECT amount, take_from, refund.transaction_id
FROM refund
WHERE book_id = $1 AND payment_id = $2 AND NOT EXISTS (
    SELECT FROM refund_step
    WHERE (refund_step.book_id, refund_step.refund_id) = (refund.book_id, refund.refund_id) AND step = 'failed')
UNION ALL
SELECT amount, 'dispute', dispute.transaction_id
FROM dispute
WHERE book_id = $1 AND payment_id = $2 AND NOT EXISTS (
    SELECT FROM dispute_end
    WHERE (dispute_end.book_id, dispute_end.dispute_id) = (dispute.book_id, dispute.dispute_id) AND outcome = 'won')

-- name: insert_refund
INSERT INTO refund (book_id, refund_id, payment_id, amount, take_from, source_account_id, reason, transfer_id,
                    transaction_id, message_place, requested_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, transaction_order(), $9, $10)

-- name: insert_step
WITH answered AS (DELETE FROM refund_unanswered WHERE book_id = $1 AND refund_id = $2)
INSERT INTO refund_step (book_id, refund_id, step, provider_id, failure, transfer_ids, transaction_id, message_place, at)
VALUES ($1, $2, $3, $4, $5, $6, transaction_order(), $7, $8)

-- name: payment_of_refund
SELECT payment_id FROM refund WHERE book_id = $1 AND refund_id = $2

-- name: find_source
SELECT source_account_id, issue.account_id
FROM refund
JOIN payment USING (book_id, payment_id)
JOIN invoice_issue AS issue USING (book_id, invoice_id)
WHERE book_id = $1 AND refund_id = $2

-- part: refunds_shown
SELECT refund.refund_id, payment_id, payment.invoice_id, user_ref, provider, opened.provider_id, refund.amount, asset.code,
       take_from, refund.reason, coalesce(failed.step, succeeded.step, pending.step, 'requested'),
       coalesce(failed.provider_id, succeeded.provider_id, pending.provider_id), failed.failure, refund.requested_at,
       coalesce(failed.at, succeeded.at)
FROM refund
JOIN payment USING (book_id, payment_id)
JOIN asset USING (book_id, asset_id)
JOIN payment_step AS opened USING (book_id, payment_id)
LEFT JOIN refund_step AS pending ON pending.book_id = $1 AND pending.refund_id = refund.refund_id AND pending.step = 'pending'
LEFT JOIN refund_step AS succeeded ON succeeded.book_id = $1 AND succeeded.refund_id = refund.refund_id
    AND succeeded.step = 'succeeded'
LEFT JOIN refund_step AS failed ON failed.book_id = $1 AND failed.refund_id = refund.refund_id AND failed.step = 'failed'

-- name: find_refund
-- with: refunds_shown
WHERE refund.book_id = $1 AND refund.refund_id = $2 AND opened.step = 'opened'

-- name: page_refunds
-- with: refunds_shown
WHERE refund.book_id = $1 AND refund.refund_id > $2 AND opened.step = 'opened'
  AND ($3::uuid IS NULL OR payment_id = $3)
  AND ($4::text IS NULL OR coalesce(failed.step, succeeded.step, pending.step, 'requested') = $4)
ORDER BY refund.refund_id LIMIT $5

-- name: find_unanswered
SELECT asked_at FROM refund_unanswered WHERE book_id = $1 AND refund_id = $2

-- name: keep_unanswered
INSERT INTO refund_unanswered (book_id, refund_id, asked_at) VALUES ($1, $2, $3)
ON CONFLICT (book_id, refund_id) DO UPDATE SET asked_at = excluded.asked_at
RETURNING old.asked_at
