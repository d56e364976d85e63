-- Messages: each kept once, with the answer it was given.

CREATE TABLE message (
    book_id        integer NOT NULL REFERENCES book,
    transaction_id bigint NOT NULL,
    place          integer NOT NULL CHECK (place >= 0),
    key            text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    operation      text NOT NULL,
    principal      text NOT NULL,
    hash           bytea NOT NULL CHECK (length(hash) = 32),
    body           bytea NOT NULL,
    refused        boolean NOT NULL,
    answer         bytea NOT NULL,
    recorded_at    timestamptz NOT NULL,
    PRIMARY KEY (book_id, transaction_id, place),
    CONSTRAINT message_once UNIQUE (book_id, key)
);
SELECT make_append_only('message');
COMMENT ON COLUMN message.transaction_id IS 'every fact that the message made carries the same';
COMMENT ON COLUMN message.hash IS 'SHA-256 of the body; the leaf of each transfer it made contains it';
