-- name: insert_receipts
INSERT INTO receipt (book_id, receipt_id, payment_id, transfer_id, transaction_id, message_place, issued_at)
SELECT $1, receipt_id, payment_id, transfer_id, (SELECT transaction_order()), place, $6
FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::integer[]) AS given (receipt_id, payment_id, transfer_id, place)

-- name: find_receipt
SELECT message.body, transfer.transfer_id, debit_account_id, credit_account_id, asset_id, amount, reason::integer,
       effective_at, batch.recorded_at, sealed_batch.first_place + transfer.position, covering.size, root, note
FROM receipt
JOIN transfer USING (book_id, transfer_id)
JOIN batch USING (book_id, batch_id)
JOIN message ON message.book_id = $1 AND message.transaction_id = batch_id AND message.place = transfer.message_place
LEFT JOIN sealed_batch ON sealed_batch.book_id = $1 AND sealed_batch.batch_id = batch.batch_id
LEFT JOIN LATERAL (
    SELECT size, root, note FROM checkpoint
    WHERE checkpoint.book_id = $1 AND size > sealed_batch.first_place + transfer.position ORDER BY size LIMIT 1
) AS covering ON true
WHERE receipt.book_id = $1 AND receipt_id = $2

-- name: page_receipts
SELECT receipt_id, payment_id, issued_at FROM receipt
WHERE book_id = $1 AND receipt_id > $2 ORDER BY receipt_id LIMIT $3
