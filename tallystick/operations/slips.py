"""The operations of slips: issued for what is owed, announced by stores, settled when the money comes."""

import datetime as dt
import uuid
from typing import Annotated

import msgspec

from tallystick.collecting.slips.find import Wanted, find_slip, page_slips
from tallystick.collecting.slips.issue import SlipWanted, cancel_slip, issue_slip
from tallystick.collecting.slips.model import SettledSlips, Slip, SlipsPage
from tallystick.collecting.slips.notify import NoticeSaid, hear_paid, withdraw_notice
from tallystick.collecting.slips.settle import LineSaid, settle_slips
from tallystick.errors import InvalidInput
from tallystick.operations.fields import Amount, AssetCode, Code, Instant, PageSize, Reference
from tallystick.operations.model import Call, Input, Operation
from tallystick.operations.repayments import CustomerRef

MOST_LINES = 5_000
"""So many lines of a settlement are received in one transaction."""
_EARLIEST = dt.date(2000, 1, 1)

SlipNumber = Annotated[str, msgspec.Meta(min_length=18, max_length=40)]
"""18 digits; spaces and hyphens between them do not count."""


class IssueSlipInput(Input, frozen=True):
    """What a slip is for: an invoice, or all that a customer owes in an asset."""

    invoice: uuid.UUID | None = None
    customer: CustomerRef | None = None
    asset: AssetCode | None = None
    amount: Amount | None = None
    """Minor units; null: all that is outstanding."""
    expires_on: dt.date | None = None
    """The last day on which it is paid; null: 30 days from today."""
    zone: str = "UTC"
    """An IANA name: whose calendar the last day is of."""
    another: bool = False
    """Issue it though an invoice has a slip that can still be paid."""


class CancelSlipInput(Input, frozen=True):
    """A slip that is not to be paid any more, and why."""

    id: uuid.UUID
    reason: Reference


class NotifyInput(Input, frozen=True):
    """What a store says: a slip was paid."""

    number: SlipNumber
    reference: Reference
    """The store's own id of it; each is kept once."""
    amount: Amount | None = None
    """Minor units; null: what the slip asks for."""
    store: Reference | None = None
    paid_at: Instant | None = None
    """Null: now."""


class WithdrawInput(Input, frozen=True):
    """A notice that a store takes back, and why."""

    reference: Reference
    reason: Reference


class SettlementLineInput(Input, frozen=True):
    """A line of a settlement: money that came for a slip."""

    number: SlipNumber
    reference: Reference
    """That of the notice, if there was one; each is received once."""
    amount: Amount
    """Minor units."""
    paid_on: dt.date | None = None
    """When the customer paid; null: today, in UTC."""


class SettleSlipsInput(Input, frozen=True):
    """What a settlement says, line by line."""

    lines: Annotated[list[SettlementLineInput], msgspec.Meta(min_length=1, max_length=MOST_LINES)]
    from_account: Code | None = None
    """The ledger account that the money comes from; null: ``providers/slip/<asset>``."""


class SlipIdInput(Input, frozen=True):
    """The id of a slip."""

    id: uuid.UUID


class SlipsPageInput(Input, frozen=True):
    """A page of slips, of one customer or for one invoice if given."""

    customer: CustomerRef | None = None
    invoice: uuid.UUID | None = None
    after: uuid.UUID | None = None
    limit: PageSize = 100


async def issue(call: Call, request: IssueSlipInput) -> Slip:
    """
    Issue a slip that the customer pays at a store: a number and a barcode for an invoice, or for all that is owed.

    An invoice has one slip that can be paid, unless another is asked for.
    """
    wanted = SlipWanted(
        request.invoice, request.customer, request.asset, request.amount, request.expires_on, request.zone, request.another
    )  # fmt: skip
    return await issue_slip(call.connection, call.book.ledger, call.recorded, call.new_id(), wanted)


async def cancel(call: Call, request: CancelSlipInput) -> Slip:
    """Cancel a slip: it is not to be paid any more."""
    return await cancel_slip(call.connection, call.recorded, request.id, request.reason)


async def notify(call: Call, request: NotifyInput) -> Slip:
    """Keep that a store says that a slip was paid; the money is not here yet, and repays nothing."""
    said = NoticeSaid(request.number, request.reference, request.amount, request.store, request.paid_at)
    return await hear_paid(call.connection, call.recorded, said)


async def withdraw(call: Call, request: WithdrawInput) -> Slip:
    """Keep that a store takes a notice back: the slip was not paid after all."""
    return await withdraw_notice(call.connection, call.recorded, request.reference, request.reason)


async def settle(call: Call, request: SettleSlipsInput) -> SettledSlips:
    """Receive the money of slips and repay their invoices, each reference once; what they do not need lies unallocated."""
    today = call.at.date()
    lines = [LineSaid(one.number, one.reference, one.amount, one.paid_on or today) for one in request.lines]
    for at, line in enumerate(lines):
        if not _EARLIEST <= line.paid_on <= today + dt.timedelta(days=1):
            raise InvalidInput(field=f"lines[{at}].paid_on", rule=f"Expected a day from {_EARLIEST} to tomorrow")
    return await settle_slips(
        call.connection, call.book.ledger, call.recorded, call.message_hashes, lines, request.from_account
    )


async def find(call: Call, request: SlipIdInput) -> Slip:
    """Return a slip with all that was heard of it."""
    return (await find_slip(call.connection, call.book.book_id, request.id, call.at)).slip


async def list_slips(call: Call, request: SlipsPageInput) -> SlipsPage:
    """Return a page of slips in the order in which they were issued."""
    wanted = Wanted(request.customer, request.invoice)
    return await page_slips(call.connection, call.book.book_id, wanted, request.after, request.limit, call.at)


_WRITE, _READ = "slips:write", "slips:read"
OPERATIONS = [
    Operation("slips.issue", IssueSlipInput, Slip, _WRITE, "POST /slips", issue),
    Operation("slips.cancel", CancelSlipInput, Slip, _WRITE, "POST /slips/{id}/cancel", cancel),
    Operation("slips.notify", NotifyInput, Slip, _WRITE, "POST /slips/notices", notify),
    Operation("slips.withdraw", WithdrawInput, Slip, _WRITE, "POST /slips/withdrawals", withdraw),
    Operation("slips.settle", SettleSlipsInput, SettledSlips, _WRITE, "POST /slips/settlements", settle),
    Operation("slips.find", SlipIdInput, Slip, _READ, "GET /slips/{id}", find, reads=True, snapshot=True),
    Operation("slips.list", SlipsPageInput, SlipsPage, _READ, "GET /slips", list_slips, reads=True, snapshot=True),
]  # fmt: skip
