-- Plans in versions, and subscriptions to them: each revision says all spans anew, and the newest is in force.

CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE TABLE plan_version (
    book_id        integer NOT NULL REFERENCES book,
    plan           text NOT NULL CHECK (plan ~ '^[a-z][a-z0-9_.-]{0,62}$'),
    effective_at   timestamptz NOT NULL,
    content        jsonb NOT NULL,
    phases         jsonb NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (book_id, plan, effective_at)
);
SELECT make_append_only('plan_version');
CREATE INDEX plan_version_of_message ON plan_version (book_id, transaction_id, message_place);
COMMENT ON COLUMN plan_version.content IS 'as it was given';
COMMENT ON COLUMN plan_version.phases IS 'with the charges of the plans that it extends; each is a price of the same product and instant';

CREATE TABLE subscription (
    book_id         integer NOT NULL,
    subscription_id text NOT NULL CHECK (length(subscription_id) BETWEEN 1 AND 255),
    customer_id     bigint NOT NULL,
    start_at        timestamptz NOT NULL,
    transaction_id  bigint NOT NULL,
    message_place   integer NOT NULL,
    created_at      timestamptz NOT NULL,
    CONSTRAINT subscription_once PRIMARY KEY (book_id, subscription_id),
    FOREIGN KEY (book_id, customer_id) REFERENCES customer
);
SELECT make_append_only('subscription');
CREATE INDEX subscription_of_customer ON subscription (book_id, customer_id, subscription_id);
CREATE INDEX subscription_of_message ON subscription (book_id, transaction_id, message_place);

CREATE TABLE subscription_revision (
    book_id         integer NOT NULL,
    subscription_id text NOT NULL,
    revision        integer NOT NULL CHECK (revision >= 0),
    kind            text NOT NULL,
    effective_at    timestamptz NOT NULL,
    differs_from    timestamptz NOT NULL,
    rests_on        integer CHECK (rests_on < revision),
    transaction_id  bigint NOT NULL,
    message_place   integer NOT NULL,
    revised_at      timestamptz NOT NULL,
    PRIMARY KEY (book_id, subscription_id, revision),
    FOREIGN KEY (book_id, subscription_id) REFERENCES subscription
);
SELECT make_append_only('subscription_revision');
CREATE INDEX subscription_revision_of_message ON subscription_revision (book_id, transaction_id, message_place);
COMMENT ON COLUMN subscription_revision.differs_from IS 'before this instant its spans are those of the revision before';
COMMENT ON COLUMN subscription_revision.rests_on IS 'the revision that it changed, and that is in force again when it is undone';

CREATE TABLE subscription_span (
    book_id         integer NOT NULL,
    subscription_id text NOT NULL,
    revision        integer NOT NULL,
    during          tstzrange NOT NULL CHECK (lower_inc(during) AND NOT lower_inf(during) AND NOT upper_inc(during)),
    plan            text NOT NULL,
    version_at      timestamptz,
    phase           text NOT NULL,
    quantity        bigint NOT NULL CHECK (quantity >= 0),
    paused          boolean NOT NULL,
    cycle           jsonb NOT NULL,
    CONSTRAINT subscription_spans_do_not_overlap
        PRIMARY KEY (book_id, subscription_id, revision, during WITHOUT OVERLAPS),
    FOREIGN KEY (book_id, subscription_id, revision) REFERENCES subscription_revision
);
SELECT make_append_only('subscription_span');
COMMENT ON COLUMN subscription_span.version_at IS 'the version of the plan it is pinned to; NULL: it follows the newest';
COMMENT ON COLUMN subscription_span.cycle IS 'interval, zone and the local day that its billing periods are counted from';

CREATE TABLE subscription_bill (
    book_id         integer NOT NULL,
    subscription_id text NOT NULL,
    due_at          timestamptz NOT NULL,
    revision        integer NOT NULL,
    invoice_id      uuid,
    carried         bigint NOT NULL CHECK (carried >= 0),
    carried_from    timestamptz,
    usage_through   bigint NOT NULL,
    transaction_id  bigint NOT NULL,
    message_place   integer NOT NULL,
    billed_at       timestamptz NOT NULL,
    PRIMARY KEY (book_id, subscription_id, due_at),
    CONSTRAINT subscription_bill_of_invoice UNIQUE (book_id, invoice_id),
    FOREIGN KEY (book_id, subscription_id, revision) REFERENCES subscription_revision,
    FOREIGN KEY (book_id, invoice_id) REFERENCES invoice,
    CHECK ((carried = 0) = (carried_from IS NULL))
);
SELECT make_append_only('subscription_bill');
CREATE INDEX subscription_bill_of_message ON subscription_bill (book_id, transaction_id, message_place);
COMMENT ON TABLE subscription_bill IS 'a date that a subscription was billed on, by which revision; without an invoice when nothing was to be asked for';
COMMENT ON COLUMN subscription_bill.carried IS 'what is owed to the customer and was more than the invoice came to';
COMMENT ON COLUMN subscription_bill.carried_from IS 'where the first period begins of which something was carried';

-- When each subscription is to be billed next: derived from its newest revision and bill, and no row once nothing comes.
CREATE TABLE subscription_due (
    book_id         integer NOT NULL,
    subscription_id text NOT NULL,
    due_at          timestamptz,
    PRIMARY KEY (book_id, subscription_id),
    FOREIGN KEY (book_id, subscription_id) REFERENCES subscription
);
SELECT make_working_table('subscription_due');
CREATE INDEX subscription_due_next ON subscription_due (book_id, due_at) WHERE due_at IS NOT NULL;
COMMENT ON COLUMN subscription_due.due_at IS 'NULL: nothing is to come';

-- Drafts of subscriptions that wait for their numbers.
CREATE TABLE subscription_waiting (
    book_id      integer NOT NULL,
    plan         text NOT NULL,
    period_start timestamptz NOT NULL,
    invoice_id   uuid NOT NULL,
    PRIMARY KEY (book_id, plan, period_start, invoice_id),
    FOREIGN KEY (book_id, invoice_id) REFERENCES invoice
);
SELECT make_working_table('subscription_waiting');

-- A customer may have several subscriptions to one plan, and a subscription an invoice at the start of a period and one
-- at its end. What is made once is made so by its id, which is derived from what it is for.
ALTER TABLE invoice DROP CONSTRAINT invoice_once;
CREATE INDEX invoice_of_customer ON invoice (book_id, customer_id, product, period_start, asset_id);

-- An invoice of a plan may correct lines of the plan that the subscription had before.
CREATE OR REPLACE FUNCTION invoice_lines_fit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT book_id, invoice_id, product FROM written) AS named
        WHERE NOT EXISTS (
            SELECT FROM tallystick.invoice
            WHERE (invoice.book_id, invoice.invoice_id) = (named.book_id, named.invoice_id)
              AND (invoice.product = named.product
                   OR EXISTS (SELECT FROM tallystick.plan_version
                              WHERE plan_version.book_id = named.book_id AND plan = invoice.product)
                   AND EXISTS (SELECT FROM tallystick.plan_version
                               WHERE plan_version.book_id = named.book_id AND plan = named.product)))
    ) OR EXISTS (
        SELECT FROM (SELECT DISTINCT book_id, product, charge, price_at FROM written) AS named
        WHERE NOT EXISTS (SELECT FROM tallystick.price
                          WHERE (price.book_id, price.product, price.charge, price.effective_at)
                              = (named.book_id, named.product, named.charge, named.price_at))
    ) THEN
        RAISE EXCEPTION 'a line names an invoice of another product, or a price that is not in its book'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'invoice_lines_fit';
    END IF;
    RETURN NULL;
END $$;
