"""A process that applies a file of results, a few at a time, until it is killed: ``python -m tests.db.results_process URL FILE``."""

import asyncio
import sys
from pathlib import Path

from tallystick.clock import FixedClock
from tallystick.db.connect import open_pool
from tallystick.operations import bank_files
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR
from tests.db.repaid import NOW


async def main(url: str, path: Path) -> None:
    """Apply the file, and tell after each chunk."""
    operations = Operations(await open_pool(url, size=1), FixedClock(NOW), TABLE)

    def tell(*_: int) -> None:
        sys.stdout.write("applied\n")
        sys.stdout.flush()

    bank_files._AT_ONCE = 3
    await bank_files.apply_results_file(operations, OPERATOR, "main", path, None, tell)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
