-- name: insert_events
INSERT INTO provider_event (book_id, provider, event_id, kind, type, subject, provider_transaction_id, occurred_at,
                            transaction_id, message_place, heard_at)
SELECT $1, provider, event_id, kind, type, subject, of_transaction, occurred_at, (SELECT transaction_order()), place, $2
FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::timestamptz[], $10::integer[])
     AS given (provider, event_id, kind, type, subject, of_transaction, occurred_at, place)

-- name: find_payments_of
SELECT given.provider, given.transaction_id, opened.payment_id
FROM unnest($2::text[], $3::text[]) AS given (provider, transaction_id)
CROSS JOIN LATERAL (
    SELECT payment_id FROM payment_step
    WHERE book_id = $1 AND payment_step.provider_id = given.transaction_id AND step = 'opened' OFFSET 0
) AS opened
CROSS JOIN LATERAL (
    SELECT provider FROM payment WHERE book_id = $1 AND payment.payment_id = opened.payment_id OFFSET 0
) AS payment
WHERE payment.provider = given.provider

-- A refund is known by the provider's id of it, or, where its answer has not come yet, as one of its payment that has no such id.

-- name: find_refunds_of
SELECT given.nth::integer, told.refund_id
FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS given (provider, provider_id, nth)
CROSS JOIN LATERAL (
    SELECT refund_id FROM refund_step WHERE book_id = $1 AND refund_step.provider_id = given.provider_id OFFSET 0
) AS told
CROSS JOIN LATERAL (
    SELECT payment_id FROM refund WHERE book_id = $1 AND refund.refund_id = told.refund_id OFFSET 0
) AS refund
CROSS JOIN LATERAL (
    SELECT provider FROM payment WHERE book_id = $1 AND payment.payment_id = refund.payment_id OFFSET 0
) AS payment
WHERE payment.provider = given.provider
UNION
SELECT given.nth::integer, refund.refund_id
FROM unnest($2::text[], $4::text[]) WITH ORDINALITY AS given (provider, transaction_id, nth)
CROSS JOIN LATERAL (
    SELECT payment_id FROM payment_step
    WHERE book_id = $1 AND payment_step.provider_id = given.transaction_id AND step = 'opened' OFFSET 0
) AS opened
CROSS JOIN LATERAL (
    SELECT provider FROM payment WHERE book_id = $1 AND payment.payment_id = opened.payment_id OFFSET 0
) AS payment
CROSS JOIN LATERAL (
    SELECT book_id, refund_id FROM refund WHERE book_id = $1 AND refund.payment_id = opened.payment_id OFFSET 0
) AS refund
WHERE payment.provider = given.provider
  AND NOT EXISTS (SELECT FROM refund_step
                  WHERE (refund_step.book_id, refund_step.refund_id) = (refund.book_id, refund.refund_id)
                    AND provider_id IS NOT NULL OFFSET 0)
ORDER BY 1, 2

-- name: find_events
SELECT given.provider, given.event_id, kind, type, subject, provider_transaction_id, occurred_at, heard_at
FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS given (provider, event_id, nth)
CROSS JOIN LATERAL (
    SELECT kind, type, subject, provider_transaction_id, occurred_at, heard_at FROM provider_event
    WHERE book_id = $1 AND provider_event.provider = given.provider AND provider_event.event_id = given.event_id OFFSET 0
) AS heard
ORDER BY nth

-- name: first_heard
SELECT min(heard_at) FROM provider_event WHERE book_id = $1 AND provider = $2 AND subject = $3 AND kind = $4

-- name: page_events
SELECT provider, event_id, kind, type, subject, provider_transaction_id, occurred_at, heard_at,
       provider_event.transaction_id, message_place,
       EXISTS (SELECT FROM job WHERE job.book_id = $1 AND queue = $5 AND key = provider || '/' || event_id)
FROM provider_event
WHERE book_id = $1 AND (provider_event.transaction_id, message_place) > ($2, $3)
ORDER BY provider_event.transaction_id, message_place LIMIT $4
