"""A process that makes the charges of a day in small chunks until it is killed: ``python -m tests.db.charging_process URL DAY``."""

import asyncio
import datetime as dt
import sys

from tallystick.clock import FixedClock
from tallystick.db.connect import open_pool
from tallystick.operations.run import Operations
from tallystick.operations.run_charges import ChargesRun, run_charges
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR
from tests.db.repaid import NOW


def tell(so_far: ChargesRun) -> None:
    """Tell how far it is, a line for each chunk."""
    sys.stdout.write(f"{so_far.made}\n")
    sys.stdout.flush()


async def main(url: str, day: str) -> None:
    """Make the charges, two customers at a time."""
    operations = Operations(await open_pool(url, size=1), FixedClock(NOW), TABLE)
    await run_charges(operations, OPERATOR, "main", dt.date.fromisoformat(day), tell, chunk=2)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
