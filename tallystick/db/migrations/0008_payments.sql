-- Payments: each step a fact, at most once; a job until the last.

CREATE TABLE payment (
    book_id        integer NOT NULL,
    payment_id     uuid NOT NULL,
    invoice_id     uuid NOT NULL,
    user_ref       text NOT NULL CHECK (length(user_ref) BETWEEN 1 AND 255),
    email          text NOT NULL CHECK (length(email) BETWEEN 3 AND 320),
    requested_at   timestamptz NOT NULL,
    payment_type   text NOT NULL CHECK (payment_type IN ('credit', 'debit')),
    asset_id       integer NOT NULL,
    amount         bigint NOT NULL CHECK (amount > 0),
    provider       text NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    started_at     timestamptz NOT NULL,
    PRIMARY KEY (book_id, payment_id),
    FOREIGN KEY (book_id, invoice_id) REFERENCES invoice_issue,
    FOREIGN KEY (book_id, asset_id) REFERENCES asset
);
SELECT make_append_only('payment');
CREATE INDEX payment_of_invoice ON payment (book_id, invoice_id);
COMMENT ON COLUMN payment.requested_at IS 'the timestamp that the request gave';

CREATE TABLE payment_step (
    book_id        integer NOT NULL,
    payment_id     uuid NOT NULL,
    step           text NOT NULL CHECK (step IN ('opened', 'submitted', 'settled', 'failed')),
    provider_id    text,
    token          text,
    reason         text,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    at             timestamptz NOT NULL,
    PRIMARY KEY (book_id, payment_id, step),
    FOREIGN KEY (book_id, payment_id) REFERENCES payment,
    CHECK ((step = 'failed') = (reason IS NOT NULL)),
    CHECK ((step = 'opened') = (provider_id IS NOT NULL AND token IS NOT NULL))
);
SELECT make_append_only('payment_step');
CREATE UNIQUE INDEX payment_ends_once ON payment_step (book_id, payment_id) WHERE step IN ('settled', 'failed');
CREATE UNIQUE INDEX payment_of_provider ON payment_step (book_id, provider_id) WHERE step = 'opened';

CREATE TABLE payment_job (
    book_id      integer NOT NULL,
    payment_id   uuid NOT NULL,
    leased_until timestamptz NOT NULL,
    attempts     integer NOT NULL DEFAULT 0,
    PRIMARY KEY (book_id, payment_id),
    FOREIGN KEY (book_id, payment_id) REFERENCES payment
);
SELECT make_working_table('payment_job');
CREATE INDEX payment_job_due ON payment_job (leased_until);
COMMENT ON TABLE payment_job IS 'payments with a call to the provider still to make or to find out about';
