"""
Import of usage files: from disk into the embedded server, with durable commits.

The whole way is measured: reading, decoding, judging, keeping each event once, and the journal. `usage_import` takes a
Parquet file, and beside it a web server's log; `usage_growth` holds the last million events of many against the first.
"""

import os
import tempfile
import time
from pathlib import Path

from bench.table import Report, Result
from bench.usage_files import write_usage
from tallystick.clock import SystemClock
from tallystick.db.connect import open_pool
from tallystick.db.embedded import serving
from tallystick.db.migrate import migrate
from tallystick.ledger.books import open_book
from tallystick.operations.import_usage import ImportReport, import_usage
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR
from tallystick.usage.sample import write_sample

IDS = ("usage_import", "usage_growth")
LINES = 400_000
CUSTOMERS = 10_000
_MILLION = 1_000_000
GROWN = int(os.environ.get("BENCH_EVENTS", "20000000"))
"""How many events are stored when the last million has come."""


class CountedTwice(Exception):
    """The second import of the same file found something new in it."""


async def run(ids: set[str], report: Report) -> None:
    """Measure what is wanted, each in a fresh directory."""
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as directory:
        if "usage_import" in ids:
            await _measure_import(Path(directory), report)
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as directory:
        if "usage_growth" in ids:
            await _measure_growth(Path(directory), report)


async def _measure_import(directory: Path, report: Report) -> None:
    """Import a million events, then the same file again, of which everything is known, and a log."""
    write_usage(directory / "usage.parquet", 0, _MILLION, CUSTOMERS)
    write_sample(directory / "access.log", LINES)
    async with serving(directory) as store:
        operations = await _open(store.url)
        first, seconds = await _import(operations, directory / "usage.parquet")
        again, seconds_again = await _import(operations, directory / "usage.parquet")
        log, seconds_of_log = await _import(operations, directory / "access.log")
        await operations.pool.close()
    if (again.accepted, again.known) != (0, first.accepted):
        raise CountedTwice
    beside: dict[str, int | float | str] = {
        "again": int(again.lines / seconds_again),
        "log": int((log.lines - log.malformed - log.skipped) / seconds_of_log),
        "log_accepted": log.accepted,
        "log_not_billable": log.not_billable.total(),
    }
    report(Result("usage_import", int(first.accepted / seconds), "events/s", beside))


async def _measure_growth(directory: Path, report: Report) -> None:
    """Import million after million; the files are made beside the clock."""
    rates: list[float] = []
    async with serving(directory) as store:
        operations = await _open(store.url)
        for number in range(max(GROWN // _MILLION, 2)):
            file = directory / "usage.parquet"
            write_usage(file, number * _MILLION, _MILLION, CUSTOMERS)
            stored, seconds = await _import(operations, file)
            rates.append(stored.accepted / seconds)
        await operations.pool.close()
    beside: dict[str, int | float | str] = {
        "first": int(rates[0]),
        "last": int(rates[-1]),
        "slowest": int(min(rates)),
        "overall": int(len(rates) / sum(1 / rate for rate in rates)),
        "millions": len(rates),
    }
    report(Result("usage_growth", rates[-1] / rates[0], "last/first", beside))


async def _open(url: str) -> Operations:
    await migrate(url)
    pool = await open_pool(url)
    async with pool.acquire() as connection:
        await open_book(connection, "main", SystemClock().now())
    return Operations(pool, SystemClock(), TABLE)


async def _import(operations: Operations, file: Path) -> tuple[ImportReport, float]:
    began = time.perf_counter()
    report = await import_usage(operations, OPERATOR, "main", file)
    return report, time.perf_counter() - began
