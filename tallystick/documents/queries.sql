-- name: find_customer
SELECT customer_id FROM customer WHERE book_id = $1 AND ref = $2

-- name: insert_party
INSERT INTO party (book_id, transaction_id, message_place, customer_id, name, address, city, postcode, country, vat_id,
                   registration, email, phone, language, bank, set_at)
VALUES ($1, (SELECT transaction_order()), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)

-- name: find_party
SELECT name, address, city, postcode, country, vat_id, registration, email, phone, language, bank::text, set_at
FROM party
WHERE book_id = $1 AND customer_id IS NOT DISTINCT FROM $2 AND ($3::timestamptz IS NULL OR set_at <= $3)
ORDER BY transaction_id DESC, message_place DESC LIMIT 1

-- name: find_first_party
SELECT name, address, city, postcode, country, vat_id, registration, email, phone, language, bank::text, set_at
FROM party
WHERE book_id = $1 AND customer_id IS NOT DISTINCT FROM $2
ORDER BY transaction_id, message_place LIMIT 1

-- name: find_numbers
SELECT invoice_id, series, number FROM invoice_issue WHERE book_id = $1 AND invoice_id = ANY ($2::uuid[])

-- name: due_of_bill
SELECT due_at FROM subscription_bill WHERE book_id = $1 AND invoice_id = $2

-- name: find_zone
SELECT zone FROM billing_zone WHERE book_id = $1 AND product = $2

-- name: find_given_up
SELECT coalesce(sum(transfer.amount), 0)::bigint
FROM invoice_issue AS issue
JOIN net_change AS change ON change.book_id = $1 AND change.page = page_of(issue.account_id)
    AND position(slot_of(issue.account_id) IN slots) > 0
JOIN transfer ON transfer.book_id = $1 AND transfer.batch_id = change.batch_id
    AND transfer.credit_account_id = issue.account_id AND transfer.reason = $3
WHERE issue.book_id = $1 AND issue.invoice_id = $2
