"""
Import of transfers: from a Parquet file into the embedded server, durable, with everything that belongs to it.

The whole way is measured: hashing and reading the file, judging, posting, the messages with the rows they sent, and
the log, which another process seals meanwhile. It is done when the last transfer is in the log. ``BENCH_ROWS``
says how many rows there are.
"""

import asyncio
import contextlib
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import asyncpg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import uvloop

from bench.table import Report, Result
from tallystick.clock import SystemClock
from tallystick.db.connect import open_pool
from tallystick.db.embedded import serving
from tallystick.db.migrate import migrate
from tallystick.ids import uuid7_batch
from tallystick.ledger.books import open_book
from tallystick.operations.import_transfers import import_transfers
from tallystick.operations.run import Operations
from tallystick.operations.sealing import Sealing
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR

IDS = ("ledger_import", "ledger_bytes")
ROWS = int(os.environ.get("BENCH_ROWS", "10000000"))
ACCOUNTS = 10_000
_GROUP = 1 << 17


class NotAllPosted(Exception):
    """The import left rows out, or its repetition found something new."""


async def run(ids: set[str], report: Report) -> None:
    """Import a file into a fresh directory and wait for its seal; then import the same again, of which all is known."""
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as directory:
        file = Path(directory) / "transfers.parquet"
        _write(file)
        async with serving(Path(directory)) as store:
            await migrate(store.url)
            await _prepare(store.url)
            async with _in_process(_seal, store.url, directory):
                begun = time.perf_counter()
                before, peak = await _import(store.url, file)
                imported = time.perf_counter() - begun
                await _until_sealed(store.url)
                sealed = time.perf_counter() - begun
                on_disk = await _bytes_on_disk(store.url)
                begun = time.perf_counter()
                known = (await _import(store.url, file))[0]
                repeated = time.perf_counter() - begun
    if (before, known) != (0, ROWS):
        raise NotAllPosted
    beside: dict[str, int | float | str] = {
        "rows": ROWS, "unsealed": int(ROWS / imported), "peak_mib": peak,
        "again": int(ROWS / repeated),
    }  # fmt: skip
    if "ledger_import" in ids:
        report(Result("ledger_import", int(ROWS / sealed), "transfers/s", beside))
    if "ledger_bytes" in ids:
        report(Result("ledger_bytes", on_disk / ROWS, "bytes/transfer", {"transfers": ROWS}))


def _write(path: Path) -> None:
    """Write the rows: ids in order of time, accounts and amounts by constant chance."""
    chance = np.random.default_rng(1)
    names = pa.array([f"customers/{number}/receivable" for number in range(ACCOUNTS)])
    kinds = {"id": pa.binary(16), "debit": pa.string(), "credit": pa.string(), "amount": pa.int64()}
    with pq.ParquetWriter(path, pa.schema(list(kinds.items()))) as writer:
        for begin in range(0, ROWS, _GROUP):
            rows = min(_GROUP, ROWS - begin)
            debit = chance.integers(0, ACCOUNTS, rows)
            credit = (debit + chance.integers(1, ACCOUNTS, rows)) % ACCOUNTS
            ids = pa.py_buffer(uuid7_batch(rows).tobytes())
            columns = {
                "id": pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), rows, [None, ids]),
                "debit": names.take(pa.array(debit)),
                "credit": names.take(pa.array(credit)),
                "amount": pa.array(chance.integers(1, 100_000, rows)),
            }
            writer.write_table(pa.table(columns))


async def _prepare(url: str) -> None:
    """Open the book and its accounts, all of it on disk."""
    pool = await open_pool(url)
    async with pool.acquire() as connection:
        await open_book(connection, "main", SystemClock().now())
    operations = Operations(pool, SystemClock(), TABLE)
    await operations.call(OPERATOR, "main", "ledger.ensure_asset", "asset", {"asset": "USD", "exponent": 2})
    codes = [f"customers/{number}/receivable" for number in range(ACCOUNTS)]
    opening = {"codes": codes, "asset": "USD"}
    await operations.call(OPERATOR, "main", "ledger.open_unknown_accounts", "accounts", opening)
    await pool.close()
    await _on(url, "ANALYZE")  # as autovacuum would have done by the time of a first batch
    await _on(url, "CHECKPOINT")


async def _import(url: str, file: Path) -> tuple[int, int]:
    """Import in a process of its own; return how many rows were imported before, and its peak of memory in MiB."""
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    process = context.Process(target=_importing, args=(url, file, its))
    process.start()
    its.close()
    try:
        rows, before, peak = await asyncio.to_thread(mine.recv)
    finally:
        await asyncio.to_thread(process.join)
    if rows != ROWS:
        raise NotAllPosted
    return before, peak


def _importing(url: str, file: Path, pipe: Pipe) -> None:
    async def work() -> tuple[int, int]:
        pool = await open_pool(url)
        report = await import_transfers(Operations(pool, SystemClock(), TABLE), OPERATOR, "main", file)
        await pool.close()
        return report.rows - report.refused, report.before

    done = uvloop.run(work())
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    pipe.send((*done, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit))


@contextlib.asynccontextmanager
async def _in_process(target, *arguments: object) -> AsyncIterator[None]:  # type: ignore[no-untyped-def]  # noqa: ANN001 - a function of these
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        await asyncio.to_thread(process.join)


def _seal(url: str, directory: str) -> None:
    async def work() -> None:
        pool = await open_pool(url, size=2)
        await Sealing(Operations(pool, SystemClock(), TABLE), Path(directory) / "keys", "bench.example").run()

    uvloop.run(work())


async def _until_sealed(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        while await connection.fetchval("SELECT coalesce(max(size), 0) FROM tallystick.checkpoint") < ROWS:  # noqa: ASYNC110 - another process seals
            await asyncio.sleep(0.01)
    finally:
        await connection.close()


async def _bytes_on_disk(url: str) -> int:
    """Add up every table of the schema, with its indexes and what lies beside it."""
    connection = await asyncpg.connect(url)
    try:
        total: int = await connection.fetchval(
            "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class "
            "WHERE relnamespace = 'tallystick'::regnamespace AND relkind = 'r'"
        )
    finally:
        await connection.close()
    return total


async def _on(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
