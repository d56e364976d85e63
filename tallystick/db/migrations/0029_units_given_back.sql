-- Units of credit that paid for usage which was taken back later return to the grants that they came from.

ALTER TABLE credit_use DROP CONSTRAINT credit_use_amount_check;
ALTER TABLE credit_use DROP CONSTRAINT credit_use_quantity_check;
ALTER TABLE credit_use ADD CONSTRAINT credit_use_amount_check CHECK (amount > 0 OR (amount < 0 AND position IS NOT NULL));
ALTER TABLE credit_use ADD CONSTRAINT credit_use_quantity_check CHECK (quantity <> 0 AND (quantity < 0) = (amount < 0));
COMMENT ON COLUMN credit_use.amount IS 'below zero: what an adjusting line gives back to the grant';
CREATE INDEX credit_use_given_back ON credit_use (book_id, grant_id) WHERE amount < 0;

-- A grant that was used up has something again when units are given back to it, and ends a second time for good.
ALTER TABLE credit_end DROP CONSTRAINT credit_end_pkey;
ALTER TABLE credit_end ADD COLUMN for_good boolean NOT NULL GENERATED ALWAYS AS (kind <> 'used') STORED;
ALTER TABLE credit_end ADD PRIMARY KEY (book_id, grant_id, for_good);
COMMENT ON COLUMN credit_end.for_good IS 'expired or voided; one that was used up ends so as long as nothing is given back to it';

-- Whether a grant had ended below a place in the order: for good, or used up with nothing given back to it since.
CREATE FUNCTION credit_has_ended(book integer, credit uuid, below bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM tallystick.credit_end
        WHERE book_id = book AND grant_id = credit AND transaction_id < below
          AND (for_good OR NOT EXISTS (
              SELECT FROM tallystick.credit_use AS given_back
              WHERE given_back.book_id = book AND given_back.grant_id = credit AND given_back.amount < 0)))
$$;
