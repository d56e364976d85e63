"""
Repeats: batches of CloudEvents of which a tenth was stored before, against batches of which nothing was.

Both are sent to one server, in turns, so that what the machine does beside falls on both.
"""

import asyncio
import tempfile
from pathlib import Path

from bench.cloud_events import PER_BATCH, Gateway, open_gateway_book
from bench.load_http import measure, served
from bench.table import Report, Result
from tallystick.db.embedded import serving
from tallystick.db.migrate import migrate

IDS = ("usage_duplicates",)
CONNECTIONS = 4
TURNS = 2
_BATCHES_BEFORE = 300


async def run(_ids: set[str], report: Report) -> None:
    """Measure in a fresh directory."""
    rates: dict[int, list[float]] = {0: [], PER_BATCH // 10: []}
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as directory:
        async with serving(Path(directory)) as store:
            await migrate(store.url)
            key = await open_gateway_book(store.url)
            async with served(store, directory) as (port, watched):
                for _ in range(TURNS):
                    for repeats, measured in rates.items():
                        gateway = Gateway(key, repeats)
                        found = await asyncio.to_thread(
                            measure, port, gateway.batch, watched,
                            connections=CONNECTIONS, written_before=_BATCHES_BEFORE,
                        )  # fmt: skip
                        measured.append(found.rate * PER_BATCH)
    without, with_repeats = (sum(measured) / TURNS for measured in rates.values())
    beside: dict[str, int | float | str] = {"without": int(without), "with_repeats": int(with_repeats)}
    report(Result("usage_duplicates", float(f"{with_repeats / without:.3f}"), "times as many", beside))
