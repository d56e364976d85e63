"""A process that imports a file and says so batch by batch: to be killed, and to be measured."""

import asyncio
import sys
from pathlib import Path

from tallystick.clock import SystemClock
from tallystick.db.connect import open_pool
from tallystick.operations.import_transfers import Step, import_transfers
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR
from tests.peak_memory import peak_kib


def tell(step: Step) -> None:
    """Say a line for each batch that is done."""
    if step.rows:
        sys.stdout.write(f"{step.rows}\n")
        sys.stdout.flush()


async def main(url: str, path: str) -> None:
    """Import the file, and say last how many MiB that took at most."""
    pool = await open_pool(url)
    operations = Operations(pool, SystemClock(), TABLE)
    await import_transfers(operations, OPERATOR, "main", Path(path), open_accounts="USD", progress=tell)
    await pool.close()
    sys.stdout.write(f"{peak_kib() // 1024}\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
