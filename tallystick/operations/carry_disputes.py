"""
Carry disputes: whatever a webhook says, the provider is asked how a dispute stands, and that is noted.

    webhook, or a day gone by ──► provider: find_dispute ──► disputes.note (ledger, and what others are told)

One about a payment that is not settled here yet waits; one about no payment of this book is given up after a while.
"""

import datetime as dt
from typing import Any

import structlog

from tallystick.ids import uuid7
from tallystick.operations.carry_one_by_one import one_by_one
from tallystick.operations.carry_payments import printable
from tallystick.operations.disputes import DisputeKnown
from tallystick.operations.run import RESERVED, Operations
from tallystick.payments.disputes.errors import DisputeDiffers, DisputeTooEarly
from tallystick.payments.disputes.model import Dispute, DisputeStanding
from tallystick.payments.disputes.queue import EACH, QUEUE, read_key
from tallystick.payments.hear.keep import LOOKED_FOR
from tallystick.payments.providers.protocol import DisputeStatus, ProviderDispute, ProviderRefused
from tallystick.payments.providers.registry import Providers
from tallystick.queues.enqueue import finish, postpone
from tallystick.queues.model import Job
from tallystick.security.model import SYSTEM

_log = structlog.get_logger()


async def carry_dispute(operations: Operations, job: Job) -> None:
    """Ask the provider how a dispute stands, and note it."""
    name, dispute_id = read_key(job.key)
    provider = operations.resources[Providers].find(name)
    at = operations.clock.now()
    try:
        found = await provider.find_dispute(dispute_id)
    except ProviderRefused:
        if not _given_up(await _find_known(operations, job.book, name, dispute_id, None), at):
            raise
        await _later(operations, job, None, at)
        return
    if found.id != dispute_id:
        raise DisputeDiffers(field="dispute_id", what="id")
    known = await _find_known(operations, job.book, name, dispute_id, found.transaction_id)
    if known.payment_id is None:
        if not _given_up(known, at):
            raise DisputeTooEarly(field="transaction_id")
        await _later(operations, job, None, at)
        return
    dispute = known.dispute
    if dispute is None or _goes_on(dispute, found):
        dispute = await _note(operations, job.book, name, found)
    await _later(operations, job, dispute, at)


carry_disputes = one_by_one(carry_dispute)
"""The handler of the disputes' queue."""


async def _find_known(
    operations: Operations, book: str, provider: str, dispute_id: str, transaction_id: str | None
) -> DisputeKnown:
    fields = {"provider": provider, "provider_dispute_id": dispute_id, "transaction_id": transaction_id}
    known: DisputeKnown = await operations.call(SYSTEM, book, "disputes.find_known", "", fields)
    return known


def _given_up(known: DisputeKnown, at: dt.datetime) -> bool:
    """Say whether a dispute that nobody here knows anything about has been looked at for long enough."""
    return known.dispute is None and (known.heard_at is None or known.heard_at + LOOKED_FOR <= at)


def _goes_on(dispute: Dispute, found: ProviderDispute) -> bool:
    """Say whether what the provider tells is news; what goes against what it told before is told to an operator."""
    if found.status.value == dispute.status:
        return False
    if dispute.status != DisputeStanding.OPEN.value:
        _log.error(
            "a dispute was decided otherwise before",
            dispute=str(dispute.dispute_id),
            status=dispute.status,
            said=found.status.value,
        )
        return False
    return found.status is not DisputeStatus.OPEN


async def _note(operations: Operations, book: str, provider: str, found: ProviderDispute) -> Dispute:
    fields: dict[str, Any] = {
        "provider": provider,
        "provider_dispute_id": found.id,
        "transaction_id": found.transaction_id,
        "status": found.status.value,
        "amount": found.amount,
        "currency": found.currency,
        "reason": printable(found.reason) if found.reason else "",
        "answer_by": None if found.answer_by is None else found.answer_by.isoformat(),
    }
    # A new id each time: each step is noted once, whatever the message's id.
    key = f"{RESERVED}dispute:{provider}:{found.id}:{uuid7()}"
    noted: Dispute = await operations.call(SYSTEM, book, "disputes.note", key, fields)
    return noted


async def _later(operations: Operations, job: Job, dispute: Dispute | None, at: dt.datetime) -> None:
    """Look at an open dispute again each day; one that is decided, or given up, is looked at no more."""
    if dispute is not None and dispute.status == DisputeStanding.OPEN.value:
        await operations.work(lambda connection: postpone(connection, job.book_id, QUEUE, [job.key], at + EACH))
    else:
        await operations.work(lambda connection: finish(connection, job.book_id, QUEUE, [job.key]))
