"""The disputes' operations; what asks the provider is ``carry_disputes``."""

import datetime as dt
import uuid
from typing import Annotated, Literal

import msgspec

from tallystick.operations.fields import Amount, PageSize
from tallystick.operations.model import Call, Input, Operation
from tallystick.operations.payments import Text
from tallystick.payments.disputes.find import find_dispute, page_disputes, seek_dispute
from tallystick.payments.disputes.model import Dispute, DisputePage, DisputeStanding, DisputeState, dispute_id_of
from tallystick.payments.disputes.note import Heard, find_payment_of, note_dispute
from tallystick.payments.hear.find import first_heard

INTERNAL = ""
"""The route of an operation that only the product's own workers call."""
ProviderId = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
Words = Annotated[str, msgspec.Meta(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]


class DisputeIdInput(Input, frozen=True):
    """The id of a dispute."""

    dispute_id: uuid.UUID


class DisputesPageInput(Input, frozen=True):
    """A page of disputes in the order in which they were noted, of one payment or in one status if given."""

    payment_id: uuid.UUID | None = None
    status: DisputeState | None = None
    after: Annotated[str, msgspec.Meta(max_length=30)] = ""
    limit: PageSize = 100


class NoteDisputeInput(Input, frozen=True):
    """How the provider says that a dispute stands."""

    provider: ProviderId
    provider_dispute_id: ProviderId
    transaction_id: Text
    """The provider's."""
    status: Literal["open", "won", "lost"]
    amount: Amount
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$(?!\n)")]
    reason: Words = ""
    answer_by: Annotated[dt.datetime, msgspec.Meta(tz=True)] | None = None


class DisputeStandingInput(Input, frozen=True):
    """A dispute by its provider's id, and the transaction that the provider says it is about."""

    provider: ProviderId
    provider_dispute_id: ProviderId
    transaction_id: Text | None = None


class DisputeKnown(msgspec.Struct, frozen=True):
    """What is known here of a dispute that a provider tells of."""

    dispute: Dispute | None
    payment_id: uuid.UUID | None
    """The payment that it is about; null where this book has none."""
    heard_at: dt.datetime | None
    """When a webhook told of it first."""


async def find(call: Call, request: DisputeIdInput) -> Dispute:
    """Return a dispute as it stands."""
    return await find_dispute(call.connection, call.book.book_id, request.dispute_id)


async def list_disputes(call: Call, request: DisputesPageInput) -> DisputePage:
    """Return a page of disputes in the order in which they were noted."""
    return await page_disputes(
        call.connection, call.book.book_id, request.after, request.payment_id, request.status, request.limit
    )


async def find_known(call: Call, request: DisputeStandingInput) -> DisputeKnown:
    """Return what is known here of a dispute that a provider tells of."""
    book_id, provider = call.book.book_id, request.provider
    dispute = await seek_dispute(call.connection, book_id, dispute_id_of(provider, request.provider_dispute_id))
    payment_id = dispute.payment_id if dispute is not None else None
    if payment_id is None and request.transaction_id is not None:
        payment_id = await find_payment_of(call.connection, book_id, provider, request.transaction_id)
    heard_at = await first_heard(call.connection, book_id, provider, request.provider_dispute_id, "dispute")
    return DisputeKnown(dispute, payment_id, heard_at)


async def note(call: Call, request: NoteDisputeInput) -> Dispute:
    """Note how the provider says that a dispute stands, and move its money."""
    heard = Heard(
        request.provider, request.provider_dispute_id, request.transaction_id, DisputeStanding(request.status),
        request.amount, request.currency, request.reason, request.answer_by,
    )  # fmt: skip
    return await note_dispute(call.connection, call.book.ledger, call.recorded, call.message_hashes, heard)


OPERATIONS = [
    Operation("disputes.find", DisputeIdInput, Dispute, "payments:read", "GET /disputes/{dispute_id}", find, reads=True),
    Operation("disputes.list", DisputesPageInput, DisputePage, "payments:read", "GET /disputes", list_disputes, reads=True),
    Operation(
        "disputes.find_known", DisputeStandingInput, DisputeKnown, "payments:carry", INTERNAL, find_known, reads=True
    ),
    Operation("disputes.note", NoteDisputeInput, Dispute, "payments:carry", INTERNAL, note),
]  # fmt: skip
