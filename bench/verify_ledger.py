"""
Verify: a ledger of 2 million transfers recomputed in full, with as many processes as there are cores.

The transfers go over 10,000 unlimited accounts in batches of 8,192, each batch with its message; all are sealed. Then
the whole of it is verified, as `tallystick verify` does, in the time that is measured.
"""

import time
from collections.abc import Sequence

from bench.table import Result
from tallystick.cli.verify_in_processes import Wanted, cores, verify_in_processes
from tallystick.clock import SystemClock
from tallystick.db.connect import open_pool
from tallystick.ledger.log.note import Verifier
from tallystick.operations.run import Operations


class NotRight(Exception):
    """The ledger that was measured does not verify."""


async def measure_verify(
    url: str, book_id: int, verifiers: Sequence[Verifier], origin: str, processes: int | None = None
) -> Result:
    """
    Verify a book of an existing database in full; None takes as many processes as there are cores.

    Raises:
        NotRight: it does not come out as it is stored, so there is nothing to measure.
    """
    pool = await open_pool(url, size=1)
    count = processes or cores()
    begin = time.monotonic()
    wanted = Wanted(book_id, tuple(verifiers), origin)
    found = await verify_in_processes(Operations(pool, SystemClock(), {}), url, wanted, processes=count)
    seconds = time.monotonic() - begin
    await pool.close()
    if not found.ok:
        raise NotRight("\n".join(str(one) for one in found.findings[:10]))
    extra: dict[str, int | float | str] = {"processes": count, "transfers": found.transfers, "seconds": seconds}
    return Result("ledger_verify", found.transfers / seconds, "transfers/s", extra)
