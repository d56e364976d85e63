-- name: lead_fold
SELECT pg_try_advisory_xact_lock(hashtextextended('tallystick.usage_totals', $1::integer))

-- name: read_place
SELECT coalesce((SELECT through FROM usage_totals_through WHERE book_id = $1), 0), settled_horizon()

-- name: any_message
SELECT EXISTS (SELECT FROM message WHERE book_id = $1 AND transaction_id >= $2 AND transaction_id < $3)

-- name: count_rows
SELECT count_usage($1, $2, $3, $4)

-- name: fold_rows
SELECT * FROM fold_usage($1, $2, $3)

-- name: any_correction
SELECT EXISTS (SELECT FROM usage_correction WHERE book_id = $1 AND transaction_id >= $2 AND transaction_id < $3)

-- What was taken back may have been the largest.

-- name: find_largest_anew
UPDATE usage_total AS total
SET max = (
    SELECT max((event.quantities ->> total.quantity)::numeric) FROM usage_in_force($1, $3) AS event
    WHERE (total.customer_id = 0 OR event.customer_id = total.customer_id) AND event.type = total.type
      AND event.occurred_at >= total.starts_at AND event.occurred_at < total.starts_at + less.length
      AND coalesce(event.dimensions, '{}') = total.dimensions AND event.quantities ? total.quantity)
FROM (
    SELECT DISTINCT type, key AS quantity, grain.customer_id, grain.starts_at, grain.length,
           digest_dimensions(coalesce(dimensions, '{}')) AS digest
    FROM usage_tail($1, $2, $3, '-infinity', 'infinity', NULL) AS event
    CROSS JOIN LATERAL jsonb_object_keys(quantities) AS key
    CROSS JOIN LATERAL (VALUES
        (event.customer_id, date_trunc('day', occurred_at, 'UTC'), interval '24 hours'),
        (0, date_trunc('hour', occurred_at, 'UTC'), interval '1 hour')) AS grain (customer_id, starts_at, length)
    WHERE sign = -1
) AS less
WHERE total.book_id = $1 AND (total.type, total.quantity, total.customer_id, total.starts_at, total.digest)
                           = (less.type, less.quantity, less.customer_id, less.starts_at, less.digest)

-- name: set_place
INSERT INTO usage_totals_through (book_id, through, folded_at) VALUES ($1, $2, $3)
ON CONFLICT (book_id) DO UPDATE SET through = excluded.through, folded_at = excluded.folded_at

-- name: tend_month
SELECT tend_usage_month($1, $2)

-- name: plan_for_the_values
SELECT set_config('plan_cache_mode', 'force_custom_plan', true)

-- name: folded_through
SELECT coalesce((SELECT through FROM usage_totals_through WHERE book_id = $1), 0)

-- What readings are made of: $2 customers or NULL, $3 type, $4 quantity, $5 whole hours or days, $6 to $7 the ends' rows, $8 place,
-- $9 edges of the buckets, $10 filters, $11 dimensions to tell apart by, $12 whether by customer; from $13 on the cursor
-- and the limit.

-- name: read_totals
SELECT customer_id, bucket, grouped, events, sum, max
FROM read_usage_totals($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)

-- name: read_distinct
SELECT customer_id, bucket, grouped, sum(events)::bigint AS events, count(*)::numeric, NULL::numeric
FROM (
    SELECT CASE WHEN $12::boolean THEN customer_id ELSE 0 END AS customer_id,
           width_bucket(at, $9::timestamptz[]) AS bucket,
           ARRAY(SELECT dimensions ->> name FROM unnest($11::text[]) WITH ORDINALITY AS one (name, place) ORDER BY place)
               COLLATE "C" AS grouped,
           dimensions ->> $17::text AS value, sum(events) AS events
    FROM usage_parts($1, $2::bigint[], $3, $4, $5::timestamptz[], ($9::timestamptz[])[1],
                     ($9::timestamptz[])[cardinality($9::timestamptz[])], $6::timestamptz[], $7::timestamptz[], $8)
    WHERE ($10::text = '{}' OR usage_matches(dimensions, $10::text::jsonb)) AND dimensions ? $17::text
    GROUP BY 1, 2, 3, 4
    HAVING sum(events) > 0
) AS reading
WHERE (customer_id, bucket, grouped) > ($13::bigint, $14::integer, $15::text[])
GROUP BY customer_id, bucket, grouped
ORDER BY customer_id, bucket, grouped LIMIT $16

-- The readings that need every event, or are asked for when an event was just taken back: of what is in force.

-- name: read_largest
SELECT customer_id, bucket, grouped, events, max, max
FROM (
    SELECT CASE WHEN $7::boolean THEN customer_id ELSE 0 END AS customer_id,
           width_bucket(occurred_at, $4::timestamptz[]) AS bucket,
           ARRAY(SELECT dimensions ->> name FROM unnest($6::text[]) WITH ORDINALITY AS one (name, place) ORDER BY place)
               COLLATE "C" AS grouped,
           count(*) AS events, max((quantities ->> $12::text)::numeric) AS max
    FROM usage_in_force($1, 9223372036854775807)
    WHERE ($2::bigint[] IS NULL OR customer_id = ANY ($2)) AND type = $3
      AND occurred_at >= ($4::timestamptz[])[1] AND occurred_at < ($4::timestamptz[])[cardinality($4::timestamptz[])]
      AND ($5::text = '{}' OR usage_matches(dimensions, $5::text::jsonb)) AND quantities ? $12::text
    GROUP BY 1, 2, 3
) AS reading
WHERE (customer_id, bucket, grouped) > ($8::bigint, $9::integer, $10::text[])
ORDER BY customer_id, bucket, grouped LIMIT $11

-- name: read_latest
SELECT customer_id, bucket, grouped, events, value, value
FROM (
    SELECT DISTINCT ON (customer_id, bucket, grouped)
           customer_id, bucket, grouped, count(*) OVER (PARTITION BY customer_id, bucket, grouped) AS events, value
    FROM (
        SELECT CASE WHEN $7::boolean THEN customer_id ELSE 0 END AS customer_id,
               width_bucket(occurred_at, $4::timestamptz[]) AS bucket,
               ARRAY(SELECT dimensions ->> name FROM unnest($6::text[]) WITH ORDINALITY AS one (name, place)
                     ORDER BY place) COLLATE "C" AS grouped,
               occurred_at, event_key, (quantities ->> $12::text)::numeric AS value
        FROM usage_in_force($1, 9223372036854775807)
        WHERE ($2::bigint[] IS NULL OR customer_id = ANY ($2)) AND type = $3
          AND occurred_at >= ($4::timestamptz[])[1] AND occurred_at < ($4::timestamptz[])[cardinality($4::timestamptz[])]
          AND ($5::text = '{}' OR usage_matches(dimensions, $5::text::jsonb)) AND quantities ? $12::text
    ) AS event
    ORDER BY customer_id, bucket, grouped, occurred_at DESC, event_key DESC
) AS reading
WHERE (customer_id, bucket, grouped) > ($8::bigint, $9::integer, $10::text[])
ORDER BY customer_id, bucket, grouped LIMIT $11

-- name: read_held
WITH step AS (
    SELECT customer_id, dimensions, occurred_at, (quantities ->> $12::text)::numeric AS level,
           lead(occurred_at, 1, 'infinity') OVER (PARTITION BY customer_id, coalesce(dimensions ->> $13::text, '')
                                                  ORDER BY occurred_at, event_key) AS until_at
    FROM usage_in_force($1, 9223372036854775807)
    WHERE ($2::bigint[] IS NULL OR customer_id = ANY ($2)) AND type = $3
      AND occurred_at < ($4::timestamptz[])[cardinality($4::timestamptz[])]
      AND ($5::text = '{}' OR usage_matches(dimensions, $5::text::jsonb)) AND quantities ? $12::text
), edge AS (
    SELECT bucket::integer, start_at, lead(start_at) OVER (ORDER BY bucket) AS end_at
    FROM unnest($4::timestamptz[]) WITH ORDINALITY AS one (start_at, bucket)
)
SELECT customer_id, bucket, grouped, events, held, held
FROM (
    SELECT CASE WHEN $7::boolean THEN customer_id ELSE 0 END AS customer_id, bucket,
           ARRAY(SELECT dimensions ->> name FROM unnest($6::text[]) WITH ORDINALITY AS one (name, place) ORDER BY place)
               COLLATE "C" AS grouped,
           count(*) FILTER (WHERE occurred_at >= start_at) AS events,
           sum(level * extract(epoch FROM least(until_at, end_at) - greatest(occurred_at, start_at)) * 1000000) AS held
    FROM step JOIN edge ON occurred_at < end_at AND (until_at > start_at OR occurred_at >= start_at)
    WHERE end_at IS NOT NULL
    GROUP BY 1, 2, 3
    HAVING count(*) FILTER (WHERE occurred_at >= start_at) > 0 OR bool_or(level > 0)
) AS reading
WHERE (customer_id, bucket, grouped) > ($8::bigint, $9::integer, $10::text[])
ORDER BY customer_id, bucket, grouped LIMIT $11

-- name: customers_behind
SELECT customer_id FROM customer WHERE book_id = $1 AND customer_id >= $2 ORDER BY customer_id LIMIT $3

-- name: names_of_customers
SELECT customer_id, ref FROM customer WHERE book_id = $1 AND customer_id = ANY ($2::bigint[])

-- name: find_customer
SELECT customer_id FROM customer WHERE book_id = $1 AND ref = $2

-- name: months_with_usage
SELECT month, month NOT IN (SELECT usage_months_away($1, '-infinity', 'infinity'))
FROM (
    SELECT DISTINCT date_trunc('month', starts_at AT TIME ZONE 'UTC')::date AS month
    FROM usage_total WHERE book_id = $1 AND customer_id = 0
    UNION
    SELECT to_date(right(part.relname, 6), 'YYYYMM')
    FROM pg_inherits JOIN pg_class AS part ON part.oid = inhrelid
    WHERE inhparent = to_regclass('usage_event_' || $1::integer) AND part.relkind = 'r'
) AS known
ORDER BY month

-- name: first_difference
WITH event AS MATERIALIZED (
    SELECT customer_id, occurred_at, type, measured.quantity, coalesce(dimensions, '{}') AS dimensions, value
    FROM usage_in_force($1, $4) CROSS JOIN LATERAL (
        SELECT '', NULL::numeric UNION ALL SELECT key, value::numeric FROM jsonb_each_text(quantities)
    ) AS measured (quantity, value)
    WHERE occurred_at >= $2 AND occurred_at < $3
), raw AS (
    SELECT date_trunc('day', occurred_at, 'UTC') AS starts_at, customer_id, type, quantity, dimensions,
           count(*) AS events, coalesce(sum(value), 0) AS sum, max(value) AS max
    FROM event GROUP BY 1, 2, 3, 4, 5
    UNION ALL
    SELECT date_trunc('hour', occurred_at, 'UTC'), 0, type, quantity, dimensions,
           count(*), coalesce(sum(value), 0), max(value)
    FROM event GROUP BY 1, 3, 4, 5
), kept AS (
    SELECT starts_at, customer_id, type, quantity, dimensions, events, sum, max FROM usage_total
    WHERE book_id = $1 AND starts_at >= $2 AND starts_at < $3
)
SELECT starts_at, (SELECT ref FROM customer WHERE (book_id, customer.customer_id) = ($1, both_sides.customer_id)), type,
       quantity, dimensions, kept_events, kept_sum, kept_max, raw_events, raw_sum, raw_max
FROM (
    SELECT starts_at, customer_id, type, quantity, dimensions,
           coalesce(kept.events, 0) AS kept_events, coalesce(kept.sum, 0) AS kept_sum, kept.max AS kept_max,
           coalesce(raw.events, 0)::bigint AS raw_events, coalesce(raw.sum, 0) AS raw_sum, raw.max AS raw_max
    FROM raw FULL JOIN kept USING (starts_at, customer_id, type, quantity, dimensions)
) AS both_sides
WHERE (kept_events, kept_sum) <> (raw_events, raw_sum) OR kept_max IS DISTINCT FROM raw_max
ORDER BY starts_at, customer_id, type COLLATE "C", quantity COLLATE "C", dimensions LIMIT 1

-- name: find_customer
SELECT customer_id FROM customer WHERE book_id = $1 AND ref = $2

-- name: any_usage_behind
SELECT EXISTS (SELECT FROM usage_tail($1, $2, 9223372036854775807, $3, $4, NULL))

-- name: months_away
SELECT usage_months_away($1, $2, $3)

-- name: any_total
SELECT EXISTS (
    SELECT FROM unnest($6::timestamptz[], $7::timestamptz[]) AS span (start_at, end_at)
    JOIN usage_total ON book_id = $1 AND type = $2 AND quantity = $3 AND customer_id = $4
        AND starts_at >= date_trunc($5, start_at, 'UTC') AND starts_at < end_at
    WHERE events > 0
)
