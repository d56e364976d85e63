-- Invoices: drafted, then issued under a gapless number; what is outstanding is the balance of the invoice's account.

-- Months of one zone never overlap, so that no usage is invoiced twice.
CREATE TABLE billing_zone (
    book_id        integer NOT NULL REFERENCES book,
    product        text NOT NULL CHECK (product ~ '^[a-z][a-z0-9_.-]{0,62}$'),
    zone           text NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    set_at         timestamptz NOT NULL,
    PRIMARY KEY (book_id, product)
);
SELECT make_append_only('billing_zone');
COMMENT ON TABLE billing_zone IS 'the zone whose months a product is invoiced by, fixed by its first draft';

CREATE TABLE invoice (
    book_id        integer NOT NULL,
    invoice_id     uuid NOT NULL,
    customer_id    bigint NOT NULL,
    product        text NOT NULL,
    period_start   timestamptz NOT NULL,
    period_end     timestamptz NOT NULL,
    asset_id       integer NOT NULL,
    total          bigint NOT NULL CHECK (total >= 0),
    terms_days     integer NOT NULL CHECK (terms_days BETWEEN 0 AND 3650),
    usage_through  bigint NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    drafted_at     timestamptz NOT NULL,
    PRIMARY KEY (book_id, invoice_id),
    CONSTRAINT invoice_once UNIQUE (book_id, customer_id, product, period_start, asset_id),
    FOREIGN KEY (book_id, product) REFERENCES billing_zone,
    FOREIGN KEY (book_id, customer_id) REFERENCES customer,
    FOREIGN KEY (book_id, asset_id) REFERENCES asset,
    CHECK (period_end > period_start)
);
SELECT make_append_only('invoice');
CREATE INDEX invoice_of_period ON invoice (book_id, period_start, customer_id, product, asset_id);
COMMENT ON COLUMN invoice.usage_through IS 'it covers the usage recorded by transactions ordered below this';

CREATE TABLE invoice_line (
    book_id      integer NOT NULL,
    invoice_id   uuid NOT NULL,
    position     integer NOT NULL CHECK (position >= 0),
    product      text NOT NULL,
    charge       text NOT NULL,
    price_at     timestamptz NOT NULL,
    meter        text,
    period_start timestamptz NOT NULL,
    period_end   timestamptz NOT NULL,
    events       bigint NOT NULL CHECK (events >= 0),
    quantity     numeric NOT NULL CHECK (quantity >= 0),
    amount       bigint NOT NULL CHECK (amount >= 0),
    detail       jsonb NOT NULL,
    PRIMARY KEY (book_id, invoice_id, position),
    CHECK (period_end > period_start)
);
SELECT make_append_only('invoice_line');
COMMENT ON COLUMN invoice_line.price_at IS 'which version of the charge: the instant it is in force from';

-- No foreign keys: checking them row by row, all on the same few prices, costs two fifths of the rate. This checks
-- the same of all rows of a statement; neither invoices nor prices are ever deleted.
CREATE FUNCTION invoice_lines_fit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT book_id, invoice_id, product FROM written) AS named
        WHERE NOT EXISTS (SELECT FROM tallystick.invoice
                          WHERE (invoice.book_id, invoice.invoice_id, invoice.product)
                              = (named.book_id, named.invoice_id, named.product))
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
CREATE TRIGGER lines_fit AFTER INSERT ON invoice_line REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION invoice_lines_fit();

CREATE TABLE invoice_issue (
    book_id        integer NOT NULL,
    invoice_id     uuid NOT NULL,
    series         text NOT NULL,
    number         bigint NOT NULL CHECK (number > 0),
    account_id     bigint NOT NULL,
    transfer_id    uuid,
    due_on         date NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    issued_at      timestamptz NOT NULL,
    PRIMARY KEY (book_id, invoice_id),
    CONSTRAINT invoice_number_once UNIQUE (book_id, series, number),
    FOREIGN KEY (book_id, invoice_id) REFERENCES invoice,
    FOREIGN KEY (book_id, account_id) REFERENCES account
);
SELECT make_append_only('invoice_issue');
COMMENT ON COLUMN invoice_issue.due_on IS 'the day of issue in the billing zone, and the terms of the invoice after it';
COMMENT ON COLUMN invoice_issue.transfer_id IS 'NULL when the total is zero: nothing moves';

CREATE TABLE number_series (
    book_id integer NOT NULL REFERENCES book,
    series  text NOT NULL,
    last    bigint NOT NULL CHECK (last >= 0),
    PRIMARY KEY (book_id, series)
);
SELECT make_working_table('number_series');
COMMENT ON TABLE number_series IS 'counted up in the transaction that uses the number, so that a rollback leaves no gap';
