-- Prepaid credits, each grant an account of the ledger; and taxes, as data.

CREATE TABLE credit_unit (
    book_id        integer NOT NULL,
    asset_id       integer NOT NULL,
    meter          text NOT NULL,
    units          numeric NOT NULL CHECK (units > 0),
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    bound_at       timestamptz NOT NULL,
    PRIMARY KEY (book_id, asset_id, meter),
    FOREIGN KEY (book_id, asset_id) REFERENCES asset,
    FOREIGN KEY (book_id, meter) REFERENCES meter
);
SELECT make_append_only('credit_unit');
CREATE INDEX credit_unit_of_message ON credit_unit (book_id, transaction_id, message_place);
COMMENT ON COLUMN credit_unit.units IS 'how many metered units a major unit of the asset pays for';

CREATE TABLE credit_grant (
    book_id        integer NOT NULL,
    grant_id       uuid NOT NULL,
    customer_id    bigint NOT NULL,
    asset_id       integer NOT NULL,
    amount         bigint NOT NULL CHECK (amount > 0),
    priority       integer NOT NULL CHECK (priority BETWEEN 0 AND 1000),
    kind           text NOT NULL CHECK (kind IN ('paid', 'promotional')),
    expires_at     timestamptz,
    products       text[] CHECK (cardinality(products) > 0),
    charges        text[] CHECK (cardinality(charges) > 0),
    meters         text[] CHECK (cardinality(meters) > 0),
    account_id     bigint NOT NULL,
    transfer_id    uuid NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    granted_at     timestamptz NOT NULL,
    PRIMARY KEY (book_id, grant_id),
    FOREIGN KEY (book_id, customer_id) REFERENCES customer,
    FOREIGN KEY (book_id, asset_id) REFERENCES asset,
    FOREIGN KEY (book_id, account_id) REFERENCES account,
    CHECK (expires_at > granted_at)
);
SELECT make_append_only('credit_grant');
CREATE INDEX credit_grant_of_customer ON credit_grant (book_id, customer_id);
CREATE INDEX credit_grant_of_message ON credit_grant (book_id, transaction_id, message_place);
COMMENT ON TABLE credit_grant IS 'what is left of it is the balance of its account';
COMMENT ON COLUMN credit_grant.products IS 'all that it may be spent on; NULL: anything. So are charges and meters';

CREATE TABLE credit_use (
    book_id        integer NOT NULL,
    transfer_id    uuid NOT NULL,
    grant_id       uuid NOT NULL,
    invoice_id     uuid NOT NULL,
    position       integer CHECK (position >= 0),
    amount         bigint NOT NULL CHECK (amount > 0),
    quantity       numeric CHECK (quantity > 0),
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    used_at        timestamptz NOT NULL,
    PRIMARY KEY (book_id, transfer_id),
    CONSTRAINT credit_use_once UNIQUE NULLS NOT DISTINCT (book_id, grant_id, invoice_id, position),
    FOREIGN KEY (book_id, grant_id) REFERENCES credit_grant,
    FOREIGN KEY (book_id, invoice_id) REFERENCES invoice,
    CHECK ((position IS NULL) = (quantity IS NULL))
);
SELECT make_append_only('credit_use');
CREATE INDEX credit_use_of_invoice ON credit_use (book_id, invoice_id);
CREATE INDEX credit_use_of_message ON credit_use (book_id, transaction_id, message_place);
COMMENT ON COLUMN credit_use.position IS 'the line whose units it covers; NULL: it pays the invoice';
COMMENT ON COLUMN credit_use.quantity IS 'how many metered units it covers';

CREATE TABLE credit_end (
    book_id        integer NOT NULL,
    grant_id       uuid NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('used', 'expired', 'voided')),
    amount         bigint NOT NULL CHECK (amount >= 0),
    transfer_id    uuid,
    reason         text CHECK (length(reason) BETWEEN 1 AND 255),
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    ended_at       timestamptz NOT NULL,
    PRIMARY KEY (book_id, grant_id),
    FOREIGN KEY (book_id, grant_id) REFERENCES credit_grant,
    CHECK ((amount > 0) = (transfer_id IS NOT NULL)),
    CHECK ((kind = 'voided') = (reason IS NOT NULL)),
    CHECK (kind <> 'used' OR amount = 0)
);
SELECT make_append_only('credit_end');
CREATE INDEX credit_end_of_message ON credit_end (book_id, transaction_id, message_place);
COMMENT ON TABLE credit_end IS 'nothing is spent of a grant from here on';
COMMENT ON COLUMN credit_end.amount IS 'what was left and went away';

CREATE TABLE wallet_threshold (
    book_id        integer NOT NULL,
    customer_id    bigint NOT NULL,
    asset_id       integer NOT NULL,
    threshold      bigint CHECK (threshold > 0),
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    set_at         timestamptz NOT NULL,
    PRIMARY KEY (book_id, customer_id, asset_id, transaction_id, message_place),
    FOREIGN KEY (book_id, customer_id) REFERENCES customer,
    FOREIGN KEY (book_id, asset_id) REFERENCES asset
);
SELECT make_append_only('wallet_threshold');
CREATE INDEX wallet_threshold_of_message ON wallet_threshold (book_id, transaction_id, message_place);
COMMENT ON COLUMN wallet_threshold.threshold IS 'NULL: no longer watched';

CREATE TABLE wallet_low (
    book_id        integer NOT NULL,
    customer_id    bigint NOT NULL,
    asset_id       integer NOT NULL,
    threshold      bigint NOT NULL,
    balance        bigint NOT NULL CHECK (balance < threshold),
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    noticed_at     timestamptz NOT NULL,
    PRIMARY KEY (book_id, customer_id, asset_id, transaction_id, message_place),
    FOREIGN KEY (book_id, customer_id) REFERENCES customer,
    FOREIGN KEY (book_id, asset_id) REFERENCES asset
);
SELECT make_append_only('wallet_low');
CREATE INDEX wallet_low_of_message ON wallet_low (book_id, transaction_id, message_place);
COMMENT ON TABLE wallet_low IS 'a wallet fell below its threshold: once for each time it does';

-- What is to expire, so that whoever looks reads what is due and nothing else.
CREATE TABLE credit_expiry (
    book_id    integer NOT NULL,
    expires_at timestamptz NOT NULL,
    grant_id   uuid NOT NULL,
    PRIMARY KEY (book_id, expires_at, grant_id)
);
SELECT make_working_table('credit_expiry');

CREATE TABLE tax_rate (
    book_id        integer NOT NULL REFERENCES book,
    jurisdiction   text NOT NULL CHECK (jurisdiction ~ '^[A-Z]{2}(-[A-Z0-9]{1,16})*$'),
    category       text NOT NULL CHECK (category ~ '^[a-z][a-z0-9_.-]{0,62}$'),
    name           text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    effective_at   timestamptz NOT NULL,
    rate           numeric CHECK (rate BETWEEN 0 AND 10),
    inclusive      boolean NOT NULL,
    compound       boolean NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    set_at         timestamptz NOT NULL,
    PRIMARY KEY (book_id, jurisdiction, category, name, effective_at)
);
SELECT make_append_only('tax_rate');
CREATE INDEX tax_rate_of_message ON tax_rate (book_id, transaction_id, message_place);
COMMENT ON COLUMN tax_rate.rate IS 'of the base: 0.20; NULL: the tax ends here';
COMMENT ON COLUMN tax_rate.compound IS 'it is taken of the base and the taxes that are not compound';

CREATE TABLE tax_rounding (
    book_id        integer NOT NULL REFERENCES book,
    jurisdiction   text NOT NULL,
    effective_at   timestamptz NOT NULL,
    scope          text NOT NULL CHECK (scope IN ('line', 'invoice')),
    mode           text NOT NULL CHECK (mode IN ('half_up', 'half_even', 'up', 'down')),
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    set_at         timestamptz NOT NULL,
    PRIMARY KEY (book_id, jurisdiction, effective_at)
);
SELECT make_append_only('tax_rounding');
CREATE INDEX tax_rounding_of_message ON tax_rounding (book_id, transaction_id, message_place);

CREATE TABLE tax_category (
    book_id        integer NOT NULL REFERENCES book,
    product        text NOT NULL CHECK (product ~ '^[a-z][a-z0-9_.-]{0,62}$'),
    charge         text NOT NULL,
    effective_at   timestamptz NOT NULL,
    category       text NOT NULL CHECK (category ~ '^[a-z][a-z0-9_.-]{0,62}$'),
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    set_at         timestamptz NOT NULL,
    PRIMARY KEY (book_id, product, charge, effective_at)
);
SELECT make_append_only('tax_category');
CREATE INDEX tax_category_of_message ON tax_category (book_id, transaction_id, message_place);
COMMENT ON COLUMN tax_category.charge IS 'empty: every charge of the product that has no category of its own';

CREATE TABLE tax_customer (
    book_id        integer NOT NULL,
    customer_id    bigint NOT NULL,
    effective_at   timestamptz NOT NULL,
    jurisdiction   text NOT NULL,
    treatment      text NOT NULL CHECK (treatment IN ('taxed', 'exempt', 'reverse_charge')),
    reason         text CHECK (length(reason) BETWEEN 1 AND 255),
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    set_at         timestamptz NOT NULL,
    PRIMARY KEY (book_id, customer_id, effective_at),
    FOREIGN KEY (book_id, customer_id) REFERENCES customer,
    CHECK ((treatment = 'taxed') = (reason IS NULL))
);
SELECT make_append_only('tax_customer');
CREATE INDEX tax_customer_of_message ON tax_customer (book_id, transaction_id, message_place);
COMMENT ON COLUMN tax_customer.reason IS 'why no tax is asked for, as the invoice prints it';

ALTER TABLE invoice_tax ADD treatment text NOT NULL DEFAULT 'taxed'
    CHECK (treatment IN ('taxed', 'exempt', 'reverse_charge'));
ALTER TABLE invoice_tax ADD reason text;
ALTER TABLE invoice_tax ADD CHECK ((treatment = 'taxed') = (reason IS NULL));
ALTER TABLE invoice_tax ADD CHECK (treatment = 'taxed' OR (rate = 0 AND amount = 0));
