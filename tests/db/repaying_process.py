"""A process that repays one message after the other until it is killed: ``python -m tests.db.repaying_process URL``."""

import asyncio
import sys

from tallystick.clock import FixedClock
from tallystick.db.connect import open_pool
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR
from tests.db.repaid import ADA, NOW


async def main(url: str) -> None:
    """Send the messages, and tell after each that it was answered."""
    operations = Operations(await open_pool(url, size=1), FixedClock(NOW), TABLE)
    sys.stdout.write("repaying\n")
    sys.stdout.flush()
    for number in range(20):
        fields = {"customer": ADA, "asset": "USD", "amount": 7, "channel": "cash", "reference": f"killed-{number}"}
        await operations.run(OPERATOR, "main", "repayments.receive", f"killed-message-{number}", fields)
        sys.stdout.write("answered\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
