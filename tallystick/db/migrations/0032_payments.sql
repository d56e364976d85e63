-- Payments: many in one transaction, judged by all that is ordered before; what keeps one from going on is kept.

-- Whoever starts or settles a payment decides by what is owed. So it takes its place in the order, and then waits until
-- those who took an earlier one to repay, to decide on invoices (6) or to issue them (4) have ended: what they did is
-- there to be seen, and whoever comes after has a later place. To be called behind the lock on the customer's payments.
CREATE FUNCTION enter_to_pay(of_book integer) RETURNS TABLE (place bigint, horizon bigint) LANGUAGE plpgsql AS $$
BEGIN
    place := tallystick.transaction_order();
    PERFORM pg_advisory_lock(6, of_book);
    PERFORM pg_advisory_unlock(6, of_book);
    PERFORM pg_advisory_lock(4, of_book);
    PERFORM pg_advisory_unlock(4, of_book);
    horizon := tallystick.settled_horizon();
    RETURN NEXT;
END $$;

CREATE TABLE payment_trouble (
    book_id    integer NOT NULL,
    payment_id uuid NOT NULL,
    code       text NOT NULL,
    message    text NOT NULL,
    tries      integer NOT NULL CHECK (tries > 0),
    began_at   timestamptz NOT NULL,
    last_at    timestamptz NOT NULL,
    PRIMARY KEY (book_id, payment_id),
    FOREIGN KEY (book_id, payment_id) REFERENCES payment
);
SELECT make_working_table('payment_trouble');
COMMENT ON TABLE payment_trouble IS 'payments that did not go on at the last try, and why; the row goes when one does';
