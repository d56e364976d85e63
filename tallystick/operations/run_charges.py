"""Make the charges of a day for everybody, chunk by chunk: restartable, since each charge is made once."""

import datetime as dt
from collections.abc import Callable

from tallystick.ids import uuid7
from tallystick.operations.keep_run import begin_kept
from tallystick.operations.run import Operations
from tallystick.repayments.model import ChargesMade
from tallystick.security.model import Principal


async def run_charges(
    operations: Operations, principal: Principal, book: str, on: dt.date, progress: Callable[[ChargesMade], None]
) -> ChargesMade:
    """
    Make all charges of a day and return what was made of how many; *progress* is told what there is so far.

    Killed anywhere and run again, it makes those that are missing.
    """
    kept = await begin_kept(operations, book, "charges", on.isoformat())
    whole = ChargesMade(0, 0, {}, "0")
    while whole.next is not None:
        fields = {"on": on.isoformat(), "after": whole.next}
        chunk: ChargesMade = await operations.call(principal, book, "charges.make", str(uuid7()), fields)
        totals = {
            asset: whole.totals.get(asset, 0) + chunk.totals.get(asset, 0)
            for asset in sorted({*whole.totals, *chunk.totals})
        }
        whole = ChargesMade(whole.customers + chunk.customers, whole.made + chunk.made, totals, chunk.next)
        await kept.note({"customers": chunk.customers, "charges": chunk.made}, last=chunk.next is None)
        progress(whole)
    return whole
