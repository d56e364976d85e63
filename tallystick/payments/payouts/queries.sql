-- Whoever records payouts or says what their lines are waits for whoever does so too; each is to be seen by all that is ordered
-- after it.

-- name: enter_payouts
SELECT pg_advisory_xact_lock(8, $1)

-- name: insert_report
INSERT INTO payout_report (book_id, payout_id, provider, provider_id, version, asset_id, amount, arrives_on, lines,
                           transaction_id, message_place, begun_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, transaction_order(), $10, $11)
ON CONFLICT (book_id, payout_id) DO NOTHING

-- name: find_report
SELECT provider, provider_id, version, asset.code, asset.asset_id, amount, arrives_on, lines
FROM payout_report JOIN asset USING (book_id, asset_id) WHERE book_id = $1 AND payout_id = $2

-- name: find_recorded
SELECT payout_id, transaction_id FROM payout WHERE book_id = $1 AND provider = $2 AND provider_id = $3

-- name: insert_lines
INSERT INTO payout_line (book_id, payout_id, position, line_id, kind, amount, fee, occurred_at, provider_id, refund_id, dispute_id,
                         description, transaction_id, message_place)
SELECT $1, $2, given.*, (SELECT transaction_order()), $3
FROM unnest($4::integer[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::timestamptz[], $10::text[], $11::text[],
            $12::text[], $13::text[]) AS given

-- name: find_lines
SELECT position, line_id, kind, amount, fee, occurred_at, provider_id, refund_id, dispute_id, description
FROM payout_line WHERE book_id = $1 AND payout_id = $2 AND position BETWEEN $3 AND $4 ORDER BY position

-- name: count_lines
SELECT count(*) FROM payout_line WHERE book_id = $1 AND payout_id = $2

-- name: sum_lines
SELECT coalesce(sum(amount - fee), 0)::numeric, count(DISTINCT line_id), coalesce(sum(abs(amount) + abs(fee)), 0)::numeric
FROM payout_line WHERE book_id = $1 AND payout_id = $2

-- name: sum_fees
SELECT coalesce(sum(fee - CASE kind WHEN 'fee' THEN amount ELSE 0 END), 0)::numeric FROM payout_line
WHERE book_id = $1 AND payout_id = $2

-- A line that is told again after its payout failed moves nothing that the failure did not put back; told again though its
-- payout stands, all of it is open. Either way its fee was counted where it was told first.

-- name: find_repeats
SELECT line.position, line.amount, line.fee, line.kind, earlier.payout_id, earlier.position,
       (SELECT provider_id FROM payout WHERE payout.book_id = $1 AND payout.payout_id = earlier.payout_id),
       EXISTS (SELECT FROM payout_step AS failed
               WHERE failed.book_id = $1 AND failed.payout_id = earlier.payout_id AND failed.step = 'failed')
       AND NOT EXISTS (
           SELECT FROM payout_line AS told
           WHERE told.book_id = $1 AND told.line_id = line.line_id
             AND (SELECT true FROM payout_matched AS used
                  WHERE used.book_id = $1 AND used.payout_id = told.payout_id AND used.position = told.position
                    AND used.partner = 'line' AND used.partner_id = earlier.payout_id LIMIT 1))
FROM payout_line AS line
CROSS JOIN LATERAL (
    SELECT own.payout_id, own.position,
           (SELECT payout.transaction_id FROM payout
            WHERE payout.book_id = $1 AND payout.payout_id = own.payout_id AND payout.provider = $3) AS ordered
    FROM payout_line AS own
    WHERE own.book_id = $1 AND own.line_id = line.line_id AND own.payout_id <> $2
    ORDER BY 3 DESC NULLS LAST LIMIT 1
) AS earlier
WHERE line.book_id = $1 AND line.payout_id = $2 AND earlier.ordered IS NOT NULL
ORDER BY line.position

-- name: insert_payout
INSERT INTO payout (book_id, payout_id, provider, provider_id, fees, transaction_id, message_place, recorded_at)
VALUES ($1, $2, $3, $4, $5, transaction_order(), $6, $7)

-- name: insert_step
INSERT INTO payout_step (book_id, payout_id, step, statement_id, position, transaction_id, message_place, at)
VALUES ($1, $2, $3, $4, $5, transaction_order(), $6, $7)

-- name: find_steps
SELECT step FROM payout_stands WHERE book_id = $1 AND payout_id = $2

-- name: open_lines
INSERT INTO payout_open (book_id, ordered, position, payout_id, amount)
SELECT $1, (SELECT transaction_order()), position, $2, left_open
FROM (
    SELECT position, kind, position = ANY ($3::integer[]) AS told_before,
           amount - CASE WHEN position = ANY ($3::integer[]) THEN fee ELSE 0 END AS left_open
    FROM payout_line
    WHERE book_id = $1 AND payout_id = $2 AND position <> ALL ($4::integer[])
) AS line
WHERE left_open <> 0 AND (kind <> 'fee' OR told_before)

-- part: open_lines_shown
SELECT open.ordered, open.position, open.payout_id, open.amount, report.provider, report.provider_id, asset.code,
       line.line_id, line.kind, line.amount, line.fee, line.occurred_at, line.provider_id, line.refund_id, line.dispute_id,
       line.description
FROM payout_open AS open
JOIN payout_report AS report ON report.book_id = $1 AND report.payout_id = open.payout_id
JOIN asset ON asset.book_id = $1 AND asset.asset_id = report.asset_id
CROSS JOIN LATERAL (SELECT * FROM payout_line AS own
                    WHERE own.book_id = $1 AND own.payout_id = open.payout_id AND own.position = open.position
                    LIMIT 1) AS line

-- name: page_open
-- with: open_lines_shown
WHERE open.book_id = $1 AND (open.ordered, open.position) > ($2, $3)
ORDER BY open.ordered, open.position LIMIT $4

-- name: page_open_of_payout
-- with: open_lines_shown
WHERE open.book_id = $1 AND open.payout_id = $2 AND open.position > $3
ORDER BY open.position LIMIT $4

-- name: find_open
-- with: open_lines_shown
WHERE open.book_id = $1 AND open.payout_id = $2 AND open.position = ANY ($3::integer[])
ORDER BY open.position

-- name: find_ordered
SELECT transaction_id FROM payout WHERE book_id = $1 AND payout_id = $2

-- name: find_line
SELECT line_id FROM payout_line JOIN payout USING (book_id, payout_id)
WHERE book_id = $1 AND payout_id = $2 AND position = $3

-- name: find_told_before
SELECT line.position, (SELECT provider_id FROM payout WHERE payout.book_id = $1 AND payout.payout_id = earlier.payout_id)
FROM (SELECT provider, transaction_id FROM payout WHERE book_id = $1 AND payout_id = $2) AS recorded
CROSS JOIN unnest($3::integer[]) AS wanted (position)
CROSS JOIN LATERAL (SELECT * FROM payout_line AS own
                    WHERE own.book_id = $1 AND own.payout_id = $2 AND own.position = wanted.position LIMIT 1) AS line
CROSS JOIN LATERAL (
    SELECT own.payout_id,
           (SELECT payout.transaction_id FROM payout
            WHERE payout.book_id = $1 AND payout.payout_id = own.payout_id AND payout.provider = recorded.provider
              AND payout.transaction_id < recorded.transaction_id) AS ordered
    FROM payout_line AS own
    WHERE own.book_id = $1 AND own.line_id = line.line_id AND own.payout_id <> $2
    ORDER BY 2 DESC NULLS LAST LIMIT 1
) AS earlier
WHERE earlier.ordered IS NOT NULL

-- name: find_named
SELECT DISTINCT named.id
FROM unnest($3::text[]) AS wanted (name)
LEFT JOIN LATERAL (SELECT payment_id FROM payment_step AS own
                   WHERE own.book_id = $1 AND own.provider_id = wanted.name AND own.step = 'opened' LIMIT 1) AS opened ON true
CROSS JOIN LATERAL (
    SELECT opened.payment_id AS id
    UNION ALL (SELECT refund_id FROM refund
               WHERE refund.book_id = $1 AND refund.payment_id = opened.payment_id LIMIT 1000)
    UNION ALL (SELECT dispute_id FROM dispute
               WHERE dispute.book_id = $1 AND dispute.payment_id = opened.payment_id LIMIT 1000)
    UNION ALL (SELECT refund_id FROM refund_step
               WHERE refund_step.book_id = $1 AND refund_step.provider_id = wanted.name LIMIT 1000)
    UNION ALL (SELECT dispute_id FROM dispute
               WHERE dispute.book_id = $1 AND dispute.provider_id = wanted.name LIMIT 1000)
    UNION ALL (SELECT payout_id FROM payout
               WHERE payout.book_id = $1 AND payout.provider = $2 AND payout.provider_id = wanted.name LIMIT 1)
) AS named
WHERE named.id IS NOT NULL

-- name: find_partners
SELECT found.partner, found.partner_id, found.provider_id, found.own_id, found.amount, asset.code, found.at, found.moved, found.state,
       taken.payout_id, taken.position, found.ordered, found.provider
FROM payout_partners($1, $2::uuid[]) AS found
JOIN asset ON asset.book_id = $1 AND asset.asset_id = found.asset_id
LEFT JOIN LATERAL (SELECT * FROM payout_matched AS own
                   WHERE own.book_id = $1 AND own.partner_id = found.partner_id AND own.partner = found.partner
                   LIMIT 1) AS taken ON true

-- name: find_same_amounts
SELECT DISTINCT near.partner, near.partner_id
FROM unnest($3::bigint[], $4::timestamptz[]) AS wanted (amount, at)
CROSS JOIN LATERAL (
    (SELECT 'charge' AS partner, payment_id AS partner_id FROM payment
     WHERE payment.book_id = $1 AND payment.amount = wanted.amount AND payment.provider = $2
       AND payment.started_at BETWEEN wanted.at - $5::interval AND wanted.at + $5::interval
     LIMIT 20)
    UNION ALL
    (SELECT 'refund', refund_id FROM refund CROSS JOIN LATERAL (
         SELECT provider FROM payment WHERE book_id = $1 AND payment.payment_id = refund.payment_id OFFSET 0
     ) AS payment
     WHERE refund.book_id = $1 AND refund.amount = -wanted.amount AND payment.provider = $2
       AND refund.requested_at BETWEEN wanted.at - $5::interval AND wanted.at + $5::interval
     LIMIT 20)
    UNION ALL
    (SELECT 'dispute', dispute_id FROM dispute CROSS JOIN LATERAL (
         SELECT provider FROM payment WHERE book_id = $1 AND payment.payment_id = dispute.payment_id OFFSET 0
     ) AS payment
     WHERE dispute.book_id = $1 AND dispute.amount = -wanted.amount AND payment.provider = $2
       AND dispute.opened_at BETWEEN wanted.at - $5::interval AND wanted.at + $5::interval
     LIMIT 20)
    UNION ALL
    (SELECT 'payout', payout_id FROM payout_report AS report CROSS JOIN LATERAL (
         SELECT FROM payout_step WHERE book_id = $1 AND payout_step.payout_id = report.payout_id AND step = 'failed' OFFSET 0
     ) AS failed
     WHERE report.book_id = $1 AND report.provider = $2 AND report.amount = wanted.amount
     LIMIT 20)
) AS near

-- name: delete_open
DELETE FROM payout_open WHERE book_id = $1 AND payout_id = $2 AND position = ANY ($3::integer[])

-- name: insert_open
INSERT INTO payout_open (book_id, ordered, position, payout_id, amount) VALUES ($1, $2, $3, $4, $5)

-- name: insert_matches
INSERT INTO payout_match (book_id, payout_id, position, nth, partner, partner_id, account_id, amount, by_hand, why, transfers,
                          transaction_id, message_place, matched_at)
SELECT $1, $2, given.position,
       1 + (SELECT count(*) FROM payout_match AS before
            WHERE before.book_id = $1 AND before.payout_id = $2 AND before.position = given.position),
       given.partner, given.partner_id, $5, given.amount, $6, given.why, $7, (SELECT transaction_order()), $3, $4
FROM unnest($8::integer[], $9::text[], $10::uuid[], $11::bigint[], $12::text[])
     AS given (position, partner, partner_id, amount, why)

-- name: find_match
SELECT nth::integer, partner, amount, by_hand, why, transfers, account_id FROM payout_matched
WHERE book_id = $1 AND payout_id = $2 AND position = $3

-- What waits though another payout had the same line before: of each line of a payout that has failed by now the next time it was
-- told, else this one. A failure puts the money of a line back once, so that it is one other's at the most.

-- name: find_waiting_again
SELECT DISTINCT ON (own.position) open.payout_id, open.position, open.amount, own.position
FROM payout AS failed
JOIN payout_line AS own ON own.book_id = $1 AND own.payout_id = failed.payout_id
JOIN payout_line AS line ON line.book_id = $1 AND line.line_id = own.line_id
JOIN payout_open AS open ON open.book_id = $1 AND open.payout_id = line.payout_id AND open.position = line.position
JOIN payout ON payout.book_id = $1 AND payout.payout_id = line.payout_id AND payout.provider = failed.provider
WHERE failed.book_id = $1 AND failed.payout_id = $2
  AND (payout.transaction_id > failed.transaction_id
       OR payout.payout_id = failed.payout_id
          AND EXISTS (SELECT FROM payout_line AS before JOIN payout AS earlier USING (book_id, payout_id)
                      WHERE book_id = $1 AND before.line_id = own.line_id AND earlier.provider = failed.provider
                        AND earlier.transaction_id < failed.transaction_id))
ORDER BY own.position, payout.payout_id = failed.payout_id, payout.transaction_id

-- name: count_matches
SELECT count(*) FROM payout_match WHERE book_id = $1 AND payout_id = $2 AND position = $3

-- name: insert_undo
INSERT INTO payout_match_undo (book_id, payout_id, position, nth, reason, transfers, transaction_id, message_place, undone_at)
VALUES ($1, $2, $3, $4, $5, $6, transaction_order(), $7, $8)

-- name: find_moved
SELECT debit_account_id, credit_account_id, amount FROM transfer
WHERE book_id = $1 AND transfer_id = ANY ($2::uuid[]) ORDER BY array_position($2::uuid[], transfer_id)

-- name: find_usable_account
SELECT account_id FROM account_now
WHERE book_id = $1 AND code = $2 AND asset = $3 AND closed_at IS NULL AND min_balance IS NULL AND max_balance IS NULL

-- name: find_customer
SELECT customer_id FROM customer WHERE book_id = $1 AND ref = $2

-- name: find_account_ids
SELECT account_id FROM account WHERE book_id = $1 AND code = $2

-- name: find_unallocated
SELECT account_id FROM account
WHERE book_id = $1 AND account_id = ANY ($2::bigint[]) AND code LIKE 'customers/%/unallocated/%'
ORDER BY account_id

-- name: page_payouts
SELECT payout.payout_id, payout.provider, payout.provider_id, asset.code, report.amount, steps.names, report.arrives_on,
       payout.fees, report.lines, open.count, open.amount, payout.recorded_at, payout.transaction_id,
       report.version
FROM payout
JOIN payout_report AS report ON report.book_id = $1 AND report.payout_id = payout.payout_id
JOIN asset ON asset.book_id = $1 AND asset.asset_id = report.asset_id
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(step), '{}') AS names FROM payout_stands
    WHERE payout_stands.book_id = $1 AND payout_stands.payout_id = payout.payout_id
) AS steps
CROSS JOIN LATERAL (
    SELECT count(*) AS count, coalesce(sum(amount), 0)::bigint AS amount FROM payout_open
    WHERE payout_open.book_id = $1 AND payout_open.ordered = payout.transaction_id
) AS open
WHERE payout.book_id = $1 AND payout.transaction_id < $2 AND ($3::text IS NULL OR payout.provider = $3)
  AND ($4::uuid IS NULL OR payout.payout_id = $4) AND (NOT $5::boolean OR open.count > 0)
ORDER BY payout.transaction_id DESC LIMIT $6

-- name: page_lines
SELECT line.position, line.payout_id, open.amount, report.provider, report.provider_id, asset.code,
       line.line_id, line.kind, line.amount, line.fee, line.occurred_at, line.provider_id, line.refund_id, line.dispute_id,
       line.description, found.partner, coalesce(found.partner_id::text, account.code), found.why, found.by_hand
FROM payout_line AS line
JOIN payout_report AS report ON report.book_id = $1 AND report.payout_id = line.payout_id
JOIN asset ON asset.book_id = $1 AND asset.asset_id = report.asset_id
LEFT JOIN LATERAL (SELECT * FROM payout_open AS own
                   WHERE own.book_id = $1 AND own.payout_id = line.payout_id AND own.position = line.position
                   LIMIT 1) AS open ON true
LEFT JOIN LATERAL (SELECT * FROM payout_matched AS own
                   WHERE own.book_id = $1 AND own.payout_id = line.payout_id AND own.position = line.position
                   LIMIT 1) AS found ON true
LEFT JOIN account ON account.book_id = $1 AND account.account_id = found.account_id
WHERE line.book_id = $1 AND line.payout_id = $2 AND line.position > $3
ORDER BY line.position LIMIT $4

-- name: page_unreported
SELECT moved.partner, moved.partner_id, moved.at
FROM (
    SELECT 'charge' AS partner, payment_id AS partner_id, at FROM payment_step
    WHERE book_id = $1 AND step = 'settled' AND at >= $2 AND at < $3
    UNION ALL
    SELECT 'refund', refund_id, at FROM refund_step
    WHERE book_id = $1 AND step = 'succeeded' AND at >= $2 AND at < $3
    UNION ALL
    SELECT 'refund_failed', refund_id, at FROM refund_step AS failed
    WHERE book_id = $1 AND step = 'failed' AND at >= $2 AND at < $3
      AND EXISTS (SELECT FROM refund_step AS done WHERE done.book_id = $1 AND done.refund_id = failed.refund_id
                  AND done.step = 'succeeded')
    UNION ALL
    SELECT 'dispute', dispute_id, opened_at FROM dispute WHERE book_id = $1 AND opened_at >= $2 AND opened_at < $3
    UNION ALL
    SELECT 'dispute_reversed', dispute_id, at FROM dispute_end
    WHERE book_id = $1 AND outcome = 'won' AND at >= $2 AND at < $3
) AS moved
LEFT JOIN LATERAL (SELECT true AS there FROM payout_matched AS own
                   WHERE own.book_id = $1 AND own.partner_id = moved.partner_id AND own.partner = moved.partner
                   LIMIT 1) AS taken ON true
WHERE taken.there IS NULL AND (moved.at, moved.partner_id, moved.partner) > ($4, $5, $6)
  AND ($7::text IS NULL OR $7 = (SELECT payment.provider FROM payment
       WHERE payment.book_id = $1 AND payment.payment_id = coalesce(
           (SELECT refund.payment_id FROM refund WHERE refund.book_id = $1 AND refund.refund_id = moved.partner_id),
           (SELECT dispute.payment_id FROM dispute WHERE dispute.book_id = $1 AND dispute.dispute_id = moved.partner_id),
           moved.partner_id)))
ORDER BY moved.at, moved.partner_id, moved.partner LIMIT $8

-- name: list_purses
SELECT DISTINCT ON (split_part(account.code, '/', 2), asset.code)
       split_part(account.code, '/', 2), asset.code
FROM account JOIN asset USING (book_id, asset_id)
WHERE book_id = $1 AND account.code COLLATE "C" >= 'providers/' AND account.code COLLATE "C" < 'providers0'
  AND account.code = 'providers/' || split_part(account.code, '/', 2) || '/' || asset.code
  AND ($2::text IS NULL OR split_part(account.code, '/', 2) = $2)

-- name: sum_open
SELECT report.provider, asset.code, sum(open.amount)::numeric
FROM payout_open AS open
JOIN payout_report AS report ON report.book_id = $1 AND report.payout_id = open.payout_id
JOIN asset ON asset.book_id = $1 AND asset.asset_id = report.asset_id
WHERE open.book_id = $1 GROUP BY report.provider, asset.code

-- name: find_balances
SELECT account.code, (sums.credits - sums.debits)::numeric
FROM account CROSS JOIN LATERAL account_sums(account.book_id, account.account_id) AS sums
WHERE account.book_id = $1 AND account.code = ANY ($2::text[])

-- name: find_before
SELECT provider_id FROM payout WHERE book_id = $1 AND provider = $2 AND recorded_at < $3 ORDER BY recorded_at DESC LIMIT 1

-- name: find_known
SELECT payout.provider_id, payout.payout_id,
       coalesce((SELECT min(step) FROM payout_step AS step
                 WHERE step.book_id = $1 AND step.payout_id = payout.payout_id AND step.step IN ('failed', 'paid')), 'pending')
FROM payout WHERE book_id = $1 AND provider = $2 AND provider_id = ANY ($3::text[])

-- name: first_opened_at
SELECT min(opened_at) FROM account
WHERE book_id = $1 AND code COLLATE "C" >= 'providers/' || $2::text || '/' AND code COLLATE "C" < 'providers/' || $2::text || '0'

-- name: find_entry
SELECT asset.code, entry.amount,
       EXISTS (SELECT FROM bank_matched AS matched
               WHERE matched.book_id = $1 AND matched.statement_id = $2 AND matched.position = $3), entry.transaction_id
FROM bank_entry AS entry
JOIN bank_statement AS statement ON statement.book_id = $1 AND statement.statement_id = entry.statement_id
JOIN asset ON asset.book_id = $1 AND asset.asset_id = statement.asset_id
WHERE entry.book_id = $1 AND entry.statement_id = $2 AND entry.position = $3

-- name: insert_bank_match
INSERT INTO bank_match (book_id, statement_id, position, kind, repayment_id, score, why, transaction_id, message_place, matched_at)
VALUES ($1, $2, $3, 'payout', NULL, 100, $4, transaction_order(), $5, $6)

-- name: find_arrival
SELECT statement_id, position, transaction_id FROM payout_stands WHERE book_id = $1 AND payout_id = $2 AND step = $3

-- name: count_arrivals
SELECT count(*) FROM payout_step WHERE book_id = $1 AND payout_id = $2 AND step = $3

-- name: insert_arrival_undo
INSERT INTO payout_arrival_undo (book_id, statement_id, position, of_transaction, payout_id, step, reason, transaction_id,
                                 message_place, undone_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, transaction_order(), $8, $9)
