-- The ledger's engine: holds, sweeps, reversals, references; limits and metadata that change; net changes by page.

-- A page is 16 neighbouring accounts. Its net changes by one batch are one row: a byte for each slot that changed, in
-- ascending order, and for each of them what was debited and credited. Slots 0 to 15 are what is posted on the page's
-- accounts, slots 16 to 31 what is held on the same. A tenth of the rows that one row per account would be.
CREATE FUNCTION page_of(account_id bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN account_id >> 4;
CREATE FUNCTION slot_of(account_id bigint) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN set_byte('\x00'::bytea, 0, (account_id & 15)::integer);
CREATE FUNCTION held_slot_of(account_id bigint) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN set_byte('\x00'::bytea, 0, (account_id & 15)::integer + 16);

ALTER TABLE net_change RENAME TO net_change_by_account;
ALTER TABLE net_change_by_account RENAME CONSTRAINT net_change_pkey TO net_change_by_account_pkey;
CREATE TABLE net_change (
    page      bigint NOT NULL,
    batch_id  bigint NOT NULL,
    book_id   integer NOT NULL,
    slots     bytea NOT NULL CHECK (length(slots) BETWEEN 1 AND 32),
    amounts   bigint[] NOT NULL CHECK (cardinality(amounts) = 2 * length(slots)),
    positions bytea NOT NULL,
    PRIMARY KEY (book_id, page, batch_id)
);
ALTER TABLE net_change ALTER positions SET STORAGE EXTERNAL; -- they do not compress
SELECT make_append_only('net_change');
COMMENT ON COLUMN net_change.amounts IS 'for the n-th slot, from 1: debits at 2n - 1, credits at 2n; what is held may fall';
COMMENT ON COLUMN net_change.positions IS
    'positions in the batch of the transfers that touch each account of the page, in order of account and position, '
    'as 16 bits in network order; the highest bit begins the next account';

INSERT INTO net_change (page, batch_id, book_id, slots, amounts, positions)
SELECT page_of(account_id), batch_id, book_id,
       string_agg(slot_of(account_id), ''::bytea ORDER BY account_id),
       string_to_array(string_agg(debits || ',' || credits, ',' ORDER BY account_id), ',')::bigint[],
       string_agg(touched.positions, ''::bytea ORDER BY account_id)
FROM net_change_by_account AS change
CROSS JOIN LATERAL (
    SELECT string_agg(int2send((position + CASE WHEN first = position THEN -32768 ELSE 0 END)::smallint), ''::bytea
                      ORDER BY position) AS positions
    FROM (SELECT position, min(position) OVER () AS first FROM transfer
          WHERE transfer.book_id = change.book_id AND transfer.batch_id = change.batch_id
            AND (debit_account_id = change.account_id OR credit_account_id = change.account_id)) AS one
) AS touched
GROUP BY page_of(account_id), batch_id, book_id;

ALTER TABLE balance_snapshot RENAME TO balance_snapshot_by_account;
ALTER TABLE balance_snapshot_by_account RENAME CONSTRAINT balance_snapshot_pkey TO balance_snapshot_by_account_pkey;
CREATE TABLE balance_snapshot (
    book_id  integer NOT NULL,
    page     bigint NOT NULL,
    batch_id bigint NOT NULL,
    slots    bytea NOT NULL,
    sums     numeric[] NOT NULL CHECK (cardinality(sums) = 2 * length(slots)),
    PRIMARY KEY (book_id, page, batch_id)
);
SELECT make_append_only('balance_snapshot');
COMMENT ON COLUMN balance_snapshot.batch_id IS 'the sums take in every batch up to this one';

-- The sums of one account up to a batch: the newest snapshot of its page and the net changes after it.
CREATE FUNCTION account_sums(of_book integer, of_account bigint, through bigint DEFAULT 9223372036854775807)
RETURNS TABLE (debits numeric, credits numeric, held_debits numeric, held_credits numeric) LANGUAGE sql STABLE AS $$
    WITH newest AS (
        SELECT batch_id, position(tallystick.slot_of(of_account) IN slots) AS posted,
               position(tallystick.held_slot_of(of_account) IN slots) AS held, sums
        FROM tallystick.balance_snapshot
        WHERE book_id = of_book AND page = tallystick.page_of(of_account) AND batch_id <= through
        ORDER BY batch_id DESC LIMIT 1
    ), change AS (
        SELECT position(tallystick.slot_of(of_account) IN slots) AS posted,
               position(tallystick.held_slot_of(of_account) IN slots) AS held, amounts
        FROM tallystick.net_change
        WHERE book_id = of_book AND page = tallystick.page_of(of_account) AND batch_id <= through
          AND batch_id > coalesce((SELECT batch_id FROM newest), 0)
    )
    SELECT coalesce((SELECT sums[2 * posted - 1] FROM newest), 0) + coalesce(sum(amounts[2 * posted - 1]), 0),
           coalesce((SELECT sums[2 * posted] FROM newest), 0) + coalesce(sum(amounts[2 * posted]), 0),
           coalesce((SELECT sums[2 * held - 1] FROM newest), 0) + coalesce(sum(amounts[2 * held - 1]), 0),
           coalesce((SELECT sums[2 * held] FROM newest), 0) + coalesce(sum(amounts[2 * held]), 0)
    FROM change
$$;

DROP TABLE net_change_by_account, balance_snapshot_by_account;

-- The batch row names the pages it changed; what it changed there lies in net_change alone.
ALTER TABLE batch ADD pages bytea;
ALTER TABLE batch DISABLE TRIGGER append_only;
UPDATE batch SET pages = (
    SELECT string_agg(reverse(int8send(page)), ''::bytea ORDER BY page) FROM net_change
    WHERE net_change.book_id = batch.book_id AND net_change.batch_id = batch.batch_id);
ALTER TABLE batch ENABLE TRIGGER append_only;
ALTER TABLE batch ALTER pages SET NOT NULL, ALTER pages SET STORAGE EXTERNAL;
ALTER TABLE batch DROP accounts, DROP debits, DROP credits;
COMMENT ON COLUMN batch.pages IS 'the pages of net_change, as little-endian int64, ascending';

-- Recorded time runs in the order of the log: a batch counts from the latest instant recorded up to it.
ALTER TABLE sealed_batch ADD settled_at timestamptz;
ALTER TABLE sealed_batch DISABLE TRIGGER append_only;
UPDATE sealed_batch SET settled_at = latest FROM (
    SELECT book_id, batch_id, max(recorded_at) OVER (PARTITION BY book_id ORDER BY batch_id) AS latest FROM batch
) AS running WHERE (running.book_id, running.batch_id) = (sealed_batch.book_id, sealed_batch.batch_id);
ALTER TABLE sealed_batch ENABLE TRIGGER append_only;
ALTER TABLE sealed_batch ALTER settled_at SET NOT NULL;
CREATE INDEX sealed_batch_settled ON sealed_batch (book_id, settled_at, batch_id);

-- A batch has at most 10,000 transfers and a transaction 1,000 messages.
ALTER TABLE transfer ALTER position TYPE smallint, ALTER message_place TYPE smallint;
ALTER INDEX transfer_pkey SET (fillfactor = 100);
REINDEX INDEX transfer_pkey;
COMMENT ON COLUMN transfer.amount IS 'minor units; of a reason that only holds or frees, what is held or freed';

-- What only some transfers have is a fact of its own.
CREATE TABLE transfer_reference (
    book_id   integer NOT NULL,
    batch_id  bigint NOT NULL,
    position  smallint NOT NULL,
    reference text NOT NULL CHECK (length(reference) BETWEEN 1 AND 255),
    PRIMARY KEY (book_id, batch_id, position)
);
SELECT make_append_only('transfer_reference');

CREATE TABLE hold (
    expires_at bigint NOT NULL,
    batch_id   bigint NOT NULL,
    book_id    integer NOT NULL,
    position   smallint NOT NULL,
    PRIMARY KEY (book_id, batch_id, position)
);
CREATE INDEX hold_expiry ON hold (book_id, expires_at) WHERE expires_at < 9223372036854775807;
SELECT make_append_only('hold');
COMMENT ON COLUMN hold.expires_at IS 'microseconds since 1970-01-01 UTC; 2^63 - 1: never';

-- The uses of a hold, one after the other: that they are counted is what lets only one of two at once through.
CREATE TABLE hold_use (
    hold_id  uuid NOT NULL,
    batch_id bigint NOT NULL,
    amount   bigint NOT NULL CHECK (amount > 0),
    asked    bigint NOT NULL CHECK (asked >= 0),
    book_id  integer NOT NULL,
    nth      integer NOT NULL CHECK (nth > 0),
    position smallint NOT NULL,
    ends     smallint NOT NULL CHECK (ends IN (0, 1)),
    CONSTRAINT hold_use_once PRIMARY KEY (book_id, hold_id, nth)
);
SELECT make_append_only('hold_use');
COMMENT ON COLUMN hold_use.asked IS 'what a capture asked for; 0: all that was left';
COMMENT ON COLUMN hold_use.ends IS '1: nothing is left of the hold, or nothing of it can be used any more';

CREATE TABLE reversal (
    reversed_id uuid NOT NULL,
    batch_id    bigint NOT NULL,
    book_id     integer NOT NULL,
    position    smallint NOT NULL,
    CONSTRAINT reversal_once PRIMARY KEY (book_id, reversed_id)
);
SELECT make_append_only('reversal');

CREATE TABLE sweep (
    asked    bigint NOT NULL CHECK (asked > 0),
    batch_id bigint NOT NULL,
    book_id  integer NOT NULL,
    position smallint NOT NULL,
    PRIMARY KEY (book_id, batch_id, position)
);
SELECT make_append_only('sweep');

-- Passes the book's gate, shared with other batches, and says what a batch has to know first: the epoch of the accounts,
-- which must be read when the gate is passed and not before; the place in the order, if it shall be taken yet; the
-- settled horizon; and beside them the transfers whose ids are known, if any. One round trip instead of four.
CREATE FUNCTION enter_ledger(of_book integer, ids uuid[], take_place boolean)
RETURNS TABLE (epoch bigint, place bigint, horizon bigint, ordinal integer, debit bigint, credit bigint, amount bigint,
               asset_id integer, reason integer, effective_at bigint, batch_id bigint, "position" integer)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1, of_book);
    RETURN QUERY
    SELECT entered.*, known.*
    FROM (SELECT coalesce((SELECT account_epoch.epoch FROM tallystick.account_epoch WHERE book_id = of_book), 0),
                 CASE WHEN take_place THEN tallystick.transaction_order() END,
                 tallystick.settled_horizon()) AS entered
    LEFT JOIN (
        SELECT wanted.ordinal::integer, debit_account_id, credit_account_id, transfer.amount, transfer.asset_id,
               transfer.reason::integer, transfer.effective_at, transfer.batch_id, transfer.position::integer
        FROM unnest(ids) WITH ORDINALITY AS wanted (transfer_id, ordinal)
        JOIN tallystick.transfer ON transfer.book_id = of_book AND transfer.transfer_id = wanted.transfer_id
    ) AS known ON true;
END $$;

-- How far the holds that ran out were released: every hold of a batch below `before` that expired by `through_at`.
CREATE TABLE hold_expiry_pass (
    book_id    integer PRIMARY KEY REFERENCES book,
    through_at bigint NOT NULL,
    before     bigint NOT NULL
);
SELECT make_working_table('hold_expiry_pass');

-- A foreign key looks its book up and locks the book's row for each message, a third of what a message costs the store;
-- this looks once for all of a statement.
ALTER TABLE message DROP CONSTRAINT message_book_id_fkey;
CREATE FUNCTION message_book_exists() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM (SELECT DISTINCT book_id FROM kept) AS each
               WHERE NOT EXISTS (SELECT FROM tallystick.book WHERE book.book_id = each.book_id)) THEN
        RAISE EXCEPTION 'a message is of no book'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'message_book_exists';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER book_exists AFTER INSERT ON message REFERENCING NEW TABLE AS kept
    FOR EACH STATEMENT EXECUTE FUNCTION message_book_exists();

-- Accounts change by facts, each in force from its transaction on.
CREATE TABLE account_limit (
    book_id        integer NOT NULL,
    account_id     bigint NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    min_balance    bigint CHECK (min_balance <= 0),
    max_balance    bigint CHECK (max_balance >= 0),
    changed_at     timestamptz NOT NULL,
    PRIMARY KEY (book_id, account_id, transaction_id),
    FOREIGN KEY (book_id, account_id) REFERENCES account
);
SELECT make_append_only('account_limit');

CREATE TABLE account_metadata (
    book_id        integer NOT NULL,
    account_id     bigint NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    metadata       jsonb NOT NULL CHECK (jsonb_typeof(metadata) = 'object'),
    changed_at     timestamptz NOT NULL,
    PRIMARY KEY (book_id, account_id, transaction_id),
    FOREIGN KEY (book_id, account_id) REFERENCES account
);
SELECT make_append_only('account_metadata');

-- Codes are paths: a subtree is a range of them, in the order of their bytes.
CREATE INDEX account_path ON account (book_id, code COLLATE "C");

-- An account with everything that was said of it last.
CREATE VIEW account_now AS
SELECT account.book_id, account.account_id, account.asset_id, account.code, asset.code AS asset,
       CASE WHEN changed.account_id IS NULL THEN account.min_balance ELSE changed.min_balance END AS min_balance,
       CASE WHEN changed.account_id IS NULL THEN account.max_balance ELSE changed.max_balance END AS max_balance,
       coalesce(described.metadata, '{}') AS metadata,
       opened_at, closed_at, account.transaction_id,
       greatest(account.transaction_id, changed.transaction_id, account_closing.transaction_id) AS changed_by
FROM account
JOIN asset USING (book_id, asset_id)
LEFT JOIN account_closing USING (book_id, account_id)
LEFT JOIN LATERAL (
    SELECT account_limit.account_id, transaction_id, min_balance, max_balance FROM account_limit
    WHERE (account_limit.book_id, account_limit.account_id) = (account.book_id, account.account_id)
    ORDER BY transaction_id DESC LIMIT 1
) AS changed ON true
LEFT JOIN LATERAL (
    SELECT metadata FROM account_metadata
    WHERE (account_metadata.book_id, account_metadata.account_id) = (account.book_id, account.account_id)
    ORDER BY transaction_id DESC LIMIT 1
) AS described ON true;
GRANT SELECT ON account_now TO tallystick_app;

-- Accounts are numbered book by book, in the order of the transactions that open them: see open_accounts.
DROP SEQUENCE account_number;
