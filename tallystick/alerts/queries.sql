-- name: insert_rule
INSERT INTO alert_rule (book_id, rule, active, terms, transaction_id, message_place, set_at)
VALUES ($1, $2, $3, $4::jsonb, transaction_order(), $5, $6)

-- name: list_rules
SELECT DISTINCT ON (rule) rule, active, terms::text, set_at FROM alert_rule
WHERE book_id = $1 ORDER BY rule, transaction_id DESC, message_place DESC

-- name: insert_alert
INSERT INTO alert (book_id, rule, customer, window_start, window_end, value, threshold, explanation, transaction_id,
                   message_place, raised_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, transaction_order(), $9, $10)
ON CONFLICT DO NOTHING

-- name: raised_since
SELECT customer, window_start, window_end FROM alert WHERE book_id = $1 AND rule = $2 AND window_end >= $3

-- name: page_alerts
SELECT rule, customer, window_start, window_end, value, threshold, explanation, raised_at FROM alert
WHERE book_id = $1 AND (transaction_id, message_place) < ($2, $3)
ORDER BY transaction_id DESC, message_place DESC LIMIT $4

-- Of one window's events of money; the types are those of the index.

-- name: count_events
SELECT data ->> 'customer', count(*), min(told_at), max(told_at) FROM event
WHERE book_id = $1 AND event_id >= uuid_at($2) AND told_at >= $2
  AND type IN ('payment.succeeded', 'payment.failed', 'repayment.received', 'repayment.refunded', 'charge.failed')
  AND type = ANY ($3::text[]) AND ($4::text IS NULL OR data ->> 'customer' = $4)
GROUP BY 1 HAVING count(*) > $5::numeric ORDER BY 1

-- name: large_events
SELECT DISTINCT ON (told_at, data ->> 'customer') data ->> 'customer', (data ->> 'amount')::bigint, told_at, type, subject
FROM event
WHERE book_id = $1 AND event_id >= uuid_at($2) AND told_at >= $2
  AND type IN ('payment.succeeded', 'payment.failed', 'repayment.received', 'repayment.refunded', 'charge.failed')
  AND type = ANY ($3::text[]) AND ($4::text IS NULL OR data ->> 'customer' = $4)
  AND data ->> 'asset' = $5 AND (data ->> 'amount')::bigint > $6::numeric
ORDER BY told_at, data ->> 'customer', (data ->> 'amount')::bigint DESC, event_id
