"""Issue a slip for one invoice, or for all that a customer owes."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from tallystick.collecting.slips.draw_barcode import MOST
from tallystick.collecting.slips.errors import AmountBeyond, Announced, LiveSlip, NothingToPay, SlipEnded
from tallystick.collecting.slips.find import day_in, find_slip
from tallystick.collecting.slips.model import Slip
from tallystick.collecting.slips.number import number_of
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput
from tallystick.invoicing.find import UnknownInvoice
from tallystick.ledger.accounts import Recorded, find_asset
from tallystick.ledger.post import Ledger
from tallystick.ledger.read_in_order import Place
from tallystick.periods import iana_zones
from tallystick.repayments.dues import OpenInvoice, enter_to_repay, find_dues, lock_and_read
from tallystick.repayments.find import require_customer

_queries = queries_beside(__file__)
_enter_to_slips = _queries.run("enter_to_slips")
_find_payable = _queries.tuples("find_payable")
_find_busy = _queries.tuples("find_busy")
_insert_slip = _queries.run("insert_slip")
_insert_cancellation = _queries.run("insert_cancellation")

_USUAL_DAYS, _MOST_DAYS = 30, 3660


@dataclass(frozen=True, slots=True)
class SlipWanted:
    """What a slip is to be for."""

    invoice: uuid.UUID | None
    """None: all that the customer owes in the asset."""
    customer: str | None
    asset: str | None
    amount: int | None
    """None: all that is outstanding."""
    expires_on: dt.date | None
    zone: str
    another: bool
    """Though an invoice has a slip that can be paid."""


@dataclass(frozen=True, slots=True)
class _Debtor:
    """Who is to pay, and in what."""

    customer_id: int
    asset_id: int


async def issue_slip(
    connection: Connection, ledger: Ledger, recorded: Recorded, slip_id: uuid.UUID, wanted: SlipWanted
) -> Slip:
    """
    Issue a slip under an id that was made up for it.

    An invoice has one slip that can be paid, unless another one is asked for; none is issued for what a store says was
    paid. Of a customer's invoices those that have a slip are left out.

    Raises:
        InvalidInput: a zone, or a day, is none (``invalid_input``).
        UnknownInvoice: there is no such invoice (``invoicing.unknown_invoice``).
        UnknownCustomer: the customer is not known (``repayments.unknown_customer``).
        NothingToPay: nothing is outstanding (``slips.nothing_to_pay``).
        AmountBeyond: more is asked for than is outstanding (``slips.amount_beyond``).
        LiveSlip: it has a slip that can still be paid (``slips.live_slip``).
        Announced: a store says that it was paid (``slips.announced``).
        OrderLost: another transaction repaid some of it meanwhile, and is ordered later.
    """
    await enter_to_slips(connection, recorded.book_id)
    place = await enter_to_repay(connection, recorded.book_id)
    expires_on = _last_day(wanted, recorded.at)
    debtor = await _find_debtor(connection, recorded.book_id, wanted)
    invoices = await _find_invoices(connection, recorded, place, debtor, wanted)
    balances = await lock_and_read(connection, ledger, place, [one.account_id for one in invoices])
    owed = [(one.invoice_id, balances.outstanding(one.account_id)) for one in invoices]
    parts = _parts([(invoice, amount) for invoice, amount in owed if amount], wanted.amount)
    await _insert_slip(
        connection, recorded.book_id, slip_id, number_of(slip_id), debtor.customer_id, debtor.asset_id,
        sum(amount for _, amount in parts), expires_on, wanted.zone, recorded.message_place, recorded.at,
        [invoice for invoice, _ in parts], [amount for _, amount in parts],
    )  # fmt: skip
    return (await find_slip(connection, recorded.book_id, slip_id, recorded.at)).slip


async def cancel_slip(connection: Connection, recorded: Recorded, slip_id: uuid.UUID, reason: str) -> Slip:
    """
    Cancel a slip, once; it is not to be paid any more, and if it is, the money is the customer's all the same.

    Raises:
        UnknownSlip: there is none (``slips.unknown_slip``).
        Announced: a store says that it was paid (``slips.announced``).
        SlipEnded: its money came (``slips.ended``).
    """
    await enter_to_slips(connection, recorded.book_id)
    slip = (await find_slip(connection, recorded.book_id, slip_id, recorded.at)).slip
    if slip.announced:
        raise Announced(field="id", slip=slip_id)
    if slip.status == "settled":
        raise SlipEnded(field="id", slip=slip_id, status=slip.status)
    if slip.status == "cancelled":
        return slip
    await _insert_cancellation(
        connection, recorded.book_id, slip_id, reason, recorded.message_place, recorded.at
    )  # fmt: skip
    return (await find_slip(connection, recorded.book_id, slip_id, recorded.at)).slip


async def enter_to_slips(connection: Connection, book_id: int) -> None:
    """Let nobody else issue slips, hear of them or make charges until the transaction ends; to be called first of all."""
    await _enter_to_slips(connection, book_id)


def _last_day(wanted: SlipWanted, at: dt.datetime) -> dt.date:
    if wanted.zone not in iana_zones():
        raise InvalidInput(field="zone", rule="a zone is an IANA name such as UTC or Asia/Tokyo")
    today = day_in(wanted.zone, at)
    last = today + dt.timedelta(days=_USUAL_DAYS) if wanted.expires_on is None else wanted.expires_on
    if not today <= last <= today + dt.timedelta(days=_MOST_DAYS):
        raise InvalidInput(field="expires_on", rule=f"Expected a day from today, {today}, to {_MOST_DAYS} days later")
    return last


async def _find_debtor(connection: Connection, book_id: int, wanted: SlipWanted) -> _Debtor:
    """Return who is to pay: the customer of the invoice, or the one that is named with an asset."""
    customer, asset = wanted.customer, wanted.asset
    if wanted.invoice is not None:
        if customer is not None or asset is not None:
            raise InvalidInput(field="invoice", rule="A slip is for an invoice, or for a customer and an asset")
        rows = await _find_payable(connection, book_id, wanted.invoice)
        if not rows:
            raise UnknownInvoice(field="invoice", invoice=wanted.invoice)
        _, customer, asset, issued = rows[0]
        if not issued:
            raise NothingToPay(field="invoice")
    if customer is None or asset is None:
        field = "customer" if customer is None else "asset"
        raise InvalidInput(field=field, rule="A slip is for an invoice, or for a customer and an asset")
    customer_id = await require_customer(connection, book_id, customer)
    return _Debtor(customer_id, (await find_asset(connection, book_id, asset)).asset_id)


async def _find_invoices(
    connection: Connection, recorded: Recorded, place: Place, debtor: _Debtor, wanted: SlipWanted
) -> list[OpenInvoice]:
    """Return the invoices that the slip can be for, the oldest first."""
    purse = (debtor.customer_id, debtor.asset_id)
    dues = (await find_dues(connection, recorded.book_id, [purse], place.place))[purse]
    own = [one for one in dues if wanted.invoice is None or one.invoice_id == wanted.invoice]
    busy: dict[uuid.UUID, tuple[uuid.UUID, bool]] = {}
    rows = await _find_busy(connection, recorded.book_id, [one.invoice_id for one in own], recorded.at)
    for invoice_id, slip_id, announced in rows:
        if announced or not wanted.another:
            busy.setdefault(invoice_id, (slip_id, announced))
    free = [one for one in own if one.invoice_id not in busy]
    if own and not free:
        slip_id, announced = busy[own[0].invoice_id]
        if announced:
            raise Announced(field="invoice", slip=slip_id)
        raise LiveSlip(field="invoice", invoice=own[0].invoice_id, slip=slip_id)
    return free


def _parts(owed: Sequence[tuple[uuid.UUID, int]], amount: int | None) -> list[tuple[uuid.UUID, int]]:
    """Spread the slip's amount over what is owed, the oldest first."""
    whole = sum(outstanding for _, outstanding in owed)
    if not whole:
        raise NothingToPay(field="invoice")
    left = whole if amount is None else amount
    if left > min(whole, MOST):
        raise AmountBeyond(field="amount", amount=left, most=min(whole, MOST))
    parts = []
    for invoice, outstanding in owed:
        part = min(left, outstanding)
        if part:
            parts.append((invoice, part))
        left -= part
    return parts
