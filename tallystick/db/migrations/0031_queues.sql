-- Queues: what is still to be done about something outside, and who is at it. Key-value: what only waits for a while.

CREATE TABLE job (
    book_id      integer NOT NULL REFERENCES book,
    queue        text NOT NULL CHECK (length(queue) BETWEEN 1 AND 63),
    key          text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    priority     smallint NOT NULL CHECK (priority BETWEEN 0 AND 9),
    due_at       timestamptz NOT NULL,
    leased_until timestamptz,
    worker       text,
    attempts     integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    asked_again  boolean NOT NULL DEFAULT false,
    PRIMARY KEY (book_id, queue, key),
    CHECK ((worker IS NULL) = (leased_until IS NULL)),
    CHECK (worker IS NOT NULL OR NOT asked_again)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
SELECT make_working_table('job');
CREATE INDEX job_due ON job (priority, queue, due_at);
COMMENT ON TABLE job IS 'what is still to be done or to be found out about something outside, each held by one worker at a time';
COMMENT ON COLUMN job.priority IS '0 is taken first';
COMMENT ON COLUMN job.due_at IS 'by the clock of the books, which a test may move';
COMMENT ON COLUMN job.leased_until IS 'by the clock of the database, so that all workers mean the same instant; NULL: nobody is at it';
COMMENT ON COLUMN job.attempts IS 'how often it was taken since it was enqueued or postponed';
COMMENT ON COLUMN job.asked_again IS 'somebody has said when it is due since it was taken';

INSERT INTO job (book_id, queue, key, priority, due_at, attempts)
SELECT book_id, 'payments', payment_id::text,
       CASE WHEN EXISTS (SELECT FROM payment_step
                         WHERE (payment_step.book_id, payment_step.payment_id) = (payment_job.book_id, payment_job.payment_id)
                           AND step = 'submitted') THEN 0 ELSE 1 END,
       leased_until, attempts
FROM payment_job;
DROP TABLE payment_job;

CREATE TABLE kept_value (
    bucket     text NOT NULL CHECK (length(bucket) BETWEEN 1 AND 255),
    key        text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    value      bytea NOT NULL CHECK (length(value) <= 65536),
    revision   bigint NOT NULL CHECK (revision > 0),
    expires_at timestamptz,
    PRIMARY KEY (bucket, key)
);
SELECT make_working_table('kept_value');
CREATE INDEX kept_value_expiry ON kept_value (expires_at) WHERE expires_at IS NOT NULL;
COMMENT ON TABLE kept_value IS 'what is kept under a key until it is deleted or its time is over; no fact hangs on it';
COMMENT ON COLUMN kept_value.expires_at IS 'NULL: never; a value that has expired is absent, whether or not its row was swept';

-- A key that was deleted or has expired never gets a revision again that it had before.
CREATE SEQUENCE kept_value_revision;
GRANT USAGE ON SEQUENCE kept_value_revision TO tallystick_app;
