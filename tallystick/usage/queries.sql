-- name: customers_with_usage
SELECT customer_id, ref FROM customer
WHERE book_id = $1 AND customer_id > $5 AND EXISTS (
    SELECT FROM usage_event
    WHERE usage_event.book_id = $1 AND usage_event.customer_id = customer.customer_id
      AND occurred_at >= $2 AND occurred_at < $3 AND usage_event.transaction_id < $4)
ORDER BY customer_id LIMIT $6

-- name: count_events
SELECT customer_id, count(*), count(*)::numeric FROM usage_event
WHERE book_id = $1 AND customer_id = ANY ($2::bigint[]) AND type = $3
  AND occurred_at >= $4 AND occurred_at < $5 AND transaction_id < $6
GROUP BY customer_id

-- name: sum_quantity
SELECT customer_id, count(*), sum((quantities ->> $7::text)::numeric) FROM usage_event
WHERE book_id = $1 AND customer_id = ANY ($2::bigint[]) AND type = $3
  AND occurred_at >= $4 AND occurred_at < $5 AND transaction_id < $6 AND quantities ? $7::text
GROUP BY customer_id

-- name: newest_rule
SELECT rule, set_at FROM billable_rule WHERE book_id = $1 ORDER BY transaction_id DESC, message_place DESC LIMIT 1

-- name: insert_rule
INSERT INTO billable_rule (book_id, transaction_id, message_place, rule, set_at)
VALUES ($1, transaction_order(), $2, $3, $4)

-- name: find_known_events
SELECT event_key, customer_id, type, occurred_at, quantities FROM find_usage($1, $2::text::uuid[])

-- name: find_customers
SELECT ref, customer_id FROM find_customers($1, $2::text[])

-- name: make_customers
INSERT INTO customer (book_id, customer_id, ref, transaction_id, created_at)
SELECT $1, nextval('customer_number'), ref, (SELECT transaction_order()), $3
FROM (SELECT DISTINCT ref FROM unnest($2::text[]) AS ref ORDER BY ref) AS wanted
ON CONFLICT ON CONSTRAINT customer_once DO NOTHING

-- name: order_transaction
SELECT transaction_order()

-- name: summarise
SELECT count(*), count(DISTINCT customer_id), coalesce(sum((quantities ->> $5::text)::numeric), 0),
       min(occurred_at), max(occurred_at)
FROM usage_event
WHERE book_id = $1 AND occurred_at >= $2 AND occurred_at < $3
  AND ($4::text IS NULL OR customer_id = (SELECT customer_id FROM customer WHERE book_id = $1 AND ref = $4))

-- name: page_events
SELECT event_key, event_id, source, type, occurred_at, quantities
FROM usage_event
WHERE book_id = $1 AND customer_id = (SELECT customer_id FROM customer WHERE book_id = $1 AND ref = $2)
  AND occurred_at >= $3 AND occurred_at < $4 AND (occurred_at, event_key) > ($5, $6)
ORDER BY occurred_at, event_key LIMIT $7
