-- The life of a month of usage: attached, detached, exported, dropped, restored, attached again; and what is carried over.

CREATE TABLE usage_month_event (
    book_id        integer NOT NULL REFERENCES book,
    month          date NOT NULL CHECK (extract(day FROM month) = 1),
    piece          integer NOT NULL CHECK (piece > 0),
    step           text NOT NULL CHECK (step IN ('detached', 'exported', 'dropped', 'restored', 'attached')),
    rows           bigint NOT NULL CHECK (rows >= 0),
    first_order    bigint,
    last_order     bigint,
    checksum       numeric,
    file           text,
    sha256         text CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    at             timestamptz NOT NULL,
    PRIMARY KEY (book_id, month, piece, transaction_id, message_place, step),
    CHECK ((step = 'exported') = (file IS NOT NULL)),
    CHECK ((step IN ('exported', 'restored')) = (sha256 IS NOT NULL))
);
SELECT make_append_only('usage_month_event');
CREATE INDEX usage_month_event_of_message ON usage_month_event (book_id, transaction_id, message_place);
COMMENT ON TABLE usage_month_event IS 'what became of months of usage (of UTC); one without an event is attached';
COMMENT ON COLUMN usage_month_event.piece IS 'what was recorded up to the first time it was detached is 1, what came later and was detached next is 2';
COMMENT ON COLUMN usage_month_event.first_order IS 'the lowest place in the order of transactions among its rows; NULL: it has none';
COMMENT ON COLUMN usage_month_event.checksum IS 'the hashes of all rows added up: what is restored must come to the same';

CREATE TABLE usage_retention (
    book_id         integer NOT NULL REFERENCES book,
    transaction_id  bigint NOT NULL,
    message_place   integer NOT NULL,
    attached_months integer CHECK (attached_months BETWEEN 1 AND 1200),
    kept_months     integer CHECK (kept_months BETWEEN 1 AND 1200),
    set_at          timestamptz NOT NULL,
    PRIMARY KEY (book_id, transaction_id, message_place),
    CHECK (kept_months >= attached_months)
);
SELECT make_append_only('usage_retention');
COMMENT ON TABLE usage_retention IS 'the newest one is in force; NULL: for ever';

CREATE FUNCTION usage_piece(wanted_book integer, month date, piece integer) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT 'usage_month_' || wanted_book || '_' || to_char(month, 'YYYYMM') || '_' || piece $$;

-- Waiting for whoever reads or writes the book's usage would keep all others waiting behind: rather it is given up.
CREATE FUNCTION lock_usage_months(wanted_book integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('lock_timeout', '3s', true);
    PERFORM pg_advisory_xact_lock(hashtextextended('tallystick.usage_months', wanted_book));
    EXECUTE format('LOCK TABLE tallystick.%I IN ACCESS EXCLUSIVE MODE', 'usage_event_' || wanted_book);
END $$;

-- Takes the partition of a month out, as a table of its own. Most of it is counted before anyone has to wait.
CREATE FUNCTION detach_usage_month(wanted_book integer, month date, piece integer,
                                   OUT rows bigint, OUT first_order bigint, OUT last_order bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = tallystick, pg_temp AS $$
DECLARE
    gone     text := usage_piece(wanted_book, month, piece);
    settled  bigint := settled_horizon();
    more     record;
BEGIN
    IF to_regclass(usage_partition(wanted_book, month)) IS NULL OR to_regclass(gone) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('SELECT count(*), min(transaction_id), max(transaction_id) FROM %I WHERE transaction_id < $1',
                   usage_partition(wanted_book, month)) INTO rows, first_order, last_order USING settled;
    PERFORM lock_usage_months(wanted_book);
    EXECUTE format('SELECT count(*) AS rows, min(transaction_id) AS first, max(transaction_id) AS last FROM %I '
                   'WHERE transaction_id >= $1', usage_partition(wanted_book, month)) INTO more USING settled;
    rows := rows + more.rows;
    first_order := least(first_order, more.first);
    last_order := greatest(last_order, more.last);
    EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', 'usage_event_' || wanted_book, usage_partition(wanted_book, month));
    EXECUTE format('ALTER TABLE %I RENAME TO %I', usage_partition(wanted_book, month), gone);
    EXECUTE format('REVOKE INSERT ON %I FROM tallystick_app', gone);
END $$;

-- A table for the rows of a piece that was dropped; what was left there by one that did not finish goes.
CREATE FUNCTION make_usage_piece(wanted_book integer, month date, piece integer) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = tallystick, pg_temp AS $$
DECLARE
    made text := usage_piece(wanted_book, month, piece);
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('tallystick.usage_months', wanted_book));
    IF (SELECT step FROM usage_month_event AS event
        WHERE event.book_id = wanted_book AND event.month = make_usage_piece.month AND event.piece = make_usage_piece.piece
        ORDER BY transaction_id DESC, message_place DESC LIMIT 1) IS DISTINCT FROM 'dropped' THEN
        RAISE EXCEPTION 'the piece % was not dropped', made USING ERRCODE = 'object_in_use';
    END IF;
    EXECUTE format('DROP TABLE IF EXISTS %I', made);
    EXECUTE format('CREATE TABLE %I (LIKE usage_event INCLUDING CONSTRAINTS INCLUDING INDEXES)', made);
    PERFORM make_append_only(made::regclass);
    RETURN made;
END $$;

-- Read as it stands; NULL: there is no such table.
CREATE FUNCTION sum_usage_piece(wanted_book integer, month date, piece integer, OUT rows bigint, OUT first_order bigint,
                                OUT last_order bigint, OUT checksum numeric)
LANGUAGE plpgsql STABLE SET search_path = tallystick, pg_temp AS $$
BEGIN
    IF to_regclass(usage_piece(wanted_book, month, piece)) IS NOT NULL THEN
        EXECUTE format('SELECT count(*), min(transaction_id), max(transaction_id), '
                       'coalesce(sum(hash_record_extended(event, 0)), 0) FROM %I AS event',
                       usage_piece(wanted_book, month, piece)) INTO rows, first_order, last_order, checksum;
    END IF;
END $$;

-- Puts pieces back as the one partition of their month, with what came in meanwhile.
CREATE FUNCTION attach_usage_pieces(wanted_book integer, month date, pieces integer[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = tallystick, pg_temp AS $$
DECLARE
    of_book  text := 'usage_event_' || wanted_book;
    of_month text := usage_partition(wanted_book, month);
    base     text := usage_piece(wanted_book, month, pieces[1]);
    starts   timestamptz := month::timestamp AT TIME ZONE 'UTC';
    ends     timestamptz := (month + interval '1 month') AT TIME ZONE 'UTC';
    other    integer;
BEGIN
    -- So that it is not read again while everybody waits.
    EXECUTE format('ALTER TABLE %I ADD CONSTRAINT of_its_month CHECK (book_id = %s AND occurred_at >= %L AND occurred_at < %L)',
                   base, wanted_book, starts, ends);
    FOREACH other IN ARRAY pieces[2:] LOOP
        EXECUTE format('INSERT INTO %I SELECT * FROM %I ORDER BY transaction_id', base, usage_piece(wanted_book, month, other));
        EXECUTE format('DROP TABLE %I', usage_piece(wanted_book, month, other));
    END LOOP;
    PERFORM lock_usage_months(wanted_book);
    IF to_regclass(of_month) IS NOT NULL THEN
        EXECUTE format('INSERT INTO %I SELECT * FROM %I ORDER BY transaction_id', base, of_month);
        EXECUTE format('DROP TABLE %I', of_month);
    END IF;
    EXECUTE format('ALTER TABLE %I RENAME TO %I', base, of_month);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', of_book, of_month, starts, ends);
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT of_its_month', of_month);
    EXECUTE format('GRANT SELECT, INSERT ON %I TO tallystick_app', of_month);
END $$;

CREATE FUNCTION drop_usage_piece(wanted_book integer, month date, piece integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = tallystick, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('tallystick.usage_months', wanted_book));
    EXECUTE format('DROP TABLE %I', usage_piece(wanted_book, month, piece));
END $$;

-- What there is: attached months, whose piece is NULL, and pieces. What is small is counted; of what is not, the rows are as
-- many as were there when the store looked last, and the places in the order are not told.
CREATE FUNCTION stored_usage_months(wanted_book integer)
RETURNS TABLE (month date, piece integer, rows bigint, bytes bigint, first_order bigint, last_order bigint, exact boolean)
LANGUAGE plpgsql STABLE SET search_path = tallystick, pg_temp AS $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT relname, reltuples, pg_total_relation_size(oid) AS size, pg_relation_size(oid) AS heap FROM pg_class
        WHERE relnamespace = 'tallystick'::regnamespace AND relkind = 'r'
          AND relname ~ ('^usage_(event_' || wanted_book || '_[0-9]{6}|month_' || wanted_book || '_[0-9]{6}_[0-9]+)$')
        ORDER BY relname
    LOOP
        month := to_date(split_part(found.relname, '_', 4), 'YYYYMM');
        piece := CASE WHEN found.relname LIKE 'usage_month_%' THEN split_part(found.relname, '_', 5)::integer END;
        bytes := found.size;
        exact := found.heap < 64 * 1024 * 1024;
        rows := greatest(found.reltuples, 0);
        first_order := NULL;
        last_order := NULL;
        IF exact THEN
            EXECUTE format('SELECT count(*), min(transaction_id), max(transaction_id) FROM %I', found.relname)
            INTO rows, first_order, last_order;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;

REVOKE ALL ON FUNCTION detach_usage_month, make_usage_piece, attach_usage_pieces, drop_usage_piece FROM PUBLIC;
GRANT EXECUTE ON FUNCTION detach_usage_month, make_usage_piece, attach_usage_pieces, drop_usage_piece TO tallystick_app;

-- The months of a period that are not whole: a part of them is detached or dropped, so what is read there is too little.
CREATE FUNCTION usage_months_away(wanted_book integer, starts timestamptz, ends timestamptz) RETURNS SETOF date
LANGUAGE sql STABLE AS $$
    SELECT DISTINCT month FROM (
        SELECT DISTINCT ON (event.month, piece) event.month, step FROM tallystick.usage_month_event AS event
        WHERE event.book_id = wanted_book AND event.month::timestamp AT TIME ZONE 'UTC' < ends
          AND (event.month + interval '1 month') AT TIME ZONE 'UTC' > starts
        ORDER BY event.month, piece, transaction_id DESC, message_place DESC
    ) AS newest
    WHERE step <> 'attached' ORDER BY month
$$;

-- All rows of one event, and all that a message made. Planned by themselves, and anew each time: a query that holds the
-- partitions of every book and month takes long to plan, and a plan kept from when there were none finds nothing fast.
CREATE FUNCTION usage_rows(wanted_book integer, wanted_key uuid) RETURNS SETOF usage_event
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    known tallystick.usage_key;
BEGIN
    SELECT * INTO known FROM tallystick.usage_key WHERE book_id = wanted_book AND event_key = wanted_key;
    IF FOUND THEN
        RETURN QUERY SELECT * FROM tallystick.usage_event AS event
                     WHERE event.book_id = wanted_book AND event.customer_id = known.customer_id
                       AND event.occurred_at = known.occurred_at AND event.event_key = wanted_key;
    END IF;
END $$;

CREATE FUNCTION usage_of_message(wanted_book integer, wanted_order bigint, wanted_place integer) RETURNS SETOF usage_event
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    RETURN QUERY SELECT * FROM tallystick.usage_event AS event
                 WHERE event.book_id = wanted_book AND event.transaction_id = wanted_order
                   AND event.message_place = wanted_place;
END $$;

-- A page of the usage behind a line: of a line what it counted, of an adjustment what came, or was corrected, since.
CREATE FUNCTION covered_usage(wanted_book integer, wanted_invoice uuid, wanted_position integer, after_at timestamptz,
                              after_key uuid, most bigint, skipped bigint)
RETURNS TABLE (event_key uuid, occurred_at timestamptz, source text, event_id text, type text, quantities jsonb,
               transaction_id bigint, message_place integer, change text)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    line record;
BEGIN
    SELECT invoice.customer_id, invoice.usage_through, of_it.period_start, of_it.period_end, of_it.adjusts_invoice,
           (detail ->> 'covers_from')::bigint AS covers_from, meter.event_type, meter.quantity,
           CASE meter.aggregation WHEN 'unique' THEN meter.dimension END AS dimension, meter.filters
    INTO line
    FROM tallystick.invoice_line AS of_it
    JOIN tallystick.invoice ON invoice.book_id = wanted_book AND invoice.invoice_id = of_it.invoice_id
    JOIN tallystick.meter ON meter.book_id = wanted_book AND meter.code = of_it.meter
    WHERE of_it.book_id = wanted_book AND of_it.invoice_id = wanted_invoice AND of_it.position = wanted_position;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF line.adjusts_invoice IS NULL THEN
        RETURN QUERY
        SELECT event.event_key, event.occurred_at, event.source, event.event_id, event.type, event.quantities,
               event.transaction_id, event.message_place, NULL::text
        FROM tallystick.usage_event AS event
        WHERE event.book_id = wanted_book AND event.customer_id = line.customer_id AND event.sign = 1
          AND event.occurred_at >= line.period_start AND event.occurred_at < line.period_end
          AND event.transaction_id < line.usage_through AND event.type = line.event_type
          AND (line.quantity IS NULL OR event.quantities ? line.quantity)
          AND (line.dimension IS NULL OR event.dimensions ? line.dimension)
          AND tallystick.usage_matches(event.dimensions, line.filters)
          AND NOT EXISTS (
              SELECT FROM tallystick.usage_correction AS correction
              WHERE correction.book_id = wanted_book AND correction.event_key = event.event_key
                AND correction.transaction_id < line.usage_through
                AND (correction.transaction_id, correction.message_place) > (event.transaction_id, event.message_place))
          AND (after_key IS NULL OR (event.occurred_at, event.event_key) > (after_at, after_key))
        ORDER BY event.occurred_at, event.event_key LIMIT most OFFSET skipped;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT DISTINCT ON (event.occurred_at, event.event_key)
           event.event_key, event.occurred_at, event.source, event.event_id, event.type, event.quantities,
           event.transaction_id, event.message_place, coalesce(correction.kind, 'late')
    FROM tallystick.usage_event AS event
    LEFT JOIN tallystick.usage_correction AS correction
        ON correction.book_id = wanted_book AND correction.event_key = event.event_key
        AND correction.transaction_id = event.transaction_id AND correction.message_place = event.message_place
    WHERE event.book_id = wanted_book AND event.customer_id = line.customer_id
      AND event.occurred_at >= line.period_start AND event.occurred_at < line.period_end
      AND event.transaction_id >= line.covers_from AND event.transaction_id < line.usage_through
      AND event.type = line.event_type
      AND (line.quantity IS NULL OR event.quantities ? line.quantity)
      AND (line.dimension IS NULL OR event.dimensions ? line.dimension)
      AND tallystick.usage_matches(event.dimensions, line.filters)
      AND (after_key IS NULL OR (event.occurred_at, event.event_key) > (after_at, after_key))
    ORDER BY event.occurred_at, event.event_key, event.transaction_id DESC, event.message_place DESC, event.sign DESC
    LIMIT most OFFSET skipped;
END $$;

-- Whether a line counted an event, or an adjustment is for it.
CREATE FUNCTION covers_usage(wanted_book integer, wanted_key uuid, through bigint, covers_from bigint, of_meter text)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT CASE WHEN covers_from IS NULL THEN coalesce(sum(sign), 0) > 0 ELSE count(*) > 0 END
        FROM tallystick.usage_rows(wanted_book, wanted_key) AS event
        JOIN tallystick.meter ON meter.book_id = wanted_book AND meter.code = of_meter
        WHERE event.transaction_id < through AND event.transaction_id >= coalesce(covers_from, 0)
          AND type = event_type AND (meter.quantity IS NULL OR quantities ? meter.quantity)
          AND (aggregation <> 'unique' OR dimensions ? meter.dimension)
          AND tallystick.usage_matches(dimensions, filters));
END $$;

-- The rows of usage of customers' invoiced periods that were ordered, below *through*, after the newest invoice that these
-- customers have of the product: each late event, and both rows of what was corrected. Late rows of a month lie together
-- at the end of its partition, so no month is read that has none. NULL customers: all above *behind*, up to *up_to*.
CREATE FUNCTION late_usage(wanted_book integer, wanted_product text, wanted_customers bigint[], behind bigint, up_to bigint,
                           through bigint)
RETURNS TABLE (customer_id bigint, asset_id integer, invoice_id uuid, period_start timestamptz, period_end timestamptz,
               usage_through bigint, occurred_at timestamptz, event_key uuid)
LANGUAGE plpgsql STABLE SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    types text[];
    month record;
BEGIN
    SELECT array_agg(DISTINCT event_type) INTO types
    FROM tallystick.price JOIN tallystick.meter ON meter.book_id = price.book_id AND meter.code = price.meter
    WHERE price.book_id = wanted_book AND price.product = wanted_product;
    FOR month IN
        SELECT one_of AT TIME ZONE 'UTC' AS starts, (one_of + interval '1 month') AT TIME ZONE 'UTC' AS ends,
               min(period.settled) AS settled
        FROM (
            SELECT invoiced.starts, invoiced.ends, min(invoiced.settled) AS settled
            FROM (
                SELECT one.period_start AS starts, one.period_end AS ends,
                       max(one.usage_through) OVER (PARTITION BY one.customer_id, one.asset_id) AS settled
                FROM tallystick.invoice AS one
                WHERE one.book_id = wanted_book AND one.product = wanted_product
                  AND (wanted_customers IS NULL OR one.customer_id = ANY (wanted_customers))
                  AND one.customer_id > behind AND one.customer_id <= up_to
            ) AS invoiced GROUP BY 1, 2
        ) AS period
        CROSS JOIN generate_series(date_trunc('month', period.starts AT TIME ZONE 'UTC'),
                                   (period.ends - interval '1 microsecond') AT TIME ZONE 'UTC', interval '1 month') AS one_of
        GROUP BY 1, 2 ORDER BY 1
    LOOP
        RETURN QUERY
        WITH late AS MATERIALIZED (
            SELECT event.customer_id, event.occurred_at, event.transaction_id, event.event_key
            FROM tallystick.usage_event AS event
            WHERE event.book_id = wanted_book AND event.occurred_at >= month.starts AND event.occurred_at < month.ends
              AND event.transaction_id >= month.settled AND event.transaction_id < through
              AND event.customer_id > behind AND event.customer_id <= up_to
              AND (wanted_customers IS NULL OR event.customer_id = ANY (wanted_customers)) AND event.type = ANY (types)
        )
        SELECT one.customer_id, one.asset_id, one.invoice_id, one.period_start, one.period_end, one.usage_through,
               late.occurred_at, late.event_key
        FROM late JOIN tallystick.invoice AS one
            ON one.book_id = wanted_book AND one.customer_id = late.customer_id AND one.product = wanted_product
            AND late.occurred_at >= one.period_start AND late.occurred_at < one.period_end
        WHERE late.transaction_id >= (
            SELECT max(newest.usage_through) FROM tallystick.invoice AS newest
            WHERE newest.book_id = wanted_book AND newest.customer_id = late.customer_id
              AND newest.product = wanted_product AND newest.asset_id = one.asset_id);
    END LOOP;
END $$;

-- What a customer's later invoices still have to give back.
CREATE INDEX invoice_line_carrying ON invoice_line (book_id, invoice_id) WHERE detail ? 'carried_over';
