"""
Webhooks: events that wait in the outbox are sent, signed, to a receiver on this machine, and marked as delivered.

The receiver is a process of its own that reads each request whole and answers 204, and so is the sender, which runs what
``tallystick up`` runs. The clock runs from the start of the worker to the last mark, committed durably; sender, receiver and
PostgreSQL share the processors.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import asyncpg
import uvloop

from bench.table import Report, Result
from tallystick.clock import SystemClock
from tallystick.db.connect import open_pool
from tallystick.db.embedded import serving
from tallystick.db.migrate import migrate
from tallystick.ids import uuid7
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.books import open_book
from tallystick.notify.derive_secret import WebhookKey
from tallystick.notify.judge_address import Reach
from tallystick.notify.tell import Told, tell
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.operations.work_webhooks import Webhooks
from tallystick.security.model import OPERATOR

IDS = ("webhook_delivery",)
EVENTS = 20_000
SUBJECTS = 5_000
ROOT = Path(__file__).parents[1]
_TOLD_AT_ONCE = 2_000
_PENDING = "SELECT EXISTS (SELECT FROM delivery WHERE state = 'pending')"
_COUNT = "SELECT count(*) FROM delivery WHERE state = 'delivered' AND attempts = 1"


class NotAllDelivered(Exception):
    """An event did not arrive at the first attempt."""


async def run(_: set[str], report: Report) -> None:
    """Tell the events, then send them."""
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as name:
        async with serving(Path(name)) as store:
            await migrate(store.url)
            pool = await open_pool(store.url)
            async with pool.acquire() as connection:
                book = await open_book(connection, "main", SystemClock().now())
            operations = Operations(pool, SystemClock(), TABLE)
            receiver = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.webhook_sink", "0", "quiet", cwd=ROOT,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            try:
                port = int(await receiver.stdout.readline()) if receiver.stdout is not None else 0
                fields = {"url": f"http://127.0.0.1:{port}/ok"}
                await operations.call(OPERATOR, "main", "webhooks.set_endpoint", str(uuid7()), fields)
                told = await _tell_all(pool, book.book_id)
                seconds, cpu = await _deliver_in_process(store.url, Path(name) / "webhooks")
                if await pool.fetchval(_COUNT) != EVENTS:
                    raise NotAllDelivered
            finally:
                receiver.kill()
                await receiver.wait()
            await pool.close()
    report(
        Result(
            "webhook_delivery", EVENTS / seconds, "events/s", {"events": EVENTS, "told/s": EVENTS / told, "CPU s": cpu}
        )
    )


async def _tell_all(pool: asyncpg.Pool, book_id: int) -> float:
    """Put the events into the outbox, as issuing invoices does, and return the seconds it took."""
    began = time.perf_counter()
    for first in range(0, EVENTS, _TOLD_AT_ONCE):
        events = [_event(number) for number in range(first, first + _TOLD_AT_ONCE)]
        async with pool.acquire() as connection, connection.transaction():
            await tell(connection, Recorded(book_id, 0, SystemClock().now()), events)
    return time.perf_counter() - began


def _event(number: int) -> Told:
    invoice_id = f"00000000-0000-7000-8000-{number % SUBJECTS:012d}"
    data = {"invoice_id": invoice_id, "customer": f"customer-{number % SUBJECTS}", "product": "api", "asset": "USD",
            "total": 129_900, "outstanding": number, "number": f"INV-{number}", "due_on": "2026-12-31"}  # fmt: skip
    return Told("invoice.partly_paid", f"invoice/{invoice_id}", data)


async def _deliver_in_process(url: str, key: Path) -> tuple[float, float]:
    """Send until nothing is pending, in a process of its own; return the seconds it took, and those of its processor."""
    sender = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, url, str(key), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await sender.communicate()
    seconds, cpu = told.split()
    return float(seconds), float(cpu)


async def _deliver_all(url: str, key: Path) -> None:
    pool = await open_pool(url)
    operations = Operations(pool, SystemClock(), TABLE)
    webhooks = Webhooks(operations, WebhookKey(key), Reach.parse("127.0.0.1/32"))
    began, cpu = time.perf_counter(), time.process_time()
    sending = asyncio.create_task(webhooks.run())
    while await pool.fetchval(_PENDING):  # noqa: ASYNC110 - the store alone knows what is pending
        await asyncio.sleep(0.05)
    print(time.perf_counter() - began, time.process_time() - cpu)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await pool.close()


if __name__ == "__main__":
    uvloop.run(_deliver_all(sys.argv[1], Path(sys.argv[2])))
