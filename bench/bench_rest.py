"""
REST over HTTP: single transfers, and balances, each its own request, on 64 connections that stay open.

The server is a process of its own with the embedded PostgreSQL, durable commits and the sealer, as ``tallystick up``
runs it; the load generator is this process, on the same machine. The reference is what pgbench calls TPC-B, run just
before on the same PostgreSQL with as many clients: five statements and a durable commit, with no door, journal or log.
Its scale gives it more branches than clients, so that they seldom wait for each other's rows.
"""

import asyncio
import os
import random
import re
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Self

import numpy as np
import uvicorn
import uvloop

from bench.table import Number, Report, Result
from tallystick.api.rest.app import make_app
from tallystick.api.rest.serve import server_config
from tallystick.clock import SystemClock
from tallystick.db.connect import open_pool
from tallystick.db.embedded import SUPERUSER, EmbeddedServer, serving
from tallystick.db.migrate import migrate
from tallystick.ids import uuid7
from tallystick.ledger.books import open_book
from tallystick.operations.run import Operations
from tallystick.operations.sealing import Sealing
from tallystick.operations.table import TABLE
from tallystick.security.keys import create_key, hash_of, make_key
from tallystick.security.model import OPERATOR

IDS = ("rest_transfer", "rest_read")
CONNECTIONS = 64
ACCOUNTS = 1_000
WARM_SECONDS = 1.5
SECONDS = 6.0
WRITTEN_BEFORE = 60_000
"""So many requests are written before the clock runs; should they not do, more are written while it does."""
PGBENCH_SCALE = 100
PGBENCH_SECONDS = 6
_TPS = re.compile(r"^tps = ([0-9]+)", re.MULTILINE)


async def run(ids: set[str], report: Report) -> None:
    """Measure in a fresh directory; balances are read where transfers were posted."""
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as directory:
        async with serving(Path(directory)) as store:
            reference = await asyncio.to_thread(_measure_pgbench, store) if "rest_transfer" in ids else {}
            await migrate(store.url)
            key = await _prepare(store.url)
            port = _free_port()
            server = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bench.bench_rest", store.url, str(port), directory
            )
            try:
                await _until_open(port)
                watched = _Watched(server.pid, store.process_id() or 0)
                transfers = await asyncio.to_thread(_measure, port, lambda: _transfer(key), watched)
                if "rest_transfer" in ids:
                    report(transfers.as_result("rest_transfer", reference))
                if "rest_read" in ids:
                    reads = await asyncio.to_thread(_measure, port, lambda: _read(key), watched)
                    report(reads.as_result("rest_read", {}))
            finally:
                server.terminate()
                await server.wait()


def _measure_pgbench(store: EmbeddedServer) -> dict[str, Number | str]:
    """Run pgbench's TPC-B in a database of its own, and drop it; return what the table says of it."""

    def call(program: str, *arguments: object) -> str:
        command = [store.binaries / program, "-h", store.socket_directory, "-U", SUPERUSER, *arguments]
        return subprocess.check_output([str(word) for word in command], stderr=subprocess.PIPE, text=True)

    call("createdb", "pgbench")
    call("pgbench", "-i", "-I", "dtGvp", "-q", "-s", PGBENCH_SCALE, "pgbench")
    call("psql", "-q", "-c", "CHECKPOINT", "pgbench")
    told = call("pgbench", "-n", "-c", CONNECTIONS, "-j", 2, "-T", PGBENCH_SECONDS, "pgbench")
    call("dropdb", "pgbench")
    found = _TPS.search(told)
    if found is None:
        raise ValueError(told)
    return {"reference": f"pgbench TPC-B, scale {PGBENCH_SCALE}", "pgbench_tps": int(found[1])}


@dataclass(frozen=True, slots=True)
class _Watched:
    """The processes whose processor time is told: the server, and PostgreSQL with its children."""

    server: int
    postgres: int

    def seconds(self) -> dict[str, float]:
        """Return the processor time that each has used; zero where there is no /proc to read it from."""
        used = {"server": 0.0, "postgres": 0.0}
        for found in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = found.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            process, parent = int(found.parent.name), int(fields[1])
            ticks = int(fields[11]) + int(fields[12])
            if self.server in {process, parent}:
                used["server"] += ticks / os.sysconf("SC_CLK_TCK")
            elif self.postgres in {process, parent}:
                used["postgres"] += ticks / os.sysconf("SC_CLK_TCK")
        return used


@dataclass(slots=True)
class Measured:
    """The latencies, in seconds, of the requests that were answered within the measured time."""

    latencies: list[float] = field(default_factory=list)
    failed: int = 0
    seconds: float = SECONDS
    processor: dict[str, float] = field(default_factory=dict)
    """Seconds of processor time of each watched process, and of this one as ``load``."""

    def as_result(self, bench: str, reference: dict[str, Number | str]) -> Result:
        """Make the row of the table; ``cpu_…`` are microseconds of processor time per request."""
        p50, p99 = np.percentile(np.array(self.latencies) * 1000, [50, 99])
        rate = len(self.latencies) / self.seconds
        beside: dict[str, Number | str] = {
            "p50": float(f"{p50:.2f}"),
            "p99": float(f"{p99:.2f}"),
            "connections": CONNECTIONS,
            "failed": self.failed,
        }
        for name, used in self.processor.items():
            beside[f"cpu_{name}"] = int(used * 1e6 / len(self.latencies))
        pgbench = reference.get("pgbench_tps")
        if isinstance(pgbench, int):
            beside |= reference | {"ratio": float(f"{rate / pgbench:.2f}")}
        return Result(bench, int(rate), "requests/s", beside)


@dataclass(slots=True)
class _Load:
    """
    Connections that each send the next request as soon as the last is answered whole.

    A loop over epoll and sockets, with requests that are written already: what is measured shares the machine with it.
    """

    port: int
    requests: Iterator[bytes]
    connections: dict[int, socket.socket] = field(default_factory=dict)
    sent: dict[int, float] = field(default_factory=dict)
    partial: dict[int, bytes] = field(default_factory=dict)
    poll: select.epoll = field(default_factory=select.epoll)

    def __enter__(self) -> Self:
        """Connect, and send the first request on each connection."""
        for _ in range(CONNECTIONS):
            connection = socket.create_connection(("127.0.0.1", self.port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            number = connection.fileno()
            self.connections[number] = connection
            self.poll.register(number, select.EPOLLIN)
            self._ask(number)
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        for connection in self.connections.values():
            connection.close()
        self.poll.close()

    def run(self, seconds: float) -> Measured:
        """Send and receive for a while."""
        measured = Measured()
        began = time.perf_counter()
        until = began + seconds
        while (now := time.perf_counter()) < until:
            for number, _ in self.poll.poll(0.1):
                self._take(number, measured)
        measured.seconds = now - began
        return measured

    def _take(self, number: int, measured: Measured) -> None:
        answer = self.partial.pop(number, b"") + self.connections[number].recv(65_536)
        head, found, body = answer.partition(b"\r\n\r\n")
        if not answer:
            raise ConnectionResetError("the server hung up")
        if not found or len(body) < int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            self.partial[number] = answer
            return
        if answer.startswith(b"HTTP/1.1 200"):
            measured.latencies.append(time.perf_counter() - self.sent[number])
        else:
            measured.failed += 1
        self._ask(number)

    def _ask(self, number: int) -> None:
        self.sent[number] = time.perf_counter()
        self.connections[number].sendall(next(self.requests))


def _measure(port: int, make: Callable[[], bytes], watched: _Watched) -> Measured:
    """Load the server for a while, and count after it is warm."""
    more = iter(make, b"")
    with _Load(port, chain(list(islice(more, WRITTEN_BEFORE)), more)) as load:
        load.run(WARM_SECONDS)
        before, own_before = watched.seconds(), time.thread_time()
        measured = load.run(SECONDS)
        own, after = time.thread_time() - own_before, watched.seconds()
    measured.processor = {name: after[name] - before[name] for name in after if after[name]} | {"load": own}
    return measured


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
