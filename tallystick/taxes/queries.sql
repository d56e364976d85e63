-- name: find_customer
SELECT customer_id FROM customer WHERE book_id = $1 AND ref = $2

-- name: has_jurisdiction
SELECT EXISTS (SELECT FROM tax_rate WHERE book_id = $1 AND jurisdiction = $2)

-- name: insert_rate
INSERT INTO tax_rate (book_id, jurisdiction, category, name, effective_at, rate, inclusive, compound, transaction_id,
                      message_place, set_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, transaction_order(), $9, $10)
ON CONFLICT DO NOTHING

-- name: find_rate
SELECT rate, inclusive, compound FROM tax_rate
WHERE book_id = $1 AND jurisdiction = $2 AND category = $3 AND name = $4 AND effective_at = $5

-- name: insert_rounding
INSERT INTO tax_rounding (book_id, jurisdiction, effective_at, scope, mode, transaction_id, message_place, set_at)
VALUES ($1, $2, $3, $4, $5, transaction_order(), $6, $7)
ON CONFLICT DO NOTHING

-- name: find_rounding
SELECT scope, mode FROM tax_rounding WHERE book_id = $1 AND jurisdiction = $2 AND effective_at = $3

-- name: insert_category
INSERT INTO tax_category (book_id, product, charge, effective_at, category, transaction_id, message_place, set_at)
VALUES ($1, $2, $3, $4, $5, transaction_order(), $6, $7)
ON CONFLICT DO NOTHING

-- name: find_category
SELECT category FROM tax_category WHERE book_id = $1 AND product = $2 AND charge = $3 AND effective_at = $4

-- name: insert_customer
INSERT INTO tax_customer (book_id, customer_id, effective_at, jurisdiction, treatment, reason, transaction_id,
                          message_place, set_at)
VALUES ($1, $2, $3, $4, $5, $6, transaction_order(), $7, $8)
ON CONFLICT DO NOTHING

-- name: find_customer_tax
SELECT jurisdiction, treatment, reason FROM tax_customer WHERE book_id = $1 AND customer_id = $2 AND effective_at = $3

-- name: any_customers
SELECT EXISTS (SELECT FROM tax_customer WHERE book_id = $1)

-- name: versions_of_customers
SELECT customer_id, effective_at, jurisdiction, treatment, reason FROM tax_customer
WHERE book_id = $1 AND customer_id = ANY ($2::bigint[])
ORDER BY customer_id, effective_at

-- name: versions_of_rates
SELECT jurisdiction, category, name, effective_at, rate, inclusive, compound FROM tax_rate
WHERE book_id = $1 ORDER BY jurisdiction, category, name COLLATE "C", effective_at

-- name: versions_of_roundings
SELECT jurisdiction, effective_at, scope, mode FROM tax_rounding WHERE book_id = $1 ORDER BY jurisdiction, effective_at

-- name: versions_of_categories
SELECT product, charge, effective_at, category FROM tax_category
WHERE book_id = $1 ORDER BY product, charge, effective_at

-- name: list_rates
SELECT jurisdiction, category, name, effective_at, rate, inclusive, compound FROM tax_rate
WHERE book_id = $1 AND ($2::text IS NULL OR jurisdiction = $2)
ORDER BY jurisdiction COLLATE "C", category COLLATE "C", name COLLATE "C", effective_at

-- name: enter_to_keep
SELECT pg_advisory_xact_lock(5, $1)

-- name: enter_to_use
SELECT pg_advisory_xact_lock_shared(5, $1)

-- name: find_customers
SELECT customer_id, ref FROM customer WHERE book_id = $1 AND ref = ANY ($2::text[])

-- name: insert_answer
INSERT INTO tax_answer (book_id, reference, invoice_id, customer_id, asked_before, taxes, transaction_id, message_place,
                        answered_at)
VALUES ($1, $2, $3, $4, $5, $6, transaction_order(), $7, $8)
ON CONFLICT DO NOTHING

-- name: find_answer
SELECT taxes FROM tax_answer WHERE book_id = $1 AND reference = $2

-- name: answers_of_customers
SELECT reference, invoice_id, taxes FROM tax_answer
WHERE book_id = $1 AND customer_id = ANY ($2::bigint[]) AND asked_before = ANY ($3::timestamptz[])
  AND transaction_id < $4
