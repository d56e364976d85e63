-- Money that a provider took for a payment that had failed; refunds whose last call got no answer yet; and what was said of
-- bank statements, taken back.

CREATE TABLE late_capture (
    book_id        integer NOT NULL,
    payment_id     uuid NOT NULL,
    amount         bigint NOT NULL CHECK (amount > 0),
    currency       text NOT NULL CHECK (length(currency) = 3),
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    noted_at       timestamptz NOT NULL,
    PRIMARY KEY (book_id, payment_id),
    FOREIGN KEY (book_id, payment_id) REFERENCES payment
);
SELECT make_append_only('late_capture');
COMMENT ON TABLE late_capture IS 'payments that had failed, and whose money the provider took all the same: no account has it';
COMMENT ON COLUMN late_capture.amount IS 'as the provider tells it';

CREATE INDEX payout_line_of_transaction ON payout_line (book_id, provider_id) WHERE kind = 'charge';

CREATE TABLE refund_unanswered (
    book_id   integer NOT NULL,
    refund_id uuid NOT NULL,
    asked_at  timestamptz NOT NULL,
    PRIMARY KEY (book_id, refund_id),
    FOREIGN KEY (book_id, refund_id) REFERENCES refund
);
SELECT make_working_table('refund_unanswered');
COMMENT ON TABLE refund_unanswered IS 'when a refund was last asked for without an answer that is known; the row goes with the first step';
-- Of those under way nobody noted it until now: as if each had been asked for just before.
INSERT INTO refund_unanswered (book_id, refund_id, asked_at)
SELECT book_id, refund_id, now() FROM refund
WHERE NOT EXISTS (SELECT FROM refund_step AS step
                  WHERE (step.book_id, step.refund_id) = (refund.book_id, refund.refund_id));

-- An entry that was said to be a payout, and is not: both can be said of another then.

ALTER TABLE payout_step DROP CONSTRAINT payout_step_pkey;
ALTER TABLE payout_step ADD PRIMARY KEY (book_id, payout_id, step, transaction_id);
ALTER TABLE bank_match DROP CONSTRAINT bank_match_pkey;
ALTER TABLE bank_match ADD PRIMARY KEY (book_id, statement_id, position, transaction_id);

CREATE TABLE payout_arrival_undo (
    book_id        integer NOT NULL,
    statement_id   uuid NOT NULL,
    position       integer NOT NULL,
    of_transaction bigint NOT NULL,
    payout_id      uuid NOT NULL,
    step           text NOT NULL CHECK (step IN ('arrived', 'returned')),
    reason         text NOT NULL CHECK (length(reason) BETWEEN 1 AND 255),
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    undone_at      timestamptz NOT NULL,
    PRIMARY KEY (book_id, statement_id, position, of_transaction),
    FOREIGN KEY (book_id, payout_id, step, of_transaction) REFERENCES payout_step,
    FOREIGN KEY (book_id, statement_id, position, of_transaction) REFERENCES bank_match
);
SELECT make_append_only('payout_arrival_undo');
COMMENT ON TABLE payout_arrival_undo IS 'entries of statements that were said to be a payout, and are not';
COMMENT ON COLUMN payout_arrival_undo.of_transaction IS 'the transaction that said so';

-- What became of a payout, and what an entry is: what was taken back left out.
CREATE VIEW payout_stands AS
SELECT said.* FROM payout_step AS said
WHERE NOT EXISTS (SELECT FROM payout_arrival_undo AS undone
                  WHERE (undone.book_id, undone.statement_id, undone.position, undone.of_transaction)
                      = (said.book_id, said.statement_id, said.position, said.transaction_id));
CREATE VIEW bank_matched AS
SELECT said.* FROM bank_match AS said
WHERE NOT EXISTS (SELECT FROM payout_arrival_undo AS undone
                  WHERE (undone.book_id, undone.statement_id, undone.position, undone.of_transaction)
                      = (said.book_id, said.statement_id, said.position, said.transaction_id));
GRANT SELECT ON payout_stands, bank_matched TO tallystick_app;
