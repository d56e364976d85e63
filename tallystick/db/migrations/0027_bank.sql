-- Files of banks: debits that were handed over, statements that came, and what their entries were for.

CREATE TABLE bank_file (
    book_id        integer NOT NULL REFERENCES book,
    file_id        uuid NOT NULL,
    debit_on       date NOT NULL,
    asset_id       integer NOT NULL,
    number         smallint NOT NULL CHECK (number > 0),
    charges        integer NOT NULL CHECK (charges > 0),
    total          bigint NOT NULL CHECK (total > 0),
    creditor       jsonb NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    taken_at       timestamptz NOT NULL,
    PRIMARY KEY (book_id, file_id),
    CONSTRAINT bank_file_once UNIQUE (book_id, debit_on, asset_id, number),
    FOREIGN KEY (book_id, asset_id) REFERENCES asset
);
SELECT make_append_only('bank_file');
COMMENT ON TABLE bank_file IS 'charges of a day that were handed to the bank together';
COMMENT ON COLUMN bank_file.number IS 'of a day and an asset; more than 1 where charges were made after a file';

CREATE TABLE charge_sent (
    book_id        integer NOT NULL,
    charge_id      uuid NOT NULL,
    file_id        uuid NOT NULL,
    PRIMARY KEY (book_id, charge_id),
    FOREIGN KEY (book_id, charge_id) REFERENCES charge,
    FOREIGN KEY (book_id, file_id) REFERENCES bank_file
);
SELECT make_append_only('charge_sent');
CREATE INDEX charge_sent_of_file ON charge_sent (book_id, file_id, charge_id);

CREATE TABLE bank_statement (
    book_id        integer NOT NULL REFERENCES book,
    statement_id   uuid NOT NULL,
    account        text NOT NULL CHECK (length(account) BETWEEN 1 AND 64),
    asset_id       integer NOT NULL,
    number         text NOT NULL CHECK (length(number) <= 35),
    opened_on      date NOT NULL,
    opening        bigint NOT NULL,
    closed_on      date NOT NULL,
    closing        bigint NOT NULL,
    entries        integer NOT NULL CHECK (entries >= 0),
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    imported_at    timestamptz NOT NULL,
    PRIMARY KEY (book_id, statement_id),
    FOREIGN KEY (book_id, asset_id) REFERENCES asset
);
SELECT make_append_only('bank_statement');

CREATE TABLE bank_entry (
    book_id        integer NOT NULL,
    statement_id   uuid NOT NULL,
    position       integer NOT NULL CHECK (position > 0),
    value_on       date NOT NULL,
    booked_on      date,
    amount         bigint NOT NULL CHECK (amount <> 0),
    reversal       boolean NOT NULL,
    code           text NOT NULL,
    reference      text NOT NULL,
    bank_reference text NOT NULL,
    words          text NOT NULL,
    other_account  text NOT NULL,
    other_name     text NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    PRIMARY KEY (book_id, statement_id, position),
    FOREIGN KEY (book_id, statement_id) REFERENCES bank_statement
);
SELECT make_append_only('bank_entry');
CREATE INDEX bank_entry_listed ON bank_entry (book_id, transaction_id, message_place, position);
COMMENT ON COLUMN bank_entry.amount IS 'positive if money came';

CREATE TABLE bank_match (
    book_id        integer NOT NULL,
    statement_id   uuid NOT NULL,
    position       integer NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('invoice', 'charge', 'file', 'return')),
    repayment_id   uuid,
    score          smallint NOT NULL CHECK (score BETWEEN 0 AND 100),
    why            text NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    matched_at     timestamptz NOT NULL,
    PRIMARY KEY (book_id, statement_id, position),
    FOREIGN KEY (book_id, statement_id, position) REFERENCES bank_entry,
    FOREIGN KEY (book_id, repayment_id) REFERENCES repayment
);
SELECT make_append_only('bank_match');
COMMENT ON COLUMN bank_match.repayment_id IS 'that the money is, or that it takes back; NULL for the sum of a file';

CREATE INDEX debit_agreement_of_account ON debit_agreement (book_id, bank_account, customer_id);
