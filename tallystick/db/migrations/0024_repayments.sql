-- Repayments: what customers paid back, where each unit of it went and why; and the one charge for all that is due.

CREATE TABLE allocation_policy (
    book_id        integer NOT NULL REFERENCES book,
    customer_id    bigint,
    policy         jsonb,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    set_at         timestamptz NOT NULL,
    PRIMARY KEY (book_id, transaction_id, message_place),
    FOREIGN KEY (book_id, customer_id) REFERENCES customer,
    CHECK (customer_id IS NOT NULL OR policy IS NOT NULL)
);
SELECT make_append_only('allocation_policy');
CREATE INDEX allocation_policy_of_customer ON allocation_policy (book_id, customer_id, transaction_id);
COMMENT ON COLUMN allocation_policy.customer_id IS 'NULL: the policy of the book, for all who have none of their own';
COMMENT ON COLUMN allocation_policy.policy IS 'NULL: the customer has none of its own any more';

CREATE TABLE repayment (
    book_id         integer NOT NULL,
    repayment_id    uuid NOT NULL,
    customer_id     bigint NOT NULL,
    asset_id        integer NOT NULL,
    amount          bigint NOT NULL CHECK (amount > 0),
    channel         text NOT NULL CHECK (channel ~ '^[a-z][a-z0-9_]{0,31}$'),
    reference       text NOT NULL CHECK (length(reference) BETWEEN 1 AND 255),
    received_on     date NOT NULL,
    from_account_id bigint,
    transfer_id     uuid,
    policy          jsonb NOT NULL,
    transaction_id  bigint NOT NULL,
    message_place   integer NOT NULL,
    received_at     timestamptz NOT NULL,
    PRIMARY KEY (book_id, repayment_id),
    CONSTRAINT repayment_once UNIQUE (book_id, channel, reference),
    FOREIGN KEY (book_id, customer_id) REFERENCES customer,
    FOREIGN KEY (book_id, asset_id) REFERENCES asset,
    FOREIGN KEY (book_id, from_account_id) REFERENCES account,
    CHECK ((from_account_id IS NULL) = (transfer_id IS NULL)),
    CHECK ((channel = 'wallet') = (transfer_id IS NULL))
);
SELECT make_append_only('repayment');
CREATE INDEX repayment_of_customer ON repayment (book_id, customer_id, transaction_id, message_place);
CREATE INDEX repayment_of_message ON repayment (book_id, transaction_id, message_place);
COMMENT ON COLUMN repayment.policy IS 'by which it was placed on invoices';
COMMENT ON COLUMN repayment.transfer_id IS 'by which it came; NULL for prepaid credit, whose uses are its allocations';

CREATE TABLE repayment_allocation (
    book_id        integer NOT NULL,
    transfer_id    uuid NOT NULL,
    repayment_id   uuid,
    customer_id    bigint NOT NULL,
    invoice_id     uuid NOT NULL,
    amount         bigint NOT NULL CHECK (amount > 0),
    why            text NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    allocated_at   timestamptz NOT NULL,
    PRIMARY KEY (book_id, transfer_id),
    FOREIGN KEY (book_id, repayment_id) REFERENCES repayment,
    FOREIGN KEY (book_id, invoice_id) REFERENCES invoice
);
SELECT make_append_only('repayment_allocation');
CREATE INDEX repayment_allocation_of_repayment ON repayment_allocation (book_id, repayment_id);
CREATE INDEX repayment_allocation_of_invoice ON repayment_allocation (book_id, invoice_id);
CREATE INDEX repayment_allocation_of_customer ON repayment_allocation (book_id, customer_id, transaction_id);
CREATE INDEX repayment_allocation_of_message ON repayment_allocation (book_id, transaction_id, message_place);
COMMENT ON COLUMN repayment_allocation.repayment_id IS 'NULL: it was taken from what lay unallocated';

CREATE TABLE repayment_return (
    book_id        integer NOT NULL,
    return_id      uuid NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('refund', 'reversal')),
    customer_id    bigint NOT NULL,
    asset_id       integer NOT NULL,
    repayment_id   uuid,
    amount         bigint NOT NULL CHECK (amount > 0),
    to_account_id  bigint NOT NULL,
    reference      text NOT NULL CHECK (length(reference) BETWEEN 1 AND 255),
    reason         text NOT NULL CHECK (length(reason) BETWEEN 1 AND 255),
    transfer_id    uuid NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    returned_at    timestamptz NOT NULL,
    PRIMARY KEY (book_id, return_id),
    CONSTRAINT repayment_return_once UNIQUE (book_id, kind, reference),
    FOREIGN KEY (book_id, customer_id) REFERENCES customer,
    FOREIGN KEY (book_id, asset_id) REFERENCES asset,
    FOREIGN KEY (book_id, repayment_id) REFERENCES repayment,
    FOREIGN KEY (book_id, to_account_id) REFERENCES account,
    CHECK ((kind = 'reversal') = (repayment_id IS NOT NULL))
);
SELECT make_append_only('repayment_return');
CREATE UNIQUE INDEX repayment_reversed_once ON repayment_return (book_id, repayment_id) WHERE kind = 'reversal';
CREATE INDEX repayment_return_of_customer ON repayment_return (book_id, customer_id, transaction_id);
CREATE INDEX repayment_return_of_message ON repayment_return (book_id, transaction_id, message_place);
COMMENT ON TABLE repayment_return IS 'money that went back: given back by us, or fetched back by the bank';

CREATE TABLE allocation_undo (
    book_id        integer NOT NULL,
    transfer_id    uuid NOT NULL,
    undone_id      uuid NOT NULL,
    return_id      uuid NOT NULL,
    amount         bigint NOT NULL CHECK (amount > 0),
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    undone_at      timestamptz NOT NULL,
    PRIMARY KEY (book_id, transfer_id),
    FOREIGN KEY (book_id, undone_id) REFERENCES repayment_allocation,
    FOREIGN KEY (book_id, return_id) REFERENCES repayment_return
);
SELECT make_append_only('allocation_undo');
CREATE INDEX allocation_undo_of_allocation ON allocation_undo (book_id, undone_id);
CREATE INDEX allocation_undo_of_message ON allocation_undo (book_id, transaction_id, message_place);
COMMENT ON TABLE allocation_undo IS 'as much of an allocation as was taken off its invoice again';

CREATE TABLE debit_agreement (
    book_id        integer NOT NULL,
    customer_id    bigint NOT NULL,
    bank_account   text CHECK (length(bank_account) BETWEEN 1 AND 64),
    day            smallint CHECK (day BETWEEN 1 AND 28),
    country        text,
    rule           text CHECK (rule IN ('following', 'preceding', 'modified_following')),
    cutoff_days    smallint NOT NULL CHECK (cutoff_days BETWEEN 0 AND 28),
    from_on        date NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    agreed_at      timestamptz NOT NULL,
    PRIMARY KEY (book_id, customer_id, transaction_id, message_place),
    FOREIGN KEY (book_id, customer_id) REFERENCES customer,
    CHECK (num_nulls(bank_account, country, rule) IN (0, 3))
);
SELECT make_append_only('debit_agreement');
CREATE INDEX debit_agreement_of_message ON debit_agreement (book_id, transaction_id, message_place);
COMMENT ON COLUMN debit_agreement.bank_account IS 'NULL: nothing is debited any more';
COMMENT ON COLUMN debit_agreement.day IS 'NULL: the last of the month';
COMMENT ON COLUMN debit_agreement.from_on IS 'it counts for debits from this day on; those before were announced already';

CREATE TABLE charge_retry_policy (
    book_id        integer NOT NULL REFERENCES book,
    rules          jsonb NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    set_at         timestamptz NOT NULL,
    PRIMARY KEY (book_id, transaction_id, message_place)
);
SELECT make_append_only('charge_retry_policy');

CREATE TABLE charge (
    book_id        integer NOT NULL,
    charge_id      uuid NOT NULL,
    customer_id    bigint NOT NULL,
    bank_account   text NOT NULL,
    asset_id       integer NOT NULL,
    debit_on       date NOT NULL,
    amount         bigint NOT NULL CHECK (amount > 0),
    attempt        smallint NOT NULL CHECK (attempt > 0),
    retry_of       uuid,
    country        text NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    made_at        timestamptz NOT NULL,
    PRIMARY KEY (book_id, charge_id),
    CONSTRAINT charge_once UNIQUE (book_id, customer_id, bank_account, asset_id, debit_on),
    FOREIGN KEY (book_id, customer_id) REFERENCES customer,
    FOREIGN KEY (book_id, asset_id) REFERENCES asset,
    FOREIGN KEY (book_id, retry_of) REFERENCES charge,
    CHECK ((retry_of IS NULL) = (attempt = 1))
);
SELECT make_append_only('charge');
CREATE INDEX charge_of_day ON charge (book_id, debit_on, charge_id);
CREATE INDEX charge_of_message ON charge (book_id, transaction_id, message_place);
COMMENT ON TABLE charge IS 'one debit of a bank account for all invoices that are due on the day';

CREATE TABLE charge_invoice (
    book_id        integer NOT NULL,
    charge_id      uuid NOT NULL,
    invoice_id     uuid NOT NULL,
    amount         bigint NOT NULL CHECK (amount > 0),
    PRIMARY KEY (book_id, charge_id, invoice_id),
    FOREIGN KEY (book_id, charge_id) REFERENCES charge,
    FOREIGN KEY (book_id, invoice_id) REFERENCES invoice
);
SELECT make_append_only('charge_invoice');
CREATE INDEX charge_invoice_of_invoice ON charge_invoice (book_id, invoice_id);

CREATE TABLE charge_outcome (
    book_id        integer NOT NULL,
    charge_id      uuid NOT NULL,
    taken          bigint NOT NULL CHECK (taken >= 0),
    error_kind     text,
    retry_on       date,
    repayment_id   uuid,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    at             timestamptz NOT NULL,
    PRIMARY KEY (book_id, charge_id),
    FOREIGN KEY (book_id, charge_id) REFERENCES charge,
    FOREIGN KEY (book_id, repayment_id) REFERENCES repayment,
    CHECK ((taken > 0) = (repayment_id IS NOT NULL)),
    CHECK (retry_on IS NULL OR error_kind IS NOT NULL)
);
SELECT make_append_only('charge_outcome');
CREATE INDEX charge_outcome_of_message ON charge_outcome (book_id, transaction_id, message_place);
COMMENT ON COLUMN charge_outcome.retry_on IS 'NULL: it is not tried again by itself';

-- A customer may pay the same invoice from the same grant more than once; each use has a transfer of its own.
ALTER TABLE credit_use DROP CONSTRAINT credit_use_once;
CREATE INDEX credit_use_of_grant ON credit_use (book_id, grant_id, invoice_id);

-- Enter to repay: no policy or agreement changes from here on, and whoever issues invoices in a transaction that is ordered
-- before has ended. They enter before they take their place (`enter_to_spend`), so whoever enters later is ordered later.
-- The lock is given back at once: repayments do not wait for each other here.
CREATE FUNCTION enter_to_repay(of_book integer) RETURNS TABLE (place bigint, horizon bigint) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(6, of_book);
    place := tallystick.transaction_order();
    PERFORM pg_advisory_lock(4, of_book);
    PERFORM pg_advisory_unlock(4, of_book);
    horizon := tallystick.settled_horizon();
    RETURN NEXT;
END $$;
