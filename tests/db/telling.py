"""What the tests of telling others share: a receiver, events to tell, and the worker that sends them."""

import asyncio
import contextlib
import datetime as dt
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from tallystick.clock import SystemClock
from tallystick.ledger.accounts import Recorded
from tallystick.notify.derive_secret import WebhookKey
from tallystick.notify.judge_address import Reach
from tallystick.notify.tell import Told, tell
from tallystick.operations.run import Operations
from tallystick.operations.work_webhooks import Webhooks
from tests.conftest import House
from tests.webhook_sink import Receiver

SECONDS = 10
"""How long a test waits for what must come."""
HERE = Reach.parse("127.0.0.1/32")


@dataclass
class Sink:
    """A receiver, which remembers what came."""

    received: list[dict[str, Any]] = field(default_factory=list)
    server: asyncio.Server | None = None
    port: int = 0
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, way: str) -> str:
        """Return the URL that is answered in this way."""
        return f"http://127.0.0.1:{self.port}/{way}"

    def note(self, request: dict[str, Any]) -> None:
        """Remember a request."""
        self.received.append(request)
        self._came.set()

    async def take(self, count: int) -> list[dict[str, Any]]:
        """Wait until *count* requests have come in all, and return them in their order."""
        async with asyncio.timeout(SECONDS):
            while len(self.received) < count:
                self._came.clear()
                await self._came.wait()
        return self.received[:count]

    async def types(self, count: int) -> list[str]:
        """Wait for *count* requests and return the types of their events."""
        return [json.loads(one["body"])["type"] for one in await self.take(count)]

    async def start(self, port: int = 0) -> None:
        """Listen on a free port, or on that one."""
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(lambda: Receiver(self.note), "127.0.0.1", port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more."""
        if self.server is not None:
            self.server.close()


async def start_sink(port: int = 0) -> Sink:
    """Start a receiver on a free port, or on that one."""
    sink = Sink()
    await sink.start(port)
    return sink


@contextlib.asynccontextmanager
async def sinking(port: int = 0) -> AsyncIterator[Sink]:
    """Give a receiver that is stopped at the end."""
    sink = await start_sink(port)
    try:
        yield sink
    finally:
        await sink.stop()


def worker(operations: Operations, directory: Path, reach: Reach = HERE) -> Webhooks:
    """Return the worker that sends, with a key in *directory*."""
    key = WebhookKey(directory / "keys" / "webhooks")
    operations.resources[WebhookKey], operations.resources[Reach] = key, reach
    return Webhooks(operations, key, reach, pause=0.02)


@contextlib.asynccontextmanager
async def sending(webhooks: Webhooks) -> AsyncIterator[None]:
    """Send for as long as the block lasts."""
    task = asyncio.create_task(webhooks.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def tell_all(pool: asyncpg.Pool, events: Sequence[Told], ahead: dt.timedelta = dt.timedelta(0)) -> None:
    """Tell *events* in one transaction, as a verb would, by a clock that may be *ahead*."""
    async with pool.acquire() as connection, connection.transaction():
        book_id = await connection.fetchval("SELECT book_id FROM book WHERE name = 'main'")
        await tell(connection, Recorded(book_id, 0, SystemClock().now() + ahead), events)


def paid(subject: str, number: int) -> Told:
    """Make an event of a subject."""
    data = {"invoice_id": str(uuid.uuid5(uuid.NAMESPACE_URL, subject)), "customer": "acme", "product": "api",
            "asset": "USD", "total": 1_000_000, "outstanding": number}  # fmt: skip
    return Told("invoice.partly_paid", f"invoice/{subject}", data)


def numbers_of(requests: Sequence[dict[str, Any]]) -> list[tuple[str, int]]:
    """Return the subject and number of each request that `paid` made."""
    bodies = [json.loads(one["body"]) for one in requests]
    return [(one["subject"].removeprefix("invoice/"), one["data"]["outstanding"]) for one in bodies]


async def states(house: House, endpoint_id: object) -> dict[str, int]:
    """Count the deliveries to an endpoint by state."""
    page = await house.do("webhooks.deliveries", endpoint_id=str(endpoint_id), limit=1000)
    return {state: sum(one.state == state for one in page.items) for state in {one.state for one in page.items}}


async def until(house: House, endpoint_id: object, **wanted: int) -> None:
    """Wait until the deliveries to an endpoint stand so."""
    async with asyncio.timeout(SECONDS):
        while await states(house, endpoint_id) != wanted:  # noqa: ASYNC110 - a worker does it
            await asyncio.sleep(0.02)


async def attempted(house: House, endpoint_id: object, count: int) -> None:
    """Wait until so many attempts in all have been noted of an endpoint."""
    async with asyncio.timeout(SECONDS):
        while True:
            page = await house.do("webhooks.deliveries", endpoint_id=str(endpoint_id), limit=1000)
            if sum(one.attempts for one in page.items) >= count:
                return
            await asyncio.sleep(0.02)
