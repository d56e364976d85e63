-- name: customers_with_usage
SELECT customer_id, ref FROM customers_with_usage($1, $2, $3, $4, $5, $6, $7, $8) ORDER BY customer_id

-- What meters read. A row that takes another back has the sign -1, so counts and sums are those of all rows; the others
-- look at what is in force.

-- name: count_events
SELECT customer_id, sum(sign)::bigint, sum(sign)::numeric FROM usage_event
WHERE book_id = $1 AND customer_id = ANY ($2::bigint[]) AND type = $3
  AND occurred_at >= $4 AND occurred_at < $5 AND transaction_id < $6
  AND ($7::text = '{}' OR usage_matches(dimensions, $7::text::jsonb))
GROUP BY customer_id HAVING sum(sign) > 0

-- name: sum_quantity
SELECT customer_id, sum(sign)::bigint, sum(sign * (quantities ->> $8::text)::numeric) FROM usage_event
WHERE book_id = $1 AND customer_id = ANY ($2::bigint[]) AND type = $3
  AND occurred_at >= $4 AND occurred_at < $5 AND transaction_id < $6
  AND ($7::text = '{}' OR usage_matches(dimensions, $7::text::jsonb)) AND quantities ? $8::text
GROUP BY customer_id HAVING sum(sign) > 0

-- name: read_together
SELECT customer_id, sum(sign)::bigint, sum(sign)::numeric,
       sum(sign) FILTER (WHERE quantities ? $8::text)::bigint, sum(sign * (quantities ->> $8::text)::numeric),
       sum(sign) FILTER (WHERE quantities ? $9::text)::bigint, sum(sign * (quantities ->> $9::text)::numeric),
       sum(sign) FILTER (WHERE quantities ? $10::text)::bigint, sum(sign * (quantities ->> $10::text)::numeric)
FROM usage_event
WHERE book_id = $1 AND customer_id = ANY ($2::bigint[]) AND type = $3
  AND occurred_at >= $4 AND occurred_at < $5 AND transaction_id < $6
  AND ($7::text = '{}' OR usage_matches(dimensions, $7::text::jsonb))
GROUP BY customer_id HAVING sum(sign) > 0

-- name: largest_quantity
SELECT customer_id, count(*), max((quantities ->> $8::text)::numeric) FROM usage_in_force($1, $6)
WHERE customer_id = ANY ($2::bigint[]) AND type = $3 AND occurred_at >= $4 AND occurred_at < $5
  AND ($7::text = '{}' OR usage_matches(dimensions, $7::text::jsonb)) AND quantities ? $8::text
GROUP BY customer_id

-- name: count_distinct
SELECT customer_id, count(*), count(DISTINCT dimensions ->> $8::text)::numeric FROM usage_in_force($1, $6)
WHERE customer_id = ANY ($2::bigint[]) AND type = $3 AND occurred_at >= $4 AND occurred_at < $5
  AND ($7::text = '{}' OR usage_matches(dimensions, $7::text::jsonb)) AND dimensions ? $8::text
GROUP BY customer_id

-- name: latest_quantity
SELECT DISTINCT ON (customer_id)
       customer_id, count(*) OVER (PARTITION BY customer_id), (quantities ->> $8::text)::numeric
FROM usage_in_force($1, $6)
WHERE customer_id = ANY ($2::bigint[]) AND type = $3 AND occurred_at >= $4 AND occurred_at < $5
  AND ($7::text = '{}' OR usage_matches(dimensions, $7::text::jsonb)) AND quantities ? $8::text
ORDER BY customer_id, occurred_at DESC, event_key DESC

-- name: weigh_by_time
WITH step AS (
    SELECT customer_id, occurred_at, (quantities ->> $8::text)::numeric AS level,
           lead(occurred_at, 1, $5) OVER (PARTITION BY customer_id, coalesce(dimensions ->> $9::text, '')
                                          ORDER BY occurred_at, event_key) AS until_at
    FROM usage_in_force($1, $6)
    WHERE customer_id = ANY ($2::bigint[]) AND type = $3 AND occurred_at < $5
      AND ($7::text = '{}' OR usage_matches(dimensions, $7::text::jsonb)) AND quantities ? $8::text
)
SELECT customer_id, count(*) FILTER (WHERE occurred_at >= $4),
       sum(level * extract(epoch FROM until_at - greatest(occurred_at, $4)) * 1000000)
FROM step WHERE occurred_at >= $4 OR until_at > $4
GROUP BY customer_id
HAVING count(*) FILTER (WHERE occurred_at >= $4) > 0 OR bool_or(level > 0)

-- name: newest_rule
SELECT rule, set_at FROM billable_rule WHERE book_id = $1 ORDER BY transaction_id DESC, message_place DESC LIMIT 1

-- name: insert_rule
INSERT INTO billable_rule (book_id, transaction_id, message_place, rule, set_at)
VALUES ($1, transaction_order(), $2, $3, $4)

-- name: find_known_keys
SELECT event_key, customer_id, occurred_at, content FROM find_usage_keys($1, $2::text::uuid[])

-- name: find_first_contents
SELECT DISTINCT ON (event_key) event_key, type, quantities::text, dimensions::text
FROM find_usage_keys($1, $2::text::uuid[])
JOIN usage_event USING (book_id, customer_id, occurred_at, event_key)
WHERE sign = 1
ORDER BY event_key, transaction_id, message_place

-- name: ensure_months
SELECT ensure_usage_months($1, $2::date[])

-- Kept once for each event and reason: who sends everything again adds nothing. In the order of their keys, so that two
-- who send the same at the same moment wait for each other, and never in a ring.
-- name: insert_not_billable
INSERT INTO usage_not_billable (book_id, event_key, transaction_id, message_place, reason, judged_at)
SELECT DISTINCT ON (event_key) $1, event_key, (SELECT transaction_order()), $2, reason, $3
FROM unnest($4::text::uuid[], $5::text[]) AS given (event_key, reason)
WHERE NOT EXISTS (
    SELECT FROM usage_not_billable AS kept
    WHERE kept.book_id = $1 AND kept.event_key = given.event_key AND kept.reason = given.reason OFFSET 0)
ORDER BY event_key
ON CONFLICT DO NOTHING

-- name: insert_conflicts
INSERT INTO usage_conflict (book_id, event_key, transaction_id, message_place, position, field, said, reported_at)
SELECT $1, event_key, (SELECT transaction_order()), $2, position, field, said::jsonb, $3
FROM unnest($4::text::uuid[], $5::integer[], $6::text[], $7::text[]) AS given (event_key, position, field, said)

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
FROM usage_in_force($1, 9223372036854775807)
WHERE occurred_at >= $2 AND occurred_at < $3
  AND ($4::text IS NULL OR customer_id = (SELECT customer_id FROM customer WHERE book_id = $1 AND ref = $4))

-- name: page_events
SELECT customer_id, occurred_at, event_key, event_id, source, $2::text, type, quantities, dimensions
FROM usage_in_force($1, $10)
WHERE customer_id = (SELECT customer_id FROM customer WHERE book_id = $1 AND ref = $2)
  AND occurred_at >= $3 AND occurred_at < $4 AND ($5::text IS NULL OR type = $5)
  AND ($6::text = '{}' OR usage_matches(dimensions, $6::text::jsonb))
  AND (customer_id, occurred_at, event_key) > ($7, $8, $9)
ORDER BY customer_id, occurred_at, event_key LIMIT $11

-- name: page_all_events
SELECT event.customer_id, occurred_at, event_key, event_id, source, customer.ref, type, quantities, dimensions
FROM (
    SELECT * FROM usage_in_force($1, $9)
    WHERE occurred_at >= $2 AND occurred_at < $3 AND ($4::text IS NULL OR type = $4)
      AND ($5::text = '{}' OR usage_matches(dimensions, $5::text::jsonb))
      AND (customer_id, occurred_at, event_key) > ($6, $7, $8)
    ORDER BY customer_id, occurred_at, event_key LIMIT $10
) AS event
JOIN customer ON (customer.book_id, customer.customer_id) = ($1, event.customer_id)
ORDER BY event.customer_id, occurred_at, event_key

-- name: count_events_in_force
SELECT count(*) FROM usage_in_force($1, $2)
WHERE occurred_at >= $3 AND occurred_at < $4 AND ($5::text IS NULL OR type = $5)
  AND ($6::text = '{}' OR usage_matches(dimensions, $6::text::jsonb))
  AND ($7::text IS NULL OR customer_id = (SELECT customer_id FROM customer WHERE book_id = $1 AND ref = $7))

-- name: settled_horizon
SELECT settled_horizon()

-- name: list_quantities
SELECT customer_id, array_agg((quantities ->> $8::text)::numeric ORDER BY occurred_at, event_key)
FROM usage_in_force($1, $6)
WHERE customer_id = ANY ($2::bigint[]) AND type = $3 AND occurred_at >= $4 AND occurred_at < $5
  AND ($7::text = '{}' OR usage_matches(dimensions, $7::text::jsonb)) AND quantities ? $8::text
GROUP BY customer_id
