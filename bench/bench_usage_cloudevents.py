"""
CloudEvents over HTTP: single events on 64 connections that stay open, and batches of 1,000 on 4.

Each is answered when it is stored for good. The server is a process of its own with the embedded PostgreSQL and
durable commits; the load generator is this process, on the same machine.
"""

import asyncio
import tempfile
from pathlib import Path

from bench.cloud_events import PER_BATCH, Gateway, open_gateway_book
from bench.load_http import measure, served
from bench.table import Report
from tallystick.db.embedded import serving
from tallystick.db.migrate import migrate

IDS = ("usage_cloudevents_batch", "usage_cloudevents_single")
BATCH_CONNECTIONS = 4
_BATCHES_BEFORE = 300


async def run(ids: set[str], report: Report) -> None:
    """Measure in a fresh directory."""
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as directory:
        async with serving(Path(directory)) as store:
            await migrate(store.url)
            gateway = Gateway(await open_gateway_book(store.url))
            async with served(store, directory) as (port, watched):
                if "usage_cloudevents_batch" in ids:
                    batches = await asyncio.to_thread(
                        measure, port, gateway.batch, watched,
                        connections=BATCH_CONNECTIONS, written_before=_BATCHES_BEFORE,
                    )  # fmt: skip
                    report(batches.as_result("usage_cloudevents_batch", {}, unit="events/s", each=PER_BATCH))
                if "usage_cloudevents_single" in ids:
                    singles = await asyncio.to_thread(measure, port, gateway.single, watched)
                    report(singles.as_result("usage_cloudevents_single", {}, unit="events/s"))
