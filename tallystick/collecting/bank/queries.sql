-- Whoever hands charges over or settles entries waits for whoever makes charges or says what became of them, and the other
-- way round; whoever does it is to be seen by all that is ordered after it.

-- name: enter_to_settle
SELECT pg_advisory_xact_lock(7, $1)

-- name: enter_to_apply
SELECT pg_advisory_xact_lock_shared(7, $1)

-- Charge by charge: of what is not there the planner would go through all that is, for each.

-- name: find_unsent
SELECT count(*), coalesce(sum(amount), 0)::bigint FROM charge
WHERE book_id = $1 AND debit_on = $2 AND asset_id = $3
  AND (SELECT true FROM charge_sent AS sent WHERE sent.book_id = $1 AND sent.charge_id = charge.charge_id) IS NULL
  AND (SELECT true FROM charge_outcome AS outcome
       WHERE outcome.book_id = $1 AND outcome.charge_id = charge.charge_id) IS NULL

-- name: insert_file
INSERT INTO bank_file (book_id, file_id, debit_on, asset_id, number, charges, total, creditor, transaction_id, message_place,
                       taken_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, transaction_order(), $9, $10)

-- name: send_charges
INSERT INTO charge_sent (book_id, charge_id, file_id)
SELECT $1, charge_id, $4 FROM charge
WHERE book_id = $1 AND debit_on = $2 AND asset_id = $3
  AND (SELECT true FROM charge_sent AS sent WHERE sent.book_id = $1 AND sent.charge_id = charge.charge_id) IS NULL
  AND (SELECT true FROM charge_outcome AS outcome
       WHERE outcome.book_id = $1 AND outcome.charge_id = charge.charge_id) IS NULL

-- name: find_newest_file
SELECT file_id FROM bank_file WHERE book_id = $1 AND debit_on = $2 AND asset_id = $3 ORDER BY number DESC LIMIT 1

-- name: find_last_creditor
SELECT creditor FROM bank_file WHERE book_id = $1 ORDER BY transaction_id DESC, message_place DESC LIMIT 1

-- name: find_files
SELECT file_id, debit_on, asset.code, asset.exponent::integer, number::integer, charges, total, creditor, taken_at
FROM bank_file JOIN asset USING (book_id, asset_id) WHERE book_id = $1 AND file_id = ANY ($2::uuid[])

-- Names are those of the time when the file was taken, so that its bytes never change.

-- name: page_debits
SELECT charge.charge_id, charge.amount, charge.bank_account, customer.ref, coalesce(named.name, customer.ref),
       (SELECT min(agreed_at) FROM debit_agreement AS agreed
        WHERE agreed.book_id = $1 AND agreed.customer_id = charge.customer_id AND agreed.bank_account = charge.bank_account),
       asked.series, asked.numbers
FROM charge_sent AS sent
JOIN bank_file AS file ON file.book_id = $1 AND file.file_id = $2
JOIN charge ON charge.book_id = $1 AND charge.charge_id = sent.charge_id
JOIN customer ON customer.book_id = $1 AND customer.customer_id = charge.customer_id
LEFT JOIN LATERAL (
    SELECT name FROM party
    WHERE party.book_id = $1 AND party.customer_id = charge.customer_id AND party.transaction_id < file.transaction_id
    ORDER BY party.transaction_id DESC, party.message_place DESC LIMIT 1
) AS named ON true
CROSS JOIN LATERAL (
    SELECT array_agg(series ORDER BY series, number) AS series, array_agg(number ORDER BY series, number) AS numbers
    FROM charge_invoice AS part JOIN invoice_issue AS issue
        ON issue.book_id = $1 AND issue.invoice_id = part.invoice_id
    WHERE part.book_id = $1 AND part.charge_id = charge.charge_id
) AS asked
WHERE sent.book_id = $1 AND sent.file_id = $2 AND sent.charge_id > $3
ORDER BY sent.charge_id LIMIT $4

-- name: find_exponents
SELECT charge_id, exponent::integer FROM charge JOIN asset USING (book_id, asset_id)
WHERE book_id = $1 AND charge_id = ANY ($2::uuid[])

-- name: insert_statement
INSERT INTO bank_statement (book_id, statement_id, account, asset_id, number, opened_on, opening, closed_on, closing, entries,
                            transaction_id, message_place, imported_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, transaction_order(), $11, $12)

-- name: count_entries
SELECT entries FROM bank_statement WHERE book_id = $1 AND statement_id = $2

-- name: sum_entries
SELECT count(*), coalesce(sum(amount), 0)::bigint FROM bank_entry WHERE book_id = $1 AND statement_id = $2

-- name: insert_entries
INSERT INTO bank_entry (book_id, statement_id, position, value_on, booked_on, amount, reversal, code, reference, bank_reference,
                        words, other_account, other_name, transaction_id, message_place)
SELECT $1, $2, given.*, (SELECT transaction_order()), $3
FROM unnest($4::integer[], $5::date[], $6::date[], $7::bigint[], $8::boolean[], $9::text[], $10::text[], $11::text[],
            $12::text[], $13::text[], $14::text[]) AS given

-- name: find_entries
SELECT position, value_on, booked_on, amount, reversal, code, reference, bank_reference, words, other_account, other_name
FROM bank_entry WHERE book_id = $1 AND statement_id = $2 AND position BETWEEN $3 AND $4 ORDER BY position

-- name: find_asset_of_statement
SELECT asset.asset_id, asset.code, closed_on FROM bank_statement JOIN asset USING (book_id, asset_id)
WHERE book_id = $1 AND statement_id = $2

-- name: page_unmatched
SELECT position, value_on, booked_on, amount, reversal, code, reference, bank_reference, words, other_account, other_name
FROM bank_entry AS entry
WHERE book_id = $1 AND statement_id = $2 AND position > $3
  AND NOT EXISTS (SELECT FROM bank_matched AS matched
                  WHERE (matched.book_id, matched.statement_id, matched.position) = ($1, $2, entry.position))
ORDER BY position LIMIT $4

-- name: is_matched
SELECT EXISTS (SELECT FROM bank_matched WHERE book_id = $1 AND statement_id = $2 AND position = $3)

-- name: insert_matches
INSERT INTO bank_match (book_id, statement_id, position, kind, repayment_id, score, why, transaction_id, message_place, matched_at)
SELECT $1, $2, given.*, (SELECT transaction_order()), $3, $4
FROM unnest($5::integer[], $6::text[], $7::uuid[], $8::smallint[], $9::text[]) AS given

-- name: find_charges_named
SELECT charge.charge_id, charge.amount, charge.asset_id, outcome.charge_id IS NOT NULL, outcome.taken, outcome.repayment_id,
       EXISTS (SELECT FROM repayment_return AS gone WHERE gone.book_id = $1 AND gone.repayment_id = outcome.repayment_id
               AND gone.kind = 'reversal')
FROM charge LEFT JOIN LATERAL (
    SELECT charge_id, taken, repayment_id FROM charge_outcome
    WHERE book_id = $1 AND charge_outcome.charge_id = charge.charge_id OFFSET 0
) AS outcome ON true
WHERE charge.book_id = $1 AND charge.charge_id = ANY ($2::uuid[])

-- name: find_files_named
SELECT file_id FROM bank_file WHERE book_id = $1 AND file_id = ANY ($2::uuid[])

-- name: list_series
WITH RECURSIVE found AS (
    (SELECT series FROM invoice_issue WHERE book_id = $1 ORDER BY series LIMIT 1)
    UNION ALL
    SELECT (SELECT issue.series FROM invoice_issue AS issue WHERE issue.book_id = $1 AND issue.series > found.series
            ORDER BY issue.series LIMIT 1)
    FROM found WHERE found.series IS NOT NULL
)
SELECT series FROM found WHERE series IS NOT NULL

-- name: find_numbered
SELECT DISTINCT invoice.customer_id, whose.ref
FROM unnest($2::text[], $3::bigint[]) AS wanted (series, number)
CROSS JOIN LATERAL (
    SELECT invoice_id, transaction_id FROM invoice_issue
    WHERE book_id = $1 AND invoice_issue.series = wanted.series AND invoice_issue.number = wanted.number OFFSET 0
) AS issue
CROSS JOIN LATERAL (
    SELECT customer_id, asset_id FROM invoice WHERE book_id = $1 AND invoice.invoice_id = issue.invoice_id OFFSET 0
) AS invoice
CROSS JOIN LATERAL (
    SELECT ref FROM customer WHERE book_id = $1 AND customer.customer_id = invoice.customer_id OFFSET 0
) AS whose
WHERE issue.transaction_id < $4 AND invoice.asset_id = $5
ORDER BY invoice.customer_id

-- name: find_account_owners
SELECT DISTINCT bank_account, customer_id, customer.ref
FROM debit_agreement JOIN customer USING (book_id, customer_id)
WHERE book_id = $1 AND bank_account = ANY ($2::text[]) AND debit_agreement.transaction_id < $3
ORDER BY bank_account, customer_id

-- name: find_same_totals
SELECT DISTINCT invoice.customer_id, customer.ref
FROM invoice
JOIN invoice_issue AS issue USING (book_id, invoice_id)
JOIN customer USING (book_id, customer_id)
WHERE book_id = $1 AND asset_id = $2 AND total = $3 AND issue.transaction_id < $4
ORDER BY invoice.customer_id LIMIT 20

-- name: find_invoice_owner
SELECT customer_id, customer.ref, asset_id FROM invoice JOIN customer USING (book_id, customer_id)
WHERE book_id = $1 AND invoice_id = $2

-- name: page_entries
SELECT entry.statement_id, entry.position, statement.account, asset.code, asset.asset_id, value_on, booked_on, amount, reversal,
       entry.code, reference, bank_reference, words, other_account, other_name, matched.why, matched.repayment_id,
       entry.transaction_id, entry.message_place
FROM bank_entry AS entry
JOIN bank_statement AS statement ON statement.book_id = $1 AND statement.statement_id = entry.statement_id
JOIN asset ON asset.book_id = $1 AND asset.asset_id = statement.asset_id
LEFT JOIN bank_matched AS matched ON matched.book_id = $1
     AND matched.statement_id = entry.statement_id AND matched.position = entry.position
WHERE entry.book_id = $1 AND (entry.transaction_id, entry.message_place, entry.position) > ($2, $3, $4)
  AND (NOT $5::boolean OR matched.position IS NULL)
ORDER BY entry.transaction_id, entry.message_place, entry.position LIMIT $6
