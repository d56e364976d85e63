-- Usage: billable events, once each.

CREATE TABLE customer (
    book_id        integer NOT NULL REFERENCES book,
    customer_id    bigint NOT NULL,
    ref            text NOT NULL CHECK (length(ref) BETWEEN 1 AND 255),
    transaction_id bigint NOT NULL,
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (book_id, customer_id),
    CONSTRAINT customer_once UNIQUE (book_id, ref)
);
SELECT make_append_only('customer');
CREATE SEQUENCE customer_number;
GRANT USAGE ON SEQUENCE customer_number TO tallystick_app;

CREATE TABLE usage_event (
    customer_id    bigint NOT NULL,
    occurred_at    timestamptz NOT NULL,
    transaction_id bigint NOT NULL,
    event_key      uuid NOT NULL,
    book_id        integer NOT NULL,
    message_place  integer NOT NULL,
    type           text NOT NULL,
    source         text NOT NULL,
    event_id       text NOT NULL,
    quantities     jsonb NOT NULL,
    CONSTRAINT usage_event_once PRIMARY KEY (book_id, event_key)
);
SELECT make_append_only('usage_event');
CREATE INDEX usage_event_of_customer ON usage_event (book_id, customer_id, occurred_at);
COMMENT ON COLUMN usage_event.source IS 'who says so; an event id is unique within its source';
COMMENT ON COLUMN usage_event.event_key IS 'derived from the source and the id the source gave: the same event has the same key';
COMMENT ON COLUMN usage_event.quantities IS 'what meters add up, by name: integers, or decimals as strings';

-- Looking up thousands of keys at once. Planned anew each time, since a plan kept from when the table was small reads
-- all of it when it is large; and by index, since the planner takes thousands of probes for dearer than they are.
CREATE FUNCTION find_usage(wanted_book integer, wanted_keys uuid[]) RETURNS SETOF usage_event
LANGUAGE plpgsql STABLE SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    RETURN QUERY SELECT * FROM tallystick.usage_event WHERE book_id = wanted_book AND event_key = ANY (wanted_keys);
END $$;

CREATE FUNCTION find_customers(wanted_book integer, wanted_refs text[]) RETURNS SETOF customer
LANGUAGE plpgsql STABLE SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    RETURN QUERY SELECT * FROM tallystick.customer WHERE book_id = wanted_book AND ref = ANY (wanted_refs);
END $$;

-- No foreign key: checking it row by row costs a fifth of the rate. This checks the same of all rows of a statement.
CREATE FUNCTION usage_customers_exist() RETURNS trigger LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT book_id, customer_id FROM recorded) AS named
        WHERE NOT EXISTS (SELECT FROM tallystick.customer
                          WHERE (customer.book_id, customer.customer_id) = (named.book_id, named.customer_id))
    ) THEN
        RAISE EXCEPTION 'usage names a customer that is not in its book'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'usage_customers_exist';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER customers_exist AFTER INSERT ON usage_event REFERENCING NEW TABLE AS recorded
    FOR EACH STATEMENT EXECUTE FUNCTION usage_customers_exist();

CREATE TABLE billable_rule (
    book_id        integer NOT NULL REFERENCES book,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    rule           jsonb NOT NULL,
    set_at         timestamptz NOT NULL,
    PRIMARY KEY (book_id, transaction_id, message_place)
);
SELECT make_append_only('billable_rule');
COMMENT ON TABLE billable_rule IS 'the newest one is in force';
