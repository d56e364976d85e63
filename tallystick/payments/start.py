"""Start payments: keep what is wanted before anybody outside hears of it."""

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import TallystickError
from tallystick.invoicing.find import InvoiceNotIssued, UnknownInvoice
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.post import Ledger
from tallystick.payments.enter import enter_to_pay, lock_customers
from tallystick.payments.errors import NothingToPay, PaymentDiffers, PaymentUnderWay
from tallystick.payments.model import Payment, PaymentStatus, PaymentType
from tallystick.payments.wake import START_PRIORITY, enqueue
from tallystick.repayments.dues import lock_and_read

_queries = queries_beside(__file__)
_find_invoices = _queries.tuples("find_invoices")
_find_open_invoices_of = _queries.tuples("find_open_invoices_of")
_sum_under_way = _queries.tuples("sum_under_way")
_insert_payments = _queries.run("insert_payments")


@dataclass(frozen=True, slots=True)
class NewPayment:
    """A payment to start; *invoice_id* of None is the one due first, *amount* of None all that is left to pay."""

    payment_id: uuid.UUID
    message_place: int
    invoice_id: uuid.UUID | None
    user: str
    email: str
    timestamp: dt.datetime
    payment_type: PaymentType
    amount: int | None
    provider: str


@dataclass(frozen=True, slots=True)
class _Payable:
    """An invoice that a payment is for."""

    invoice_id: uuid.UUID
    customer: str
    asset_id: int
    asset: str
    account_id: int | None
    """None while it is a draft."""
    outstanding: int = 0
    """As it was seen when the invoice was chosen."""


@dataclass(frozen=True, slots=True)
class _Started:
    """A payment that is started, with the number of its asset."""

    payment: Payment
    asset_id: int
    message_place: int


async def start_payments(
    connection: Connection, ledger: Ledger, recorded: Recorded, wanted: Sequence[NewPayment]
) -> list[Payment | TallystickError]:
    """
    Keep payments and the jobs of carrying them through; in order of *wanted* each as it is kept, or why it is not.

    Payments under way count as if they had been made, so that no two take the same money.

    Errors:
        UnknownInvoice, InvoiceNotIssued: as their names say.
        PaymentDiffers: the invoice is another customer's (``payments.differs``).
        NothingToPay: nothing is owed, or less than the amount (``payments.nothing_to_pay``).
        PaymentUnderWay: other payments already cover it (``payments.under_way``).

    Raises:
        OrderLost: a transaction that is ordered later moved one of the invoices already.
    """
    book_id = recorded.book_id
    await lock_customers(connection, book_id, [one.user for one in wanted])
    place = await enter_to_pay(connection, book_id)
    ids = [one.invoice_id for one in wanted if one.invoice_id is not None]
    named = await _find_named(connection, book_id, ids, place.place)
    due = await _find_due(connection, book_id, [one.user for one in wanted if one.invoice_id is None], place.place)
    both = {*named, *(one.invoice_id for each in due.values() for one in each)}
    under_way = await _find_under_way(connection, book_id, both)
    chosen = _choose(wanted, named, due, dict(under_way))
    accounts = {one.account_id for one in chosen if isinstance(one, _Payable) and one.account_id is not None}
    balances = await lock_and_read(connection, ledger, place, sorted(accounts))
    judged: list[_Started | TallystickError] = []
    for one, payable in zip(wanted, chosen, strict=True):
        if isinstance(payable, TallystickError):
            judged.append(payable)
            continue
        outstanding = 0 if payable.account_id is None else balances.outstanding(payable.account_id)
        started = _judge(one, payable, outstanding, under_way[payable.invoice_id], recorded.at)
        if isinstance(started, _Started):
            under_way[payable.invoice_id] += started.payment.amount
        judged.append(started)
    await _keep(connection, recorded, [one for one in judged if isinstance(one, _Started)])
    return [one.payment if isinstance(one, _Started) else one for one in judged]


def _choose(
    wanted: Sequence[NewPayment],
    named: dict[uuid.UUID, _Payable],
    due: dict[str, list[_Payable]],
    under_way: dict[uuid.UUID, int],
) -> list[_Payable | TallystickError]:
    """Say for each which invoice it is for: the one it names, or the one due first that those before it do not cover."""
    chosen: list[_Payable | TallystickError] = []
    seen = {each.invoice_id: each for customers in due.values() for each in customers}
    for one in wanted:
        if one.invoice_id is not None:
            payable = _require_payable(one, named.get(one.invoice_id))
            if isinstance(payable, _Payable) and payable.invoice_id in seen:
                _cover(seen[payable.invoice_id], one.amount, under_way)
            chosen.append(payable)
            continue
        mine = due.get(one.user, [])
        if not mine:
            chosen.append(NothingToPay(field="user", what=f"the customer {one.user}"))
            continue
        free = [each for each in mine if each.outstanding > under_way.get(each.invoice_id, 0)]
        first = (free or mine)[0]  # where all are covered, starting a payment of one tells that others are under way
        _cover(first, one.amount, under_way)
        chosen.append(first)
    return chosen


def _cover(payable: _Payable, amount: int | None, under_way: dict[uuid.UUID, int]) -> None:
    """Count a payment as under way that will be started; one of more than is left will be refused, and covers nothing."""
    before = under_way.get(payable.invoice_id, 0)
    left = max(payable.outstanding - before, 0)
    covered = left if amount is None else amount
    if covered <= left:
        under_way[payable.invoice_id] = before + covered


def _require_payable(wanted: NewPayment, found: _Payable | None) -> _Payable | TallystickError:
    if found is None:
        return UnknownInvoice(field="invoice_id", invoice=wanted.invoice_id)
    if found.account_id is None:
        return InvoiceNotIssued(field="invoice_id", invoice=wanted.invoice_id)
    if found.customer != wanted.user:
        return PaymentDiffers(field="user", field_name="user")
    return found


def _judge(
    wanted: NewPayment, payable: _Payable, outstanding: int, under_way: int, at: dt.datetime
) -> _Started | TallystickError:
    """Start a payment of what is left of an invoice, or say why not."""
    if outstanding <= 0 or (wanted.amount or 0) > outstanding:
        field = "amount" if wanted.amount else "invoice_id"
        return NothingToPay(field=field, what=f"the invoice beyond {max(outstanding, 0)}")
    left = outstanding - under_way
    amount = wanted.amount or left
    if left <= 0 or amount > left:
        return PaymentUnderWay(field="invoice_id", left=max(left, 0))
    payment = Payment(
        payment_id=wanted.payment_id,
        invoice_id=payable.invoice_id,
        user=wanted.user,
        email=wanted.email,
        timestamp=wanted.timestamp,
        payment_type=wanted.payment_type,
        amount=amount,
        asset=payable.asset,
        provider=wanted.provider,
        status=PaymentStatus.STARTED.value,
        transaction_id=None,
        token=None,
        reason=None,
        receipt_id=None,
        started_at=at,
        opened_at=None,
    )
    return _Started(payment, payable.asset_id, wanted.message_place)


async def _keep(connection: Connection, recorded: Recorded, started: Sequence[_Started]) -> None:
    if not started:
        return
    payments = [one.payment for one in started]
    await _insert_payments(
        connection,
        recorded.book_id,
        recorded.at,
        [one.payment_id for one in payments],
        [one.invoice_id for one in payments],
        [one.user for one in payments],
        [one.email for one in payments],
        [one.timestamp for one in payments],
        [one.payment_type for one in payments],
        [one.asset_id for one in started],
        [one.amount for one in payments],
        [one.provider for one in payments],
        [one.message_place for one in started],
    )
    await enqueue(connection, recorded, [one.payment_id for one in payments], START_PRIORITY)


async def _find_named(
    connection: Connection, book_id: int, invoice_ids: Sequence[uuid.UUID], place: int
) -> dict[uuid.UUID, _Payable]:
    if not invoice_ids:
        return {}
    rows = await _find_invoices(connection, book_id, list(set(invoice_ids)), place)
    return {one.invoice_id: one for one in (_Payable(*row) for row in rows)}


async def _find_due(
    connection: Connection, book_id: int, users: Sequence[str], place: int
) -> dict[str, list[_Payable]]:  # fmt: skip
    """Return by customer the invoices that something is owed on, the one due first in front."""
    found: dict[str, list[_Payable]] = {}
    if users:
        for row in await _find_open_invoices_of(connection, book_id, list(set(users)), place):
            found.setdefault(row[1], []).append(_Payable(*row))
    return found


async def _find_under_way(
    connection: Connection, book_id: int, invoice_ids: Iterable[uuid.UUID]
) -> defaultdict[uuid.UUID, int]:
    """Return by invoice what payments under way will bring, 0 where there are none."""
    rows = await _sum_under_way(connection, book_id, list(invoice_ids))
    return defaultdict(int, rows)
