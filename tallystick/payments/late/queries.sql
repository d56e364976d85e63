-- name: insert_late
INSERT INTO late_capture (book_id, payment_id, amount, currency, transaction_id, message_place, noted_at)
VALUES ($1, $2, $3, $4, transaction_order(), $5, $6)

-- What a person has said of the line of a report that names its transaction sees to it.

-- part: late_shown
SELECT late.payment_id, payment.invoice_id, user_ref, provider, opened.provider_id, late.amount, late.currency, failed.reason,
       late.noted_at, line.position IS NOT NULL
FROM late_capture AS late
JOIN payment USING (book_id, payment_id)
JOIN payment_step AS opened ON opened.book_id = $1 AND opened.payment_id = late.payment_id AND opened.step = 'opened'
JOIN payment_step AS failed ON failed.book_id = $1 AND failed.payment_id = late.payment_id AND failed.step = 'failed'
LEFT JOIN LATERAL (
    SELECT own.position FROM payout_line AS own
    JOIN payout_matched USING (book_id, payout_id, position)
    JOIN payout_report AS report USING (book_id, payout_id)
    WHERE own.book_id = $1 AND own.provider_id = opened.provider_id AND own.kind = 'charge'
      AND report.provider = payment.provider
    LIMIT 1
) AS line ON true

-- name: find_late
-- with: late_shown
WHERE late.book_id = $1 AND late.payment_id = $2

-- name: page_late
-- with: late_shown
WHERE late.book_id = $1 AND ($2::uuid IS NULL OR late.payment_id > $2) AND ($3::boolean OR line.position IS NULL)
ORDER BY late.payment_id LIMIT $4

-- Each is looked up by itself, behind OFFSET 0 or a count, since a join would be planned as one through all payments.

-- name: find_failed
SELECT DISTINCT opened.payment_id
FROM unnest($2::text[], $3::text[]) AS named (provider, provider_id)
CROSS JOIN LATERAL (
    SELECT payment_id FROM payment_step
    WHERE book_id = $1 AND payment_step.provider_id = named.provider_id AND step = 'opened' OFFSET 0
) AS opened
WHERE (SELECT provider FROM payment WHERE payment.book_id = $1 AND payment.payment_id = opened.payment_id) = named.provider
  AND (SELECT count(*) FROM payment_step AS failed
       WHERE failed.book_id = $1 AND failed.payment_id = opened.payment_id AND failed.step = 'failed') > 0
  AND (SELECT count(*) FROM late_capture AS late WHERE late.book_id = $1 AND late.payment_id = opened.payment_id) = 0
