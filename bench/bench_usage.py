"""
Import of a usage file: from a log on disk into the embedded server, with durable commits.

The whole way is measured: reading, decoding, judging, keeping each event once, and the journal.
"""

import tempfile
import time
from pathlib import Path

from bench.table import Report, Result
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

IDS = ("usage_import",)
LINES = 400_000


class CountedTwice(Exception):
    """The second import of the same log found something new in it."""


async def run(_: set[str], report: Report) -> None:
    """Import a made-up log into a fresh directory, then the same log again, of which everything is known."""
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as directory:
        log = Path(directory) / "access.log"
        write_sample(log, LINES)
        async with serving(Path(directory)) as store:
            await migrate(store.url)
            pool = await open_pool(store.url)
            async with pool.acquire() as connection:
                await open_book(connection, "main", SystemClock().now())
            operations = Operations(pool, SystemClock(), TABLE)
            first, seconds = await _import(operations, log)
            again, seconds_again = await _import(operations, log)
            await pool.close()
    if (again.accepted, again.known) != (0, first.accepted):
        raise CountedTwice
    beside: dict[str, int | float | str] = {
        "accepted": first.accepted,
        "not_billable": first.not_billable.total(),
        "malformed": first.malformed,
        "again": int(again.lines / seconds_again),
    }
    report(Result("usage_import", int(_events(first) / seconds), "events/s", beside))


async def _import(operations: Operations, log: Path) -> tuple[ImportReport, float]:
    began = time.perf_counter()
    report = await import_usage(operations, OPERATOR, "main", log)
    return report, time.perf_counter() - began


def _events(report: ImportReport) -> int:
    """Count what was judged: every line that is an event."""
    return report.lines - report.malformed - report.skipped
