"""
A process that reads a sandbox's payouts until it is killed: ``python -m tests.scenarios.payouts_process URL SANDBOX SECRET LINES``.

It records reports in parts of so many *LINES*, so that a short one is long.
"""

import asyncio
import sys

from tallystick.clock import SystemClock
from tallystick.db.connect import open_pool
from tallystick.operations import work_payouts
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.operations.work_queues import QueueWorker
from tallystick.payments.payouts.queue import QUEUE
from tallystick.payments.providers.registry import Providers
from tallystick.payments.providers.sandbox.client import SandboxProvider


async def main(url: str, sandbox: str, secret: str, lines: str) -> None:
    """Work."""
    setattr(work_payouts, "MOST_LINES", int(lines))  # noqa: B010 - a constant, which is smaller here
    operations = Operations(await open_pool(url, size=4), SystemClock(), TABLE)
    async with SandboxProvider(sandbox, secret) as provider:
        operations.resources[Providers] = Providers.only(provider)
        worker = operations.resources[QueueWorker] = QueueWorker(operations, {QUEUE: work_payouts.carry_payouts})
        await worker.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
