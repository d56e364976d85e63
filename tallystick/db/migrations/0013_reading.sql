-- Reading the ledger: balances and histories by recorded and by effective time, in bounded time.

-- What is posted and not sealed yet, with the instant it counts from if nothing comes in between.
CREATE FUNCTION waiting_batches(of_book integer)
RETURNS TABLE (batch_id bigint, settled_at timestamptz) LANGUAGE sql STABLE ROWS 10 AS $$
    WITH newest AS MATERIALIZED (
        SELECT sealed_batch.batch_id, sealed_batch.settled_at FROM tallystick.sealed_batch
        WHERE book_id = of_book ORDER BY settled_at DESC, batch_id DESC LIMIT 1
    )
    SELECT batch.batch_id,
           greatest((SELECT newest.settled_at FROM newest), max(recorded_at) OVER (ORDER BY batch.batch_id))
    FROM tallystick.batch
    WHERE book_id = of_book AND batch.batch_id > coalesce((SELECT newest.batch_id FROM newest), 0)
$$;

-- The newest batch that counts before an instant, 0 when none does.
CREATE FUNCTION batch_before(of_book integer, instant timestamptz) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (SELECT max(batch_id) FROM tallystick.waiting_batches(of_book) WHERE settled_at < instant),
        (SELECT batch_id FROM tallystick.sealed_batch
         WHERE book_id = of_book AND settled_at < instant ORDER BY settled_at DESC, batch_id DESC LIMIT 1),
        0)
$$;

-- Codes are paths: a subtree, its root included, is a range of them in the order of their bytes, each with a slash behind.
DROP INDEX account_path;
CREATE INDEX account_path ON account (book_id, (code || '/') COLLATE "C");

-- Of which hold a transfer is a use, and what it reverses.
CREATE UNIQUE INDEX hold_use_place ON hold_use (book_id, batch_id, position);
CREATE UNIQUE INDEX reversal_place ON reversal (book_id, batch_id, position);

-- What a batch posted under effective times of its own, page by page: one entry for each account and transfer. Nothing
-- is written here of a transfer that counts from when it was recorded, nor of what posts nothing.
CREATE TABLE dated_change (
    page     bigint NOT NULL,
    batch_id bigint NOT NULL,
    book_id  integer NOT NULL,
    entries  bytea NOT NULL CHECK (length(entries) > 0 AND length(entries) % 19 = 0),
    PRIMARY KEY (book_id, page, batch_id)
);
CREATE INDEX dated_change_batch ON dated_change (book_id, batch_id, page);
ALTER TABLE dated_change ALTER entries SET STORAGE EXTERNAL;
SELECT make_append_only('dated_change');
COMMENT ON COLUMN dated_change.entries IS
    'slot u8, position u16, effective time i64 (microseconds since 1970 UTC), amount i64 (a credit, or below zero a '
    'debit); big-endian, in order of slot and position';

-- What was posted under effective times, by page, up to a batch: cumulative, like balance_snapshot.
CREATE TABLE dated_snapshot (
    book_id  integer NOT NULL,
    page     bigint NOT NULL,
    batch_id bigint NOT NULL,
    slots    bytea NOT NULL,
    sums     numeric[] NOT NULL CHECK (cardinality(sums) = 2 * length(slots)),
    PRIMARY KEY (book_id, page, batch_id)
);
SELECT make_working_table('dated_snapshot');

-- The dated changes of a page in order of effective time: runs, each of the batches behind the run before, cut into
-- blocks of one account. Small runs are merged into larger ones, so that there are ever few. Like dated_snapshot it
-- is derived from dated_change alone and can be made anew from it.
CREATE TABLE dated_run (
    book_id integer NOT NULL,
    page    bigint NOT NULL,
    through bigint NOT NULL,
    level   smallint NOT NULL CHECK (level > 0),
    PRIMARY KEY (book_id, page, through)
);
SELECT make_working_table('dated_run');
COMMENT ON COLUMN dated_run.through IS 'the newest batch it takes in';

CREATE TABLE dated_block (
    book_id        integer NOT NULL,
    account_id     bigint NOT NULL,
    through        bigint NOT NULL,
    first_at       bigint NOT NULL,
    first_batch    bigint NOT NULL,
    first_position smallint NOT NULL,
    debits         numeric NOT NULL,
    credits        numeric NOT NULL,
    entries        bytea NOT NULL CHECK (length(entries) > 0 AND length(entries) % 26 = 0),
    PRIMARY KEY (book_id, account_id, through, first_at, first_batch, first_position)
);
ALTER TABLE dated_block ALTER entries SET STORAGE EXTERNAL;
SELECT make_working_table('dated_block');
COMMENT ON COLUMN dated_block.debits IS 'the sum of the blocks of the same account and run before it';
COMMENT ON COLUMN dated_block.entries IS 'effective time i64, batch i64, position i16, amount i64; big-endian';
