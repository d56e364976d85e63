"""The jobs of payments: one for each that has not ended; when it is due, and that it is due now."""

import datetime as dt
import uuid
from collections.abc import Sequence

from tallystick.db.queries import Connection
from tallystick.ledger.accounts import Recorded
from tallystick.queues import enqueue as jobs
from tallystick.queues.model import NewJob

QUEUE = "payments"
POST_PRIORITY = 0
START_PRIORITY = 1


async def enqueue(
    connection: Connection, recorded: Recorded, payment_ids: Sequence[uuid.UUID], priority: int
) -> None:  # fmt: skip
    """Have payments carried on now, in the transaction that wants it."""
    wanted = [NewJob(QUEUE, str(one), priority, recorded.at) for one in payment_ids]
    await jobs.enqueue(connection, recorded.book_id, wanted)


async def wake(connection: Connection, recorded: Recorded, payment_ids: Sequence[uuid.UUID]) -> None:
    """Have the provider asked about payments now, where nothing is known to the end; those that have ended stay ended."""
    await jobs.hasten(connection, recorded.book_id, QUEUE, [str(one) for one in payment_ids], recorded.at)


async def wait_until(
    connection: Connection, recorded: Recorded, payment_ids: Sequence[uuid.UUID], due_at: dt.datetime
) -> None:  # fmt: skip
    """Leave payments to their customers until *due_at*."""
    await jobs.postpone(connection, recorded.book_id, QUEUE, [str(one) for one in payment_ids], due_at)


async def finish(connection: Connection, recorded: Recorded, payment_ids: Sequence[uuid.UUID]) -> None:
    """End the jobs of payments that have ended."""
    await jobs.finish(connection, recorded.book_id, QUEUE, [str(one) for one in payment_ids])
