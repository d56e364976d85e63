"""Start a payment: keep what is wanted before anybody outside hears of it."""

import datetime as dt
import uuid
from dataclasses import dataclass

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.accounts import Recorded
from tallystick.payments.errors import NothingToPay, PaymentDiffers, PaymentUnderWay
from tallystick.payments.model import PaymentType

_queries = queries_beside(__file__)
_lock_invoice = _queries.run("lock_invoice")
_sum_under_way = _queries.value("sum_under_way")
_oldest_invoice_of = _queries.value("oldest_invoice_of")
_customer_of_invoice = _queries.value("customer_of_invoice")
_insert_payment = _queries.run("insert_payment")
_insert_job = _queries.run("insert_job")

LEASE = dt.timedelta(seconds=30)
"""How long whoever began a call to the provider has it to itself; then a worker takes over."""


@dataclass(frozen=True, slots=True)
class NewPayment:
    """A payment to start; *amount* of None is all that is left to pay."""

    payment_id: uuid.UUID
    invoice_id: uuid.UUID
    user: str
    email: str
    timestamp: dt.datetime
    payment_type: PaymentType
    asset_id: int
    amount: int | None
    provider: str


async def oldest_invoice_of(connection: Connection, book_id: int, customer: str) -> uuid.UUID:
    """
    Return the customer's invoice that is due first of those that payments under way do not cover.

    Where they cover all, one of those: starting its payment tells that others are under way.

    Raises:
        NothingToPay: there is none (``payments.nothing_to_pay``).
    """
    invoice_id: uuid.UUID | None = await _oldest_invoice_of(connection, book_id, customer)
    if invoice_id is None:
        raise NothingToPay(field="user", what=f"the customer {customer}")
    return invoice_id


async def lock_invoice(connection: Connection, invoice_id: uuid.UUID) -> None:
    """Let nobody else start a payment of this invoice until the transaction ends."""
    await _lock_invoice(connection, invoice_id)


async def require_customer(connection: Connection, book_id: int, invoice_id: uuid.UUID, user: str) -> None:
    """
    Refuse to let anybody but its customer pay an invoice.

    Raises:
        PaymentDiffers: the invoice is another's (``payments.differs``).
    """
    if await _customer_of_invoice(connection, book_id, invoice_id) != user:
        raise PaymentDiffers(field="user", field_name="user")


async def start_payment(connection: Connection, recorded: Recorded, wanted: NewPayment, outstanding: int) -> int:
    """
    Keep a payment and the job of carrying it through; return its amount.

    Needs the invoice locked. Payments under way count as if they had been made, so that no two take the same money.

    Raises:
        NothingToPay: the invoice is paid, or the amount is more than is outstanding (``payments.nothing_to_pay``).
        PaymentUnderWay: other payments already cover it (``payments.under_way``).
    """
    if outstanding <= 0 or (wanted.amount or 0) > outstanding:
        field = "amount" if wanted.amount else "invoice_id"
        raise NothingToPay(field=field, what=f"the invoice beyond {max(outstanding, 0)}")
    left = outstanding - int(await _sum_under_way(connection, recorded.book_id, wanted.invoice_id))
    amount = wanted.amount or left
    if left <= 0 or amount > left:
        raise PaymentUnderWay(field="invoice_id", left=max(left, 0))
    await _insert_payment(
        connection,
        recorded.book_id,
        wanted.payment_id,
        wanted.invoice_id,
        wanted.user,
        wanted.email,
        wanted.timestamp,
        wanted.payment_type,
        wanted.asset_id,
        amount,
        wanted.provider,
        recorded.message_place,
        recorded.at,
    )
    await _insert_job(connection, recorded.book_id, wanted.payment_id, recorded.at + LEASE)
    return amount
