"""
Rating of a month: usage of many customers, at three charges each, becomes the finished lines of their draft invoices.

The clock runs from the first chunk of customers to the last committed draft: reading the meters, rating, explaining and
storing every line. Memory is the largest that this process, which rates, ever had.
"""

import os
import resource
import tempfile
import time
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
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR

IDS = ("rating_run",)
CUSTOMERS = int(os.environ.get("BENCH_CUSTOMERS", "100000"))
EVENTS = 10 * CUSTOMERS
_MEGABYTES = {"per": "1000000", "name": "MB"}
_TIERS = [{"up_to": "5", "rate": "0.02"}, {"up_to": None, "rate": "0.015"}]
CHARGES: dict[str, tuple[str, dict[str, Any]]] = {
    "requests": ("requests", {"model": "graduated", "tiers": _TIERS}),
    "transfer": ("bytes", {"model": "per_unit", "rate": "0.09", "unit": _MEGABYTES}),
    "packages": ("requests", {"model": "package", "size": "3", "rate": "0.25", "free_units": "1"}),
}


class NotAllRated(Exception):
    """A customer or a line is missing."""


async def run(_: set[str], report: Report) -> None:
    """Store the usage, then rate it."""
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
            began = time.perf_counter()
            customers = await _draft_all(operations)
            seconds = time.perf_counter() - began
            lines = await pool.fetchval("SELECT count(*) FROM invoice_line")
            await pool.close()
    if lines != len(CHARGES) * customers:
        raise NotAllRated
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    beside: dict[str, int | float | str] = {"lines": lines, "customers": customers, "events": EVENTS, "MiB": memory}
    report(Result("rating_run", seconds, "s", beside))


async def _prepare(operations: Operations) -> None:
    async def do(operation: str, **fields: object) -> None:
        await operations.call(OPERATOR, "main", operation, str(uuid7()), fields)

    await do("ledger.ensure_asset", asset="USD", exponent=2)
    common = {"name": "requests", "event_type": "http.request"}
    await do("catalog.define_meter", code="requests", aggregation="count", **common)
    await do("catalog.define_meter", code="bytes", aggregation="sum", quantity="bytes", **common)
    for charge, (meter, price) in CHARGES.items():
        fields = {"charge": charge, "name": charge, "meter": meter, "asset": "USD", "price": price}
        await do("catalog.set_price", effective_at="2026-01-01T00:00:00Z", **fields)


async def _draft_all(operations: Operations) -> int:
    customers = 0
    after: str | None = "0"
    while after is not None:
        fields = {"month": "2026-10", "after": after}
        chunk = await operations.call(OPERATOR, "main", "invoicing.draft", str(uuid7()), fields)
        customers += chunk.drafted
        after = chunk.next
    return customers
