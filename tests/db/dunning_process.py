"""A process that runs the dunning of a day in small chunks until it is killed: ``python -m tests.db.dunning_process URL DAY``."""

import asyncio
import datetime as dt
import sys

from tallystick.clock import FixedClock
from tallystick.db.connect import open_pool
from tallystick.operations.dunning_run import run_dunning
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR


def tell(stage: str, done: int) -> None:
    """Tell how far it is, a line for each chunk."""
    sys.stdout.write(f"{stage} {done}\n")
    sys.stdout.flush()


async def main(url: str, day: str) -> None:
    """Run the day, two customers at a time."""
    on = dt.date.fromisoformat(day)
    clock = FixedClock(dt.datetime.combine(on, dt.time(9), dt.UTC))
    operations = Operations(await open_pool(url, size=1), clock, TABLE)
    await run_dunning(operations, OPERATOR, "main", on, tell, chunk=2)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
