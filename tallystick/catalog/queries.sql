-- name: insert_meter
INSERT INTO meter (book_id, code, name, event_type, aggregation, quantity, dimension, filters, group_by, time_unit,
                   transaction_id, message_place, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9, $10, transaction_order(), $11, $12)
ON CONFLICT (book_id, code) DO NOTHING

-- name: find_meter
SELECT code, name, event_type, aggregation, quantity, dimension, filters, group_by, time_unit
FROM meter WHERE book_id = $1 AND code = $2

-- name: declared_dimensions
SELECT DISTINCT event_type, declared.name
FROM meter CROSS JOIN LATERAL (
    SELECT dimension UNION ALL SELECT unnest(group_by) UNION ALL SELECT jsonb_object_keys(filters)
) AS declared (name)
WHERE book_id = $1 AND declared.name IS NOT NULL

-- name: meter_exists
SELECT EXISTS (SELECT FROM meter WHERE book_id = $1 AND code = $2)

-- name: price_exists
SELECT EXISTS (SELECT FROM price WHERE book_id = $1 AND product = $2 AND charge = $3 AND effective_at = $4)

-- name: list_meters
SELECT code, name, event_type, aggregation, quantity, dimension, filters, group_by, time_unit FROM meter
WHERE book_id = $1 AND code > $2 COLLATE "C"
ORDER BY code COLLATE "C" LIMIT $3

-- name: insert_price
INSERT INTO price (book_id, product, charge, effective_at, name, meter, asset_id, model,
                   transaction_id, message_place, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, transaction_order(), $9, $10)
ON CONFLICT (book_id, product, charge, effective_at) DO NOTHING

-- name: find_price
SELECT product, charge, effective_at, price.name, meter, asset.code, model::text
FROM price JOIN asset USING (book_id, asset_id)
WHERE book_id = $1 AND product = $2 AND charge = $3 AND effective_at = $4

-- name: list_prices
SELECT product, charge, effective_at, price.name, meter, asset.code, model::text
FROM price JOIN asset USING (book_id, asset_id)
WHERE book_id = $1 AND (product COLLATE "C", charge COLLATE "C", effective_at) > ($2, $3, $4)
ORDER BY product COLLATE "C", charge COLLATE "C", effective_at LIMIT $5

-- name: versions_in
SELECT charge, price.name, effective_at, model::text, asset_id, asset.code, exponent::integer,
       meter.code, meter.name, event_type, aggregation, quantity, dimension, filters, group_by, time_unit
FROM price
JOIN asset USING (book_id, asset_id)
LEFT JOIN meter ON meter.book_id = price.book_id AND meter.code = price.meter
WHERE price.book_id = $1 AND product = $2 AND effective_at < $4 AND price.transaction_id < $5
  AND effective_at >= coalesce((
      SELECT max(earlier.effective_at) FROM price AS earlier
      WHERE earlier.book_id = price.book_id AND earlier.product = price.product AND earlier.charge = price.charge
        AND earlier.effective_at <= $3 AND earlier.transaction_id < $5), '-infinity')
ORDER BY charge COLLATE "C", effective_at

-- name: lock_prices
SELECT pg_advisory_xact_lock_shared(hashtextextended('tallystick.drafts.' || $2, $1))
