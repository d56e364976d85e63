-- Slips that are paid at a store's counter; reminders and late fees; what runs over all customers came to.

CREATE TABLE slip (
    book_id        integer NOT NULL,
    slip_id        uuid NOT NULL,
    number         text NOT NULL CHECK (number ~ '^[0-9]{18}$'),
    customer_id    bigint NOT NULL,
    asset_id       integer NOT NULL,
    amount         bigint NOT NULL CHECK (amount BETWEEN 1 AND 999999999999),
    expires_on     date NOT NULL,
    zone           text NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    issued_at      timestamptz NOT NULL,
    PRIMARY KEY (book_id, slip_id),
    CONSTRAINT slip_number_once UNIQUE (book_id, number),
    FOREIGN KEY (book_id, customer_id) REFERENCES customer,
    FOREIGN KEY (book_id, asset_id) REFERENCES asset
);
SELECT make_append_only('slip');
CREATE INDEX slip_of_customer ON slip (book_id, customer_id, transaction_id);
CREATE INDEX slip_of_message ON slip (book_id, transaction_id, message_place);
COMMENT ON COLUMN slip.expires_on IS 'the last day on which it is paid, by the calendar of its zone';

CREATE TABLE slip_invoice (
    book_id    integer NOT NULL,
    slip_id    uuid NOT NULL,
    invoice_id uuid NOT NULL,
    amount     bigint NOT NULL CHECK (amount > 0),
    PRIMARY KEY (book_id, slip_id, invoice_id),
    FOREIGN KEY (book_id, slip_id) REFERENCES slip,
    FOREIGN KEY (book_id, invoice_id) REFERENCES invoice
);
SELECT make_append_only('slip_invoice');
CREATE INDEX slip_invoice_of_invoice ON slip_invoice (book_id, invoice_id);

CREATE TABLE slip_notice (
    book_id        integer NOT NULL,
    reference      text NOT NULL CHECK (length(reference) BETWEEN 1 AND 255),
    slip_id        uuid NOT NULL,
    amount         bigint NOT NULL CHECK (amount > 0),
    store          text CHECK (length(store) BETWEEN 1 AND 255),
    paid_at        timestamptz NOT NULL,
    late           boolean NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    noticed_at     timestamptz NOT NULL,
    PRIMARY KEY (book_id, reference),
    FOREIGN KEY (book_id, slip_id) REFERENCES slip
);
SELECT make_append_only('slip_notice');
CREATE INDEX slip_notice_of_slip ON slip_notice (book_id, slip_id);
CREATE INDEX slip_notice_of_message ON slip_notice (book_id, transaction_id, message_place);
COMMENT ON TABLE slip_notice IS 'a store says that a slip was paid; the money is not here yet';
COMMENT ON COLUMN slip_notice.late IS 'it was paid after the slip had expired';

CREATE TABLE slip_withdrawal (
    book_id        integer NOT NULL,
    reference      text NOT NULL,
    reason         text NOT NULL CHECK (length(reason) BETWEEN 1 AND 255),
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    withdrawn_at   timestamptz NOT NULL,
    PRIMARY KEY (book_id, reference),
    FOREIGN KEY (book_id, reference) REFERENCES slip_notice
);
SELECT make_append_only('slip_withdrawal');
CREATE INDEX slip_withdrawal_of_message ON slip_withdrawal (book_id, transaction_id, message_place);
COMMENT ON TABLE slip_withdrawal IS 'a store takes a notice back';

CREATE TABLE slip_settlement (
    book_id        integer NOT NULL,
    reference      text NOT NULL CHECK (length(reference) BETWEEN 1 AND 255),
    slip_id        uuid NOT NULL,
    amount         bigint NOT NULL CHECK (amount > 0),
    paid_on        date NOT NULL,
    repayment_id   uuid NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    settled_at     timestamptz NOT NULL,
    PRIMARY KEY (book_id, reference),
    FOREIGN KEY (book_id, slip_id) REFERENCES slip,
    FOREIGN KEY (book_id, repayment_id) REFERENCES repayment
);
SELECT make_append_only('slip_settlement');
CREATE INDEX slip_settlement_of_slip ON slip_settlement (book_id, slip_id);
CREATE INDEX slip_settlement_of_message ON slip_settlement (book_id, transaction_id, message_place);
COMMENT ON TABLE slip_settlement IS 'the money of a slip came';

CREATE TABLE slip_cancellation (
    book_id        integer NOT NULL,
    slip_id        uuid NOT NULL,
    reason         text NOT NULL CHECK (length(reason) BETWEEN 1 AND 255),
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    cancelled_at   timestamptz NOT NULL,
    PRIMARY KEY (book_id, slip_id),
    FOREIGN KEY (book_id, slip_id) REFERENCES slip
);
SELECT make_append_only('slip_cancellation');
CREATE INDEX slip_cancellation_of_message ON slip_cancellation (book_id, transaction_id, message_place);

-- What is announced and has not come: neither taken back nor settled.
CREATE VIEW slip_announced AS
SELECT notice.book_id, notice.slip_id, notice.reference, notice.amount, notice.transaction_id
FROM slip_notice AS notice
WHERE NOT EXISTS (SELECT FROM slip_withdrawal AS gone
                  WHERE (gone.book_id, gone.reference) = (notice.book_id, notice.reference))
  AND NOT EXISTS (SELECT FROM slip_settlement AS come
                  WHERE (come.book_id, come.reference) = (notice.book_id, notice.reference));
GRANT SELECT ON slip_announced TO tallystick_app;

CREATE TABLE dunning_rules (
    book_id        integer NOT NULL REFERENCES book,
    rules          jsonb NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    set_at         timestamptz NOT NULL,
    PRIMARY KEY (book_id, transaction_id, message_place)
);
SELECT make_append_only('dunning_rules');

CREATE TABLE reminder (
    book_id        integer NOT NULL,
    invoice_id     uuid NOT NULL,
    level          smallint NOT NULL CHECK (level > 0),
    customer_id    bigint NOT NULL,
    on_day         date NOT NULL,
    outstanding    bigint NOT NULL CHECK (outstanding > 0),
    fee            bigint NOT NULL CHECK (fee >= 0),
    fee_days       integer CHECK (fee_days >= 0),
    fee_terms      jsonb,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    reminded_at    timestamptz NOT NULL,
    PRIMARY KEY (book_id, invoice_id, level),
    FOREIGN KEY (book_id, invoice_id) REFERENCES invoice_issue,
    FOREIGN KEY (book_id, customer_id) REFERENCES customer,
    CHECK ((fee > 0) = (fee_terms IS NOT NULL))
);
SELECT make_append_only('reminder');
CREATE INDEX reminder_of_customer ON reminder (book_id, customer_id, transaction_id);
CREATE INDEX reminder_of_message ON reminder (book_id, transaction_id, message_place);
COMMENT ON COLUMN reminder.fee_days IS 'for how many days of delay the fee was counted; NULL: it does not go by days';
COMMENT ON COLUMN reminder.fee_terms IS 'the product, terms and tax category that the fee is asked for with';

CREATE TABLE late_fee_due (
    book_id    integer NOT NULL,
    invoice_id uuid NOT NULL,
    level      smallint NOT NULL,
    PRIMARY KEY (book_id, invoice_id, level)
);
SELECT make_working_table('late_fee_due');
COMMENT ON TABLE late_fee_due IS 'late fees of reminders that have no invoice yet';

CREATE TABLE overdue_open (
    book_id     integer NOT NULL,
    customer_id bigint NOT NULL,
    invoice_id  uuid NOT NULL,
    due_on      date NOT NULL,
    PRIMARY KEY (book_id, customer_id, invoice_id)
);
SELECT make_working_table('overdue_open');
COMMENT ON TABLE overdue_open IS 'invoices that were noted overdue and on which something is owed';

CREATE FUNCTION follow_overdue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM tallystick.overdue_open AS gone
    USING written JOIN tallystick.invoice USING (book_id, invoice_id)
    WHERE written.state IN ('paid', 'void', 'written_off')
      AND (gone.book_id, gone.customer_id, gone.invoice_id) = (written.book_id, invoice.customer_id, written.invoice_id);
    INSERT INTO tallystick.overdue_open (book_id, customer_id, invoice_id, due_on)
    SELECT written.book_id, invoice.customer_id, written.invoice_id, issue.due_on
    FROM written
    JOIN tallystick.invoice USING (book_id, invoice_id)
    JOIN tallystick.invoice_issue AS issue USING (book_id, invoice_id)
    WHERE written.state = 'overdue'
       OR written.state = 'reopened'
          AND EXISTS (SELECT FROM tallystick.invoice_state AS before
                      WHERE (before.book_id, before.invoice_id, before.state) = (written.book_id, written.invoice_id, 'overdue'))
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER follow_overdue AFTER INSERT ON invoice_state REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION follow_overdue();

INSERT INTO overdue_open (book_id, customer_id, invoice_id, due_on)
SELECT standing.book_id, invoice.customer_id, invoice_id, due_on
FROM invoice_standing AS standing
JOIN invoice USING (book_id, invoice_id)
JOIN invoice_issue AS issue USING (book_id, invoice_id)
WHERE standing.overdue AND standing.outstanding > 0;

CREATE TABLE batch_run (
    book_id        integer NOT NULL REFERENCES book,
    run_id         uuid NOT NULL,
    kind           text NOT NULL CHECK (kind ~ '^[a-z][a-z0-9_]{0,31}$'),
    of_what        text NOT NULL CHECK (length(of_what) BETWEEN 1 AND 255),
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    begun_at       timestamptz NOT NULL,
    PRIMARY KEY (book_id, run_id)
);
SELECT make_append_only('batch_run');
CREATE INDEX batch_run_listed ON batch_run (book_id, transaction_id, message_place);
COMMENT ON COLUMN batch_run.of_what IS 'a day, a month';

CREATE TABLE batch_run_note (
    book_id        integer NOT NULL,
    run_id         uuid NOT NULL,
    counts         jsonb NOT NULL,
    failures       jsonb NOT NULL,
    last           boolean NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    at             timestamptz NOT NULL,
    PRIMARY KEY (book_id, run_id, transaction_id, message_place),
    FOREIGN KEY (book_id, run_id) REFERENCES batch_run
);
SELECT make_append_only('batch_run_note');
CREATE INDEX batch_run_note_of_message ON batch_run_note (book_id, transaction_id, message_place);
CREATE UNIQUE INDEX batch_run_ended_once ON batch_run_note (book_id, run_id) WHERE last;
COMMENT ON TABLE batch_run_note IS 'what a chunk of a run came to; the last says that it came to its end';
