"""A process that sends webhooks until it is killed: ``python -m tests.db.sending_process URL KEY``; it begins when told to."""

import asyncio
import sys
from pathlib import Path

from tallystick.clock import SystemClock
from tallystick.db.connect import open_pool
from tallystick.notify.derive_secret import WebhookKey
from tallystick.notify.judge_address import Reach
from tallystick.operations.run import Operations
from tallystick.operations.work_webhooks import Webhooks


async def main(url: str, key: Path) -> None:
    """Say that it is there, wait for a line, and send whatever is due; no operation is needed for that."""
    operations = Operations(await open_pool(url, size=4), SystemClock(), {})
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    await Webhooks(operations, WebhookKey(key), Reach.parse("127.0.0.1/32"), pause=0.02).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
