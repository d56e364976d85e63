"""Months ahead: the partitions of usage for the present and the coming months are there before they are needed."""

import asyncio
import contextlib

from tallystick.db.connect import StoreBusy, StoreUnreachable, faults_told
from tallystick.operations.run import Operations
from tallystick.usage.archive.make_ahead import make_months_ahead

PAUSE = 3600.0
"""Seconds between two looks: a month is made weeks ahead."""


async def work_usage_months(operations: Operations) -> None:
    """Make months ahead for every book that has usage, until cancelled; a store that is away is waited for."""
    while True:
        with contextlib.suppress(StoreUnreachable, StoreBusy), faults_told():
            await operations.work(lambda connection: make_months_ahead(connection, operations.clock.now()))
        await asyncio.sleep(PAUSE)
