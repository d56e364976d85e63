"""A process that applies a file of a store, a few at a time, until it is killed: ``python -m tests.db.slips_process URL FILE``."""

import asyncio
import sys
from pathlib import Path

from tallystick.clock import FixedClock
from tallystick.db.connect import open_pool
from tallystick.operations import slip_files
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR
from tests.db.repaid import NOW


async def main(url: str, path: Path) -> None:
    """Apply the file, and tell how many rows are done after each step."""
    operations = Operations(await open_pool(url, size=1), FixedClock(NOW), TABLE)

    def tell(done: int, _: int) -> None:
        sys.stdout.write(f"{done}\n")
        sys.stdout.flush()

    slip_files._AT_ONCE = 3
    await slip_files.apply_slips_file(operations, OPERATOR, "main", path, tell)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
