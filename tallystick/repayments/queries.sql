-- name: enter_to_repay
SELECT place, horizon FROM enter_to_repay($1)

-- Two who make charges could put one invoice into two of them; and who applies outcomes says which are under way.

-- name: enter_to_charge
SELECT pg_advisory_xact_lock(7, $1)

-- name: enter_to_apply
SELECT pg_advisory_xact_lock_shared(7, $1)

-- name: find_customers
SELECT ref, customer_id FROM customer WHERE book_id = $1 AND ref = ANY ($2::text[])

-- name: find_usable_account
SELECT account_id FROM account_now WHERE book_id = $1 AND code = $2 AND asset = $3 AND closed_at IS NULL

-- name: product_exists
SELECT EXISTS (SELECT FROM price WHERE book_id = $1 AND product = $2)
    OR EXISTS (SELECT FROM invoice_request WHERE book_id = $1 AND product = $2)

-- name: insert_policy
INSERT INTO allocation_policy (book_id, customer_id, policy, transaction_id, message_place, set_at)
VALUES ($1, $2, $3, transaction_order(), $4, $5)

-- name: find_policies
SELECT wanted.customer_id, newest.policy
FROM unnest($2::bigint[]) AS wanted (customer_id)
JOIN LATERAL (
    SELECT policy FROM allocation_policy
    WHERE book_id = $1 AND allocation_policy.customer_id = wanted.customer_id AND transaction_id < $3
    ORDER BY transaction_id DESC, message_place DESC LIMIT 1
) AS newest ON policy IS NOT NULL

-- name: find_book_policy
SELECT policy FROM allocation_policy
WHERE book_id = $1 AND customer_id IS NULL AND transaction_id < $2
ORDER BY transaction_id DESC, message_place DESC LIMIT 1

-- Of invoices that may be open, those that are: whatever ended one is looked for up to a place in the order, so that who is
-- ordered before it sees it open and learns of the other by its account.

-- part: open_of_candidates
SELECT candidate.customer_id, candidate.asset_id, candidate.invoice_id, product, due_on, issued_at, account_id, cost_rank,
       series, number, total, (total - credited)::bigint, noted.state, noted.outstanding
FROM candidate
CROSS JOIN LATERAL (
    SELECT customer_id, asset_id, product, total FROM invoice
    WHERE book_id = $1 AND invoice.invoice_id = candidate.invoice_id OFFSET 0
) AS invoice
CROSS JOIN LATERAL (
    SELECT due_on, issued_at, account_id, series, number, transaction_id FROM invoice_issue
    WHERE book_id = $1 AND invoice_issue.invoice_id = candidate.invoice_id OFFSET 0
) AS issue
CROSS JOIN LATERAL (
    SELECT coalesce(sum(applied), 0) AS credited FROM credit_note
    WHERE book_id = $1 AND credit_note.invoice_id = candidate.invoice_id
) AS credit
LEFT JOIN LATERAL (
    SELECT cost_rank FROM invoice_request
    WHERE $3 AND book_id = $1 AND invoice_request.invoice_id = candidate.invoice_id OFFSET 0
) AS request ON true
LEFT JOIN LATERAL (
    SELECT state, outstanding FROM (
        SELECT state, outstanding, transaction_id, message_place FROM invoice_state
        WHERE book_id = $1 AND invoice_state.invoice_id = candidate.invoice_id OFFSET 0
    ) AS said
    WHERE state NOT IN ('due', 'overdue') AND transaction_id < $2 ORDER BY transaction_id DESC, message_place DESC LIMIT 1
) AS noted ON true
WHERE (invoice.customer_id, invoice.asset_id) = (candidate.customer_id, candidate.asset_id) AND issue.transaction_id < $2
  AND coalesce(noted.state NOT IN ('paid', 'void', 'written_off'), true)

-- What customers may owe, without what was paid long ago: what is open now, and what a transaction that is ordered later has
-- ended.

-- name: find_dues
WITH wanted AS MATERIALIZED (
    SELECT * FROM unnest($4::bigint[], $5::integer[]) AS given (customer_id, asset_id)
), moved AS MATERIALIZED (
    SELECT invoice_id FROM invoice_state WHERE book_id = $1 AND transaction_id >= $2
), ended_later AS MATERIALIZED (
    SELECT customer_id, asset_id, moved.invoice_id FROM moved
    CROSS JOIN LATERAL (
        SELECT customer_id, asset_id FROM invoice WHERE book_id = $1 AND invoice.invoice_id = moved.invoice_id OFFSET 0
    ) AS invoice
), candidate AS MATERIALIZED (
    SELECT wanted.*, due.invoice_id FROM wanted
    CROSS JOIN LATERAL (
        SELECT invoice_id FROM invoice_due WHERE book_id = $1 AND invoice_due.customer_id = wanted.customer_id OFFSET 0
    ) AS due
    UNION
    SELECT wanted.*, late.invoice_id FROM wanted
    CROSS JOIN LATERAL (
        SELECT invoice_id FROM overdue_open WHERE book_id = $1 AND overdue_open.customer_id = wanted.customer_id OFFSET 0
    ) AS late
    UNION
    SELECT wanted.*, invoice_id FROM wanted JOIN ended_later USING (customer_id, asset_id)
)
-- with: open_of_candidates
  AND ($6::date IS NULL OR due_on <= $6)
ORDER BY candidate.customer_id, due_on, issued_at, candidate.invoice_id

-- name: find_dues_among
WITH candidate AS MATERIALIZED (
    SELECT * FROM unnest($4::bigint[], $5::integer[], $6::uuid[]) AS given (customer_id, asset_id, invoice_id)
)
-- with: open_of_candidates
ORDER BY candidate.customer_id, due_on, issued_at, candidate.invoice_id

-- name: find_owned
SELECT wanted.invoice_id FROM unnest($4::uuid[]) AS wanted (invoice_id)
CROSS JOIN LATERAL (
    SELECT customer_id, asset_id FROM invoice WHERE book_id = $1 AND invoice.invoice_id = wanted.invoice_id OFFSET 0
) AS invoice
CROSS JOIN LATERAL (
    SELECT transaction_id FROM invoice_issue WHERE book_id = $1 AND invoice_issue.invoice_id = wanted.invoice_id OFFSET 0
) AS issue
WHERE customer_id = $2 AND asset_id = $3 AND issue.transaction_id < $5

-- name: find_outstanding
SELECT wanted.account_id, (sums.debits - sums.credits - sums.held_credits)::bigint
FROM unnest($2::bigint[]) AS wanted (account_id) CROSS JOIN LATERAL account_sums($1, wanted.account_id) AS sums

-- name: find_by_reference
SELECT repayment_id, transaction_id
FROM unnest($2::text[], $3::text[]) AS wanted (channel, reference)
CROSS JOIN LATERAL (
    SELECT repayment_id, transaction_id FROM repayment
    WHERE book_id = $1 AND repayment.channel = wanted.channel AND repayment.reference = wanted.reference OFFSET 0
) AS repayment

-- name: insert_repayments
INSERT INTO repayment (book_id, repayment_id, customer_id, asset_id, amount, channel, reference, received_on,
                       from_account_id, transfer_id, policy, transaction_id, message_place, received_at)
SELECT $1, given.*, (SELECT transaction_order()), $2, $3
FROM unnest($4::uuid[], $5::bigint[], $6::integer[], $7::bigint[], $8::text[], $9::text[], $10::date[], $11::bigint[],
            $12::uuid[], $13::jsonb[]) AS given

-- name: insert_allocations
INSERT INTO repayment_allocation (book_id, transfer_id, repayment_id, customer_id, invoice_id, amount, why,
                                  transaction_id, message_place, allocated_at)
SELECT $1, given.*, (SELECT transaction_order()), $2, $3
FROM unnest($4::uuid[], $5::uuid[], $6::bigint[], $7::uuid[], $8::bigint[], $9::text[]) AS given

-- name: find_repayments
SELECT wanted.repayment_id, whose.ref, asset.code, repayment.amount, channel, reference, received_on, source.code,
       repayment.policy, repayment.transfer_id, received_at,
       EXISTS (SELECT FROM repayment_return AS gone
               WHERE gone.book_id = $1 AND gone.repayment_id = wanted.repayment_id AND gone.kind = 'reversal' OFFSET 0),
       repayment.transaction_id, repayment.message_place, repayment.customer_id, repayment.asset_id, repayment.from_account_id
FROM unnest($2::uuid[]) WITH ORDINALITY AS wanted (repayment_id, nth)
CROSS JOIN LATERAL (
    SELECT * FROM repayment WHERE book_id = $1 AND repayment.repayment_id = wanted.repayment_id OFFSET 0
) AS repayment
CROSS JOIN LATERAL (
    SELECT ref FROM customer WHERE book_id = $1 AND customer.customer_id = repayment.customer_id OFFSET 0
) AS whose
CROSS JOIN LATERAL (
    SELECT code FROM asset WHERE book_id = $1 AND asset.asset_id = repayment.asset_id OFFSET 0
) AS asset
LEFT JOIN LATERAL (
    SELECT code FROM account WHERE book_id = $1 AND account.account_id = repayment.from_account_id OFFSET 0
) AS source ON true
ORDER BY nth

-- name: find_allocations
SELECT wanted.repayment_id, placed.invoice_id, amount, why, placed.transfer_id,
       (SELECT coalesce(sum(amount), 0)::bigint FROM allocation_undo
        WHERE allocation_undo.book_id = $1 AND allocation_undo.undone_id = placed.transfer_id)
FROM unnest($2::uuid[]) AS wanted (repayment_id)
CROSS JOIN LATERAL (
    SELECT invoice_id, amount, why, transfer_id FROM repayment_allocation
    WHERE book_id = $1 AND repayment_allocation.repayment_id = wanted.repayment_id OFFSET 0
) AS placed
CROSS JOIN LATERAL (
    SELECT due_on, issued_at FROM invoice_issue
    WHERE book_id = $1 AND invoice_issue.invoice_id = placed.invoice_id OFFSET 0
) AS issue
ORDER BY due_on, issued_at, placed.invoice_id

-- name: page_repayments
SELECT repayment_id FROM repayment
WHERE book_id = $1 AND ($2::bigint IS NULL OR customer_id = $2) AND (transaction_id, message_place) > ($3, $4)
ORDER BY transaction_id, message_place, repayment_id LIMIT $5

-- name: page_customers
SELECT customer_id, ref FROM customer
WHERE book_id = $1 AND customer_id > $2 AND ($3::text IS NULL OR ref = $3) ORDER BY customer_id LIMIT $4

-- name: list_assets
SELECT asset_id, code FROM asset WHERE book_id = $1 ORDER BY asset_id

-- name: find_account_sums
SELECT account.code, sums.credits - sums.debits
FROM account CROSS JOIN LATERAL account_sums($1, account.account_id) AS sums
WHERE account.book_id = $1 AND account.code = ANY ($2::text[])

-- name: find_undoable
SELECT repayment_allocation.transfer_id, repayment_id, repayment_allocation.invoice_id, account_id, left_over.amount
FROM repayment_allocation
JOIN invoice USING (book_id, invoice_id)
JOIN invoice_issue USING (book_id, invoice_id)
CROSS JOIN LATERAL (
    SELECT repayment_allocation.amount - coalesce(sum(undo.amount), 0)::bigint AS amount FROM allocation_undo AS undo
    WHERE undo.book_id = $1 AND undo.undone_id = repayment_allocation.transfer_id AND undo.transaction_id < $5
) AS left_over
WHERE book_id = $1 AND repayment_allocation.customer_id = $2 AND asset_id = $3
  AND (repayment_id = $4 OR repayment_id IS NULL) AND repayment_allocation.transaction_id < $5 AND left_over.amount > 0
ORDER BY repayment_id IS NULL, repayment_allocation.transaction_id DESC, due_on DESC, repayment_allocation.invoice_id

-- name: insert_return
INSERT INTO repayment_return (book_id, return_id, kind, customer_id, asset_id, repayment_id, amount, to_account_id,
                              reference, reason, transfer_id, transaction_id, message_place, returned_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, transaction_order(), $12, $13)

-- name: insert_undos
INSERT INTO allocation_undo (book_id, transfer_id, undone_id, return_id, amount, transaction_id, message_place, undone_at)
SELECT $1, given.transfer_id, given.undone_id, $2, given.amount, (SELECT transaction_order()), $3, $4
FROM unnest($5::uuid[], $6::uuid[], $7::bigint[]) AS given (transfer_id, undone_id, amount)

-- name: find_return
SELECT return_id, kind, customer.ref, asset.code, repayment_return.amount, repayment_id, account.code, reference, reason,
       transfer_id, repayment_return.transaction_id
FROM repayment_return
JOIN customer USING (book_id, customer_id)
JOIN asset USING (book_id, asset_id)
JOIN account ON account.book_id = $1 AND account.account_id = to_account_id
WHERE repayment_return.book_id = $1 AND return_id = $2

-- name: find_reopened
SELECT invoice_id, sum(allocation_undo.amount)::bigint
FROM allocation_undo JOIN repayment_allocation ON repayment_allocation.book_id = $1 AND repayment_allocation.transfer_id = undone_id
WHERE allocation_undo.book_id = $1 AND return_id = $2 GROUP BY 1 ORDER BY 1

-- name: insert_agreement
INSERT INTO debit_agreement (book_id, customer_id, bank_account, day, country, rule, cutoff_days, from_on,
                             transaction_id, message_place, agreed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, transaction_order(), $9, $10)

-- name: find_agreements
SELECT bank_account, day::integer, country, rule, cutoff_days::integer, from_on FROM debit_agreement
WHERE book_id = $1 AND customer_id = $2 ORDER BY transaction_id DESC, message_place DESC

-- name: list_calendars
WITH RECURSIVE found AS (
    (SELECT country, rule, transaction_id FROM debit_agreement WHERE book_id = $1 AND country IS NOT NULL
     ORDER BY country, rule, transaction_id LIMIT 1)
    UNION ALL
    SELECT next.country, next.rule, next.transaction_id FROM found CROSS JOIN LATERAL (
        SELECT country, rule, transaction_id FROM debit_agreement
        WHERE book_id = $1 AND country IS NOT NULL AND (country, rule) > (found.country, found.rule)
        ORDER BY country, rule, transaction_id LIMIT 1
    ) AS next
)
SELECT country, rule FROM found WHERE transaction_id < $2 ORDER BY 1, 2

-- Of the next customers with an agreement each one's that counts on the day, with what the day has to do with them: whether
-- it is their debit day ($6 to $8 are the choices that lead to it), and the newest charge by asset that is to be tried again.

-- name: page_chargeable
SELECT chunk.customer_id, customer.ref, governing.bank_account, governing.country,
       EXISTS (SELECT FROM unnest($6::text[], $7::text[], $8::smallint[]) AS choice (country, rule, day)
               WHERE (choice.country, choice.rule, choice.day)
                   = (governing.country, governing.rule, coalesce(governing.day, 0)))
FROM (
    SELECT DISTINCT customer_id FROM debit_agreement
    WHERE book_id = $1 AND customer_id > $2 AND transaction_id < $3 ORDER BY customer_id LIMIT $4
) AS chunk
JOIN customer ON customer.book_id = $1 AND customer.customer_id = chunk.customer_id
LEFT JOIN LATERAL (
    SELECT bank_account, country, rule, day FROM debit_agreement
    WHERE debit_agreement.book_id = $1 AND debit_agreement.customer_id = chunk.customer_id AND from_on <= $5
      AND transaction_id < $3
    ORDER BY transaction_id DESC, message_place DESC LIMIT 1
) AS governing ON true
ORDER BY chunk.customer_id

-- name: page_agreed
SELECT customer_id, ref
FROM (
    SELECT DISTINCT customer_id FROM debit_agreement WHERE book_id = $1 AND customer_id > $2 ORDER BY customer_id LIMIT $3
) AS chunk
CROSS JOIN LATERAL (SELECT ref FROM customer WHERE book_id = $1 AND customer.customer_id = chunk.customer_id) AS whose
ORDER BY customer_id

-- name: find_retries
SELECT newest.customer_id, newest.asset_id, newest.charge_id, newest.attempt::integer
FROM unnest($2::bigint[]) AS wanted (customer_id)
CROSS JOIN LATERAL (
    SELECT DISTINCT ON (asset_id) customer_id, asset_id, charge_id, attempt FROM (
        SELECT customer_id, asset_id, charge_id, attempt, debit_on, transaction_id FROM charge
        WHERE book_id = $1 AND charge.customer_id = wanted.customer_id OFFSET 0
    ) AS own
    WHERE transaction_id < $3 ORDER BY asset_id, debit_on DESC, attempt DESC
) AS newest
CROSS JOIN LATERAL (
    SELECT retry_on, transaction_id FROM charge_outcome
    WHERE book_id = $1 AND charge_outcome.charge_id = newest.charge_id OFFSET 0
) AS outcome
WHERE outcome.transaction_id < $3 AND outcome.retry_on <= $4

-- name: find_charged
SELECT charge_id, invoice_id, amount FROM charge_invoice WHERE book_id = $1 AND charge_id = ANY ($2::uuid[])
ORDER BY charge_id, invoice_id

-- name: find_under_way
SELECT wanted.invoice_id FROM unnest($2::uuid[]) AS wanted (invoice_id)
WHERE EXISTS (
    SELECT FROM (
        SELECT charge_id FROM charge_invoice WHERE book_id = $1 AND charge_invoice.invoice_id = wanted.invoice_id OFFSET 0
    ) AS part
    CROSS JOIN LATERAL (
        SELECT transaction_id FROM charge WHERE book_id = $1 AND charge.charge_id = part.charge_id OFFSET 0
    ) AS asked
    LEFT JOIN LATERAL (
        SELECT transaction_id FROM charge_outcome WHERE book_id = $1 AND charge_outcome.charge_id = part.charge_id OFFSET 0
    ) AS outcome ON outcome.transaction_id < $3
    WHERE asked.transaction_id < $3 AND outcome.transaction_id IS NULL
) OR EXISTS (
    SELECT FROM (
        SELECT slip_id FROM slip_invoice WHERE book_id = $1 AND slip_invoice.invoice_id = wanted.invoice_id OFFSET 0
    ) AS part
    CROSS JOIN LATERAL (
        SELECT slip_id FROM slip_announced WHERE book_id = $1 AND slip_announced.slip_id = part.slip_id OFFSET 0
    ) AS announced
)

-- name: find_charged_days
SELECT wanted.customer_id, bank_account, asset_id
FROM unnest($3::bigint[]) AS wanted (customer_id)
CROSS JOIN LATERAL (
    SELECT bank_account, asset_id, debit_on FROM charge
    WHERE book_id = $1 AND charge.customer_id = wanted.customer_id OFFSET 0
) AS charge
WHERE debit_on = $2

-- name: insert_charges
WITH made AS (
    INSERT INTO charge (book_id, charge_id, customer_id, bank_account, asset_id, debit_on, amount, attempt, retry_of, country,
                        transaction_id, message_place, made_at)
    SELECT $1, charge_id, customer_id, bank_account, asset_id, $2, amount, attempt, retry_of, country,
           (SELECT transaction_order()), $3, $4
    FROM unnest($5::uuid[], $6::bigint[], $7::text[], $8::integer[], $9::bigint[], $10::smallint[], $11::uuid[], $12::text[])
         AS given (charge_id, customer_id, bank_account, asset_id, amount, attempt, retry_of, country)
)
INSERT INTO charge_invoice (book_id, charge_id, invoice_id, amount)
SELECT $1, given.* FROM unnest($13::uuid[], $14::uuid[], $15::bigint[]) AS given

-- name: find_charges
SELECT wanted.charge_id, whose.ref, bank_account, asset.code, debit_on, charge.amount, attempt::integer, retry_of, taken,
       error_kind, retry_on, outcome.repayment_id, charge.customer_id, charge.asset_id, country, outcome.transaction_id,
       (SELECT coalesce(sum(placed.amount), 0)::bigint FROM repayment_allocation AS placed
        WHERE placed.book_id = $1 AND placed.repayment_id = outcome.repayment_id),
       EXISTS (SELECT FROM charge_sent AS sent WHERE sent.book_id = $1 AND sent.charge_id = wanted.charge_id OFFSET 0)
FROM unnest($2::uuid[]) WITH ORDINALITY AS wanted (charge_id, nth)
CROSS JOIN LATERAL (
    SELECT customer_id, bank_account, asset_id, debit_on, amount, attempt, retry_of, country FROM charge
    WHERE book_id = $1 AND charge.charge_id = wanted.charge_id OFFSET 0
) AS charge
CROSS JOIN LATERAL (
    SELECT ref FROM customer WHERE book_id = $1 AND customer.customer_id = charge.customer_id OFFSET 0
) AS whose
CROSS JOIN LATERAL (SELECT code FROM asset WHERE book_id = $1 AND asset.asset_id = charge.asset_id OFFSET 0) AS asset
LEFT JOIN LATERAL (
    SELECT taken, error_kind, retry_on, repayment_id, transaction_id FROM charge_outcome
    WHERE book_id = $1 AND charge_outcome.charge_id = wanted.charge_id OFFSET 0
) AS outcome ON true
ORDER BY nth

-- name: page_charges
SELECT charge_id FROM charge
WHERE book_id = $1 AND ($2::date IS NULL OR debit_on = $2) AND ($3::bigint IS NULL OR customer_id = $3)
  AND ($4::uuid IS NULL OR (debit_on, charge_id) > (
      SELECT cursor.debit_on, cursor.charge_id FROM charge AS cursor WHERE cursor.book_id = $1 AND cursor.charge_id = $4))
ORDER BY debit_on, charge_id LIMIT $5

-- name: charge_exists
SELECT EXISTS (SELECT FROM charge WHERE book_id = $1 AND charge_id = $2)

-- name: insert_outcomes
INSERT INTO charge_outcome (book_id, charge_id, taken, error_kind, retry_on, repayment_id, transaction_id, message_place, at)
SELECT $1, given.*, (SELECT transaction_order()), $2, $3
FROM unnest($4::uuid[], $5::bigint[], $6::text[], $7::date[], $8::uuid[]) AS given

-- name: insert_retry_policy
INSERT INTO charge_retry_policy (book_id, rules, transaction_id, message_place, set_at)
VALUES ($1, $2, transaction_order(), $3, $4)

-- name: find_retry_policy
SELECT rules FROM charge_retry_policy WHERE book_id = $1 AND transaction_id < $2
ORDER BY transaction_id DESC, message_place DESC LIMIT 1
