-- name: lock_bucket
SELECT pg_advisory_xact_lock(hashtextextended('tallystick.usage_correction.' || $2::integer, $1))

-- name: read_order
SELECT transaction_order()

-- The newest content of each event, when that was recorded, and how it was corrected last; without content if its month
-- is not all there.

-- name: find_current
SELECT DISTINCT ON (known.event_key) known.event_key, known.occurred_at, type, quantities::text, dimensions::text,
       greatest(event.transaction_id, last.transaction_id), last.kind
FROM find_usage_keys($1, $2::text::uuid[]) AS known
LEFT JOIN usage_event AS event
    ON event.book_id = $1 AND event.customer_id = known.customer_id AND event.occurred_at = known.occurred_at
    AND event.event_key = known.event_key AND sign = 1
    AND NOT EXISTS (SELECT FROM usage_months_away($1, known.occurred_at, known.occurred_at + interval '1 microsecond'))
LEFT JOIN LATERAL (
    SELECT kind, usage_correction.transaction_id FROM usage_correction
    WHERE usage_correction.book_id = $1 AND usage_correction.event_key = known.event_key
    ORDER BY usage_correction.transaction_id DESC, usage_correction.message_place DESC LIMIT 1
) AS last ON true
ORDER BY known.event_key, event.transaction_id DESC, event.message_place DESC

-- Before the new content, so that what is copied is what was there.

-- name: take_back
INSERT INTO usage_event (customer_id, occurred_at, transaction_id, event_key, book_id, message_place, sign, type, source,
                         event_id, quantities, dimensions)
SELECT DISTINCT ON (event.event_key) event.customer_id, event.occurred_at, (SELECT transaction_order()), event.event_key,
       $1, $2, -1, type, source, event_id, quantities, dimensions
FROM find_usage_keys($1, $3::text::uuid[]) AS known
JOIN usage_event AS event
    ON event.book_id = $1 AND event.customer_id = known.customer_id AND event.occurred_at = known.occurred_at
    AND event.event_key = known.event_key AND sign = 1
ORDER BY event.event_key, event.transaction_id DESC, event.message_place DESC

-- name: put_in_place
INSERT INTO usage_event (customer_id, occurred_at, transaction_id, event_key, book_id, message_place, sign, type, source,
                         event_id, quantities, dimensions)
SELECT event.customer_id, event.occurred_at, event.transaction_id, event.event_key, $1, $2, 1, type, source, event_id,
       given.quantities::jsonb, given.dimensions::jsonb
FROM unnest($3::text::uuid[], $4::text[], $5::text[]) AS given (event_key, quantities, dimensions)
JOIN usage_key AS known ON known.book_id = $1 AND known.event_key = given.event_key
JOIN usage_event AS event
    ON event.book_id = $1 AND event.customer_id = known.customer_id AND event.occurred_at = known.occurred_at
    AND event.event_key = given.event_key AND sign = -1 AND event.transaction_id = (SELECT transaction_order())

-- name: insert_corrections
INSERT INTO usage_correction (book_id, event_key, transaction_id, message_place, kind, reason, corrected_at)
SELECT $1, event_key, (SELECT transaction_order()), $2, $3, $4, $5 FROM unnest($6::text::uuid[]) AS event_key
