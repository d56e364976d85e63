-- Who holds a job is judged by the clock of the database, and when it is due by the clock of the books. Rows are taken in
-- order of their keys, so that statements that lock many do not wait for each other in a circle. Every statement finds
-- them by the primary key but the claim, whatever the planner takes the table for while it grows: the other index does not
-- begin with the queue for that reason.

-- The same few statements all day long, by the primary key or along an index: planning them each time takes longer than
-- doing them.

-- name: plan_once
SELECT set_config('plan_cache_mode', 'force_generic_plan', false)

-- Somebody at work on a job is not disturbed: it stays with them, and is due again when they let it go.

-- name: enqueue
INSERT INTO job (book_id, queue, key, priority, due_at)
SELECT $1, queue, key, priority, due_at
FROM unnest($2::text[], $3::text[], $4::smallint[], $5::timestamptz[]) AS given (queue, key, priority, due_at)
ORDER BY queue, key
ON CONFLICT (book_id, queue, key) DO UPDATE
SET priority = excluded.priority, due_at = excluded.due_at, attempts = 0, asked_again = job.worker IS NOT NULL

-- name: hasten
UPDATE job SET due_at = least(due_at, $4::timestamptz), asked_again = worker IS NOT NULL
WHERE book_id = $1 AND queue = $2 AND key = ANY ($3::text[])

-- name: finish
DELETE FROM job WHERE book_id = $1 AND queue = $2 AND key = ANY ($3::text[])

-- Where somebody asked for it again while it was held, that still counts: it may be about something newer than what was seen.

-- name: postpone
UPDATE job SET attempts = 0, asked_again = worker IS NOT NULL,
               due_at = CASE WHEN asked_again THEN least(due_at, $4::timestamptz) ELSE $4::timestamptz END
WHERE book_id = $1 AND queue = $2 AND key = ANY ($3::text[])

-- Queue by priority by due time, each a short walk along the index that ends as soon as enough are found. Whoever is taken
-- for the nth time is held the longer, so that a job that ends its process does not end the next one as fast.

-- name: claim
WITH taken AS MATERIALIZED (
    SELECT found.*
    FROM unnest($2::text[], $3::smallint[]) WITH ORDINALITY AS class (queue, priority, place)
    CROSS JOIN LATERAL (
        SELECT book_id, queue, key, priority, due_at FROM job
        WHERE job.queue = class.queue AND job.priority = class.priority AND due_at <= $4
          AND (leased_until IS NULL OR leased_until <= clock_timestamp())
        ORDER BY due_at LIMIT $5 FOR UPDATE SKIP LOCKED
    ) AS found
    LIMIT $5
)
UPDATE job SET worker = $1, attempts = attempts + 1, asked_again = false,
    leased_until = clock_timestamp()
                   + greatest($6::interval, least($7::interval * (1 << least(attempts, 10)), $8::interval))
FROM taken
WHERE (job.book_id, job.queue, job.key) = (taken.book_id, taken.queue, taken.key)
RETURNING (SELECT name FROM book WHERE book.book_id = job.book_id), job.book_id, job.queue, job.key, job.priority, attempts,
          taken.due_at

-- name: find_next_due
SELECT min(found.due_at)
FROM unnest($1::text[], $2::smallint[]) AS class (queue, priority)
CROSS JOIN LATERAL (
    SELECT due_at FROM job WHERE job.queue = class.queue AND job.priority = class.priority AND due_at > $3
    ORDER BY due_at LIMIT 1
) AS found

-- A row that somebody has locked is about to be finished or postponed by whoever works on it: it is not waited for. That
-- `held` is of this worker is asked twice: the second time has the planner expect so few of them that it looks up each.

-- name: extend
UPDATE job SET leased_until = greatest(leased_until, clock_timestamp() + $5::interval)
FROM (
    SELECT given.*, worker
    FROM unnest($2::integer[], $3::text[], $4::text[]) AS given (book_id, queue, key)
    CROSS JOIN LATERAL (
        SELECT worker FROM job
        WHERE (job.book_id, job.queue, job.key) = (given.book_id, given.queue, given.key) AND worker = $1
        FOR UPDATE SKIP LOCKED
    ) AS mine
    OFFSET 0
) AS held
WHERE (job.book_id, job.queue, job.key) = (held.book_id, held.queue, held.key) AND held.worker = $1

-- name: count_lost
SELECT count(*)
FROM unnest($2::integer[], $3::text[], $4::text[]) AS given (book_id, queue, key)
CROSS JOIN LATERAL (
    SELECT worker FROM job WHERE (job.book_id, job.queue, job.key) = (given.book_id, given.queue, given.key) OFFSET 0
) AS job
WHERE worker <> $1

-- Of each: whether it is due again by now, and whether it is still held, since somebody has its row locked.

-- name: let_go
WITH given AS (
    SELECT * FROM unnest($2::integer[], $3::text[], $4::text[], $5::timestamptz[]) WITH ORDINALITY
                  AS given (book_id, queue, key, due_at, place)
), held AS MATERIALIZED (
    SELECT given.*, worker
    FROM (SELECT * FROM given ORDER BY book_id, queue, key) AS given
    CROSS JOIN LATERAL (
        SELECT worker FROM job
        WHERE (job.book_id, job.queue, job.key) = (given.book_id, given.queue, given.key) AND worker = $1
        FOR UPDATE SKIP LOCKED
    ) AS mine
), freed AS (
    UPDATE job SET worker = NULL, leased_until = NULL, asked_again = false,
                   due_at = CASE WHEN asked_again THEN job.due_at ELSE held.due_at END
    FROM held
    WHERE (job.book_id, job.queue, job.key) = (held.book_id, held.queue, held.key) AND held.worker = $1
    RETURNING place, job.due_at
)
SELECT coalesce(freed.due_at <= $6, false), freed.place IS NULL AND job.key IS NOT NULL
FROM given
LEFT JOIN freed USING (place)
LEFT JOIN LATERAL (
    SELECT key, worker FROM job WHERE (job.book_id, job.queue, job.key) = (given.book_id, given.queue, given.key) OFFSET 0
) AS job ON job.worker = $1
ORDER BY given.place

-- name: give_back
UPDATE job SET worker = NULL, leased_until = NULL, asked_again = false
FROM (
    SELECT given.*, worker
    FROM unnest($2::integer[], $3::text[], $4::text[]) AS given (book_id, queue, key)
    CROSS JOIN LATERAL (
        SELECT worker FROM job
        WHERE (job.book_id, job.queue, job.key) = (given.book_id, given.queue, given.key) AND worker = $1
        FOR UPDATE SKIP LOCKED
    ) AS mine
    OFFSET 0
) AS held
WHERE (job.book_id, job.queue, job.key) = (held.book_id, held.queue, held.key) AND held.worker = $1

-- name: release_all
UPDATE job SET worker = NULL, leased_until = NULL, asked_again = false WHERE worker IS NOT NULL

-- Each is looked up by itself, behind a count, since a join would be planned as one through all jobs.

-- name: find_waiting
SELECT place
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS asked (book, queue, key, place)
WHERE (SELECT count(*) FROM job
       WHERE book_id = (SELECT book_id FROM book WHERE name = asked.book) AND job.queue = asked.queue AND job.key = asked.key
         AND (worker IS NOT NULL OR due_at <= $4)) > 0

-- name: list_queues
SELECT queue, count(*) FILTER (WHERE worker IS NULL AND due_at <= $2), count(*) FILTER (WHERE worker IS NOT NULL),
       count(*) FILTER (WHERE worker IS NULL AND due_at > $2),
       count(*) FILTER (WHERE worker IS NULL AND attempts > 0),
       min(due_at) FILTER (WHERE worker IS NULL AND due_at <= $2)
FROM job WHERE book_id = $1
GROUP BY queue ORDER BY queue
