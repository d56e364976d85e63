-- Whoever makes history anew (`tallystick rebuild`) tells nobody of it again: there the order is told to the session.

-- name: insert_events
WITH now AS MATERIALIZED (
    SELECT transaction_order() AS transaction_id
), here AS MATERIALIZED (
    SELECT transaction_id, place, (
        SELECT coalesce(max(position), 0) FROM event
        WHERE book_id = $1 AND event.transaction_id = now.transaction_id AND message_place = place) AS first
    FROM now, (SELECT DISTINCT unnest($2::integer[]) AS place) AS telling
), told AS (
    INSERT INTO event (book_id, event_id, type, subject, data, transaction_id, message_place, position, told_at)
    SELECT $1, event_id_of($1, transaction_id, place, (first + nth)::integer, $3), type, subject, data, transaction_id,
           place, first + nth, $3
    FROM here
    JOIN (SELECT *, row_number() OVER (PARTITION BY place ORDER BY overall) AS nth
          FROM unnest($2::integer[], $4::text[], $5::text[], $6::jsonb[]) WITH ORDINALITY
               AS given (place, type, subject, data, overall)) AS given USING (place)
    ORDER BY overall
    RETURNING event_id, type, subject, message_place, position
)
INSERT INTO delivery (book_id, endpoint_id, event_id, subject, due_at, made_at)
SELECT $1, endpoint_id, event_id, subject, $3, $3
FROM told JOIN webhook_work ON webhook_work.book_id = $1 AND enabled AND (types IS NULL OR type = ANY (types))
WHERE coalesce(current_setting('tallystick.place', true), '') = ''
  AND CASE WHEN $7::uuid IS NULL THEN type <> 'webhook.test' ELSE endpoint_id = $7 END
ORDER BY message_place, position, endpoint_id

-- Endpoints: the newest row is in force. Whoever changes one holds its working row.

-- name: lock_endpoint
SELECT true FROM webhook_work WHERE book_id = $1 AND endpoint_id = $2 FOR UPDATE

-- name: find_endpoint
SELECT endpoint_id, url, description, types, state, reason, generation, overlap_until, set_at
FROM webhook_endpoint WHERE book_id = $1 AND endpoint_id = $2
ORDER BY transaction_id DESC, message_place DESC LIMIT 1

-- name: count_endpoints
SELECT count(*) FROM webhook_work WHERE book_id = $1

-- name: insert_endpoint
INSERT INTO webhook_endpoint (book_id, endpoint_id, url, description, types, state, reason, generation, overlap_until,
                              transaction_id, message_place, set_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, transaction_order(), $10, $11)

-- name: set_work
INSERT INTO webhook_work (book_id, endpoint_id, enabled, types, url, generation, overlap_until)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (book_id, endpoint_id) DO UPDATE
SET enabled = excluded.enabled, types = excluded.types, url = excluded.url, generation = excluded.generation,
    overlap_until = excluded.overlap_until, failing_since = NULL, failures = 0, paused_until = NULL

-- name: make_due
UPDATE delivery SET due_at = $3 WHERE book_id = $1 AND endpoint_id = $2 AND state = 'pending' AND due_at > $3

-- name: skip_pending
UPDATE delivery SET state = 'skipped', ended_at = $3 WHERE book_id = $1 AND endpoint_id = $2 AND state = 'pending'

-- name: list_endpoints
SELECT endpoint_id, newest.url, description, newest.types, state, reason, newest.generation, newest.overlap_until, set_at,
       created.at, failing_since, failures, paused_until, delivered_at,
       (SELECT count(*) FROM delivery WHERE delivery.book_id = $1 AND delivery.endpoint_id = webhook_work.endpoint_id
                                      AND delivery.state = 'pending')
FROM webhook_work
CROSS JOIN LATERAL (
    SELECT url, description, types, state, reason, generation, overlap_until, set_at FROM webhook_endpoint
    WHERE webhook_endpoint.book_id = webhook_work.book_id AND webhook_endpoint.endpoint_id = webhook_work.endpoint_id
    ORDER BY transaction_id DESC, message_place DESC LIMIT 1
) AS newest
CROSS JOIN LATERAL (
    SELECT set_at AS at FROM webhook_endpoint
    WHERE webhook_endpoint.book_id = webhook_work.book_id AND webhook_endpoint.endpoint_id = webhook_work.endpoint_id
    ORDER BY transaction_id, message_place LIMIT 1
) AS created
WHERE webhook_work.book_id = $1 AND ($2::uuid IS NULL OR endpoint_id = $2)
ORDER BY created.at, endpoint_id

-- name: keep_fingerprint
UPDATE webhook_work SET key_fingerprint = $3 WHERE book_id = $1 AND endpoint_id = $2 AND key_fingerprint IS NULL

-- name: find_fingerprint
SELECT key_fingerprint FROM webhook_work WHERE book_id = $1 AND endpoint_id = $2

-- name: page_deliveries
SELECT sequence, event_id, type, delivery.subject, delivery.state, attempts, told_at, made_at, due_at, attempted_at,
       ended_at, status, answer
FROM delivery JOIN event USING (book_id, event_id)
WHERE book_id = $1 AND endpoint_id = $2 AND sequence < $3 AND ($4::text IS NULL OR delivery.state = $4)
ORDER BY sequence DESC LIMIT $5

-- What waits for the endpoint as it is, is not put to it a second time, so that asking again makes no storm.

-- name: replay
INSERT INTO delivery (book_id, endpoint_id, event_id, subject, due_at, made_at)
SELECT book_id, $2, event_id, subject, $3, $3
FROM event
WHERE book_id = $1 AND ($4::uuid[] IS NULL OR event_id = ANY ($4)) AND ($5::text[] IS NULL OR type = ANY ($5))
  AND event_id >= uuid_at($6) AND event_id < uuid_at($7) AND type <> 'webhook.test'
  AND NOT EXISTS (SELECT FROM delivery WHERE delivery.book_id = event.book_id AND delivery.event_id = event.event_id
                                         AND endpoint_id = $2 AND state = 'pending')
  AND coalesce(current_setting('tallystick.place', true), '') = ''
ORDER BY transaction_id, message_place, position

-- name: count_to_replay
SELECT count(*) FROM (
    SELECT FROM event
    WHERE book_id = $1 AND ($2::uuid[] IS NULL OR event_id = ANY ($2)) AND ($3::text[] IS NULL OR type = ANY ($3))
      AND event_id >= uuid_at($4) AND event_id < uuid_at($5) AND type <> 'webhook.test'
    LIMIT $6
) AS found

-- name: find_known_events
SELECT event_id FROM event WHERE book_id = $1 AND event_id = ANY ($2::uuid[])

-- name: page_events
SELECT event_id, type, subject, data::text, told_at
FROM event
WHERE book_id = $1 AND event_id > $2 AND event_id >= uuid_at($3)
ORDER BY event_id LIMIT $4

-- Deliveries: an endpoint is worked at by whoever holds its lock, a lock of the session, so that it ends with its holder.

-- name: find_workable
SELECT book.name, book_id, endpoint_id, url, generation, overlap_until, key_fingerprint, failures
FROM webhook_work JOIN book USING (book_id)
WHERE enabled AND coalesce(paused_until <= $1, true)
  AND (SELECT true FROM delivery
       WHERE (delivery.book_id, delivery.endpoint_id) = (webhook_work.book_id, webhook_work.endpoint_id)
         AND state = 'pending' AND due_at <= $1 LIMIT 1)
ORDER BY book_id, endpoint_id

-- name: try_to_hold
SELECT pg_try_advisory_lock(hashtextextended('tallystick.webhook ' || $1::uuid, 5))

-- name: let_go
SELECT pg_advisory_unlock(hashtextextended('tallystick.webhook ' || $1::uuid, 5))

-- name: find_work
SELECT book.name, book_id, endpoint_id, url, generation, overlap_until, key_fingerprint, failures
FROM webhook_work JOIN book USING (book_id)
WHERE book_id = $1 AND endpoint_id = $2 AND enabled AND coalesce(paused_until <= $3, true)

-- What stands before a delivery is looked up row by row (coalesce, since the planner takes IS NULL for so rare that it would
-- read and sort all that waits), and so are the rows that an update names: each goes by the index, whatever the planner takes
-- the table for while it grows. What was never sent is due whatever its
-- instant says: the clock of whoever told it may be ahead of ours, and what was told after it must not overtake it.

-- name: find_due
WITH due AS MATERIALIZED (
    SELECT sequence, event_id, attempts FROM delivery
    WHERE book_id = $1 AND endpoint_id = $2 AND state = 'pending' AND (due_at <= $3 OR attempts = 0)
      AND subject <> ALL ($4::text[])
      AND coalesce((SELECT false FROM delivery AS before
                    WHERE before.book_id = $1 AND before.endpoint_id = $2 AND before.subject = delivery.subject
                      AND before.state = 'pending' AND before.attempts > 0 AND before.due_at > $3
                      AND before.sequence < delivery.sequence LIMIT 1), true)
    ORDER BY sequence LIMIT $5
)
SELECT sequence, event.event_id, type, subject, data::text, told_at, attempts
FROM due JOIN event ON event.book_id = $1 AND event.event_id = due.event_id
ORDER BY sequence

-- One event to try an endpoint with that fails as a whole: one that it was never sent, if there is any.

-- name: find_probe
WITH probe AS MATERIALIZED (
    (SELECT 0 AS choice, sequence, event_id, attempts FROM delivery
     WHERE book_id = $1 AND endpoint_id = $2 AND state = 'pending' AND attempts = 0
       AND coalesce((SELECT false FROM delivery AS before
                     WHERE before.book_id = $1 AND before.endpoint_id = $2 AND before.subject = delivery.subject
                       AND before.state = 'pending' AND before.attempts > 0
                       AND before.sequence < delivery.sequence LIMIT 1), true)
     ORDER BY sequence LIMIT 1)
    UNION ALL
    (SELECT 1, sequence, event_id, attempts FROM delivery
     WHERE book_id = $1 AND endpoint_id = $2 AND state = 'pending' AND attempts > 0 AND due_at <= $3
       AND coalesce((SELECT false FROM delivery AS before
                     WHERE before.book_id = $1 AND before.endpoint_id = $2 AND before.subject = delivery.subject
                       AND before.state = 'pending' AND before.attempts > 0
                       AND before.sequence < delivery.sequence LIMIT 1), true)
     ORDER BY sequence LIMIT 1)
)
SELECT sequence, event.event_id, type, subject, data::text, told_at, attempts
FROM probe JOIN event ON event.book_id = $1 AND event.event_id = probe.event_id
ORDER BY choice LIMIT 1

-- name: end_attempts
UPDATE delivery
SET attempts = attempts + 1, attempted_at = $3::timestamptz, status = outcome.status, answer = outcome.answer,
    state = CASE WHEN took THEN 'delivered' WHEN made_at <= $9 AND delivered_at > made_at THEN 'given_up' ELSE 'pending' END,
    ended_at = CASE WHEN took OR (made_at <= $9 AND delivered_at > made_at) THEN $3::timestamptz END,
    due_at = outcome.due_at
FROM webhook_work, (
    SELECT place, took, due_at, status, answer
    FROM unnest($4::bigint[], $5::boolean[], $6::timestamptz[], $7::integer[], $8::text[])
         AS given (sequence, took, due_at, status, answer)
    CROSS JOIN LATERAL (
        SELECT ctid AS place FROM delivery
        WHERE book_id = $1 AND endpoint_id = $2 AND sequence = given.sequence AND state = 'pending' FOR UPDATE
    ) AS found
) AS outcome
WHERE delivery.ctid = place AND webhook_work.book_id = $1 AND webhook_work.endpoint_id = $2

-- name: note_health
UPDATE webhook_work
SET failures = $3,
    failing_since = CASE WHEN $3 > 0 THEN CASE WHEN $4 OR failing_since IS NULL THEN $5::timestamptz ELSE failing_since END END,
    paused_until = CASE WHEN $3 > 0 THEN $6::timestamptz END,
    delivered_at = CASE WHEN $4 THEN $5::timestamptz ELSE delivered_at END
WHERE book_id = $1 AND endpoint_id = $2
RETURNING failing_since

-- name: make_unanswered_due
UPDATE delivery SET due_at = $3
WHERE book_id = $1 AND endpoint_id = $2 AND state = 'pending' AND attempts > 0 AND due_at > $3
  AND coalesce(status, 503) IN (429, 502, 503, 504)

-- name: delete_ended
DELETE FROM delivery WHERE (book_id, endpoint_id, sequence) IN (
    SELECT book_id, endpoint_id, sequence FROM delivery
    WHERE book_id = $1 AND state <> 'pending' AND ended_at < $2 ORDER BY ended_at LIMIT $3)
