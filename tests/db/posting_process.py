"""A process of its own that owns an embedded server and posts to it until it is killed: ``python -m … DIRECTORY``."""

import asyncio
import itertools
import sys
from pathlib import Path

from tallystick.clock import SystemClock
from tallystick.db.connect import open_pool
from tallystick.db.embedded import serving
from tallystick.db.migrate import migrate
from tallystick.ids import uuid7
from tallystick.ledger.books import open_book
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR


async def main(directory: Path) -> None:
    """Serve from *directory*, and tell the id of each transfer as soon as it is acknowledged."""
    async with serving(directory) as server:
        await migrate(server.url)
        pool = await open_pool(server.url)
        async with pool.acquire() as connection:
            await open_book(connection, "main", SystemClock().now())
        operations = Operations(pool, SystemClock(), TABLE)
        await operations.call(OPERATOR, "main", "ledger.ensure_asset", "asset", {"asset": "USD", "exponent": 2})
        for account in ("bank", "ada"):
            fields = {"account": account, "asset": "USD"}
            await operations.call(OPERATOR, "main", "ledger.open_account", account, fields)
        await asyncio.gather(*(_post(operations) for _ in range(4)))


async def _post(operations: Operations) -> None:
    for _ in itertools.count():
        transfer_id = str(uuid7())
        fields = {"id": transfer_id, "debit": "bank", "credit": "ada", "amount": 1}
        await operations.call(OPERATOR, "main", "ledger.transfer", transfer_id, fields)
        sys.stdout.write(f"{transfer_id}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
