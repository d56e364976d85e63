-- Telling others: events are facts; who is told of them, and how far that has come, are working rows.

CREATE TABLE event (
    book_id        integer NOT NULL,
    event_id       uuid NOT NULL,
    type           text NOT NULL CHECK (type ~ '^[a-z_]+\.[a-z_]+$'),
    subject        text NOT NULL CHECK (length(subject) BETWEEN 1 AND 600),
    data           jsonb NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    position       integer NOT NULL CHECK (position >= 0),
    told_at        timestamptz NOT NULL,
    PRIMARY KEY (book_id, event_id),
    CONSTRAINT event_of_message UNIQUE (book_id, transaction_id, message_place, position)
);
SELECT make_append_only('event');
COMMENT ON COLUMN event.event_id IS 'derived from where and when it was told, so that a rebuild comes to the same';
COMMENT ON COLUMN event.position IS 'the order in which its message told its events';

-- A UUID whose first bits are the time, as in version 7, and whose others are derived instead of random.
CREATE FUNCTION event_id_of(book_id integer, transaction_id bigint, message_place integer, place integer, told_at timestamptz)
RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM told_at) * 1000)::bigint), 12, '0')
            || '7' || substr(digest, 1, 3) || 'a' || substr(digest, 4, 15))::uuid
    FROM (SELECT encode(sha256(convert_to(concat_ws('/', book_id, transaction_id, message_place, place,
                                                    extract(epoch FROM told_at)), 'UTF8')), 'hex') AS digest) AS made
$$;

-- The first id that an event told at that instant can have: a span of time is a range of the primary key.
CREATE FUNCTION uuid_at(instant timestamptz) RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT rpad(lpad(to_hex(floor(extract(epoch FROM instant) * 1000)::bigint), 12, '0'), 32, '0')::uuid
$$;

CREATE TABLE webhook_endpoint (
    book_id        integer NOT NULL REFERENCES book,
    endpoint_id    uuid NOT NULL,
    url            text NOT NULL CHECK (length(url) BETWEEN 10 AND 2048),
    description    text NOT NULL CHECK (length(description) <= 255),
    types          text[] CHECK (cardinality(types) > 0),
    state          text NOT NULL CHECK (state IN ('enabled', 'disabled')),
    reason         text CHECK (length(reason) BETWEEN 1 AND 255),
    generation     integer NOT NULL CHECK (generation > 0),
    overlap_until  timestamptz,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    set_at         timestamptz NOT NULL,
    PRIMARY KEY (book_id, endpoint_id, transaction_id, message_place),
    CHECK ((state = 'disabled') = (reason IS NOT NULL)),
    CHECK (overlap_until IS NULL OR generation > 1)
);
SELECT make_append_only('webhook_endpoint');
CREATE INDEX webhook_endpoint_of_message ON webhook_endpoint (book_id, transaction_id, message_place);
COMMENT ON TABLE webhook_endpoint IS 'each row says all of an endpoint anew; the newest is in force';
COMMENT ON COLUMN webhook_endpoint.types IS 'NULL: of every type';
COMMENT ON COLUMN webhook_endpoint.generation IS 'which secret signs; secrets are derived from a key in the data directory and stored nowhere';
COMMENT ON COLUMN webhook_endpoint.overlap_until IS 'until then the secret of the generation before signs too';

-- How it goes with an endpoint, so that a teller reads one row and no history. What is in force is repeated here.
CREATE TABLE webhook_work (
    book_id         integer NOT NULL,
    endpoint_id     uuid NOT NULL,
    enabled         boolean NOT NULL,
    types           text[],
    url             text NOT NULL,
    generation      integer NOT NULL,
    overlap_until   timestamptz,
    key_fingerprint text,
    failing_since   timestamptz,
    failures        integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    paused_until    timestamptz,
    delivered_at    timestamptz,
    PRIMARY KEY (book_id, endpoint_id),
    CHECK ((failures = 0) = (failing_since IS NULL)),
    CHECK (paused_until IS NULL OR failures > 0)
);
SELECT make_working_table('webhook_work');
COMMENT ON COLUMN webhook_work.failures IS 'how many attempts in a row have failed, since the last that went well';
COMMENT ON COLUMN webhook_work.key_fingerprint IS 'of the key its secrets are derived from; NULL: none was derived yet';

CREATE TABLE delivery (
    book_id      integer NOT NULL,
    endpoint_id  uuid NOT NULL,
    sequence     bigint GENERATED ALWAYS AS IDENTITY,
    event_id     uuid NOT NULL,
    subject      text NOT NULL,
    state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'given_up', 'skipped')),
    attempts     integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    due_at       timestamptz NOT NULL,
    made_at      timestamptz NOT NULL,
    attempted_at timestamptz,
    ended_at     timestamptz,
    status       integer,
    answer       text CHECK (length(answer) <= 400),
    PRIMARY KEY (book_id, endpoint_id, sequence),
    CHECK ((state = 'pending') = (ended_at IS NULL)),
    CHECK ((attempts = 0) = (attempted_at IS NULL))
) WITH (fillfactor = 80);
SELECT make_working_table('delivery');
CREATE INDEX delivery_due ON delivery (book_id, endpoint_id, sequence) INCLUDE (due_at) WHERE state = 'pending';
CREATE INDEX delivery_blocked ON delivery (book_id, endpoint_id, subject, sequence) WHERE state = 'pending' AND attempts > 0;
CREATE INDEX delivery_of_event ON delivery (book_id, event_id);
CREATE INDEX delivery_ended ON delivery (book_id, ended_at) WHERE state <> 'pending';
COMMENT ON COLUMN delivery.sequence IS 'the order in which the events of a subject were told, and in which they are sent';
COMMENT ON COLUMN delivery.status IS 'the HTTP status of the last attempt; NULL: there was no answer';
COMMENT ON COLUMN delivery.answer IS 'the beginning of the last answer, or why there was none';

-- Few events are of money that moves or fails to; rules count those, and find them by time.
CREATE INDEX event_of_money ON event (book_id, event_id)
    WHERE type IN ('payment.succeeded', 'payment.failed', 'repayment.received', 'repayment.refunded', 'charge.failed');

CREATE TABLE alert_rule (
    book_id        integer NOT NULL REFERENCES book,
    rule           text NOT NULL CHECK (rule ~ '^[a-z][a-z0-9_.-]{0,62}$'),
    active         boolean NOT NULL,
    terms          jsonb NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    set_at         timestamptz NOT NULL,
    PRIMARY KEY (book_id, rule, transaction_id, message_place)
);
SELECT make_append_only('alert_rule');
CREATE INDEX alert_rule_of_message ON alert_rule (book_id, transaction_id, message_place);
COMMENT ON TABLE alert_rule IS 'each row says all of a rule anew; the newest is in force';

CREATE TABLE alert (
    book_id        integer NOT NULL REFERENCES book,
    rule           text NOT NULL,
    customer       text NOT NULL CHECK (length(customer) BETWEEN 1 AND 255),
    window_start   timestamptz NOT NULL,
    window_end     timestamptz NOT NULL,
    value          numeric NOT NULL,
    threshold      numeric NOT NULL CHECK (value > threshold),
    explanation    text NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    raised_at      timestamptz NOT NULL,
    PRIMARY KEY (book_id, rule, customer, window_start),
    CHECK (window_end >= window_start)
);
SELECT make_append_only('alert');
CREATE INDEX alert_of_message ON alert (book_id, transaction_id, message_place);
COMMENT ON TABLE alert IS 'a rule went off: once for a customer and a window';
