-- name: find_assets
SELECT code, asset_id, exponent::integer FROM asset WHERE book_id = $1 AND code = ANY ($2::text[])

-- name: find_requests
SELECT request.product, request.reference, request.content, request.invoice_id, whose.ref, asset.code, request.due_on,
       terms_days, zone, request.series, memo, cost_rank
FROM unnest($2::text[], $3::text[]) AS wanted (product, reference)
CROSS JOIN LATERAL (
    SELECT * FROM invoice_request
    WHERE book_id = $1 AND invoice_request.product = wanted.product AND invoice_request.reference = wanted.reference OFFSET 0
) AS request
CROSS JOIN LATERAL (
    SELECT customer_id, asset_id, terms_days FROM invoice
    WHERE book_id = $1 AND invoice.invoice_id = request.invoice_id OFFSET 0
) AS invoice
CROSS JOIN LATERAL (
    SELECT ref FROM customer WHERE book_id = $1 AND customer.customer_id = invoice.customer_id OFFSET 0
) AS whose
JOIN asset ON asset.book_id = $1 AND asset.asset_id = invoice.asset_id

-- name: find_post_to
SELECT code, asset, min_balance IS NOT NULL OR max_balance IS NOT NULL, closed_at IS NOT NULL
FROM account_now WHERE book_id = $1 AND code = ANY ($2::text[])

-- name: find_customers
SELECT ref, customer_id FROM customer WHERE book_id = $1 AND ref = ANY ($2::text[])

-- name: make_customers
INSERT INTO customer (book_id, customer_id, ref, transaction_id, message_place, created_at)
SELECT $1, nextval('customer_number'), ref, (SELECT transaction_order()), $2, $3
FROM (SELECT DISTINCT ref FROM unnest($4::text[]) AS ref ORDER BY ref) AS wanted
ON CONFLICT ON CONSTRAINT customer_once DO NOTHING

-- name: insert_invoices
INSERT INTO invoice (book_id, invoice_id, customer_id, product, asset_id, total, terms_days, transaction_id,
                     message_place, drafted_at)
SELECT $1, given.invoice_id, given.customer_id, given.product, given.asset_id, given.total, given.terms_days,
       (SELECT transaction_order()), $2, $3
FROM unnest($4::uuid[], $5::bigint[], $6::text[], $7::integer[], $8::bigint[], $9::integer[])
     AS given (invoice_id, customer_id, product, asset_id, total, terms_days)

-- name: insert_requests
INSERT INTO invoice_request (book_id, invoice_id, product, reference, zone, due_on, series, memo, cost_rank, content,
                             transaction_id, message_place, requested_at)
SELECT $1, given.invoice_id, given.product, given.reference, given.zone, given.due_on, given.series, given.memo,
       given.cost_rank, given.content, (SELECT transaction_order()), $2, $3
FROM unnest($4::uuid[], $5::text[], $6::text[], $7::text[], $8::date[], $9::text[], $10::text[], $11::numeric[],
            $12::bytea[])
     AS given (invoice_id, product, reference, zone, due_on, series, memo, cost_rank, content)

-- name: find_told
SELECT invoice_id, invoice.product, reference, issue.series, number, whose.ref, asset.code,
       total - coalesce((SELECT sum(amount) FROM invoice_tax AS tax
                         WHERE (tax.book_id, tax.invoice_id) = (invoice.book_id, invoice.invoice_id) AND NOT inclusive),
                        0)::bigint,
       total, coalesce(issue.due_on, request.due_on), issued_at
FROM invoice
CROSS JOIN LATERAL (
    SELECT reference, due_on FROM invoice_request
    WHERE book_id = $1 AND invoice_request.invoice_id = invoice.invoice_id OFFSET 0
) AS request
CROSS JOIN LATERAL (
    SELECT ref FROM customer WHERE book_id = $1 AND customer.customer_id = invoice.customer_id OFFSET 0
) AS whose
JOIN asset ON asset.book_id = $1 AND asset.asset_id = invoice.asset_id
LEFT JOIN LATERAL (
    SELECT series, number, due_on, issued_at FROM invoice_issue
    WHERE book_id = $1 AND invoice_issue.invoice_id = invoice.invoice_id OFFSET 0
) AS issue ON true
WHERE invoice.book_id = $1 AND invoice_id = ANY ($2::uuid[])

-- name: find_waiting
SELECT wanted.invoice_id, customer_id, invoice.product, asset.code, invoice.asset_id, total, due_on, terms_days, zone, series
FROM unnest($2::uuid[]) WITH ORDINALITY AS wanted (invoice_id, place)
CROSS JOIN LATERAL (
    SELECT book_id, invoice_id, customer_id, product, asset_id, total, terms_days FROM invoice
    WHERE book_id = $1 AND invoice.invoice_id = wanted.invoice_id OFFSET 0
) AS invoice
CROSS JOIN LATERAL (
    SELECT due_on, zone, series FROM invoice_request
    WHERE book_id = $1 AND invoice_request.invoice_id = wanted.invoice_id OFFSET 0
) AS request
JOIN asset ON asset.book_id = $1 AND asset.asset_id = invoice.asset_id
WHERE NOT EXISTS (SELECT FROM invoice_issue AS issue
                  WHERE (issue.book_id, issue.invoice_id) = (invoice.book_id, invoice.invoice_id) OFFSET 0)
  AND NOT EXISTS (SELECT FROM invoice_state AS state
                  WHERE (state.book_id, state.invoice_id, state.state) = (invoice.book_id, invoice.invoice_id, 'void')
                  OFFSET 0)
ORDER BY place
