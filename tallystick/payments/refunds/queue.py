"""The jobs of refunds: asked of the provider until it is known how each ended, and once more a day after that."""

import datetime as dt
import uuid
from collections.abc import Sequence

from tallystick.db.queries import Connection
from tallystick.ledger.accounts import Recorded
from tallystick.payments.refunds.model import Refund, RefundStanding
from tallystick.queues.enqueue import enqueue, finish, postpone
from tallystick.queues.model import NewJob

QUEUE = "refunds"
_PRIORITY = 2
_SOONEST, _LATEST = dt.timedelta(seconds=10), dt.timedelta(hours=6)
LOOKED_AT_AGAIN = dt.timedelta(days=1)
"""So long after a refund succeeded it is asked once more: money can come back, and a webhook that says so can be lost."""


def refund_jobs(refund_ids: Sequence[uuid.UUID], at: dt.datetime) -> list[NewJob]:
    """Return the jobs of asking the provider about refunds now, whether or not they have ended."""
    return [NewJob(QUEUE, str(one), _PRIORITY, at) for one in refund_ids]


async def ask_now(connection: Connection, recorded: Recorded, refund_id: uuid.UUID) -> None:
    """Have the provider asked about a refund, in the transaction that wants it."""
    await enqueue(connection, recorded.book_id, refund_jobs([refund_id], recorded.at))


async def ask_later(connection: Connection, book_id: int, refund: Refund, at: dt.datetime) -> None:
    """Have the provider asked again when that makes sense, or never."""
    due_at = next_look(refund, at)
    if due_at is None:
        await finish(connection, book_id, QUEUE, [str(refund.refund_id)])
    else:
        await postpone(connection, book_id, QUEUE, [str(refund.refund_id)], due_at)


def next_look(refund: Refund, at: dt.datetime) -> dt.datetime | None:
    """
    Return when to ask about a refund next, None for never. Pure.

    One that is pending has waited for some time, and waits for as long again.
    """
    match RefundStanding(refund.status):
        case RefundStanding.REQUESTED | RefundStanding.PENDING:
            return at + min(max(at - refund.requested_at, _SOONEST), _LATEST)
        case RefundStanding.SUCCEEDED:
            again = (refund.ended_at or at) + LOOKED_AT_AGAIN
            return again if again > at else None
        case RefundStanding.FAILED:
            return None
