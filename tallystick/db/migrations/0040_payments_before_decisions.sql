-- Whoever decides on invoices (what is overdue, void, written off, given back) waits until those have ended who took an
-- earlier place to pay, and whoever pays takes a place behind the decision that is under way. Pay holds lock 9 shared;
-- `enter_to_decide` takes it alone before lock 6, for which pay waits behind its place: so neither waits for the other.
CREATE OR REPLACE FUNCTION enter_to_pay(of_book integer) RETURNS TABLE (place bigint, horizon bigint) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(9, of_book);
    place := tallystick.transaction_order();
    PERFORM tallystick.wait_for_holders(6, of_book);
    PERFORM tallystick.wait_for_holders(4, of_book);
    horizon := tallystick.settled_horizon();
    RETURN NEXT;
END $$;

CREATE FUNCTION enter_to_decide(of_book integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(9, of_book);
    PERFORM pg_advisory_xact_lock(6, of_book);
END $$;
