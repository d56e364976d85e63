"""
Load over HTTP: the server as a process of its own, and connections that ask it as fast as it answers.

The server is what ``tallystick up`` runs: the embedded PostgreSQL with durable commits, and the sealer. The load
generator is this process, on the same machine: what is measured shares its processors with it.
"""

import asyncio
import os
import select
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Self

import numpy as np
import uvicorn
import uvloop

from bench.table import Number, Result
from tallystick.api.rest.app import make_app
from tallystick.api.rest.serve import server_config, spare_the_collector
from tallystick.clock import SystemClock
from tallystick.db.connect import open_pool
from tallystick.db.embedded import EmbeddedServer
from tallystick.operations.run import Operations
from tallystick.operations.sealing import Sealing
from tallystick.operations.table import TABLE

CONNECTIONS = 64
WARM_SECONDS = 1.5
SECONDS = 6.0
WRITTEN_BEFORE = 60_000
"""So many requests are written before the clock runs; should they not do, more are written while it does."""


@dataclass(frozen=True, slots=True)
class Watched:
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

    connections: int
    latencies: list[float] = field(default_factory=list)
    failed: int = 0
    seconds: float = SECONDS
    processor: dict[str, float] = field(default_factory=dict)
    """Seconds of processor time of each watched process, and of this one as ``load``."""

    @property
    def rate(self) -> float:
        """Return the requests answered in a second."""
        return len(self.latencies) / self.seconds

    def as_result(
        self, bench: str, reference: dict[str, Number | str], *, unit: str = "requests/s", each: int = 1
    ) -> Result:
        """Make the row of the table, for requests that carry *each* units; ``cpu_…`` are microseconds per unit."""
        p50, p99 = np.percentile(np.array(self.latencies) * 1000, [50, 99])
        beside: dict[str, Number | str] = {
            "p50": float(f"{p50:.2f}"),
            "p99": float(f"{p99:.2f}"),
            "connections": self.connections,
            "failed": self.failed,
        }
        for name, used in self.processor.items():
            beside[f"cpu_{name}"] = int(used * 1e6 / len(self.latencies) / each)
        pgbench = reference.get("pgbench_tps")
        if isinstance(pgbench, int):
            beside |= reference | {"ratio": float(f"{self.rate / pgbench:.2f}")}
        return Result(bench, int(self.rate * each), unit, beside)


@dataclass(slots=True)
class Load:
    """
    Connections that each send the next request as soon as the last is answered whole.

    A loop over epoll and sockets, with requests that are written already: what is measured shares the machine with it.
    """

    port: int
    requests: Iterator[bytes]
    count: int = CONNECTIONS
    connections: dict[int, socket.socket] = field(default_factory=dict)
    sent: dict[int, float] = field(default_factory=dict)
    partial: dict[int, bytes] = field(default_factory=dict)
    poll: select.epoll = field(default_factory=select.epoll)

    def __enter__(self) -> Self:
        """Connect, and send the first request on each connection."""
        for _ in range(self.count):
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
        measured = Measured(self.count)
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


def measure(
    port: int,
    make: Callable[[], bytes],
    watched: Watched,
    *,
    connections: int = CONNECTIONS,
    written_before: int = WRITTEN_BEFORE,
) -> Measured:
    """Load the server for a while, and count after it is warm."""
    more = iter(make, b"")
    with Load(port, chain(list(islice(more, written_before)), more), connections) as load:
        load.run(WARM_SECONDS)
        before, own_before = watched.seconds(), time.thread_time()
        measured = load.run(SECONDS)
        own, after = time.thread_time() - own_before, watched.seconds()
    measured.processor = {name: after[name] - before[name] for name in after if after[name]} | {"load": own}
    return measured


@asynccontextmanager
async def served(store: EmbeddedServer, directory: str) -> AsyncIterator[tuple[int, Watched]]:
    """Run the server on *store*, as a process of its own; give its port, and whom to watch."""
    port = _free_port()
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.load_http", store.url, str(port), directory
    )
    try:
        await _until_open(port)
        yield port, Watched(server.pid, store.process_id() or 0)
    finally:
        server.terminate()
        await server.wait()


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
    app = make_app(operations)
    spare_the_collector()
    await uvicorn.Server(server_config(app, port=port)).serve()
    sealing.cancel()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as own:
        own.run(_serve(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
