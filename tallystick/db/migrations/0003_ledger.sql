-- The ledger: accounts, transfers, net changes, and the log that seals them.

CREATE TABLE asset (
    book_id  integer NOT NULL REFERENCES book,
    asset_id integer NOT NULL CHECK (asset_id > 0),
    code     text NOT NULL CHECK (code ~ '^[A-Z][A-Z0-9_]{0,31}$'),
    exponent smallint NOT NULL CHECK (exponent BETWEEN 0 AND 18),
    PRIMARY KEY (book_id, asset_id),
    CONSTRAINT asset_once UNIQUE (book_id, code)
);
SELECT make_append_only('asset');

CREATE TABLE account (
    book_id        integer NOT NULL,
    account_id     bigint NOT NULL CHECK (account_id > 0),
    asset_id       integer NOT NULL,
    code           text NOT NULL CHECK (length(code) BETWEEN 1 AND 255),
    min_balance    bigint,
    max_balance    bigint,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    opened_at      timestamptz NOT NULL,
    PRIMARY KEY (book_id, account_id),
    CONSTRAINT account_once UNIQUE (book_id, code),
    FOREIGN KEY (book_id, asset_id) REFERENCES asset,
    CHECK (min_balance <= 0),
    CHECK (max_balance >= 0)
);
SELECT make_append_only('account');
COMMENT ON COLUMN account.min_balance IS 'credits - debits may not fall below; NULL: unlimited';
COMMENT ON COLUMN account.max_balance IS 'credits - debits may not rise above; NULL: unlimited';

CREATE SEQUENCE account_number;
GRANT USAGE ON SEQUENCE account_number TO tallystick_app;

CREATE TABLE account_closing (
    book_id        integer NOT NULL,
    account_id     bigint NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    closed_at      timestamptz NOT NULL,
    PRIMARY KEY (book_id, account_id),
    FOREIGN KEY (book_id, account_id) REFERENCES account
);
SELECT make_append_only('account_closing');

-- How often account attributes changed: a poster that remembers an older epoch looks again.
CREATE TABLE account_epoch (
    book_id integer PRIMARY KEY REFERENCES book,
    epoch   bigint NOT NULL
);
SELECT make_working_table('account_epoch');

-- No foreign keys here: checking them row by row locks the hot accounts' rows and costs half the rate.
-- transfer_accounts_exist below checks the same of all rows of a statement at once.
CREATE TABLE transfer (
    batch_id          bigint NOT NULL,
    debit_account_id  bigint NOT NULL,
    credit_account_id bigint NOT NULL,
    amount            bigint NOT NULL CHECK (amount > 0),
    effective_at      bigint NOT NULL,
    transfer_id       uuid NOT NULL,
    book_id           integer NOT NULL,
    position          integer NOT NULL CHECK (position >= 0),
    asset_id          integer NOT NULL,
    message_place     integer NOT NULL,
    reason            smallint NOT NULL,
    PRIMARY KEY (book_id, batch_id, position),
    CONSTRAINT transfer_once UNIQUE (book_id, transfer_id),
    CHECK (debit_account_id <> credit_account_id)
);
SELECT make_append_only('transfer');
COMMENT ON COLUMN transfer.batch_id IS 'the transaction that posted it';
COMMENT ON COLUMN transfer.effective_at IS 'microseconds since 1970-01-01 UTC; -2^63: when recorded';

-- A plan for many rows is ruinous for few, and PL/pgSQL would keep the first one made: so few rows are looked up
-- one by one, and for many the plan is made each time.
CREATE FUNCTION transfer_accounts_exist() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    missing boolean;
BEGIN
    IF (SELECT count(*) FROM posted) <= 256 THEN
        missing := EXISTS (
            SELECT FROM posted
            WHERE (SELECT asset_id FROM tallystick.account
                   WHERE book_id = posted.book_id AND account_id = posted.debit_account_id) IS DISTINCT FROM posted.asset_id
               OR (SELECT asset_id FROM tallystick.account
                   WHERE book_id = posted.book_id AND account_id = posted.credit_account_id) IS DISTINCT FROM posted.asset_id
        );
    ELSE
        EXECUTE 'SELECT EXISTS (
            SELECT FROM posted
            LEFT JOIN tallystick.account AS debit
                ON (debit.book_id, debit.account_id, debit.asset_id)
                 = (posted.book_id, posted.debit_account_id, posted.asset_id)
            LEFT JOIN tallystick.account AS credit
                ON (credit.book_id, credit.account_id, credit.asset_id)
                 = (posted.book_id, posted.credit_account_id, posted.asset_id)
            WHERE debit.account_id IS NULL OR credit.account_id IS NULL)' INTO missing;
    END IF;
    IF missing THEN
        RAISE EXCEPTION 'a transfer names an account that is not in its book and asset'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'transfer_accounts_exist';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER accounts_exist AFTER INSERT ON transfer REFERENCING NEW TABLE AS posted
    FOR EACH STATEMENT EXECUTE FUNCTION transfer_accounts_exist();

CREATE TABLE net_change (
    account_id bigint NOT NULL,
    batch_id   bigint NOT NULL,
    debits     bigint NOT NULL CHECK (debits >= 0),
    credits    bigint NOT NULL CHECK (credits >= 0),
    book_id    integer NOT NULL,
    PRIMARY KEY (book_id, account_id, batch_id)
);
SELECT make_append_only('net_change');

CREATE TABLE batch (
    book_id     integer NOT NULL REFERENCES book,
    batch_id    bigint NOT NULL,
    transfers   integer NOT NULL CHECK (transfers > 0),
    recorded_at timestamptz NOT NULL,
    leaf_hashes bytea NOT NULL CHECK (length(leaf_hashes) = 32 * transfers),
    accounts    bytea NOT NULL,
    debits      bytea NOT NULL,
    credits     bytea NOT NULL,
    PRIMARY KEY (book_id, batch_id),
    CHECK (length(accounts) = length(debits) AND length(accounts) = length(credits))
);
ALTER TABLE batch ALTER leaf_hashes SET STORAGE EXTERNAL;
ALTER TABLE batch ALTER accounts SET STORAGE EXTERNAL;
ALTER TABLE batch ALTER debits SET STORAGE EXTERNAL;
ALTER TABLE batch ALTER credits SET STORAGE EXTERNAL;
SELECT make_append_only('batch');
COMMENT ON COLUMN batch.accounts IS 'account ids as little-endian int64, ascending; debits and credits beside them';

CREATE TABLE sealed_batch (
    book_id     integer NOT NULL,
    batch_id    bigint NOT NULL,
    first_place bigint NOT NULL CHECK (first_place >= 0),
    transfers   integer NOT NULL,
    PRIMARY KEY (book_id, batch_id),
    CONSTRAINT sealed_place_once UNIQUE (book_id, first_place),
    FOREIGN KEY (book_id, batch_id) REFERENCES batch
);
SELECT make_append_only('sealed_batch');

CREATE TABLE tile_root (
    book_id integer NOT NULL REFERENCES book,
    level   smallint NOT NULL CHECK (level > 0),
    place   bigint NOT NULL CHECK (place >= 0),
    hash    bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (book_id, level, place)
);
SELECT make_append_only('tile_root');
COMMENT ON TABLE tile_root IS 'the hash of each complete subtree of 256^level leaves; leaves themselves lie in batch';

CREATE TABLE checkpoint (
    book_id   integer NOT NULL REFERENCES book,
    size      bigint NOT NULL CHECK (size > 0),
    root      bytea NOT NULL CHECK (length(root) = 32),
    through   bigint NOT NULL,
    note      text NOT NULL,
    signed_at timestamptz NOT NULL,
    PRIMARY KEY (book_id, size)
);
SELECT make_append_only('checkpoint');
COMMENT ON COLUMN checkpoint.through IS 'the newest batch it covers';

CREATE TABLE balance_snapshot (
    book_id    integer NOT NULL,
    account_id bigint NOT NULL,
    batch_id   bigint NOT NULL,
    debits     numeric NOT NULL,
    credits    numeric NOT NULL,
    PRIMARY KEY (book_id, account_id, batch_id)
);
SELECT make_append_only('balance_snapshot');
COMMENT ON COLUMN balance_snapshot.batch_id IS 'the sums take in every batch up to this one';
