-- Money that goes back: refunds that we ask for, disputes that banks open; and what providers tell of by webhook.

CREATE TABLE refund (
    book_id           integer NOT NULL,
    refund_id         uuid NOT NULL,
    payment_id        uuid NOT NULL,
    amount            bigint NOT NULL CHECK (amount > 0),
    take_from         text NOT NULL CHECK (take_from IN ('unallocated', 'invoice')),
    source_account_id bigint NOT NULL,
    reason            text NOT NULL CHECK (length(reason) BETWEEN 1 AND 255),
    transfer_id       uuid NOT NULL,
    transaction_id    bigint NOT NULL,
    message_place     integer NOT NULL,
    requested_at      timestamptz NOT NULL,
    PRIMARY KEY (book_id, refund_id),
    FOREIGN KEY (book_id, payment_id) REFERENCES payment,
    FOREIGN KEY (book_id, source_account_id) REFERENCES account
);
SELECT make_append_only('refund');
CREATE INDEX refund_of_payment ON refund (book_id, payment_id, refund_id);
CREATE INDEX refund_of_message ON refund (book_id, transaction_id, message_place);
COMMENT ON TABLE refund IS 'money of a payment that is to go back the way it came';

CREATE TABLE refund_step (
    book_id        integer NOT NULL,
    refund_id      uuid NOT NULL,
    step           text NOT NULL CHECK (step IN ('pending', 'succeeded', 'failed')),
    provider_id    text CHECK (length(provider_id) BETWEEN 1 AND 255),
    failure        text CHECK (length(failure) BETWEEN 1 AND 255),
    transfer_ids   uuid[] NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    at             timestamptz NOT NULL,
    PRIMARY KEY (book_id, refund_id, step),
    FOREIGN KEY (book_id, refund_id) REFERENCES refund,
    CHECK ((step = 'failed') = (failure IS NOT NULL)),
    CHECK (step = 'failed' OR provider_id IS NOT NULL),
    CHECK ((step = 'pending') = (cardinality(transfer_ids) = 0))
);
SELECT make_append_only('refund_step');
CREATE INDEX refund_of_provider ON refund_step (book_id, provider_id);
CREATE INDEX refund_step_of_message ON refund_step (book_id, transaction_id, message_place);
COMMENT ON COLUMN refund_step.transfer_ids IS
    'what moved: to the provider when it succeeded; when it failed, back to the invoice and what did not fit there to the customer';

CREATE TABLE dispute (
    book_id        integer NOT NULL,
    dispute_id     uuid NOT NULL,
    payment_id     uuid NOT NULL,
    provider_id    text NOT NULL CHECK (length(provider_id) BETWEEN 1 AND 255),
    amount         bigint NOT NULL CHECK (amount > 0),
    reason         text NOT NULL CHECK (length(reason) <= 255),
    answer_by      timestamptz,
    transfer_id    uuid NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    opened_at      timestamptz NOT NULL,
    PRIMARY KEY (book_id, dispute_id),
    FOREIGN KEY (book_id, payment_id) REFERENCES payment
);
SELECT make_append_only('dispute');
CREATE INDEX dispute_of_payment ON dispute (book_id, payment_id, dispute_id);
CREATE INDEX dispute_of_provider ON dispute (book_id, provider_id);
CREATE INDEX dispute_of_message ON dispute (book_id, transaction_id, message_place);
COMMENT ON COLUMN dispute.dispute_id IS 'derived from the provider and its id, so that each is kept once';
COMMENT ON COLUMN dispute.answer_by IS 'until when the provider takes evidence; NULL: it does not say';

CREATE TABLE dispute_end (
    book_id        integer NOT NULL,
    dispute_id     uuid NOT NULL,
    outcome        text NOT NULL CHECK (outcome IN ('won', 'lost')),
    transfer_id    uuid NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    at             timestamptz NOT NULL,
    PRIMARY KEY (book_id, dispute_id),
    FOREIGN KEY (book_id, dispute_id) REFERENCES dispute
);
SELECT make_append_only('dispute_end');
CREATE INDEX dispute_end_of_message ON dispute_end (book_id, transaction_id, message_place);

CREATE TABLE provider_event (
    book_id                 integer NOT NULL REFERENCES book,
    provider                text NOT NULL,
    event_id                text NOT NULL CHECK (length(event_id) BETWEEN 1 AND 255),
    kind                    text NOT NULL CHECK (kind IN ('transaction', 'refund', 'dispute', 'payout', 'other')),
    type                    text NOT NULL CHECK (length(type) BETWEEN 1 AND 255),
    subject                 text NOT NULL CHECK (length(subject) BETWEEN 1 AND 255),
    provider_transaction_id text CHECK (length(provider_transaction_id) BETWEEN 1 AND 255),
    occurred_at             timestamptz NOT NULL,
    transaction_id          bigint NOT NULL,
    message_place           integer NOT NULL,
    heard_at                timestamptz NOT NULL,
    PRIMARY KEY (book_id, provider, event_id)
);
SELECT make_append_only('provider_event');
CREATE INDEX provider_event_of_subject ON provider_event (book_id, provider, subject);
CREATE INDEX provider_event_of_message ON provider_event (book_id, transaction_id, message_place);
COMMENT ON TABLE provider_event IS 'what genuine webhooks said: look at this; never how it stands';
COMMENT ON COLUMN provider_event.subject IS 'the provider''s id of the transaction, refund, dispute or payout';
