-- Who enters to repay or to pay waits for others and holds nothing of what they held. A lock of the session would outlive a
-- statement that is cancelled before it gives the lock back, and the connection goes on to others: all would wait for it.

CREATE FUNCTION wait_for_holders(of_lock integer, of_book integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(of_lock, of_book);
    RAISE EXCEPTION USING ERRCODE = 'TS001';
EXCEPTION WHEN SQLSTATE 'TS001' THEN
    NULL;  -- rolled back to here, the lock is given back
END $$;

CREATE OR REPLACE FUNCTION enter_to_repay(of_book integer) RETURNS TABLE (place bigint, horizon bigint) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(6, of_book);
    place := tallystick.transaction_order();
    PERFORM tallystick.wait_for_holders(4, of_book);
    horizon := tallystick.settled_horizon();
    RETURN NEXT;
END $$;

CREATE OR REPLACE FUNCTION enter_to_pay(of_book integer) RETURNS TABLE (place bigint, horizon bigint) LANGUAGE plpgsql AS $$
BEGIN
    place := tallystick.transaction_order();
    PERFORM tallystick.wait_for_holders(6, of_book);
    PERFORM tallystick.wait_for_holders(4, of_book);
    horizon := tallystick.settled_horizon();
    RETURN NEXT;
END $$;
