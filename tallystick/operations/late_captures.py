"""
Late captures: the provider tells of a payment that has failed, and is asked whether it took the money all the same.

    webhook, or a payout's report ──► provider: find ──► captured: payments.note_late (told, and listed until seen to)

The payment stays failed: a customer was told so, and may have paid otherwise. Whether the money goes back at the provider, or
is booked as the customer's once a payout's report has it, is for people to say.
"""

import uuid
from typing import Annotated

import msgspec

from tallystick.ids import uuid7
from tallystick.operations.carry_one_by_one import one_by_one
from tallystick.operations.fields import Amount, PageSize
from tallystick.operations.model import Call, Input, Operation
from tallystick.operations.run import RESERVED, Operations
from tallystick.payments.errors import NotKnownYet
from tallystick.payments.late.find import page_late
from tallystick.payments.late.model import LateCapturesPage
from tallystick.payments.late.note import note_late
from tallystick.payments.late.queue import QUEUE
from tallystick.payments.model import Payment, PaymentStatus
from tallystick.payments.providers.protocol import ProviderRefused, ProviderTransaction, TransactionStatus
from tallystick.payments.providers.registry import Providers
from tallystick.queues.enqueue import finish
from tallystick.queues.model import Job
from tallystick.security.model import SYSTEM

INTERNAL = ""
"""The route of an operation that only the product's own workers call."""


class LateCapturesInput(Input, frozen=True):
    """A page of late captures: those that nobody has seen to, or all."""

    all: bool = False
    after: uuid.UUID | None = None
    limit: PageSize = 100


class NoteLateCaptureInput(Input, frozen=True):
    """What the provider says that it took of a payment that had failed."""

    payment_id: uuid.UUID
    amount: Amount
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$(?!\n)")]


async def list_late(call: Call, request: LateCapturesInput) -> LateCapturesPage:
    """Return a page of payments that had failed, and whose money the provider took all the same."""
    return await page_late(call.connection, call.book.book_id, request.after, request.limit, all_=request.all)


class LateCaptureNoted(msgspec.Struct, frozen=True):
    """A late capture that is noted; whether anybody has seen to it hangs on the moment, and is no part of the answer."""

    payment_id: uuid.UUID


async def note(call: Call, request: NoteLateCaptureInput) -> LateCaptureNoted:
    """Note what the provider took of a payment that had failed, once; no money moves."""
    await note_late(call.connection, call.recorded, request.payment_id, request.amount, request.currency)
    return LateCaptureNoted(request.payment_id)


async def carry_late_capture(operations: Operations, job: Job) -> None:
    """
    Ask the provider how the transaction of a payment stands that has failed, and note it if its money was taken.

    Raises:
        ProviderUnreachable: nobody knows; it is asked again (``payments.provider_unknown_outcome``).
        NotKnownYet: it is not decided yet; it is asked again (``payments.not_known_yet``).
    """
    found: list[Payment] = await operations.call(
        SYSTEM, job.book, "payments.find_whole", "", {"payment_ids": [job.key]}
    )
    for payment in found:
        told = await _ask(operations, payment)
        if told is not None and told.status is TransactionStatus.PROCESSING:
            raise NotKnownYet(status=told.status.value)
        if told is not None and told.status is TransactionStatus.CAPTURED:
            # A new id each time: it is noted once, whatever the message's id.
            key = f"{RESERVED}late:{payment.payment_id}:{uuid7()}"
            fields = {"payment_id": job.key, "amount": told.amount, "currency": told.currency}
            await operations.call(SYSTEM, job.book, "payments.note_late", key, fields)
    await operations.work(lambda connection: finish(connection, job.book_id, QUEUE, [job.key]))


carry_late_captures = one_by_one(carry_late_capture)
"""The handler of the late captures' queue."""


async def _ask(operations: Operations, payment: Payment) -> ProviderTransaction | None:
    """Return how the transaction of a failed payment stands; None where there is nothing to ask, or the provider knows none."""
    if payment.status != PaymentStatus.FAILED.value or payment.transaction_id is None:
        return None
    provider = operations.resources[Providers].find(payment.provider)
    try:
        found = await provider.find(payment.transaction_id)
    except ProviderRefused:
        return None
    return found if found.reference == str(payment.payment_id) else None


OPERATIONS = [
    Operation("payments.late", LateCapturesInput, LateCapturesPage, "payments:read", "GET /payments/late", list_late, reads=True),
    Operation("payments.note_late", NoteLateCaptureInput, LateCaptureNoted, "payments:carry", INTERNAL, note),
]  # fmt: skip
