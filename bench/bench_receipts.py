"""
Receipts, read while payments are made: 1,000 reads a second beside 10 payments a second, over REST.

The server is ``tallystick up`` as its users have it, with the embedded PostgreSQL, durable commits, the sealer and the
sandbox provider as a process of its own; the readers are this process and the payers another, on the same machine. Requests
are sent when their time has come, whatever became of those before: a latency runs from when a request was due, so
that one slow answer counts for all that it kept waiting. Most reads are of receipts that were read before, one in
fifty is of one that nobody has read since the server began.
"""

import asyncio
import json
import os
import random
import re
import select
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
import numpy as np

from bench.load_http import Measured, Watched
from bench.table import Number, Report, Result
from tallystick.ids import uuid7

IDS = ("receipt_read",)
READS, WRITES = 1_000, 10
"""A second."""
COLD_EVERY = 50
"""One read in so many is of a receipt that was not read before."""
WARM_SECONDS, SECONDS = 3, 15
CONNECTIONS = 64
READ_BEFORE = 1_000
COLD = READS * (WARM_SECONDS + SECONDS) // COLD_EVERY + 100
LINES = 5
_TOGETHER = 500
_PAYERS = 32
_ROOT = Path(__file__).parents[1]


class NotPaid(Exception):
    """A payment did not come to its receipt."""


async def run(_: set[str], report: Report) -> None:
    """Make payments enough, then read their receipts while more are made."""
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as directory:
        async with _up(Path(directory)) as (address, key, watched):
            invoices = await _issue(address, key, READ_BEFORE + COLD + WRITES * (WARM_SECONDS + SECONDS + 2))
            ours = invoices[: READ_BEFORE + COLD]
            began = time.monotonic()
            receipts = await _pay_all(address, key, ours)
            paid_rate = len(ours) / (time.monotonic() - began)
            await _until_provable(address, key, receipts[-1])
            payers = await _payers(address, key, invoices[len(ours) :])
            measured = await asyncio.to_thread(_read, address, key, receipts, watched)
            told = (await payers.communicate())[0]
    payments = json.loads(told)
    milliseconds = np.array(measured.latencies) * 1000
    p50, p99, p999 = (float(f"{one:.2f}") for one in np.percentile(milliseconds, [50, 99, 99.9]))
    beside: dict[str, Number | str] = {
        "p50": p50,
        "p99.9": p999,
        "reads/s": measured.rate,
        "failed": measured.failed,
        **payments,
    }
    beside |= {f"cpu_{name}": used / measured.seconds for name, used in measured.processor.items()}
    report(Result("receipt_read", p99, "ms", beside | {"paid before/s": paid_rate}))


@asynccontextmanager
async def _up(directory: Path) -> AsyncIterator[tuple[str, str, Watched]]:
    """Run the server in a fresh directory; give its address, a key that may do all, and whom to watch."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tallystick.cli", "up", cwd=_ROOT, stdout=asyncio.subprocess.PIPE,
        env=environment | {"TALLYSTICK_DATA": str(directory), "TALLYSTICK_PORT": "0"},
    )  # fmt: skip
    try:
        said, address, key = "", None, None
        while address is None or key is None:
            line = await process.stdout.readline() if process.stdout is not None else b""
            if not line:
                raise ConnectionError(said)
            said += line.decode()
            address, key = re.search(r"http://[\w.:]+", said), re.search(r"tsk_[\w-]{20,}", said)
        postgres = int((directory / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        yield address[0], key[0], Watched(process.pid, postgres)
    finally:
        process.terminate()
        await process.wait()


def _client(address: str, key: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(f"{address}/v1/books/main/", headers={"authorization": f"Bearer {key}"})


async def _post(client: aiohttp.ClientSession, path: str, fields: dict[str, Any]) -> Any:  # noqa: ANN401 - the answer's JSON
    async with client.post(path, json=fields, headers={"idempotency-key": str(uuid7())}) as answer:
        body = await answer.json(content_type=None)
        if answer.status != 200:
            raise NotPaid(body)
        return body


async def _issue(address: str, key: str, count: int) -> list[tuple[str, str]]:
    """Issue an invoice to each of so many customers; return whom, and which."""
    lines = [{"description": f"part {number}", "amount": 100 + number} for number in range(LINES)]
    invoices: list[tuple[str, str]] = []
    async with _client(address, key) as client:
        await _post(client, "assets", {"asset": "USD", "exponent": 2})
        for first in range(0, count, _TOGETHER):
            asked = [
                {"product": "shop", "reference": f"order-{number}", "customer": f"customer-{number}", "asset": "USD",
                 "lines": lines, "terms_days": 14, "issue": True}
                for number in range(first, min(first + _TOGETHER, count))
            ]  # fmt: skip
            made = (await _post(client, "invoices/request-many", {"invoices": asked}))["items"]
            invoices += [(item["invoice"]["customer"], item["invoice"]["id"]) for item in made]
    return invoices


async def _pay(client: aiohttp.ClientSession, customer: str, invoice: str) -> str:
    """Make a payment from its start to its receipt, whose id is returned."""
    asked = {
        "user": customer,
        "email": "ada@example.com",
        "timestamp": "2026-05-01T10:00:00Z",
        "payment_type": "credit",
    }
    started = await _post(client, "payments/start", asked | {"invoice_id": invoice})
    fields = {"transaction_id": started["transaction_id"], "amount": started["amount"]}
    done = await _post(client, "payments/post", asked | fields)
    if not done["receipt_id"]:
        raise NotPaid(done)
    return str(done["receipt_id"])


async def _pay_all(address: str, key: str, invoices: Sequence[tuple[str, str]]) -> list[str]:
    """Pay invoices as fast as it goes, and return the ids of the receipts."""
    turn = asyncio.Semaphore(_PAYERS)
    async with _client(address, key) as client:

        async def pay(customer: str, invoice: str) -> str:
            async with turn:
                return await _pay(client, customer, invoice)

        return list(await asyncio.gather(*(pay(*one) for one in invoices)))


async def _until_provable(address: str, key: str, receipt: str) -> None:
    """Wait until the last of the receipts is sealed."""
    async with asyncio.timeout(60), _client(address, key) as client:
        while True:
            async with client.get(f"receipts/{receipt}") as answer:
                if answer.status == 200:
                    return
            await asyncio.sleep(0.2)


async def _payers(address: str, key: str, invoices: Sequence[tuple[str, str]]) -> asyncio.subprocess.Process:
    """Begin to pay invoices at their pace, as a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.bench_receipts", address, key, cwd=_ROOT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    if process.stdin is not None:
        process.stdin.write(json.dumps(invoices).encode() + b"\n")
        await process.stdin.drain()
    return process


async def _pay_at_pace(address: str, key: str, invoices: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Begin one payment after the other when its time has come, and return how it went."""
    latencies: list[float] = []
    failed = 0
    began = time.perf_counter()

    async def pay(due: float, customer: str, invoice: str) -> None:
        nonlocal failed
        await asyncio.sleep(max(0, began + due - time.perf_counter()))
        try:
            await _pay(client, customer, invoice)
        except (NotPaid, aiohttp.ClientError):
            failed += 1
        latencies.append(time.perf_counter() - began - due)

    async with _client(address, key) as client:
        await asyncio.gather(*(pay(number / WRITES, *one) for number, one in enumerate(invoices)))
    p50, p99 = np.percentile(np.array(latencies) * 1000, [50, 99])
    rate = len(invoices) / (time.perf_counter() - began)
    return {"payments/s": rate, "payment_p50": p50, "payment_p99": p99, "payments_failed": failed}


@dataclass(slots=True)
class Paced:
    """
    Requests that are sent when their time has come, over connections that stay open.

    One that finds every connection busy waits, and its time runs.
    """

    port: int
    requests: Iterator[bytes]
    due: float = 0.0
    idle: deque[socket.socket] = field(default_factory=deque)
    by_number: dict[int, socket.socket] = field(default_factory=dict)
    late: deque[float] = field(default_factory=deque)
    asked: dict[int, float] = field(default_factory=dict)
    partial: dict[int, bytes] = field(default_factory=dict)
    poll: select.epoll = field(default_factory=select.epoll)

    def __enter__(self) -> Self:
        """Connect."""
        for _ in range(CONNECTIONS):
            connection = socket.create_connection(("127.0.0.1", self.port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.by_number[connection.fileno()] = connection
            self.poll.register(connection.fileno(), select.EPOLLIN)
            self.idle.append(connection)
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        for connection in self.by_number.values():
            connection.close()
        self.poll.close()

    def run(self, seconds: float) -> Measured:
        """Send and receive for a while; what is under way at its end is not counted."""
        measured = Measured(CONNECTIONS)
        began = time.perf_counter()
        self.due = max(self.due, began)
        while (now := time.perf_counter()) < began + seconds:
            while self.due <= now:
                self.late.append(self.due)
                self.due += 1 / READS
            self._send()
            for number, _ in self.poll.poll(max(0.0, self.due - time.perf_counter())):
                self._take(number, measured)
        measured.seconds = now - began
        return measured

    def catch_up(self) -> None:
        """Wait until all that was asked is answered, and go on from then on."""
        measured = Measured(CONNECTIONS)
        while self.late or len(self.idle) < CONNECTIONS:
            self._send()
            for number, _ in self.poll.poll(1):
                self._take(number, measured)
        self.due = time.perf_counter()

    def _send(self) -> None:
        while self.late and self.idle:
            connection = self.idle.popleft()
            self.asked[connection.fileno()] = self.late.popleft()
            connection.sendall(next(self.requests))

    def _take(self, number: int, measured: Measured) -> None:
        answer = self.partial.pop(number, b"") + self.by_number[number].recv(262_144)
        head, found, body = answer.partition(b"\r\n\r\n")
        if not answer:
            raise ConnectionResetError("the server hung up")
        if not found or len(body) < int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            self.partial[number] = answer
            return
        if answer.startswith(b"HTTP/1.1 200"):
            measured.latencies.append(time.perf_counter() - self.asked.pop(number))
        else:
            measured.failed += 1
        self.idle.append(self.by_number[number])


def _read(address: str, key: str, receipts: Sequence[str], watched: Watched) -> Measured:
    """Read each of the known receipts once, and then at the pace that is measured."""
    chance = random.Random(5)
    known, cold = list(receipts[:READ_BEFORE]), iter(receipts[READ_BEFORE:])
    head = "GET /v1/books/main/receipts/{} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n"

    def requests() -> Iterator[bytes]:
        for number in range(1 << 60):
            if number < READ_BEFORE:
                receipt = known[number]
            else:
                receipt = next(cold) if number % COLD_EVERY == 0 else chance.choice(known)
            yield head.format(receipt, key).encode()

    with Paced(int(address.rpartition(":")[2]), requests()) as paced:
        paced.run(READ_BEFORE / READS)
        paced.catch_up()
        paced.run(WARM_SECONDS)
        before, own_before = watched.seconds(), time.thread_time()
        measured = paced.run(SECONDS)
        own, after = time.thread_time() - own_before, watched.seconds()
    measured.processor = {name: after[name] - before[name] for name in after} | {"load": own}
    return measured


if __name__ == "__main__":
    _given = json.loads(sys.stdin.readline())
    sys.stdout.write(json.dumps(asyncio.run(_pay_at_pace(sys.argv[1], sys.argv[2], _given))))
