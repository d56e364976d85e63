"""Carry jobs one by one: side by side, each by itself, so that what one trips over is nothing to the others."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from tallystick.operations.run import Operations
from tallystick.operations.work_queues import Handler, QueueWorker
from tallystick.queues.model import Job, Outcome

Carry = Callable[[Operations, Job], Awaitable[None]]
"""Does what one job asks for, as far as it goes now, and finishes or postpones it."""


def one_by_one(carry: Carry) -> Handler:
    """Make of what carries one job the handler of a queue."""

    async def handle(operations: Operations, jobs: Sequence[Job]) -> Sequence[Outcome]:
        return await asyncio.gather(*(_carry(operations, job, carry) for job in jobs))

    return handle


async def _carry(operations: Operations, job: Job, carry: Carry) -> Outcome:
    error: Exception | None = None
    try:
        await carry(operations, job)
    except Exception as tripped_over:  # noqa: BLE001 - the worker tells it and tries the job again later
        error = tripped_over
    outcome = Outcome(job, error)
    worker = operations.resources.get(QueueWorker)
    if worker is not None:
        worker.end(outcome)
    return outcome
