"""
A process that works queues off until it is killed: ``python -m tests.scenarios.queue_process URL``.

It tells each key that it takes and each that it has done. What a key is called says how it goes: ``hang-…`` never ends.
"""

import asyncio
import sys
from collections.abc import Sequence

from tallystick.clock import SystemClock
from tallystick.db.connect import open_pool
from tallystick.operations.run import Operations
from tallystick.operations.work_queues import QueueWorker
from tallystick.queues.enqueue import finish
from tallystick.queues.model import Job, Outcome


def say(line: str) -> None:
    """Tell whoever started the process, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def work(operations: Operations, jobs: Sequence[Job]) -> list[Outcome]:
    """Do what the names of the keys say."""
    for job in jobs:
        say(f"took {job.key}")
    await asyncio.gather(*(_do(operations, job) for job in jobs))
    return [Outcome(job) for job in jobs]


async def _do(operations: Operations, job: Job) -> None:
    if job.key.startswith("hang"):
        await asyncio.Event().wait()
    await operations.work(lambda connection: finish(connection, job.book_id, job.queue, [job.key]))
    say(f"did {job.key}")


async def main(url: str) -> None:
    """Say that it is there, and work."""
    operations = Operations(await open_pool(url, size=4), SystemClock(), {})
    say("ready")
    await QueueWorker(operations, {"payments": work}).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
