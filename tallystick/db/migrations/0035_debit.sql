-- Debits of everybody: what rows name is looked up once for each statement, and what is looked for has an index.

-- A foreign key looks up row by row and locks what it finds, which writes to it: half of what it costs to write a charge.
-- This makes a trigger for each statement of what *names* says, column by column: 'column table column-there'. Each row is
-- looked up by index, whose plan is right for one row and for thousands. Nothing that is named is ever deleted.
CREATE FUNCTION refer_by_statement(referring text, VARIADIC names text[]) RETURNS void LANGUAGE plpgsql AS $make$
DECLARE
    name_ text;
    part  text[];
    body  text := '';
BEGIN
    FOREACH name_ IN ARRAY names LOOP
        part := string_to_array(name_, ' ');
        EXECUTE format('ALTER TABLE tallystick.%I DROP CONSTRAINT IF EXISTS %I', referring,
                       format('%s_book_id_%s_fkey', referring, part[1]));
        body := body || format($body$
            IF EXISTS (
                SELECT FROM written
                WHERE written.%1$I IS NOT NULL
                  AND (SELECT true FROM tallystick.%2$I AS there
                       WHERE there.book_id = written.book_id AND there.%3$I = written.%1$I) IS NULL
            ) THEN
                RAISE EXCEPTION 'a row names a %2$s that is not in its book'
                    USING ERRCODE = 'foreign_key_violation', CONSTRAINT = %4$L;
            END IF;
        $body$, part[1], part[2], part[3], format('%s_book_id_%s_fkey', referring, part[1]));
    END LOOP;
    EXECUTE format('CREATE FUNCTION tallystick.%I() RETURNS trigger LANGUAGE plpgsql AS %L', referring || '_refers',
                   'BEGIN' || body || 'RETURN NULL; END');
    EXECUTE format('CREATE TRIGGER refers AFTER INSERT ON tallystick.%I REFERENCING NEW TABLE AS written '
                   'FOR EACH STATEMENT EXECUTE FUNCTION tallystick.%I()', referring, referring || '_refers');
END $make$;

SELECT refer_by_statement('charge', 'customer_id customer customer_id', 'asset_id asset asset_id', 'retry_of charge charge_id');
SELECT refer_by_statement('charge_invoice', 'charge_id charge charge_id', 'invoice_id invoice invoice_id');
SELECT refer_by_statement('charge_outcome', 'charge_id charge charge_id', 'repayment_id repayment repayment_id');
SELECT refer_by_statement('charge_sent', 'charge_id charge charge_id', 'file_id bank_file file_id');
SELECT refer_by_statement('repayment', 'customer_id customer customer_id', 'asset_id asset asset_id',
                          'from_account_id account account_id');
SELECT refer_by_statement('repayment_allocation', 'repayment_id repayment repayment_id', 'invoice_id invoice invoice_id');
SELECT refer_by_statement('invoice_state', 'invoice_id invoice invoice_id');
SELECT refer_by_statement('invoice_issue', 'invoice_id invoice invoice_id', 'account_id account account_id');
SELECT refer_by_statement('invoice_request', 'invoice_id invoice invoice_id');
SELECT refer_by_statement('invoice', 'customer_id customer customer_id', 'asset_id asset asset_id',
                          'month_product billing_zone product');
SELECT refer_by_statement('account', 'asset_id asset asset_id');

-- Which invoices come to an amount, for money of which no more is known.
CREATE INDEX invoice_of_total ON invoice (book_id, asset_id, total);

-- The few calendars that customers are debited by, without going through all customers.
CREATE INDEX debit_agreement_of_calendar ON debit_agreement (book_id, country, rule, transaction_id) WHERE country IS NOT NULL;

-- By customer what is open: nobody goes through all that a customer ever owed.
ALTER TABLE invoice_due ADD customer_id bigint;
UPDATE invoice_due SET customer_id = invoice.customer_id FROM invoice
WHERE (invoice.book_id, invoice.invoice_id) = (invoice_due.book_id, invoice_due.invoice_id);
ALTER TABLE invoice_due ALTER customer_id SET NOT NULL;
CREATE INDEX invoice_due_of_customer ON invoice_due (book_id, customer_id);

-- The same ids as before, by an expression that the planner takes into the statement: it costs a fifth of telling.
CREATE OR REPLACE FUNCTION event_id_of(book_id integer, transaction_id bigint, message_place integer, place integer,
                                       told_at timestamptz)
RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM told_at) * 1000)::bigint), 12, '0') || '7' ||
            overlay(substr(encode(sha256(convert_to(
                concat_ws('/', book_id, transaction_id, message_place, place, extract(epoch FROM told_at)), 'UTF8')), 'hex'),
                1, 18) PLACING 'a' FROM 4 FOR 0))::uuid
$$;

-- What was noted from some place in the order on, without going to the rows, or through those of all times.
DROP INDEX invoice_state_of_message;
CREATE INDEX invoice_state_of_message ON invoice_state (book_id, transaction_id, message_place) INCLUDE (invoice_id);

-- As before, but accounts are gone through as a whole only where they are hardly more than the rows: else each row is looked
-- up, so that posting a batch costs the same however many accounts there are.
CREATE OR REPLACE FUNCTION transfer_accounts_exist() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    many CONSTANT bigint := (SELECT count(*) FROM posted);
    missing boolean;
BEGIN
    IF many <= 256 OR many * 200 < pg_relation_size('tallystick.account') THEN
        missing := EXISTS (
            SELECT FROM posted
            WHERE (SELECT asset_id FROM tallystick.account
                   WHERE book_id = posted.book_id AND account_id = posted.debit_account_id) IS DISTINCT FROM posted.asset_id
               OR (SELECT asset_id FROM tallystick.account
                   WHERE book_id = posted.book_id AND account_id = posted.credit_account_id) IS DISTINCT FROM posted.asset_id
        );
    ELSE
        EXECUTE 'SELECT EXISTS (
            SELECT FROM posted
            LEFT JOIN tallystick.account AS debit
                ON (debit.book_id, debit.account_id, debit.asset_id)
                 = (posted.book_id, posted.debit_account_id, posted.asset_id)
            LEFT JOIN tallystick.account AS credit
                ON (credit.book_id, credit.account_id, credit.asset_id)
                 = (posted.book_id, posted.credit_account_id, posted.asset_id)
            WHERE debit.account_id IS NULL OR credit.account_id IS NULL)' INTO missing;
    END IF;
    IF missing THEN
        RAISE EXCEPTION 'a transfer names an account that is not in its book and asset'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'transfer_accounts_exist';
    END IF;
    RETURN NULL;
END $$;
