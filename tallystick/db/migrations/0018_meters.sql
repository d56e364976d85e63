-- Meters of every kind: what they aggregate, which dimensions they tell apart, which events they count.

ALTER TABLE meter
    DROP CONSTRAINT meter_aggregation_check,
    DROP CONSTRAINT meter_check,
    ADD COLUMN dimension text CHECK (length(dimension) BETWEEN 1 AND 64),
    ADD COLUMN filters   jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(filters) = 'object'),
    ADD COLUMN group_by  text[] NOT NULL DEFAULT '{}',
    ADD COLUMN time_unit text CHECK (time_unit IN ('hour', 'day', 'period')),
    ADD CONSTRAINT meter_aggregation CHECK (aggregation IN ('count', 'sum', 'max', 'unique', 'latest', 'time_weighted')),
    ADD CONSTRAINT meter_quantity CHECK ((aggregation IN ('count', 'unique')) = (quantity IS NULL)),
    ADD CONSTRAINT meter_dimension CHECK (
        CASE aggregation WHEN 'unique' THEN dimension IS NOT NULL WHEN 'time_weighted' THEN true ELSE dimension IS NULL END),
    ADD CONSTRAINT meter_time_unit CHECK ((aggregation = 'time_weighted') = (time_unit IS NOT NULL));
ALTER TABLE meter ALTER COLUMN filters DROP DEFAULT, ALTER COLUMN group_by DROP DEFAULT;
COMMENT ON COLUMN meter.quantity IS 'what is added up, compared or held; NULL exactly where events or values of a dimension are counted';
COMMENT ON COLUMN meter.dimension IS 'unique: whose distinct values are counted; time_weighted: each of its values has a level of its own';
COMMENT ON COLUMN meter.filters IS 'dimension: values; an event counts if each of these dimensions has one of its values';
COMMENT ON COLUMN meter.group_by IS 'dimensions that totals may be told apart by';
COMMENT ON COLUMN meter.time_unit IS 'time_weighted: what one unit of level, held for so long, counts as 1';

-- Whether an event with these dimensions is let through by a meter's filters.
CREATE FUNCTION usage_matches(dimensions jsonb, filters jsonb) RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF filters = '{}' THEN
        RETURN true;
    END IF;
    RETURN NOT EXISTS (SELECT FROM jsonb_each(filters) AS wanted
                       WHERE NOT coalesce(wanted.value ? (dimensions ->> wanted.key), false));
END $$;

-- Totals: usage added up by type, quantity and dimensions, of each customer by day and of everybody together by hour, of
-- UTC. A customer's single hours are too few events to be worth a row; everybody's are what charts ask for.
CREATE TABLE usage_total (
    starts_at   timestamptz NOT NULL,
    customer_id bigint NOT NULL,
    events      bigint NOT NULL,
    book_id     integer NOT NULL,
    type        text NOT NULL,
    quantity    text NOT NULL,
    digest      bytea NOT NULL,
    dimensions  jsonb NOT NULL,
    sum         numeric NOT NULL,
    max         numeric,
    PRIMARY KEY (book_id, type, quantity, customer_id, starts_at, digest)
) WITH (fillfactor = 80);
SELECT make_working_table('usage_total');
COMMENT ON COLUMN usage_total.customer_id IS '0: everybody together, by hour; else by day';
COMMENT ON COLUMN usage_total.quantity IS 'the quantity that is added up; empty: the events are counted';
COMMENT ON COLUMN usage_total.digest IS 'of the dimensions, which may be longer than a key can be';
COMMENT ON COLUMN usage_total.events IS 'those in force; of a quantity, those that have it';

CREATE TABLE usage_totals_through (
    book_id   integer PRIMARY KEY REFERENCES book,
    through   bigint NOT NULL,
    folded_at timestamptz NOT NULL
);
SELECT make_working_table('usage_totals_through');
COMMENT ON COLUMN usage_totals_through.through IS 'usage ordered below this is in the totals, and none that is not';

CREATE FUNCTION digest_dimensions(dimensions jsonb) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT substr(sha256(convert_to(dimensions::text, 'UTF8')), 1, 16) $$;

-- The rows from a place in the order on. By the index on that order alone: it leads to the last pages of a month, where
-- the one on customers leads to all that a customer ever used. Planned anew each time, since it is asked for the newest.
CREATE FUNCTION usage_tail(wanted_book integer, from_order bigint, to_order bigint, from_at timestamptz,
                           until_at timestamptz, wanted_customers bigint[])
RETURNS SETOF usage_event LANGUAGE plpgsql STABLE ROWS 20000
SET enable_seqscan = off SET enable_indexscan = off SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    RETURN QUERY
    SELECT * FROM tallystick.usage_event
    WHERE book_id = wanted_book AND transaction_id >= from_order AND transaction_id < to_order
      AND occurred_at >= from_at AND occurred_at < until_at
      AND (wanted_customers IS NULL OR customer_id + 0 = ANY (wanted_customers));
END $$;

-- How many rows lie in a stretch of the order; it stops counting behind *enough*.
CREATE FUNCTION count_usage(wanted_book integer, from_order bigint, to_order bigint, enough integer)
RETURNS bigint LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_indexscan = off SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    RETURN (SELECT count(*) FROM (
        SELECT FROM tallystick.usage_event
        WHERE book_id = wanted_book AND transaction_id >= from_order AND transaction_id < to_order LIMIT enough) AS taken);
END $$;

-- What a reading of totals is made of: hours or days that lie whole within it, single rows of its ends, and what is not
-- added up yet. *whole* are the instants at which hours or days begin and cease to count, in turn; NULL customers are
-- everybody together. All is of one snapshot.
CREATE FUNCTION usage_parts(wanted_book integer, wanted_customers bigint[], wanted_type text, wanted_quantity text,
                            whole timestamptz[], from_at timestamptz, until_at timestamptz,
                            ends_from timestamptz[], ends_until timestamptz[], through bigint)
RETURNS TABLE (customer_id bigint, at timestamptz, dimensions jsonb, events bigint, sum numeric, max numeric)
LANGUAGE sql STABLE AS $$
    SELECT customer_id, starts_at, dimensions, events, sum, max FROM tallystick.usage_total
    WHERE book_id = wanted_book AND type = wanted_type AND quantity = wanted_quantity
      AND customer_id = ANY (coalesce(wanted_customers, '{0}'))
      AND starts_at >= whole[1] AND starts_at < whole[cardinality(whole)] AND width_bucket(starts_at, whole) % 2 = 1
    UNION ALL
    SELECT event.customer_id, event.occurred_at, coalesce(event.dimensions, '{}'), 1,
           (event.quantities ->> wanted_quantity)::numeric, (event.quantities ->> wanted_quantity)::numeric
    FROM unnest(ends_from, ends_until) AS edge (since, until)
    JOIN tallystick.usage_in_force(wanted_book, through) AS event
      ON event.occurred_at >= edge.since AND event.occurred_at < edge.until
    -- Said again of all of them together, so that it is planned for the months in question and no others.
    WHERE event.occurred_at >= from_at AND event.occurred_at < until_at
      AND event.type = wanted_type AND (wanted_quantity = '' OR event.quantities ? wanted_quantity)
      AND (wanted_customers IS NULL OR event.customer_id = ANY (wanted_customers))
    UNION ALL
    SELECT event.customer_id, event.occurred_at, coalesce(event.dimensions, '{}'), event.sign,
           event.sign * (event.quantities ->> wanted_quantity)::numeric, (event.quantities ->> wanted_quantity)::numeric
    FROM tallystick.usage_tail(wanted_book, through, 9223372036854775807, from_at, until_at, wanted_customers) AS event
    WHERE event.type = wanted_type AND (wanted_quantity = '' OR event.quantities ? wanted_quantity)
$$;

-- Sees to a month after rows were added: its index on the order learns of them, and, when it has grown by half, the
-- planner of what is in it. Otherwise both wait for the autovacuum, and until then what is new is looked for everywhere.
CREATE FUNCTION tend_usage_month(wanted_book integer, month date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = tallystick, pg_temp AS $$
DECLARE
    of_month regclass := to_regclass(usage_partition(wanted_book, month));
    of_order regclass;
BEGIN
    IF of_month IS NULL THEN
        RETURN;
    END IF;
    FOR of_order IN
        SELECT indexrelid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam
        WHERE indrelid = of_month AND amname = 'brin'
    LOOP
        PERFORM brin_summarize_new_values(of_order);
    END LOOP;
    IF pg_relation_size(of_month) > 65536 + 1.5 * 8192 * (SELECT relpages FROM pg_class WHERE oid = of_month) THEN
        EXECUTE format('ANALYZE %s (book_id, customer_id, occurred_at, transaction_id, type, sign)', of_month);
    END IF;
END $$;
REVOKE ALL ON FUNCTION tend_usage_month FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tend_usage_month TO tallystick_app;
