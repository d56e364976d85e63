-- Who used something, read in order of the customers and no further than asked for.

-- Customer by customer, each by index up to the first event that says so. Without statistics, as right after a large import,
-- the planner would look at all customers and sort them for every page; so sorting is not left to it.
CREATE FUNCTION customers_with_usage(wanted_book integer, starts timestamptz, ends timestamptz, through bigint,
                                     behind bigint, up_to bigint, held_types text[], most integer)
RETURNS TABLE (customer_id bigint, ref text) LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    RETURN QUERY
    SELECT one.customer_id, one.ref FROM tallystick.customer AS one
    CROSS JOIN LATERAL (
        (
            SELECT FROM tallystick.usage_in_force(wanted_book, through) AS event
            WHERE event.customer_id = one.customer_id AND event.occurred_at >= starts AND event.occurred_at < ends LIMIT 1
        ) UNION ALL (
            SELECT FROM tallystick.usage_in_force(wanted_book, through) AS event
            WHERE cardinality(held_types) > 0 AND event.customer_id = one.customer_id AND event.occurred_at < starts
              AND event.type = ANY (held_types) LIMIT 1
        ) LIMIT 1
    ) AS any_event
    WHERE one.book_id = wanted_book AND one.customer_id > behind AND one.customer_id <= up_to
    ORDER BY one.customer_id LIMIT most;
END $$;

-- Where the customers are hardly more than the rows, all of them are read once and the rows held against them. Else those
-- named are looked up, as a list to be found by index: of a join the planner makes one that reads all for each batch.
CREATE OR REPLACE FUNCTION usage_customers_exist() RETURNS trigger LANGUAGE plpgsql
SET plan_cache_mode = force_custom_plan SET enable_seqscan = off SET enable_nestloop = off SET enable_mergejoin = off AS $$
DECLARE
    are_few CONSTANT boolean := (SELECT count(*) FROM recorded) * 100 > pg_relation_size('tallystick.customer');
    named   record;
    unknown boolean := false;
BEGIN
    IF are_few THEN
        unknown := EXISTS (
            SELECT FROM recorded LEFT JOIN tallystick.customer USING (book_id, customer_id) WHERE customer.ref IS NULL);
    ELSE
        FOR named IN SELECT book_id, array_agg(DISTINCT customer_id) AS ids FROM recorded GROUP BY book_id LOOP
            unknown := unknown OR cardinality(named.ids) > (
                SELECT count(*) FROM tallystick.customer
                WHERE customer.book_id = named.book_id AND customer_id = ANY (named.ids));
        END LOOP;
    END IF;
    IF unknown THEN
        RAISE EXCEPTION 'usage names a customer that is not in its book'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'usage_customers_exist';
    END IF;
    RETURN NULL;
END $$;

-- What the rows of a stretch of the order add up to, in the order of the totals' key. Type and dimensions are compared once
-- for each row and are a number from there on.
CREATE FUNCTION usage_to_fold(wanted_book integer, from_order bigint, to_order bigint)
RETURNS TABLE (type text, quantity text, customer_id bigint, starts_at timestamptz, digest bytea, dimensions jsonb,
               events bigint, sum numeric, max numeric)
LANGUAGE plpgsql STABLE ROWS 20000
SET enable_hashjoin = on SET work_mem = '64MB' SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH event AS MATERIALIZED (
        SELECT type, customer_id, date_bin('1 hour', occurred_at, '2000-01-01T00:00:00Z') AS hour,
               coalesce(dimensions, '{}') AS dimensions, quantities, sign
        FROM tallystick.usage_tail(wanted_book, from_order, to_order, '-infinity', 'infinity', NULL)
    ), shape AS MATERIALIZED (
        SELECT row_number() OVER () AS shape, type, dimensions, tallystick.digest_dimensions(dimensions) AS digest
        FROM (SELECT DISTINCT type, dimensions FROM event) AS one
    ), counted AS MATERIALIZED (
        SELECT shape, customer_id, hour, sign, quantities FROM event JOIN shape USING (type, dimensions)
    ), measured AS MATERIALIZED (
        SELECT shape, key AS quantity, customer_id, hour, sign, value::numeric AS value
        FROM counted CROSS JOIN LATERAL jsonb_each_text(quantities)
    ), added AS (
        SELECT shape, '' AS quantity, customer_id, date_bin('1 day', hour, '2000-01-01T00:00:00Z') AS starts_at,
               sum(sign) AS events, 0::numeric AS sum, NULL::numeric AS max
        FROM counted GROUP BY 1, 3, 4
        UNION ALL
        SELECT shape, '', 0, hour, sum(sign), 0, NULL FROM counted GROUP BY 1, 4
        UNION ALL
        SELECT shape, quantity, customer_id, date_bin('1 day', hour, '2000-01-01T00:00:00Z'),
               sum(sign), sum(sign * value), max(value) FILTER (WHERE sign = 1)
        FROM measured GROUP BY 1, 2, 3, 4
        UNION ALL
        SELECT shape, quantity, 0, hour, sum(sign), sum(sign * value), max(value) FILTER (WHERE sign = 1)
        FROM measured GROUP BY 1, 2, 4
    )
    SELECT type, quantity, customer_id, starts_at, digest, dimensions, events, sum, max
    FROM added JOIN shape USING (shape) ORDER BY quantity, customer_id, starts_at;
END $$;

-- Adds a stretch of the order to the totals and returns the months that it has rows of. For one at a time alone, who has said
-- so by a lock: row by row the total is looked up, and changed or made, which takes half of what a conflict would.
CREATE FUNCTION fold_usage(wanted_book integer, from_order bigint, to_order bigint) RETURNS SETOF date
LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off
SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    RETURN QUERY
    WITH folded AS (
        MERGE INTO tallystick.usage_total AS total
        USING tallystick.usage_to_fold(wanted_book, from_order, to_order) AS more
            ON total.book_id = wanted_book AND total.type = more.type AND total.quantity = more.quantity
            AND total.customer_id = more.customer_id AND total.starts_at = more.starts_at AND total.digest = more.digest
        WHEN MATCHED THEN UPDATE
            SET events = total.events + more.events, sum = total.sum + more.sum, max = greatest(total.max, more.max)
        WHEN NOT MATCHED THEN
            INSERT (book_id, type, quantity, customer_id, starts_at, digest, dimensions, events, sum, max)
            VALUES (wanted_book, more.type, more.quantity, more.customer_id, more.starts_at, more.digest,
                    more.dimensions, more.events, more.sum, more.max)
        RETURNING total.starts_at
    )
    SELECT DISTINCT date_trunc('month', starts_at AT TIME ZONE 'UTC')::date FROM folded;
END $$;

-- The parts of a reading, each planned by itself: the totals by their key once and for all, the ends only where there are
-- some, for the months in question. Planned together, that took longer than the reading.
CREATE FUNCTION usage_whole_parts(wanted_book integer, wanted_customers bigint[], wanted_type text, wanted_quantity text,
                                  whole timestamptz[])
RETURNS TABLE (customer_id bigint, at timestamptz, dimensions jsonb, events bigint, sum numeric, max numeric)
LANGUAGE plpgsql STABLE ROWS 100
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    SELECT total.customer_id, total.starts_at, total.dimensions, total.events, total.sum, total.max
    FROM tallystick.usage_total AS total
    WHERE total.book_id = wanted_book AND total.type = wanted_type AND total.quantity = wanted_quantity
      AND total.customer_id = ANY (coalesce(wanted_customers, '{0}'))
      AND total.starts_at >= whole[1] AND total.starts_at < whole[cardinality(whole)]
      AND width_bucket(total.starts_at, whole) % 2 = 1;
END $$;

CREATE FUNCTION usage_end_parts(wanted_book integer, wanted_customers bigint[], wanted_type text, wanted_quantity text,
                                from_at timestamptz, until_at timestamptz,
                                ends_from timestamptz[], ends_until timestamptz[], through bigint)
RETURNS TABLE (customer_id bigint, at timestamptz, dimensions jsonb, events bigint, sum numeric, max numeric)
LANGUAGE plpgsql STABLE ROWS 100 SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    IF cardinality(ends_from) = 0 THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT event.customer_id, event.occurred_at, coalesce(event.dimensions, '{}'), 1::bigint,
           (event.quantities ->> wanted_quantity)::numeric, (event.quantities ->> wanted_quantity)::numeric
    FROM unnest(ends_from, ends_until) AS edge (since, until)
    JOIN tallystick.usage_in_force(wanted_book, through) AS event
      ON event.occurred_at >= edge.since AND event.occurred_at < edge.until
    -- Said again of all of them together, so that it is planned for the months in question and no others.
    WHERE event.occurred_at >= from_at AND event.occurred_at < until_at
      AND event.type = wanted_type AND (wanted_quantity = '' OR event.quantities ? wanted_quantity)
      AND (wanted_customers IS NULL OR event.customer_id = ANY (wanted_customers));
END $$;

CREATE OR REPLACE FUNCTION usage_parts(wanted_book integer, wanted_customers bigint[], wanted_type text, wanted_quantity text,
                                       whole timestamptz[], from_at timestamptz, until_at timestamptz,
                                       ends_from timestamptz[], ends_until timestamptz[], through bigint)
RETURNS TABLE (customer_id bigint, at timestamptz, dimensions jsonb, events bigint, sum numeric, max numeric)
LANGUAGE sql STABLE AS $$
    SELECT * FROM tallystick.usage_whole_parts(wanted_book, wanted_customers, wanted_type, wanted_quantity, whole)
    UNION ALL
    SELECT * FROM tallystick.usage_end_parts(wanted_book, wanted_customers, wanted_type, wanted_quantity,
                                             from_at, until_at, ends_from, ends_until, through)
    UNION ALL
    SELECT event.customer_id, event.occurred_at, coalesce(event.dimensions, '{}'), event.sign,
           event.sign * (event.quantities ->> wanted_quantity)::numeric, (event.quantities ->> wanted_quantity)::numeric
    FROM tallystick.usage_tail(wanted_book, through, 9223372036854775807, from_at, until_at, wanted_customers) AS event
    WHERE event.type = wanted_type AND (wanted_quantity = '' OR event.quantities ? wanted_quantity)
$$;

-- A page of readings of counts, sums and largest values, in order; planned once, since its parts plan themselves. NULL for
-- *through*: as far as is folded.
CREATE FUNCTION read_usage_totals(wanted_book integer, wanted_customers bigint[], wanted_type text, wanted_quantity text,
                                  whole timestamptz[], ends_from timestamptz[], ends_until timestamptz[], through bigint,
                                  edges timestamptz[], filters text, told_apart text[], by_customer boolean,
                                  behind_customer bigint, behind_bucket integer, behind_grouped text[], most bigint)
RETURNS TABLE (customer_id bigint, bucket integer, grouped text[], events bigint, sum numeric, max numeric)
LANGUAGE plpgsql STABLE ROWS 10
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    place bigint := coalesce(through, (
        SELECT kept.through FROM tallystick.usage_totals_through AS kept WHERE kept.book_id = wanted_book), 0);
BEGIN
    RETURN QUERY
    SELECT customer_id, bucket, grouped, events, sum, max
    FROM (
        SELECT CASE WHEN by_customer THEN customer_id ELSE 0 END AS customer_id, width_bucket(at, edges) AS bucket,
               ARRAY(SELECT dimensions ->> name FROM unnest(told_apart) WITH ORDINALITY AS one (name, nth) ORDER BY nth)
                   COLLATE "C" AS grouped,
               sum(events)::bigint AS events, sum(sum) AS sum, max(max) AS max
        FROM tallystick.usage_parts(wanted_book, wanted_customers, wanted_type, wanted_quantity, whole, edges[1],
                                    edges[cardinality(edges)], ends_from, ends_until, place)
        WHERE filters = '{}' OR tallystick.usage_matches(dimensions, filters::jsonb)
        GROUP BY 1, 2, 3
        HAVING sum(events) > 0
    ) AS reading
    WHERE (customer_id, bucket, grouped) > (behind_customer, behind_bucket, behind_grouped)
    ORDER BY customer_id, bucket, grouped LIMIT most;
END $$;
