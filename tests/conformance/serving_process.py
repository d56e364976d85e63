"""A server as a process of its own, on the database it is told: to be killed."""

import asyncio
import sys

from tallystick.api.rest.app import make_app
from tallystick.clock import SystemClock
from tallystick.db.connect import open_pool
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tests.conformance.conftest import listening


async def main(url: str) -> None:
    """Serve until killed; say the port first."""
    pool = await open_pool(url, size=3)
    async with listening(make_app(Operations(pool, SystemClock(), TABLE))) as port:
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
