-- What a tax engine outside answered, kept as it was asked.

CREATE TABLE tax_answer (
    book_id        integer NOT NULL,
    reference      uuid NOT NULL,
    invoice_id     uuid NOT NULL,
    customer_id    bigint NOT NULL,
    asked_before   timestamptz NOT NULL,
    taxes          jsonb NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    answered_at    timestamptz NOT NULL,
    PRIMARY KEY (book_id, reference),
    FOREIGN KEY (book_id, customer_id) REFERENCES customer
);
SELECT make_append_only('tax_answer');
CREATE INDEX tax_answer_of_customer ON tax_answer (book_id, customer_id, asked_before);
CREATE INDEX tax_answer_of_message ON tax_answer (book_id, transaction_id, message_place);
COMMENT ON COLUMN tax_answer.reference IS 'derived from the whole question: other lines have another';
COMMENT ON COLUMN tax_answer.invoice_id IS 'which invoice was asked about; there may never be one';
COMMENT ON COLUMN tax_answer.asked_before IS 'what is in force right before it counts: the end of what is invoiced';
