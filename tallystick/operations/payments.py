"""The payments' operations; what carries a payment from one to the next is ``carry_payments``."""

import datetime as dt
import uuid
from typing import Annotated, Any, Literal

import msgspec
from msgspec.structs import replace

from tallystick.db.retry import OrderLost
from tallystick.invoicing.find import canonical_statement, find_invoice, invoice_account
from tallystick.invoicing.life.note_states import note_states
from tallystick.invoicing.model import InvoiceAccount
from tallystick.ledger.model import Batch, Reason, Status, transfers
from tallystick.ledger.post import post
from tallystick.ledger.read_in_order import take_place
from tallystick.ledger.resolve import resolve_accounts
from tallystick.money import MAX_AMOUNT
from tallystick.notify.tell import tell
from tallystick.operations.carry_payments import carry_through
from tallystick.operations.model import Call, Input, Operation
from tallystick.payments import step
from tallystick.payments.accounts import clearing_account, prepare_accounts, require_usable, unallocated_account
from tallystick.payments.errors import (
    NotPosted,
    PaymentDiffers,
    StatementDiffers,
)
from tallystick.payments.find import find_by_provider_id, find_payment
from tallystick.payments.model import Payment, PaymentOutput, PaymentStatus, PaymentType, as_output
from tallystick.payments.start import NewPayment, lock_invoice, oldest_invoice_of, require_customer, start_payment
from tallystick.payments.told import told_of
from tallystick.receipts.issue import issue_receipt, receipt_id_of, transfer_id_of
from tallystick.repayments.dues import lock_and_read

_LONGEST_TEXT = 255
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=_LONGEST_TEXT, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
Token = Annotated[str, msgspec.Meta(max_length=4096, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]
Email = Annotated[str, msgspec.Meta(max_length=320, pattern=r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+$(?!\n)")]
Amount = Annotated[int, msgspec.Meta(ge=1, le=MAX_AMOUNT)]
Instant = Annotated[dt.datetime, msgspec.Meta(tz=True)]


class StartPaymentInput(Input, frozen=True):
    """Who pays what, how; without an invoice, the user's invoice that is due first."""

    user: Text
    email: Email
    timestamp: Instant
    payment_type: PaymentType
    invoice_id: uuid.UUID | None = None
    amount: Amount | None = None
    """Minor units; left out, all that is outstanding."""


class PostPaymentInput(Input, frozen=True):
    """The same as the payment was started with, the provider's transaction, and the amount in minor units."""

    user: Text
    email: Email
    timestamp: Instant
    payment_type: PaymentType
    transaction_id: Text
    amount: Amount


class PaymentIdInput(Input, frozen=True):
    """The id of a payment."""

    payment_id: uuid.UUID


class OpenPaymentInput(Input, frozen=True):
    """What the provider answered to a new transaction."""

    payment_id: uuid.UUID
    transaction_id: Text
    token: Token


class FailPaymentInput(Input, frozen=True):
    """Why the provider takes no money for the payment."""

    payment_id: uuid.UUID
    reason: Text
    ends: Literal["started", "submitted"]
    """The status that it must still have; one that has moved on since the provider was asked goes on."""


class SettlePaymentInput(Input, frozen=True):
    """What the receipt will say: the payment, its transfer, and the invoice down to the usage of each line."""

    payment_id: uuid.UUID
    statement: dict[str, Any]


async def start(call: Call, request: StartPaymentInput) -> PaymentOutput:
    """Start a payment (startPayment): the provider gives a transaction id and a token to complete it with."""
    book_id = call.book.book_id
    invoice_id = request.invoice_id or await oldest_invoice_of(call.connection, book_id, request.user)
    await lock_invoice(call.connection, invoice_id)
    account = await invoice_account(call.connection, book_id, invoice_id)
    await require_customer(call.connection, book_id, invoice_id, request.user)
    payment_id = call.new_id()
    wanted = NewPayment(
        payment_id=payment_id,
        invoice_id=invoice_id,
        user=request.user,
        email=request.email,
        timestamp=request.timestamp,
        payment_type=request.payment_type,
        asset_id=account.asset_id,
        amount=request.amount,
        provider="sandbox",
    )
    outstanding = await _outstanding(call, account.account_id)
    await start_payment(call.connection, call.recorded, wanted, outstanding)
    return as_output(await find_payment(call.connection, book_id, payment_id))


async def _outstanding(call: Call, account_id: int) -> int:
    """Return what is outstanding on an invoice, whose account nobody moves until the transaction ends."""
    place = await take_place(call.connection)
    return (await lock_and_read(call.connection, call.book.ledger, place, [account_id])).outstanding(account_id)


async def submit(call: Call, request: PostPaymentInput) -> PaymentOutput:
    """Complete a payment (postPayment): the money is taken once, whatever fails in between and however often it is sent."""
    book_id = call.book.book_id
    payment = await find_by_provider_id(call.connection, book_id, request.transaction_id)
    for field, started in (
        ("user", payment.user),
        ("email", payment.email),
        ("payment_type", payment.payment_type),
        ("amount", payment.amount),
    ):
        if getattr(request, field) != started:
            raise PaymentDiffers(field=field, field_name=field)
    if PaymentStatus(payment.status) is PaymentStatus.OPENED:
        await require_usable(call.connection, book_id, payment)
    return as_output(await step.submit_payment(call.connection, call.recorded, payment.payment_id))


async def find(call: Call, request: PaymentIdInput) -> PaymentOutput:
    """Return a payment as it stands."""
    return as_output(await find_payment(call.connection, call.book.book_id, request.payment_id))


async def find_whole(call: Call, request: PaymentIdInput) -> Payment:
    """Return all that is kept of a payment, for the workers that carry it through."""
    return await find_payment(call.connection, call.book.book_id, request.payment_id)


async def open_payment(call: Call, request: OpenPaymentInput) -> PaymentOutput:
    """Note the transaction that the provider gave a payment, and see that its money has accounts to arrive on."""
    payment = await step.open_payment(
        call.connection, call.recorded, request.payment_id, request.transaction_id, request.token
    )
    await prepare_accounts(call.connection, call.recorded, payment)
    return as_output(payment)


async def fail_payment(call: Call, request: FailPaymentInput) -> PaymentOutput:
    """Note that the provider took no money for a payment and never will."""
    ends = {PaymentStatus(request.ends)}
    await step.fail_payment(call.connection, call.recorded, request.payment_id, request.reason, ends)
    return await find(call, PaymentIdInput(payment_id=request.payment_id))


async def expire_payment(call: Call, request: PaymentIdInput) -> PaymentOutput:
    """Give up a payment that its customer did not complete in time."""
    await step.expire_payment(call.connection, call.recorded, request.payment_id)
    return await find(call, request)


async def read_statement(call: Call, request: PaymentIdInput) -> dict[str, Any]:
    """Return what the receipt of a payment will say."""
    payment = await find_payment(call.connection, call.book.book_id, request.payment_id)
    receivable = await invoice_account(call.connection, call.book.book_id, payment.invoice_id)
    fits = receivable.outstanding >= payment.amount
    return await _statement(call, request.payment_id, receivable, fits=fits)


async def settle(call: Call, request: SettlePaymentInput) -> PaymentOutput:
    """Put a payment that the provider took into the ledger, against its invoice, and issue the receipt."""
    payment_id = request.payment_id
    payment = await step.settle_payment(call.connection, call.recorded, payment_id)
    if payment is None:
        return await find(call, PaymentIdInput(payment_id=payment_id))
    receivable = await invoice_account(call.connection, call.book.book_id, payment.invoice_id)
    fits = await _outstanding(call, receivable.account_id) >= payment.amount
    if request.statement != await _statement(call, payment_id, receivable, fits=fits):
        raise StatementDiffers(field="statement")
    said = request.statement["transfer"]
    batch = transfers(1)
    batch["transfer_id"] = uuid.UUID(said["transfer_id"]).bytes
    for column in ("debit_account_id", "credit_account_id", "amount"):
        batch[column] = said[column]
    batch["message_place"] = call.place
    batch["reason"] = Reason.PAYMENT_SETTLE
    outcomes = await post(call.connection, call.book.ledger, Batch(batch), call.recorded, call.message_hashes)
    _require_posted(Status(int(outcomes.statuses[0])))
    await note_states(call.connection, call.recorded, [payment.invoice_id])
    receipt_id = await issue_receipt(call.connection, call.recorded, payment_id, uuid.UUID(said["transfer_id"]))
    await tell(call.connection, call.recorded, [told_of(replace(payment, receipt_id=receipt_id))])
    return as_output(replace(payment, receipt_id=receipt_id))


def _require_posted(status: Status) -> None:
    if status is Status.LIMIT_EXCEEDED:  # the invoice was paid otherwise meanwhile
        raise OrderLost
    if not status.done:
        raise NotPosted(status=status.code)


async def _statement(call: Call, payment_id: uuid.UUID, receivable: InvoiceAccount, *, fits: bool) -> dict[str, Any]:
    """Write what the receipt says: the same whenever it is asked for, while the invoice can take the money as before."""
    book_id = call.book.book_id
    payment = await find_payment(call.connection, book_id, payment_id)
    invoice = await find_invoice(call.connection, call.book.ledger, payment.invoice_id)
    codes = [clearing_account(payment), unallocated_account(payment)]
    await require_usable(call.connection, book_id, payment, [receivable.code])
    clearing, unallocated = await resolve_accounts(call.connection, call.book.ledger, codes)
    return {
        "receipt_id": str(receipt_id_of(payment_id)),
        "payment": {
            "payment_id": str(payment_id),
            "user": payment.user,
            "payment_type": payment.payment_type,
            "provider": payment.provider,
            "transaction_id": payment.transaction_id,
            "amount": payment.amount,
            "asset": payment.asset,
        },
        "transfer": {
            "transfer_id": str(transfer_id_of(payment_id)),
            "debit_account_id": clearing,
            "debit_account": codes[0],
            "credit_account_id": receivable.account_id if fits else unallocated,
            "credit_account": receivable.code if fits else codes[1],
            "amount": payment.amount,
        },
        "invoice": canonical_statement(invoice),
    }


INTERNAL = ""
"""The route of an operation that only the product's own workers call."""

OPERATIONS = [
    Operation(
        "payments.start", StartPaymentInput, PaymentOutput, "payments:write", "POST /payments/start", start,
        then=carry_through,
    ),
    Operation(
        "payments.post", PostPaymentInput, PaymentOutput, "payments:write", "POST /payments/post", submit,
        then=carry_through,
    ),
    Operation(
        "payments.find", PaymentIdInput, PaymentOutput, "payments:read", "GET /payments/{payment_id}", find, reads=True
    ),
    Operation("payments.find_whole", PaymentIdInput, Payment, "payments:carry", INTERNAL, find_whole, reads=True),
    Operation(
        "payments.statement", PaymentIdInput, dict[str, Any], "payments:carry", INTERNAL, read_statement, reads=True
    ),
    Operation("payments.open", OpenPaymentInput, PaymentOutput, "payments:carry", INTERNAL, open_payment),
    Operation("payments.fail", FailPaymentInput, PaymentOutput, "payments:carry", INTERNAL, fail_payment),
    Operation("payments.expire", PaymentIdInput, PaymentOutput, "payments:carry", INTERNAL, expire_payment),
    Operation("payments.settle", SettlePaymentInput, PaymentOutput, "payments:carry", INTERNAL, settle),
]  # fmt: skip
