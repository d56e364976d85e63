"""
Issue a month: 100,000 customers get an invoice of five lines each, numbered and posted to the ledger.

The product has five flat charges, every customer has used something, and nothing is drafted yet. The clock runs over the
whole month run, as `tallystick invoice run` does it: drafts with their lines and explanations, then numbers, accounts,
postings, the event of each invoice, and the day that it is due. The parts are told beside the figure, each with the CPU
for one invoice: of this process, and of the database server.
"""

import os
import resource
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.table import Report, Result
from bench.usage_files import write_usage
from tallystick.clock import SystemClock
from tallystick.db.connect import open_pool
from tallystick.db.embedded import serving
from tallystick.db.migrate import migrate
from tallystick.ids import uuid7
from tallystick.ledger.books import open_book
from tallystick.operations.import_usage import import_usage
from tallystick.operations.invoicing_month import run_month
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR

IDS = ("invoice_issue",)
CUSTOMERS = int(os.environ.get("BENCH_CUSTOMERS", "100000"))
EVENTS = 10 * CUSTOMERS
"""So many that hardly a customer used nothing."""
LINES = 5
MONTH = "2026-10"


class NotAllIssued(Exception):
    """A customer, a line or a posting is missing."""


async def run(_: set[str], report: Report) -> None:
    """Let every customer use something, then invoice the month."""
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as name:
        directory = Path(name)
        write_usage(directory / "usage.parquet", 0, EVENTS, CUSTOMERS)
        async with serving(directory) as store:
            await migrate(store.url)
            pool = await open_pool(store.url)
            async with pool.acquire() as connection:
                await open_book(connection, "main", SystemClock().now())
            operations = Operations(pool, SystemClock(), TABLE)
            await _prepare(operations)
            await import_usage(operations, OPERATOR, "main", directory / "usage.parquet")
            watch = _Watch(directory)
            done = await run_month(operations, OPERATOR, "main", MONTH, progress=watch.note)
            watch.end()
            counts = [
                await pool.fetchval(f"SELECT count(*) FROM {table}")
                for table in ("invoice", "invoice_issue", "invoice_line", "transfer")
            ]
            await pool.close()
    if done.failed or counts != [done.customers, done.customers, LINES * done.customers, done.customers]:
        raise NotAllIssued
    beside: dict[str, int | float | str] = {"invoices": done.issued, "lines": counts[2], **watch.told(done.issued)}
    report(Result("invoice_issue", watch.seconds, "s", beside))


class _Watch:
    """Measure the parts of a run: seconds, and the CPU of this process and of the server."""

    def __init__(self, directory: Path) -> None:
        """Begin; the server's files are somewhere below *directory*."""
        self._server = int(next(directory.rglob("postmaster.pid")).read_text().split()[0])
        self._marks: list[tuple[str, float, float, float]] = [self._mark("begin")]

    def note(self, stage: str, _: int) -> None:
        """Note that the run has come so far; the last time of a stage is its end."""
        mark = self._mark(stage)
        if self._marks[-1][0] == stage:
            self._marks[-1] = mark
        else:
            self._marks.append(mark)

    def end(self) -> None:
        """Note the end."""
        self._marks.append(self._mark("end"))

    @property
    def seconds(self) -> float:
        """Return how long it took."""
        return self._marks[-1][1] - self._marks[0][1]

    def told(self, invoices: int) -> dict[str, int | float | str]:
        """Tell of each part how long it took, and its CPU for each invoice in microseconds."""
        told: dict[str, int | float | str] = {}
        for before, after in pairwise(self._marks):
            if after[0] != "end":
                told[f"{after[0]} s"] = after[1] - before[1]
                told[f"{after[0]} us of ours"] = (after[2] - before[2]) * 1e6 / invoices
                told[f"{after[0]} us of the server"] = (after[3] - before[3]) * 1e6 / invoices
        return told

    def _mark(self, stage: str) -> tuple[str, float, float, float]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return stage, time.perf_counter(), used.ru_utime + used.ru_stime, _cpu_of(self._server)


def _cpu_of(server: int) -> float:
    """Return the CPU seconds of a server and its processes, those that have ended too; 0 where the system tells none."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, _, rest = stat.read_text().partition(" (")
        except OSError:  # it has ended meanwhile
            continue
        fields = rest.rpartition(") ")[2].split()
        if int(pid) == server:
            ticks += sum(map(int, fields[11:15]))
        elif int(fields[1]) == server:
            ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


async def _prepare(operations: Operations) -> None:
    async def do(operation: str, **fields: Any) -> None:  # noqa: ANN401 - each operation has its own
        await operations.call(OPERATOR, "main", operation, str(uuid7()), fields)

    await do("ledger.ensure_asset", asset="USD", exponent=2)
    for place in range(LINES):
        price = {"model": "flat", "amount": f"{place + 1}.50"}
        fields = {"charge": f"part{place}", "name": f"Part {place}", "meter": None, "asset": "USD", "price": price}
        await do("catalog.set_price", effective_at="2026-01-01T00:00:00Z", **fields)
