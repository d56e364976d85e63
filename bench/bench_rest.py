"""
REST over HTTP: single transfers, and balances, each its own request, on 64 connections that stay open.

The server is a process of its own with the embedded PostgreSQL, durable commits and the sealer, as ``tallystick up``
runs it; the load generator is this process, on the same machine. The reference is what pgbench calls TPC-B, run just
before on the same PostgreSQL with as many clients: five statements and a durable commit, with no door, journal or log.
Its scale gives it more branches than clients, so that they seldom wait for each other's rows.
"""

import asyncio
import random
import re
import subprocess
import tempfile
from pathlib import Path

from bench.load_http import CONNECTIONS, measure, served
from bench.table import Number, Report
from tallystick.clock import SystemClock
from tallystick.db.connect import open_pool
from tallystick.db.embedded import SUPERUSER, EmbeddedServer, serving
from tallystick.db.migrate import migrate
from tallystick.ids import uuid7
from tallystick.ledger.books import open_book
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.security.keys import create_key, hash_of, make_key
from tallystick.security.model import OPERATOR

IDS = ("rest_transfer", "rest_read")
ACCOUNTS = 1_000
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
            async with served(store, directory) as (port, watched):
                transfers = await asyncio.to_thread(measure, port, lambda: _transfer(key), watched)
                if "rest_transfer" in ids:
                    report(transfers.as_result("rest_transfer", reference))
                if "rest_read" in ids:
                    reads = await asyncio.to_thread(measure, port, lambda: _read(key), watched)
                    report(reads.as_result("rest_read", {}))


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
