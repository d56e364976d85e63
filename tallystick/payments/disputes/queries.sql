-- name: find_payment_of
SELECT payment_id FROM payment_step JOIN payment USING (book_id, payment_id)
WHERE book_id = $1 AND provider = $2 AND provider_id = $3 AND step = 'opened'

-- name: find_disputed
SELECT asset.code, settled.transaction_id
FROM payment
JOIN asset USING (book_id, asset_id)
JOIN payment_step AS settled USING (book_id, payment_id)
WHERE payment.book_id = $1 AND payment.payment_id = $2 AND settled.step = 'settled'

-- name: insert_dispute
INSERT INTO dispute (book_id, dispute_id, payment_id, provider_id, amount, reason, answer_by, transfer_id, transaction_id,
                     message_place, opened_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, transaction_order(), $9, $10)

-- name: insert_end
INSERT INTO dispute_end (book_id, dispute_id, outcome, transfer_id, transaction_id, message_place, at)
VALUES ($1, $2, $3, $4, transaction_order(), $5, $6)

-- part: disputes_shown
SELECT dispute.dispute_id, payment_id, payment.invoice_id, user_ref, provider, opened.provider_id, dispute.provider_id,
       dispute.amount, asset.code, dispute.reason, answer_by, coalesce(outcome, 'open'), dispute.opened_at, dispute_end.at
FROM dispute
JOIN payment USING (book_id, payment_id)
JOIN asset USING (book_id, asset_id)
JOIN payment_step AS opened USING (book_id, payment_id)
LEFT JOIN dispute_end ON dispute_end.book_id = $1 AND dispute_end.dispute_id = dispute.dispute_id

-- name: find_dispute
-- with: disputes_shown
WHERE dispute.book_id = $1 AND dispute.dispute_id = $2 AND opened.step = 'opened'

-- name: find_place
SELECT transaction_id, message_place FROM dispute WHERE book_id = $1 AND dispute_id = $2

-- name: page_disputes
-- with: disputes_shown
WHERE dispute.book_id = $1 AND (dispute.transaction_id, dispute.message_place) > ($2, $3) AND opened.step = 'opened'
  AND ($4::uuid IS NULL OR payment_id = $4) AND ($5::text IS NULL OR coalesce(outcome, 'open') = $5)
ORDER BY dispute.transaction_id, dispute.message_place LIMIT $6
