-- Receipts: one per settled payment, provable by its transfer.

CREATE TABLE receipt (
    book_id        integer NOT NULL,
    receipt_id     uuid NOT NULL,
    payment_id     uuid NOT NULL,
    transfer_id    uuid NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    issued_at      timestamptz NOT NULL,
    PRIMARY KEY (book_id, receipt_id),
    CONSTRAINT receipt_of_payment UNIQUE (book_id, payment_id),
    FOREIGN KEY (book_id, payment_id) REFERENCES payment
);
SELECT make_append_only('receipt');
