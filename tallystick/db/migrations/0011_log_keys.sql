-- The keys that sign each book's log, one after the other, and what witnesses said of its checkpoints.

CREATE TABLE log_key (
    book_id       integer NOT NULL REFERENCES book,
    number        integer NOT NULL CHECK (number > 0),
    verifier      text NOT NULL,
    after_size    bigint NOT NULL CHECK (after_size >= 0),
    overlap_until timestamptz,
    made_at       timestamptz NOT NULL,
    PRIMARY KEY (book_id, number),
    CONSTRAINT log_key_once UNIQUE (book_id, verifier)
);
SELECT make_append_only('log_key');
COMMENT ON TABLE log_key IS 'public halves; the secrets are in files that only the server may read';
COMMENT ON COLUMN log_key.after_size IS 'it has signed no checkpoint of so many leaves or fewer';
COMMENT ON COLUMN log_key.overlap_until IS 'until then the keys before it sign as well; NULL of the first';

-- Told by the sealer, in the transaction of the first checkpoint without the key.
CREATE TABLE log_key_end (
    book_id   integer NOT NULL,
    number    integer NOT NULL,
    last_size bigint NOT NULL CHECK (last_size >= 0),
    ended_at  timestamptz NOT NULL,
    PRIMARY KEY (book_id, number),
    FOREIGN KEY (book_id, number) REFERENCES log_key
);
SELECT make_append_only('log_key_end');
COMMENT ON COLUMN log_key_end.last_size IS 'it has signed no checkpoint of more leaves';

CREATE TABLE cosignature (
    book_id      integer NOT NULL,
    size         bigint NOT NULL,
    witness      text NOT NULL,
    line         text NOT NULL,
    witnessed_at timestamptz NOT NULL,
    PRIMARY KEY (book_id, size, witness),
    FOREIGN KEY (book_id, size) REFERENCES checkpoint
);
SELECT make_append_only('cosignature');
COMMENT ON COLUMN cosignature.witness IS 'its public key in text form, its name included';
COMMENT ON COLUMN cosignature.line IS 'the signature line of the note (C2SP tlog-cosignature)';
CREATE INDEX cosignature_of_witness ON cosignature (book_id, witness, size);
