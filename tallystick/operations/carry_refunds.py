"""
Carry refunds through: the one way from a refund that was kept to the end of it.

    requested ──► provider: refund ──► refunds.note (ledger, and what others are told)
        └─ asked before, and no answer ─► provider: find_refund; where it has none, refund again, with the same reference

The reference is the refund's id, so the provider makes one of it however often it is asked.
"""

import datetime as dt
from typing import Any

from tallystick.db.queries import Connection
from tallystick.ids import uuid7
from tallystick.operations.carry_one_by_one import one_by_one
from tallystick.operations.carry_payments import printable
from tallystick.operations.run import RESERVED, Operations
from tallystick.operations.work_queues import QueueWorker
from tallystick.payments.providers.protocol import (
    Provider,
    ProviderRefund,
    ProviderRefused,
    RefundRequest,
    RefundStatus,
)
from tallystick.payments.providers.registry import Providers
from tallystick.payments.refunds.errors import RefundDiffers, RefundUnsure
from tallystick.payments.refunds.model import Refund, RefundStanding
from tallystick.payments.refunds.queue import QUEUE, ask_later
from tallystick.payments.refunds.unanswered import find_unanswered, keep_unanswered
from tallystick.queues.model import Job
from tallystick.security.model import SYSTEM, Principal

WAIT = 10.0
"""So many seconds whoever asked for a refund waits to hear how it stands; it goes on without them."""
SURE_AFTER = dt.timedelta(minutes=10)
"""A refusal counts so long after the last call without an answer: until then that call may still be under way."""


async def carry_through(operations: Operations, principal: Principal, book: str, output: Refund) -> Refund:
    """Have the provider asked now, wait a little, and return the refund as it stands."""
    del principal
    worker = operations.resources.get(QueueWorker)
    if worker is None:  # a process without one, such as the command line: a worker beside the server carries on
        return output
    worker.wake()
    await worker.settled(book, QUEUE, str(output.refund_id), WAIT)
    return await _find(operations, book, str(output.refund_id))


async def carry_refund(operations: Operations, job: Job) -> None:
    """Ask the provider about a refund, or for it, and note how it stands."""
    refund = await _find(operations, job.book, job.key)
    at = operations.clock.now()
    if refund.status != RefundStanding.FAILED.value:
        provider = operations.resources[Providers].find(refund.provider)
        refund = await _note(operations, job.book, refund, await _ask(operations, provider, refund, job))
    noted = refund
    await operations.work(lambda connection: ask_later(connection, job.book_id, noted, at))


carry_refunds = one_by_one(carry_refund)
"""The handler of the refunds' queue."""


async def _find(operations: Operations, book: str, refund_id: str) -> Refund:
    found: Refund = await operations.call(SYSTEM, book, "refunds.find", "", {"refund_id": refund_id})
    return found


async def _ask(operations: Operations, provider: Provider, refund: Refund, job: Job) -> dict[str, Any]:
    """
    Find out how a refund stands, asking for it where the provider has not heard of it.

    Raises:
        ProviderUnreachable: nobody knows (``payments.provider_unknown_outcome``).
        RefundUnsure: it was refused, and an earlier call has not been answered yet (``refunds.unsure``).
        RefundDiffers: it tells of another refund than was asked for (``refunds.differs``).
    """
    requested = refund.status == RefundStanding.REQUESTED.value
    reference = str(refund.refund_id)

    async def look(connection: Connection) -> dt.datetime | None:
        return await find_unanswered(connection, job.book_id, refund.refund_id)

    never_asked = requested and await operations.work(look) is None
    found = None if never_asked else await provider.find_refund(refund.transaction_id, reference)
    if found is None and not requested:
        raise RefundDiffers(field="status", what="status")
    if found is None:
        request = RefundRequest(
            reference=reference, transaction_id=refund.transaction_id, amount=refund.amount, currency=refund.asset
        )
        at = operations.clock.now()
        before = await operations.work(lambda to: keep_unanswered(to, job.book_id, refund.refund_id, at))
        try:
            found = await provider.refund(request)
        except ProviderRefused as refused:
            found = await provider.find_refund(refund.transaction_id, reference)
            last = await operations.work(look)
            other = before if last == at else last  # another worker has asked since: its call may be under way
            if found is None and other is not None and at < other + SURE_AFTER:
                await operations.work(lambda to: keep_unanswered(to, job.book_id, refund.refund_id, other))
                raise RefundUnsure from refused
            if found is None:
                return {"status": RefundStanding.FAILED.value, "failure": printable(refused.message)}
    return _said(refund, found)


def _said(refund: Refund, found: ProviderRefund) -> dict[str, Any]:
    """Write what the provider tells of a refund as it is noted, once it is the one that was asked for."""
    for what, told, kept in (
        ("reference", found.reference, str(refund.refund_id)),
        ("transaction", found.transaction_id, refund.transaction_id),
        ("amount", found.amount, refund.amount),
        ("currency", found.currency, refund.asset),
    ):
        if told != kept:
            raise RefundDiffers(field=what, what=what)
    said = {"status": found.status.value, "provider_refund_id": found.id}
    if found.status is RefundStatus.FAILED:
        said["failure"] = printable(found.failure or "no reason given")
    return said


async def _note(operations: Operations, book: str, refund: Refund, said: dict[str, Any]) -> Refund:
    """Note what has come about; nothing where the provider says what is known."""
    if said["status"] == refund.status:
        return refund
    # A new id each time: each step is noted once, whatever the message's id.
    key = f"{RESERVED}refund:{refund.refund_id}:{said['status']}:{uuid7()}"
    noted: Refund = await operations.call(
        SYSTEM, book, "refunds.note", key, {"refund_id": str(refund.refund_id), **said}
    )
    return noted
