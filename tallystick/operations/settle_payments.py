"""Settle payments: what each receipt will say, and putting what providers took into the ledger, many at once."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec.structs import replace

from tallystick.db.retry import OrderLost
from tallystick.errors import TallystickError
from tallystick.invoicing.life.note_states import note_states
from tallystick.invoicing.life.unallocated_account import open_unallocated
from tallystick.invoicing.model import account_of
from tallystick.invoicing.read_statements import read_outstanding
from tallystick.invoicing.read_statements import read_statements as read_invoice_statements
from tallystick.ledger.model import Batch, Reason, Status, transfers
from tallystick.ledger.post import post
from tallystick.notify.tell import tell
from tallystick.operations.model import Call, Input
from tallystick.payments.accounts import (
    Usable,
    account_beyond,
    clearing_account,
    find_usable,
    pooled_account,
    require_clearing,
    require_open,
    require_receivable,
)
from tallystick.payments.enter import enter_to_pay, lock_payments
from tallystick.payments.errors import AccountsUnusable, NotPosted, PaymentEnded, StatementDiffers, UnknownPayment
from tallystick.payments.find import find_payment, find_payments
from tallystick.payments.model import Payment, PaymentOutput, PaymentStatus, as_output
from tallystick.payments.step import Step, append_steps
from tallystick.payments.told import told_of
from tallystick.payments.wake import finish
from tallystick.receipts.issue import issue_receipts, receipt_id_of, transfer_id_of
from tallystick.repayments.dues import lock_and_read


class PaymentIdInput(Input, frozen=True):
    """The id of a payment."""

    payment_id: uuid.UUID


class PaymentIdsInput(Input, frozen=True):
    """The ids of payments."""

    payment_ids: Annotated[list[uuid.UUID], msgspec.Meta(max_length=1000)]


class SettlePaymentInput(Input, frozen=True):
    """What the receipt will say: the payment, its transfer, and the invoice down to the usage of each line."""

    payment_id: uuid.UUID
    statement: dict[str, Any]


class PaymentStatement(msgspec.Struct, frozen=True):
    """What the receipt of a payment will say, or why that cannot be said."""

    statement: dict[str, Any] | None
    unusable: str | None = None
    """The account that its money could not arrive on."""
    missing: bool = False
    """That account is its customer's own for what no invoice takes, and only has to be opened."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What statements are made of."""

    invoices: Mapping[uuid.UUID, dict[str, Any]]
    """What a receipt says of each invoice; it never changes."""
    accounts: Mapping[str, Usable]


async def read_statements(call: Call, request: PaymentIdsInput) -> list[PaymentStatement]:
    """Return what the receipts of payments will say, in their order."""
    found = await find_payments(call.connection, call.book.book_id, request.payment_ids)
    payments = [found[one] for one in request.payment_ids]
    known = await _find_known(call, payments)
    owed = await read_outstanding(call.connection, call.book.book_id, list(known.invoices))
    return [_try_statement(one, known, fits=owed[one.invoice_id] >= one.amount) for one in payments]


async def open_account_beyond(call: Call, request: PaymentIdInput) -> PaymentOutput:
    """Open the account of what a payment's customer paid beyond what any invoice took."""
    payment = await find_payment(call.connection, call.book.book_id, request.payment_id)
    await open_unallocated(call.connection, call.recorded, [(payment.user, payment.asset)])
    return as_output(payment)


async def settle(call: Call, requests: Sequence[SettlePaymentInput]) -> list[PaymentOutput | TallystickError]:
    """Put payments that providers took into the ledger, each against its invoice, and issue their receipts."""
    book_id = call.book.book_id
    ids = [request.payment_id for request in requests]
    await lock_payments(call.connection, book_id, ids)
    place = await enter_to_pay(call.connection, book_id)
    payments = await find_payments(call.connection, book_id, ids)
    answers: list[PaymentOutput | TallystickError] = [_as_it_ended(payments, one) for one in ids]
    going: dict[uuid.UUID, int] = {}
    for message_place, one in enumerate(ids):
        if one in payments and PaymentStatus(payments[one].status) not in _ENDED:
            going.setdefault(one, message_place)
    if not going:
        return answers
    known = await _find_known(call, [payments[one] for one in going])
    receivables = {one: require_receivable(known.accounts, payments[one]).account_id for one in going}
    balances = await lock_and_read(call.connection, call.book.ledger, place, sorted(set(receivables.values())))
    left = {account_id: balances.outstanding(account_id) for account_id in receivables.values()}
    for one, message_place in going.items():
        fits = left[receivables[one]] >= payments[one].amount
        _require_same(requests[message_place].statement, payments[one], known, fits=fits)
        left[receivables[one]] -= payments[one].amount if fits else 0
    settled = await _keep(call, [payments[one] for one in going], [(at, requests[at]) for at in going.values()])
    outputs = {one.payment_id: as_output(one) for one in settled}
    return [outputs.get(one, answer) for one, answer in zip(ids, answers, strict=True)]


_ENDED = {PaymentStatus.SETTLED, PaymentStatus.FAILED}


def _as_it_ended(payments: Mapping[uuid.UUID, Payment], payment_id: uuid.UUID) -> PaymentOutput | TallystickError:
    """Say what is to be answered where nothing is to be done."""
    payment = payments.get(payment_id)
    if payment is None:
        return UnknownPayment(field="payment_id", payment=payment_id)
    if PaymentStatus(payment.status) is PaymentStatus.FAILED:
        return PaymentEnded(field="payment_id", reason=payment.reason)
    return as_output(payment)


async def _keep(
    call: Call, payments: Sequence[Payment], requests: Sequence[tuple[int, SettlePaymentInput]]
) -> list[Payment]:
    """Append all that settling payments makes: transfers, steps, states of invoices, receipts, and what is told of them."""
    connection, recorded = call.connection, call.recorded
    places = [place for place, _ in requests]
    await _post(call, requests)
    await append_steps(
        connection,
        recorded,
        [Step(place, one.payment_id, PaymentStatus.SETTLED) for place, one in zip(places, payments, strict=True)],
    )
    await finish(connection, recorded, [one.payment_id for one in payments])
    invoices = {one.invoice_id: place for place, one in zip(places, payments, strict=True)}
    await note_states(connection, recorded, list(invoices), invoices)
    ids = [one.payment_id for one in payments]
    await issue_receipts(connection, recorded, list(zip(places, ids, strict=True)))
    settled = [
        replace(one, status=PaymentStatus.SETTLED.value, receipt_id=receipt_id_of(one.payment_id)) for one in payments
    ]
    await tell(connection, recorded, [told_of(one) for one in settled], places=places)
    return settled


async def _post(call: Call, requests: Sequence[tuple[int, SettlePaymentInput]]) -> None:
    """
    Post the transfers that the statements name.

    Raises:
        OrderLost: an invoice was paid otherwise meanwhile.
        NotPosted: the ledger does not take one (``payments.not_posted``).
    """
    batch = transfers(len(requests))
    said = [request.statement["transfer"] for _, request in requests]
    batch["transfer_id"] = [uuid.UUID(one["transfer_id"]).bytes for one in said]
    for column in ("debit_account_id", "credit_account_id", "amount"):
        batch[column] = [one[column] for one in said]
    batch["message_place"] = [place for place, _ in requests]
    batch["reason"] = Reason.PAYMENT_SETTLE
    outcomes = await post(call.connection, call.book.ledger, Batch(batch), call.recorded, call.message_hashes)
    for status in (Status(int(one)) for one in outcomes.statuses):
        if status is Status.LIMIT_EXCEEDED:
            raise OrderLost
        if not status.done:
            raise NotPosted(status=status.code)


async def _find_known(call: Call, payments: Sequence[Payment]) -> _Known:
    invoice_ids = list({one.invoice_id for one in payments})
    codes = [
        code for one in payments for code in (clearing_account(one), account_of(one.invoice_id), account_beyond(one))
    ]
    pooled = [pooled_account(one) for one in payments]
    return _Known(
        await read_invoice_statements(call.connection, call.book.book_id, invoice_ids),
        await find_usable(call.connection, call.book.book_id, [*codes, *pooled]),
    )


def _try_statement(payment: Payment, known: _Known, *, fits: bool) -> PaymentStatement:
    """Write a statement; where an account is in the way, say which."""
    credited = account_of(payment.invoice_id) if fits else account_beyond(payment)
    try:
        return PaymentStatement(_write(payment, known, credited))
    except AccountsUnusable as unusable:
        missing = unusable.account == account_beyond(payment)
        return PaymentStatement(None, unusable.account, missing)


def _require_same(said: dict[str, Any], payment: Payment, known: _Known, *, fits: bool) -> None:
    """
    Find a statement to be what the receipt has to say, as the invoice stands now.

    Raises:
        StatementDiffers: it is another (``payments.statement_differs``).
    """
    credited = account_of(payment.invoice_id) if fits else account_beyond(payment)
    transfer = said.get("transfer")
    if not fits and isinstance(transfer, dict) and transfer.get("credit_account") == pooled_account(payment):
        credited = pooled_account(payment)  # a message from before customers had their own
    if said != _write(payment, known, credited):
        raise StatementDiffers(field="statement")


def _write(payment: Payment, known: _Known, credited: str) -> dict[str, Any]:
    """
    Write what the receipt says: the same whenever it is asked for, while the invoice can take the money as before.

    Raises:
        AccountsUnusable: its money could not arrive (``payments.accounts_unusable``).
    """
    clearing = require_clearing(known.accounts, payment)
    require_receivable(known.accounts, payment)
    credit = require_open(known.accounts, credited, payment.asset)
    return {
        "receipt_id": str(receipt_id_of(payment.payment_id)),
        "payment": {
            "payment_id": str(payment.payment_id),
            "user": payment.user,
            "payment_type": payment.payment_type,
            "provider": payment.provider,
            "transaction_id": payment.transaction_id,
            "amount": payment.amount,
            "asset": payment.asset,
        },
        "transfer": {
            "transfer_id": str(transfer_id_of(payment.payment_id)),
            "debit_account_id": clearing.account_id,
            "debit_account": clearing_account(payment),
            "credit_account_id": credit.account_id,
            "credit_account": credited,
            "amount": payment.amount,
        },
        "invoice": known.invoices[payment.invoice_id],
    }
