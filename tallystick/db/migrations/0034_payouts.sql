-- Payouts: what providers report line by line, what each line was of ours, and what was not found yet.

CREATE TABLE payout_report (
    book_id        integer NOT NULL REFERENCES book,
    payout_id      uuid NOT NULL,
    provider       text NOT NULL CHECK (length(provider) BETWEEN 1 AND 64),
    provider_id    text NOT NULL CHECK (length(provider_id) BETWEEN 1 AND 255),
    version        text NOT NULL CHECK (length(version) BETWEEN 1 AND 64),
    asset_id       integer NOT NULL,
    amount         bigint NOT NULL,
    arrives_on     date NOT NULL,
    lines          integer NOT NULL CHECK (lines BETWEEN 0 AND 1000000),
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    begun_at       timestamptz NOT NULL,
    PRIMARY KEY (book_id, payout_id),
    FOREIGN KEY (book_id, asset_id) REFERENCES asset
);
SELECT make_append_only('payout_report');
COMMENT ON TABLE payout_report IS 'a version of a report that is kept part by part; it counts once it is whole, as a payout';
COMMENT ON COLUMN payout_report.payout_id IS 'derived from the provider, its id of the payout, and the version';
COMMENT ON COLUMN payout_report.amount IS 'below zero when the provider collects from us';

CREATE TABLE payout_line (
    book_id        integer NOT NULL,
    payout_id      uuid NOT NULL,
    position       integer NOT NULL CHECK (position > 0),
    line_id        text NOT NULL CHECK (length(line_id) BETWEEN 1 AND 255),
    kind           text NOT NULL CHECK (kind IN ('charge', 'refund', 'refund_failed', 'dispute', 'dispute_reversed', 'fee',
                                                 'adjustment')),
    amount         bigint NOT NULL,
    fee            bigint NOT NULL,
    occurred_at    timestamptz NOT NULL,
    provider_id    text,
    refund_id      text,
    dispute_id     text,
    description    text NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    PRIMARY KEY (book_id, payout_id, position),
    FOREIGN KEY (book_id, payout_id) REFERENCES payout_report
);
SELECT make_append_only('payout_line');
CREATE INDEX payout_line_named ON payout_line (book_id, line_id);
COMMENT ON COLUMN payout_line.amount IS 'before the fee; above zero what the provider owes us for it';
COMMENT ON COLUMN payout_line.provider_id IS 'the provider''s id of the transaction that it belongs to';

CREATE TABLE payout (
    book_id        integer NOT NULL,
    payout_id      uuid NOT NULL,
    provider       text NOT NULL,
    provider_id    text NOT NULL,
    fees           bigint NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    recorded_at    timestamptz NOT NULL,
    PRIMARY KEY (book_id, payout_id),
    CONSTRAINT payout_once UNIQUE (book_id, provider, provider_id),
    FOREIGN KEY (book_id, payout_id) REFERENCES payout_report
);
SELECT make_append_only('payout');
CREATE INDEX payout_in_order ON payout (book_id, transaction_id);
CREATE INDEX payout_of_provider ON payout (book_id, provider, recorded_at);
COMMENT ON TABLE payout IS 'a payout whose report is whole and adds up';
COMMENT ON COLUMN payout.fees IS 'what the provider kept by this report, lines that repeat others left out';

CREATE TABLE payout_step (
    book_id        integer NOT NULL,
    payout_id      uuid NOT NULL,
    step           text NOT NULL CHECK (step IN ('paid', 'failed', 'arrived', 'returned')),
    statement_id   uuid,
    position       integer,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    at             timestamptz NOT NULL,
    PRIMARY KEY (book_id, payout_id, step),
    FOREIGN KEY (book_id, payout_id) REFERENCES payout,
    FOREIGN KEY (book_id, statement_id, position) REFERENCES bank_entry,
    CHECK ((step IN ('arrived', 'returned')) = (statement_id IS NOT NULL AND position IS NOT NULL))
);
SELECT make_append_only('payout_step');
COMMENT ON COLUMN payout_step.step IS 'paid and failed by the provider''s word; arrived and returned by a bank statement''s';

CREATE TABLE payout_match (
    book_id        integer NOT NULL,
    payout_id      uuid NOT NULL,
    position       integer NOT NULL,
    nth            smallint NOT NULL CHECK (nth > 0),
    partner        text NOT NULL CHECK (partner IN ('charge', 'refund', 'refund_failed', 'dispute', 'dispute_reversed', 'line',
                                                    'payout', 'account')),
    partner_id     uuid,
    account_id     bigint,
    amount         bigint NOT NULL,
    by_hand        boolean NOT NULL,
    why            text NOT NULL,
    transfers      uuid[] NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    matched_at     timestamptz NOT NULL,
    PRIMARY KEY (book_id, payout_id, position, nth),
    FOREIGN KEY (book_id, payout_id, position) REFERENCES payout_line,
    FOREIGN KEY (book_id, account_id) REFERENCES account,
    CHECK ((partner = 'account') = (account_id IS NOT NULL)),
    CHECK ((partner = 'account') = (partner_id IS NULL))
);
SELECT make_append_only('payout_match');
CREATE INDEX payout_match_of_partner ON payout_match (book_id, partner_id, partner);
COMMENT ON COLUMN payout_match.nth IS 'more than 1 where what was said by hand before was taken back';
COMMENT ON COLUMN payout_match.amount IS 'what the line left open in the account of the provider';
COMMENT ON COLUMN payout_match.transfers IS 'what moved for it; nothing where the line is what the ledger has already';

CREATE TABLE payout_match_undo (
    book_id        integer NOT NULL,
    payout_id      uuid NOT NULL,
    position       integer NOT NULL,
    nth            smallint NOT NULL,
    reason         text NOT NULL CHECK (length(reason) BETWEEN 1 AND 255),
    transfers      uuid[] NOT NULL,
    transaction_id bigint NOT NULL,
    message_place  integer NOT NULL,
    undone_at      timestamptz NOT NULL,
    PRIMARY KEY (book_id, payout_id, position, nth),
    FOREIGN KEY (book_id, payout_id, position, nth) REFERENCES payout_match
);
SELECT make_append_only('payout_match_undo');

-- A match that was not taken back.
CREATE VIEW payout_matched AS
SELECT made.* FROM payout_match AS made
WHERE NOT EXISTS (SELECT FROM payout_match_undo AS undone
                  WHERE (undone.book_id, undone.payout_id, undone.position, undone.nth)
                      = (made.book_id, made.payout_id, made.position, made.nth));
GRANT SELECT ON payout_matched TO tallystick_app;

CREATE TABLE payout_open (
    book_id   integer NOT NULL,
    ordered   bigint NOT NULL,
    position  integer NOT NULL,
    payout_id uuid NOT NULL,
    amount    bigint NOT NULL,
    PRIMARY KEY (book_id, ordered, position),
    CONSTRAINT payout_open_once UNIQUE (book_id, payout_id, position),
    FOREIGN KEY (book_id, payout_id, position) REFERENCES payout_line
);
SELECT make_working_table('payout_open');
COMMENT ON TABLE payout_open IS 'lines that are nothing of ours yet, so that they are found without looking at the others';
COMMENT ON COLUMN payout_open.ordered IS 'the transaction that recorded the payout';
COMMENT ON COLUMN payout_open.amount IS 'what it leaves open in the account of the provider';

-- What has these ids of ours and can be a line of a report: everything that moves, or may move, the account of a provider.
-- Row by row, each looked up by its key, so that the plan is right for one and for thousands; where the step stands as
-- `step || ''`, the index of opened payments by their provider's ids must not be taken for one by their own.
CREATE FUNCTION payout_partners(of_book integer, ids uuid[])
RETURNS TABLE (partner text, partner_id uuid, provider text, provider_id text, own_id text, amount bigint, asset_id integer,
               at timestamptz, state text, moved boolean, ordered bigint) LANGUAGE sql STABLE AS $$
    WITH paid AS (
        SELECT wanted.id, payment.payment_id, payment.provider, payment.amount, payment.asset_id, opened.provider_id,
               opened.at, opened.transaction_id
        FROM (SELECT DISTINCT unnest(ids) AS id) AS wanted
        CROSS JOIN LATERAL (
            SELECT wanted.id AS payment_id
            UNION ALL SELECT refund.payment_id FROM tallystick.refund
                      WHERE refund.book_id = of_book AND refund.refund_id = wanted.id
            UNION ALL SELECT dispute.payment_id FROM tallystick.dispute
                      WHERE dispute.book_id = of_book AND dispute.dispute_id = wanted.id
        ) AS named
        CROSS JOIN LATERAL (SELECT * FROM tallystick.payment AS own
                            WHERE own.book_id = of_book AND own.payment_id = named.payment_id LIMIT 1) AS payment
        CROSS JOIN LATERAL (SELECT * FROM tallystick.payment_step AS own
                            WHERE own.book_id = of_book AND own.payment_id = named.payment_id
                              AND own.step || '' = 'opened'
                            LIMIT 1) AS opened
    )
    SELECT 'charge', paid.payment_id, paid.provider, paid.provider_id, NULL::text, paid.amount, paid.asset_id,
           coalesce(ended.at, paid.at), coalesce(ended.step, 'opened'), coalesce(ended.step = 'settled', false),
           coalesce(ended.transaction_id, paid.transaction_id)
    FROM paid
    LEFT JOIN LATERAL (SELECT * FROM tallystick.payment_step AS own
                       WHERE own.book_id = of_book AND own.payment_id = paid.payment_id
                         AND own.step IN ('settled', 'failed') LIMIT 1) AS ended ON true
    WHERE paid.id = paid.payment_id
    UNION ALL
    SELECT side.partner, refund.refund_id, paid.provider, paid.provider_id, step.provider_id,
           CASE side.partner WHEN 'refund' THEN -refund.amount ELSE refund.amount END, paid.asset_id, step.at, step.step,
           step.step = 'failed' OR (side.partner = 'refund' AND step.step = 'succeeded'), step.transaction_id
    FROM paid
    CROSS JOIN LATERAL (SELECT * FROM tallystick.refund AS own
                        WHERE own.book_id = of_book AND own.refund_id = paid.id LIMIT 1) AS refund
    CROSS JOIN LATERAL (
        SELECT last.step, last.at, last.transaction_id,
               coalesce(last.provider_id, (SELECT any_value(named.provider_id) FROM tallystick.refund_step AS named
                                           WHERE named.book_id = of_book AND named.refund_id = paid.id)) AS provider_id
        FROM tallystick.refund_step AS last
        WHERE last.book_id = of_book AND last.refund_id = paid.id
        ORDER BY last.step = 'pending', last.step = 'succeeded' LIMIT 1
    ) AS step
    CROSS JOIN (VALUES ('refund'), ('refund_failed')) AS side (partner)
    UNION ALL
    SELECT side.partner, dispute.dispute_id, paid.provider, paid.provider_id, dispute.provider_id,
           CASE side.partner WHEN 'dispute' THEN -dispute.amount ELSE dispute.amount END, paid.asset_id,
           CASE side.partner WHEN 'dispute' THEN dispute.opened_at ELSE coalesce(ended.at, dispute.opened_at) END,
           coalesce(ended.outcome, 'open'), side.partner = 'dispute' OR coalesce(ended.outcome = 'won', false),
           CASE side.partner WHEN 'dispute' THEN dispute.transaction_id
                ELSE coalesce(ended.transaction_id, dispute.transaction_id) END
    FROM paid
    CROSS JOIN LATERAL (SELECT * FROM tallystick.dispute AS own
                        WHERE own.book_id = of_book AND own.dispute_id = paid.id LIMIT 1) AS dispute
    LEFT JOIN LATERAL (SELECT * FROM tallystick.dispute_end AS own
                       WHERE own.book_id = of_book AND own.dispute_id = paid.id LIMIT 1) AS ended ON true
    CROSS JOIN (VALUES ('dispute'), ('dispute_reversed')) AS side (partner)
    UNION ALL
    SELECT 'payout', failed.payout_id, payout.provider, payout.provider_id, payout.provider_id, report.amount, report.asset_id,
           failed.at, 'failed', true, failed.transaction_id
    FROM (SELECT DISTINCT unnest(ids) AS id) AS wanted
    CROSS JOIN LATERAL (SELECT * FROM tallystick.payout_step AS own
                        WHERE own.book_id = of_book AND own.payout_id = wanted.id AND own.step = 'failed'
                        LIMIT 1) AS failed
    CROSS JOIN LATERAL (SELECT * FROM tallystick.payout AS own
                        WHERE own.book_id = of_book AND own.payout_id = wanted.id LIMIT 1) AS payout
    CROSS JOIN LATERAL (SELECT * FROM tallystick.payout_report AS own
                        WHERE own.book_id = of_book AND own.payout_id = wanted.id LIMIT 1) AS report
$$;
COMMENT ON FUNCTION payout_partners IS
    'amount: with the sign that the line of a report has; moved: the ledger has it, or it comes to nothing with another';

-- What may be meant by a line that names nothing of ours, and what of ours no report has named.
CREATE INDEX payment_of_amount ON payment (book_id, amount, started_at);
CREATE INDEX payment_settled ON payment_step (book_id, at) WHERE step = 'settled';

ALTER TABLE bank_match DROP CONSTRAINT bank_match_kind_check;
ALTER TABLE bank_match ADD CONSTRAINT bank_match_kind_check
    CHECK (kind IN ('invoice', 'charge', 'file', 'return', 'payout'));
