"""
Payments: start, post and receipt over REST, through the sandbox, which answers at once.

The server is `tallystick up` as anybody starts it: the embedded PostgreSQL with durable commits, the sealer, the worker
of the queues, and the sandbox provider as a process beside it. The load generator is this process, on the same machine:
256 connections on which customers start the payment of their invoice, complete it, and fetch the receipt of one that was
completed a moment before, which proves itself by then. What is counted are payments whose receipt was fetched.
"""

import asyncio
import json
import os
import re
import select
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.table import Number, Report, Result
from tallystick.ids import uuid7
from tallystick.open_store import FIRST_BOOK, ensure_book, open_store
from tallystick.security.model import OPERATOR
from tallystick.settings import Settings

IDS = ("payment_flow",)
CONNECTIONS = int(os.environ.get("BENCH_CONNECTIONS", "256"))
CUSTOMERS = int(os.environ.get("BENCH_CUSTOMERS", "8000"))
_TOGETHER = 500
WARM_SECONDS = 3.0
SECONDS = float(os.environ.get("BENCH_SECONDS", "10"))
_PROVABLE_AFTER = 2.0
"""So old is a payment when its receipt is fetched: by then it is sealed."""
_SERVES = re.compile(r"serves http://127\.0\.0\.1:(\d+)")


class NotPaid(Exception):
    """A payment came out otherwise than it should."""


async def run(_: set[str], report: Report) -> None:
    """Give every customer an invoice, and have them pay."""
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as name:
        key, invoices = await _prepare(Path(name))
        environment = {**os.environ, "TALLYSTICK_DATA": name, "TALLYSTICK_PORT": "0"}
        command = [sys.executable, "-m", "tallystick.cli", "up"]
        told = Path(name) / "told.txt"
        with told.open("w") as out:
            server = await asyncio.create_subprocess_exec(*command, env=environment, stdout=out)
            try:
                port = await _port_told(server, told)
                report(await asyncio.to_thread(_measure, server.pid, port, key, invoices))
            finally:
                server.terminate()
                await server.wait()


async def _prepare(directory: Path) -> tuple[str, list[tuple[str, str]]]:
    """Issue invoices; return a key, and customers with their invoices."""
    async with open_store(Settings(data_directory=directory)) as store:
        operations = store.operations
        key = await ensure_book(operations, FIRST_BOOK)

        async def do(operation: str, **fields: Any) -> Any:  # noqa: ANN401 - each operation has its own
            return await operations.call(OPERATOR, FIRST_BOOK, operation, str(uuid7()), fields)

        await do("ledger.ensure_asset", asset="USD", exponent=2)
        invoices: list[tuple[str, str]] = []
        for first in range(0, CUSTOMERS, _TOGETHER):
            wanted = [_invoice_of(number) for number in range(first, min(first + _TOGETHER, CUSTOMERS))]
            made = await do("invoicing.request_many", invoices=wanted)
            invoices += [(one["customer"], str(item.invoice.id)) for one, item in zip(wanted, made.items, strict=True)]
        await operations.pool.execute("ANALYZE")  # as the server does by itself within a minute
    return str(key), invoices


def _invoice_of(number: int) -> dict[str, Any]:
    line = {"description": "Access", "amount": 1990}
    return {
        "product": "access",
        "reference": f"access-{number:06d}",
        "customer": f"customer-{number:06d}",
        "asset": "USD",
        "terms_days": 30,
        "lines": [line],
    }


def _measure(server: int, port: int, key: str, invoices: list[tuple[str, str]]) -> Result:
    load = _Load(port, key, iter(invoices))
    try:
        load.run(WARM_SECONDS)
        before, own_before, paid = _cpu(server), time.thread_time(), len(load.done)
        began = time.perf_counter()
        load.latencies.clear()
        load.run(SECONDS)
        seconds = time.perf_counter() - began
        own, after = time.thread_time() - own_before, _cpu(server)
    finally:
        load.close()
    count = len(load.done) - paid
    beside: dict[str, Number | str] = {"connections": CONNECTIONS, "again": load.again}
    for name in ("start", "post", "receipt"):
        latencies = np.array([taken for kind, taken in load.latencies if kind == name]) * 1000
        beside[f"{name} p50"], beside[f"{name} p99"] = (
            float(f"{one:.1f}") for one in np.percentile(latencies, [50, 99])
        )
    for name in after:
        beside[f"cpu_{name} ms"] = float(f"{(after[name] - before[name]) / count * 1e3:.2f}")
    beside["cpu_load ms"] = float(f"{own / count * 1e3:.2f}")
    return Result("payment_flow", int(count / seconds), "payments/s", beside)


async def _port_told(server: asyncio.subprocess.Process, told: Path) -> int:
    """Wait until the server says where it serves."""
    async with asyncio.timeout(60):
        while server.returncode is None:
            if (found := _SERVES.search(told.read_text())) is not None:
                return int(found[1])
            await asyncio.sleep(0.05)
    raise NotPaid(told.read_text())


def _cpu(server: int) -> dict[str, float]:
    """Return the CPU seconds of the server, of PostgreSQL and of the sandbox; of those that have ended too."""
    parents: dict[int, tuple[int, str, int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
            command = (stat.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended meanwhile
            continue
        fields = text.rpartition(") ")[2].split()
        parents[int(stat.parent.name)] = (int(fields[1]), command, sum(map(int, fields[11:15])))
    used = {"server": 0.0, "postgres": 0.0, "sandbox": 0.0}
    for pid, (_, command, ticks) in parents.items():
        lineage, above = {pid}, parents.get(pid, (0, "", 0))[0]
        while above in parents and above not in lineage:
            lineage.add(above)
            above = parents[above][0]
        if server in lineage:
            name = (
                "postgres" if "postgres" in command.split(" ")[0] else "sandbox" if "sandbox" in command else "server"
            )
            used[name] += ticks / os.sysconf("SC_CLK_TCK")
    return used


@dataclass(slots=True)
class _Customer:
    """A connection, and where its customer is."""

    socket: socket.socket
    asked: str = ""
    sent: float = 0.0
    started: Mapping[str, Any] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)
    receipt: tuple[float, str] = (0.0, "")
    partial: bytes = b""


class _Load:
    """A loop over epoll and sockets: what is measured shares the machine with it."""

    def __init__(self, port: int, key: str, invoices: Iterator[tuple[str, str]]) -> None:
        """Connect."""
        self._head = f"HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n".encode()
        self._invoices = invoices
        self._poll = select.epoll()
        self._customers: dict[int, _Customer] = {}
        self._receipts: deque[tuple[float, str]] = deque()
        self.done: list[str] = []
        self.again = 0
        self.latencies: list[tuple[str, float]] = []
        for _ in range(CONNECTIONS):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._customers[connection.fileno()] = customer = _Customer(connection)
            self._poll.register(connection.fileno(), select.EPOLLIN)
            self._start(customer)

    def run(self, seconds: float) -> None:
        """Send and receive for a while."""
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            for number, _ in self._poll.poll(0.1):
                self._take(self._customers[number])

    def close(self) -> None:
        """Hang up."""
        for customer in self._customers.values():
            customer.socket.close()
        self._poll.close()

    def _take(self, customer: _Customer) -> None:
        answer = customer.partial + customer.socket.recv(1 << 20)
        head, found, body = answer.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            customer.partial = answer
            return
        customer.partial = b""
        self.latencies.append((customer.asked, time.perf_counter() - customer.sent))
        good = head.startswith(b"HTTP/1.1 200")
        match customer.asked:
            case "start" if good:
                customer.started = json.loads(body)
                self._post(customer)
            case "post" if good and b'"settled"' in body:
                self._receipts.append((time.perf_counter(), json.loads(body)["receipt_id"]))
                self._fetch_or_start(customer)
            case "receipt" if good:
                self.done.append(customer.receipt[1])
                self._fetch_or_start(customer)
            case "receipt" if head.startswith(b"HTTP/1.1 503"):
                self.again += 1
                self._receipts.append((time.perf_counter(), customer.receipt[1]))
                self._fetch_or_start(customer)
            case _:
                raise NotPaid(answer)

    def _fetch_or_start(self, customer: _Customer) -> None:
        if self._receipts and self._receipts[0][0] + _PROVABLE_AFTER < time.perf_counter():
            customer.receipt = self._receipts.popleft()
            self._send(customer, "receipt", b"GET /v1/books/main/receipts/%s " % customer.receipt[1].encode(), b"")
        else:
            self._start(customer)

    def _start(self, customer: _Customer) -> None:
        user, invoice = next(self._invoices)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        person = {"user": user, "email": f"{user}@example.com", "timestamp": now, "payment_type": "credit"}
        customer.request = person
        self._send(customer, "start", b"POST /v1/books/main/payments/start ", _json(person | {"invoice_id": invoice}))

    def _post(self, customer: _Customer) -> None:
        if customer.started["status"] != "opened":
            raise NotPaid(customer.started)
        more = {name: customer.started[name] for name in ("transaction_id", "amount")}
        self._send(customer, "post", b"POST /v1/books/main/payments/post ", _json({**customer.request, **more}))

    def _send(self, customer: _Customer, asked: str, line: bytes, body: bytes) -> None:
        customer.asked, customer.sent = asked, time.perf_counter()
        own = b"idempotency-key: %s\r\n" % str(uuid7()).encode() if body else b""
        customer.socket.sendall(line + self._head + own + b"content-length: %d\r\n\r\n" % len(body) + body)


def _json(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields).encode()
