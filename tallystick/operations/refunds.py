"""The refunds' operations; what asks the provider is ``carry_refunds``."""

import uuid
from typing import Literal

from tallystick.errors import InvalidInput
from tallystick.operations.carry_refunds import carry_through
from tallystick.operations.fields import Amount, PageSize
from tallystick.operations.model import Call, Input, Operation
from tallystick.operations.payments import Text
from tallystick.payments.refunds.find import find_refund, page_refunds
from tallystick.payments.refunds.model import Refund, RefundPage, RefundStanding, RefundState, TakeFrom
from tallystick.payments.refunds.queue import ask_now
from tallystick.payments.refunds.request import NewRefund, request_refund
from tallystick.payments.refunds.step import Heard, note_refund

INTERNAL = ""
"""The route of an operation that only the product's own workers call."""


class RefundPaymentInput(Input, frozen=True):
    """Money of a settled payment to give back through its provider, and why."""

    payment_id: uuid.UUID
    reason: Text
    amount: Amount | None = None
    """Minor units; left out, all that can be given back."""
    take_from: TakeFrom = "unallocated"
    """
    What the customer has beyond all invoices, such as after a credit note; or what the payment paid on its ``invoice``,
    which is then owed again.
    """


class RefundIdInput(Input, frozen=True):
    """The id of a refund."""

    refund_id: uuid.UUID


class RefundsPageInput(Input, frozen=True):
    """A page of refunds in the order in which they were asked for, of one payment or in one status if given."""

    payment_id: uuid.UUID | None = None
    status: RefundState | None = None
    after: uuid.UUID = uuid.UUID(int=0)
    limit: PageSize = 100


class NoteRefundInput(Input, frozen=True):
    """How the provider says that a refund stands."""

    refund_id: uuid.UUID
    status: Literal["pending", "succeeded", "failed"]
    provider_refund_id: Text | None = None
    failure: Text | None = None
    """Why it failed."""


async def refund_payment(call: Call, request: RefundPaymentInput) -> Refund:
    """
    Give money of a payment back through its provider, once, and never more than was taken.

    It is taken from its source at once. How it ends is found out: the answer says how it stands after a short wait.
    """
    wanted = NewRefund(call.new_id(), request.payment_id, request.amount, request.take_from, request.reason)
    refund = await request_refund(call.connection, call.book.ledger, call.recorded, call.message_hashes, wanted)
    await ask_now(call.connection, call.recorded, refund.refund_id)
    return refund


async def find(call: Call, request: RefundIdInput) -> Refund:
    """Return a refund as it stands."""
    return await find_refund(call.connection, call.book.book_id, request.refund_id)


async def list_refunds(call: Call, request: RefundsPageInput) -> RefundPage:
    """Return a page of refunds in the order in which they were asked for."""
    return await page_refunds(
        call.connection, call.book.book_id, request.after, request.payment_id, request.status, request.limit
    )


async def note(call: Call, request: NoteRefundInput) -> Refund:
    """Note how the provider says that a refund stands, and move its money."""
    if (request.status == "failed") != (request.failure is not None):
        raise InvalidInput(field="failure", rule="A refund that failed says why, and no other")
    if request.status != "failed" and request.provider_refund_id is None:
        raise InvalidInput(field="provider_refund_id", rule="A refund that the provider has is named by it")
    heard = Heard(RefundStanding(request.status), request.provider_refund_id, request.failure)
    return await note_refund(
        call.connection, call.book.ledger, call.recorded, call.message_hashes, request.refund_id, heard
    )


OPERATIONS = [
    Operation(
        "payments.refund", RefundPaymentInput, Refund, "refunds:write", "POST /payments/{payment_id}/refund",
        refund_payment, then=carry_through,
    ),
    Operation("refunds.find", RefundIdInput, Refund, "payments:read", "GET /refunds/{refund_id}", find, reads=True),
    Operation("refunds.list", RefundsPageInput, RefundPage, "payments:read", "GET /refunds", list_refunds, reads=True),
    Operation("refunds.note", NoteRefundInput, Refund, "payments:carry", INTERNAL, note),
]  # fmt: skip
