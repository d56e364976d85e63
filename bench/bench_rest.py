"""
REST over HTTP: single transfers, and balances, on 32 connections that stay open.

The server is a process of its own with the embedded PostgreSQL, durable commits and the sealer, as ``tallystick up``
runs it; the load generator is this process, on the same machine.
"""

import asyncio
import random
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import uvicorn
import uvloop

from bench.table import Report, Result
from tallystick.api.rest.app import make_app
from tallystick.api.rest.serve import server_config
from tallystick.clock import SystemClock
from tallystick.db.connect import open_pool
from tallystick.db.embedded import serving
from tallystick.db.migrate import migrate
from tallystick.ids import uuid7
from tallystick.ledger.books import open_book
from tallystick.operations.run import Operations
from tallystick.operations.sealing import Sealing
from tallystick.operations.table import TABLE
from tallystick.security.keys import create_key, hash_of, make_key
from tallystick.security.model import OPERATOR

IDS = ("rest_transfer", "rest_read")
CONNECTIONS = 32
ACCOUNTS = 1_000
WARM_SECONDS = 1.5
SECONDS = 6.0


async def run(ids: set[str], report: Report) -> None:
    """Measure in a fresh directory; balances are read where transfers were posted."""
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as directory:
        async with serving(Path(directory)) as store:
            await migrate(store.url)
            key = await _prepare(store.url)
            port = _free_port()
            server = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bench.bench_rest", store.url, str(port), directory
            )
            try:
                await _until_open(port)
                transfers = await asyncio.to_thread(_measure, port, lambda: _transfer(key))
                if "rest_transfer" in ids:
                    report(transfers.as_result("rest_transfer"))
                if "rest_read" in ids:
                    report((await asyncio.to_thread(_measure, port, lambda: _read(key))).as_result("rest_read"))
            finally:
                server.terminate()
                await server.wait()


@dataclass(slots=True)
class Measured:
    """The latencies, in seconds, of the requests that were answered within the measured time."""

    began: float = 0.0
    latencies: list[float] = field(default_factory=list)
    failed: int = 0

    def as_result(self, bench: str) -> Result:
        """Make the row of the table."""
        p50, p99 = np.percentile(np.array(self.latencies) * 1000, [50, 99])
        rate = len(self.latencies) / SECONDS
        beside: dict[str, int | float | str] = {
            "p50": float(f"{p50:.2f}"),
            "p99": float(f"{p99:.2f}"),
            "connections": CONNECTIONS,
            "failed": self.failed,
        }
        return Result(bench, int(rate), "requests/s", beside)


class _Caller(asyncio.Protocol):
    """One connection: sends the next request as soon as the last is answered whole."""

    def __init__(self, make: Callable[[], bytes], measured: Measured) -> None:
        self.make, self.measured = make, measured
        self.sent = 0.0
        self.answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self.answer += data
        head, found, body = self.answer.partition(b"\r\n\r\n")
        if not found or len(body) < _content_length(head):
            return
        now = time.perf_counter()
        if self.measured.began and self.measured.began <= now < self.measured.began + SECONDS:
            if head.startswith(b"HTTP/1.1 200"):
                self.measured.latencies.append(now - self.sent)
            else:
                self.measured.failed += 1
        self.answer = b""
        self._ask()

    def _ask(self) -> None:
        self.sent = time.perf_counter()
        self.transport.write(self.make())


def _measure(port: int, make: Callable[[], bytes]) -> Measured:
    """Load the server for a while, and count after it is warm; in a loop of its own, so that nothing else is in it."""

    async def load() -> Measured:
        measured = Measured()
        loop = asyncio.get_running_loop()
        callers = [
            await loop.create_connection(lambda: _Caller(make, measured), "127.0.0.1", port) for _ in range(CONNECTIONS)
        ]
        await asyncio.sleep(WARM_SECONDS)
        measured.began = time.perf_counter()
        await asyncio.sleep(SECONDS)
        for transport, _ in callers:
            transport.abort()
        return measured

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(load())


def _transfer(key: str) -> bytes:
    debit, credit = random.sample(range(ACCOUNTS), 2)
    body = b'{"id":"%s","debit":"customers/%d","credit":"customers/%d","amount":%d}' % (
        str(uuid7()).encode(),
        debit,
        credit,
        random.randrange(1, 10_000),
    )
    head = (
        b"POST /v1/books/main/transfers HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ncontent-length: %d\r\n\r\n"
    )
    return head % (key.encode(), len(body)) + body


def _read(key: str) -> bytes:
    head = b"GET /v1/books/main/balance?account=customers/%d HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\n\r\n"
    return head % (random.randrange(ACCOUNTS), key.encode())


def _content_length(head: bytes) -> int:
    return int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])


async def _prepare(url: str) -> str:
    """Open the book and its accounts; return an API key."""
    key, now = make_key(), SystemClock().now()
    pool = await open_pool(url)
    async with pool.acquire() as connection:
        book = await open_book(connection, "main", now)
        await create_key(connection, book.book_id, "bench", ["ledger:*"], hash_of(key), now, None)
    operations = Operations(pool, SystemClock(), TABLE)
    await operations.call(OPERATOR, "main", "ledger.ensure_asset", "asset", {"asset": "USD", "exponent": 2})
    for number in range(ACCOUNTS):
        account = {"account": f"customers/{number}", "asset": "USD"}
        await operations.call(OPERATOR, "main", "ledger.open_account", f"account {number}", account)
    await pool.close()
    return key


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def _until_open(port: int) -> None:
    """Wait for the server to listen."""
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


async def _serve(url: str, port: int, directory: Path) -> None:
    """Be the server."""
    pool = await open_pool(url)
    operations = Operations(pool, SystemClock(), TABLE)
    sealing = asyncio.create_task(Sealing(operations, directory / "keys", "bench.example").run())
    await uvicorn.Server(server_config(make_app(operations), port=port)).serve()
    sealing.cancel()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as own:
        own.run(_serve(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
