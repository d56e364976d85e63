-- The usage store: partitioned by book and month, keys that are never forgotten, corrections, and what was not stored.

ALTER TABLE usage_event RENAME TO usage_event_whole;
ALTER TABLE usage_event_whole DROP CONSTRAINT usage_event_once;
DROP FUNCTION find_usage;
DROP INDEX usage_event_of_customer;
DROP INDEX usage_event_of_message;

-- Every event that was ever stored, also of months that have since left: so a repeat is known for ever.
CREATE TABLE usage_key (
    event_key   uuid NOT NULL,
    content     uuid,
    customer_id bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    book_id     integer NOT NULL,
    CONSTRAINT usage_event_once PRIMARY KEY (book_id, event_key)
);
COMMENT ON COLUMN usage_key.event_key IS 'derived from the source and the id the source gave: the same event has the same key';
COMMENT ON COLUMN usage_key.content IS 'derived from type, quantities and dimensions as they first came in; NULL: stored before contents were derived';

CREATE TABLE usage_event (
    customer_id    bigint NOT NULL,
    occurred_at    timestamptz NOT NULL,
    transaction_id bigint NOT NULL,
    event_key      uuid NOT NULL,
    book_id        integer NOT NULL,
    message_place  integer NOT NULL,
    sign           smallint NOT NULL CHECK (sign IN (-1, 1)),
    type           text NOT NULL,
    source         text NOT NULL,
    event_id       text NOT NULL,
    quantities     jsonb NOT NULL,
    dimensions     jsonb
) PARTITION BY LIST (book_id);
SELECT make_append_only('usage_event');
-- Each partition is of one book, so the book need not stand in its index.
CREATE INDEX usage_event_of_customer ON usage_event (customer_id, occurred_at);
CREATE INDEX usage_event_of_message ON usage_event USING brin (transaction_id) WITH (pages_per_range = 16, autosummarize = on);
COMMENT ON COLUMN usage_event.sign IS '1: it counts; -1: from here on the row before of the same event does not';
COMMENT ON COLUMN usage_event.source IS 'who says so; an event id is unique within its source';
COMMENT ON COLUMN usage_event.quantities IS 'what meters add up, by name: integers, or decimals as strings';
COMMENT ON COLUMN usage_event.dimensions IS 'what meters tell apart by, as declared by them; NULL: nothing';

-- Months of UTC. Attached rather than made as partitions, since that lets others go on reading and writing.
CREATE FUNCTION usage_partition(wanted_book integer, month date) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT 'usage_event_' || wanted_book || '_' || to_char(month, 'YYYYMM') $$;

CREATE FUNCTION ensure_usage_months(wanted_book integer, months date[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = tallystick, pg_temp AS $$
DECLARE
    of_book text := 'usage_event_' || wanted_book;
    month   date;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('tallystick.usage_months', wanted_book));
    IF to_regclass(of_book) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE usage_event INCLUDING CONSTRAINTS INCLUDING COMMENTS) '
                       'PARTITION BY RANGE (occurred_at)', of_book);
        PERFORM make_append_only(of_book::regclass);
        EXECUTE format('ALTER TABLE usage_event ATTACH PARTITION %I FOR VALUES IN (%s)', of_book, wanted_book);
    END IF;
    FOREACH month IN ARRAY months LOOP
        CONTINUE WHEN to_regclass(usage_partition(wanted_book, month)) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE usage_event INCLUDING CONSTRAINTS)', usage_partition(wanted_book, month));
        PERFORM make_append_only(usage_partition(wanted_book, month)::regclass);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                       of_book, usage_partition(wanted_book, month),
                       month::timestamp AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC');
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION ensure_usage_months FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_usage_months TO tallystick_app;
COMMENT ON FUNCTION ensure_usage_months IS 'makes the partitions of a book that are not there yet; months that left are made anew, empty';

-- What is stored moves in.
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT book_id, array_agg(DISTINCT date_trunc('month', occurred_at AT TIME ZONE 'UTC')::date) AS months
        FROM usage_event_whole GROUP BY book_id
    LOOP
        PERFORM ensure_usage_months(found.book_id, found.months);
    END LOOP;
END $$;
INSERT INTO usage_event (customer_id, occurred_at, transaction_id, event_key, book_id, message_place, sign, type, source,
                         event_id, quantities)
SELECT customer_id, occurred_at, transaction_id, event_key, book_id, message_place, 1, type, source, event_id, quantities
FROM usage_event_whole ORDER BY transaction_id, event_key;
INSERT INTO usage_key (event_key, content, customer_id, occurred_at, book_id)
SELECT event_key, NULL, customer_id, occurred_at, book_id FROM usage_event_whole ORDER BY book_id, event_key;
DROP TABLE usage_event_whole;
SELECT make_append_only('usage_key');

-- As a list of customers to be found by index: of a join the planner makes one that reads all customers for each batch.
CREATE OR REPLACE FUNCTION usage_customers_exist() RETURNS trigger LANGUAGE plpgsql
SET plan_cache_mode = force_custom_plan SET enable_seqscan = off AS $$
DECLARE
    named record;
BEGIN
    FOR named IN SELECT book_id, array_agg(DISTINCT customer_id) AS ids FROM recorded GROUP BY book_id LOOP
        IF (SELECT count(*) FROM tallystick.customer
            WHERE customer.book_id = named.book_id AND customer_id = ANY (named.ids)) < cardinality(named.ids) THEN
            RAISE EXCEPTION 'usage names a customer that is not in its book'
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'usage_customers_exist';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

-- On the keys, since a table of partitions with such a trigger takes its rows one by one.
CREATE TRIGGER customers_exist AFTER INSERT ON usage_key REFERENCING NEW TABLE AS recorded
    FOR EACH STATEMENT EXECUTE FUNCTION usage_customers_exist();

-- Planned anew each time, and by index: see find_customers.
CREATE FUNCTION find_usage_keys(wanted_book integer, wanted_keys uuid[]) RETURNS SETOF usage_key
LANGUAGE plpgsql STABLE SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    RETURN QUERY SELECT * FROM tallystick.usage_key WHERE book_id = wanted_book AND event_key = ANY (wanted_keys);
END $$;

CREATE TABLE usage_correction (
    book_id        integer NOT NULL,
    event_key      uuid NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('amend', 'void')),
    reason         text NOT NULL CHECK (length(reason) BETWEEN 1 AND 255),
    corrected_at   timestamptz NOT NULL,
    PRIMARY KEY (book_id, event_key, transaction_id, message_place),
    FOREIGN KEY (book_id, event_key) REFERENCES usage_key
);
SELECT make_append_only('usage_correction');
CREATE INDEX usage_correction_of_message ON usage_correction (book_id, transaction_id, message_place);
COMMENT ON TABLE usage_correction IS 'a void takes the event back; an amend takes it back and puts other numbers in its place';

-- The events that count as far as the order *through*: each once, as it was last amended, and none that was taken back.
CREATE FUNCTION usage_in_force(wanted_book integer, through bigint) RETURNS SETOF usage_event LANGUAGE sql STABLE AS $$
    SELECT event.* FROM tallystick.usage_event AS event
    WHERE event.book_id = wanted_book AND event.sign = 1 AND event.transaction_id < through
      AND NOT EXISTS (
          SELECT FROM tallystick.usage_correction AS correction
          WHERE correction.book_id = wanted_book AND correction.event_key = event.event_key
            AND correction.transaction_id < through
            AND (correction.transaction_id, correction.message_place) > (event.transaction_id, event.message_place))
$$;

CREATE TABLE usage_conflict (
    book_id        integer NOT NULL,
    event_key      uuid NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    position       integer NOT NULL,
    field          text,
    said           jsonb NOT NULL,
    reported_at    timestamptz NOT NULL,
    PRIMARY KEY (book_id, event_key, transaction_id, message_place, position),
    FOREIGN KEY (book_id, event_key) REFERENCES usage_key
);
SELECT make_append_only('usage_conflict');
CREATE INDEX usage_conflict_of_message ON usage_conflict (book_id, transaction_id, message_place);
COMMENT ON TABLE usage_conflict IS 'what came under the id of an event that says otherwise, and was not stored as one';
COMMENT ON COLUMN usage_conflict.position IS 'its place in its message';
COMMENT ON COLUMN usage_conflict.field IS 'the first that differs; NULL: the stored event has left with its month';

CREATE TABLE usage_not_billable (
    book_id        integer NOT NULL,
    event_key      uuid NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    reason         text NOT NULL,
    judged_at      timestamptz NOT NULL,
    PRIMARY KEY (book_id, event_key, transaction_id, message_place)
);
SELECT make_append_only('usage_not_billable');
CREATE INDEX usage_not_billable_of_message ON usage_not_billable USING brin (transaction_id);
COMMENT ON TABLE usage_not_billable IS 'that an event was judged and why it was not stored: no more of it is kept than its key';
