-- Invoices that any product asks for, and what becomes of invoices: states, credit notes, series of their numbers.

-- An invoice of no month: its product says what it is for, line by line.
ALTER TABLE invoice ALTER COLUMN period_start DROP NOT NULL;
ALTER TABLE invoice ALTER COLUMN period_end DROP NOT NULL;
ALTER TABLE invoice ALTER COLUMN terms_days DROP NOT NULL;
ALTER TABLE invoice ALTER COLUMN usage_through DROP NOT NULL;
ALTER TABLE invoice ADD CONSTRAINT invoice_of_month_is_whole
    CHECK (num_nulls(period_start, period_end, usage_through) IN (0, 3) AND (period_start IS NULL OR terms_days IS NOT NULL));

-- A product's zone binds its months alone.
ALTER TABLE invoice DROP CONSTRAINT invoice_book_id_product_fkey;
ALTER TABLE invoice ADD COLUMN month_product text
    GENERATED ALWAYS AS (CASE WHEN period_start IS NOT NULL THEN product END) STORED;
ALTER TABLE invoice ADD FOREIGN KEY (book_id, month_product) REFERENCES billing_zone;
CREATE INDEX invoice_listed
    ON invoice (book_id, coalesce(period_start, drafted_at), customer_id, product, asset_id, invoice_id);

CREATE TABLE invoice_request (
    book_id        integer NOT NULL,
    invoice_id     uuid NOT NULL,
    product        text NOT NULL CHECK (product ~ '^[a-z][a-z0-9_.-]{0,62}$'),
    reference      text NOT NULL CHECK (length(reference) BETWEEN 1 AND 255),
    zone           text NOT NULL,
    due_on         date,
    series         text,
    memo           text CHECK (length(memo) BETWEEN 1 AND 2000),
    cost_rank      numeric,
    content        bytea NOT NULL CHECK (length(content) = 32),
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    requested_at   timestamptz NOT NULL,
    PRIMARY KEY (book_id, invoice_id),
    CONSTRAINT invoice_request_once UNIQUE (book_id, product, reference),
    FOREIGN KEY (book_id, invoice_id) REFERENCES invoice
);
SELECT make_append_only('invoice_request');
COMMENT ON TABLE invoice_request IS 'an invoice that a product asked for, under the product''s own reference';
COMMENT ON COLUMN invoice_request.due_on IS 'NULL: by the terms of the invoice, counted from its issue';
COMMENT ON COLUMN invoice_request.cost_rank IS 'what the debt costs the customer in a year, as a part of it: 0.18';
COMMENT ON COLUMN invoice_request.content IS 'the SHA-256 of what was asked for, which tells the same from other content';

ALTER TABLE invoice_line ALTER COLUMN charge DROP NOT NULL;
ALTER TABLE invoice_line ALTER COLUMN price_at DROP NOT NULL;
ALTER TABLE invoice_line ALTER COLUMN period_start DROP NOT NULL;
ALTER TABLE invoice_line ALTER COLUMN period_end DROP NOT NULL;
ALTER TABLE invoice_line ADD COLUMN description text;
ALTER TABLE invoice_line ADD COLUMN unit_amount numeric;
ALTER TABLE invoice_line ADD COLUMN tax_category text;
ALTER TABLE invoice_line ADD COLUMN post_to text;
ALTER TABLE invoice_line ADD CONSTRAINT invoice_line_is_priced_or_described
    CHECK (num_nulls(charge, price_at, period_start, period_end) = CASE WHEN description IS NULL THEN 0 ELSE 4 END
           AND (description IS NOT NULL OR num_nulls(unit_amount, tax_category, post_to) = 3)
           AND (description IS NULL OR num_nulls(meter, adjusts_invoice) = 2));
ALTER TABLE invoice_line DROP CONSTRAINT invoice_line_only_adjustments_take_back;
ALTER TABLE invoice_line ADD CONSTRAINT invoice_line_only_adjustments_take_back
    CHECK (adjusts_invoice IS NOT NULL OR (events >= 0 AND quantity >= 0 AND (amount >= 0 OR description IS NOT NULL)));
COMMENT ON COLUMN invoice_line.description IS 'what a product said that it is for; NULL: the charge says it';
COMMENT ON COLUMN invoice_line.unit_amount IS 'in minor units, and parts of one; NULL: the amount alone was given';
COMMENT ON COLUMN invoice_line.post_to IS 'the account that is credited; NULL: the revenue of the product';

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
        SELECT FROM (SELECT DISTINCT book_id, product, charge, price_at FROM written WHERE price_at IS NOT NULL) AS named
        WHERE NOT EXISTS (SELECT FROM tallystick.price
                          WHERE (price.book_id, price.product, price.charge, price.effective_at)
                              = (named.book_id, named.product, named.charge, named.price_at))
    ) THEN
        RAISE EXCEPTION 'a line names an invoice of another product, or a price that is not in its book'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'invoice_lines_fit';
    END IF;
    RETURN NULL;
END $$;

CREATE INDEX invoice_issue_of_account ON invoice_issue (book_id, account_id);

-- Which series the numbers of a product's invoices, or credit notes, are of.
ALTER TABLE number_series ADD COLUMN kind text NOT NULL DEFAULT 'invoice' CHECK (kind IN ('invoice', 'credit_note'));
CREATE TABLE invoice_series (
    book_id        integer NOT NULL REFERENCES book,
    product        text NOT NULL CHECK (product ~ '^([a-z][a-z0-9_.-]{0,62})?$'),
    kind           text NOT NULL CHECK (kind IN ('invoice', 'credit_note')),
    series         text NOT NULL CHECK (series ~ '^[A-Z][A-Z0-9-]{0,15}$'),
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    set_at         timestamptz NOT NULL,
    PRIMARY KEY (book_id, product, kind, transaction_id, message_place)
);
SELECT make_append_only('invoice_series');
COMMENT ON COLUMN invoice_series.product IS 'empty: every product that has none of its own';

CREATE TABLE invoice_state (
    book_id        integer NOT NULL,
    invoice_id     uuid NOT NULL,
    state          text NOT NULL
        CHECK (state IN ('due', 'partly_paid', 'paid', 'overdue', 'written_off', 'void', 'reopened')),
    outstanding    bigint NOT NULL CHECK (outstanding >= 0),
    reason         text CHECK (length(reason) BETWEEN 1 AND 2000),
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    at             timestamptz NOT NULL,
    PRIMARY KEY (book_id, invoice_id, transaction_id, message_place, state),
    FOREIGN KEY (book_id, invoice_id) REFERENCES invoice,
    CHECK (outstanding = 0 OR state NOT IN ('paid', 'written_off', 'void')),
    CHECK (reason IS NULL OR state IN ('written_off', 'void'))
);
SELECT make_append_only('invoice_state');
CREATE INDEX invoice_state_of_message ON invoice_state (book_id, transaction_id, message_place);
CREATE UNIQUE INDEX invoice_void_once ON invoice_state (book_id, invoice_id) WHERE state = 'void';
COMMENT ON COLUMN invoice_state.outstanding IS 'what was owed from then on';

CREATE TABLE invoice_due (
    book_id    integer NOT NULL,
    invoice_id uuid NOT NULL,
    due_on     date NOT NULL,
    told       boolean NOT NULL DEFAULT false,
    PRIMARY KEY (book_id, invoice_id)
);
SELECT make_working_table('invoice_due');
CREATE INDEX invoice_due_on ON invoice_due (book_id, due_on, invoice_id);
COMMENT ON TABLE invoice_due IS 'issued invoices on which something is owed and that are not overdue yet';
COMMENT ON COLUMN invoice_due.told IS 'that it is due today was noted';

CREATE TABLE credit_note (
    book_id        integer NOT NULL,
    credit_note_id uuid NOT NULL,
    invoice_id     uuid NOT NULL,
    reference      text NOT NULL CHECK (length(reference) BETWEEN 1 AND 255),
    series         text NOT NULL,
    number         bigint NOT NULL CHECK (number > 0),
    total          bigint NOT NULL CHECK (total > 0),
    applied        bigint NOT NULL CHECK (applied BETWEEN 0 AND total),
    reason         text CHECK (length(reason) BETWEEN 1 AND 2000),
    content        bytea NOT NULL CHECK (length(content) = 32),
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    issued_at      timestamptz NOT NULL,
    PRIMARY KEY (book_id, credit_note_id),
    CONSTRAINT credit_note_once UNIQUE (book_id, invoice_id, reference),
    CONSTRAINT credit_note_number_once UNIQUE (book_id, series, number),
    FOREIGN KEY (book_id, invoice_id) REFERENCES invoice_issue
);
SELECT make_append_only('credit_note');
CREATE INDEX credit_note_of_message ON credit_note (book_id, transaction_id, message_place);
COMMENT ON COLUMN credit_note.applied IS 'how much of it the invoice still owed; the rest is the customer''s, unallocated';

CREATE TABLE credit_note_line (
    book_id        integer NOT NULL,
    credit_note_id uuid NOT NULL,
    position       integer NOT NULL CHECK (position >= 0),
    line           integer NOT NULL CHECK (line >= 0),
    description    text CHECK (length(description) BETWEEN 1 AND 1000),
    amount         bigint NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (book_id, credit_note_id, position),
    FOREIGN KEY (book_id, credit_note_id) REFERENCES credit_note
);
SELECT make_append_only('credit_note_line');
COMMENT ON COLUMN credit_note_line.line IS 'the position of the line of the invoice that is credited';
COMMENT ON COLUMN credit_note_line.amount IS 'negative where the line of the invoice is';

CREATE TABLE credit_note_tax (
    book_id        integer NOT NULL,
    credit_note_id uuid NOT NULL,
    position       integer NOT NULL CHECK (position >= 0),
    base           bigint NOT NULL,
    amount         bigint NOT NULL,
    PRIMARY KEY (book_id, credit_note_id, position),
    FOREIGN KEY (book_id, credit_note_id) REFERENCES credit_note
);
SELECT make_append_only('credit_note_tax');
COMMENT ON COLUMN credit_note_tax.position IS 'of the tax of the invoice that is taken back';

-- What tells where an invoice stands; `status_of` says it.
CREATE VIEW invoice_standing AS
SELECT invoice.book_id, invoice.invoice_id, issue.invoice_id IS NOT NULL AS issued, invoice.total,
       (invoice.total - credit.applied)::bigint AS owed, (sums.debits - sums.credits)::bigint AS outstanding,
       sums.credits::bigint AS settled, credit.total::bigint AS credited, noted.state AS noted,
       noted.outstanding AS noted_outstanding,
       EXISTS (SELECT FROM invoice_state AS state
               WHERE (state.book_id, state.invoice_id, state.state) = (invoice.book_id, invoice.invoice_id, 'overdue'))
       AS overdue
FROM invoice
LEFT JOIN invoice_issue AS issue USING (book_id, invoice_id)
CROSS JOIN LATERAL account_sums(issue.book_id, issue.account_id) AS sums
CROSS JOIN LATERAL (
    SELECT coalesce(sum(note.total), 0) AS total, coalesce(sum(note.applied), 0) AS applied FROM credit_note AS note
    WHERE (note.book_id, note.invoice_id) = (invoice.book_id, invoice.invoice_id)
) AS credit
LEFT JOIN LATERAL (
    SELECT state.state, state.outstanding FROM invoice_state AS state
    WHERE (state.book_id, state.invoice_id) = (invoice.book_id, invoice.invoice_id)
      AND state.state NOT IN ('due', 'overdue')
    ORDER BY state.transaction_id DESC, state.message_place DESC LIMIT 1
) AS noted ON true;
GRANT SELECT ON invoice_standing TO tallystick_app;

INSERT INTO invoice_due (book_id, invoice_id, due_on)
SELECT book_id, invoice_id, due_on FROM invoice_issue CROSS JOIN LATERAL account_sums(book_id, account_id) AS sums
WHERE sums.debits > sums.credits;
