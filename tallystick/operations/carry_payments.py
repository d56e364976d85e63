"""
Carry payments through: the one way from a payment that was kept to the end of it.

    started ──► provider: create ──► payments.open
    submitted ─► provider: capture ─► payments.settle (ledger and receipt) or payments.fail

Each call outside is made between two transactions, can be made again, and is made again by a worker when
whoever began it is gone (``operations/work_payments.py``).
"""

import uuid
from collections.abc import Collection
from typing import Any, cast

import structlog

from tallystick.errors import InvalidInput
from tallystick.journal.keep import IdReused
from tallystick.operations.run import RESERVED, Operations
from tallystick.payments.errors import (
    AccountsUnusable,
    NotPosted,
    PaymentEnded,
    StatementDiffers,
)
from tallystick.payments.model import Payment, PaymentOutput, PaymentStatus, as_output
from tallystick.payments.providers import protocol
from tallystick.payments.providers.protocol import (
    CreateRequest,
    Provider,
    ProviderRefused,
    ProviderTransaction,
    ProviderUnreachable,
    TransactionStatus,
)
from tallystick.security.model import SYSTEM, Principal

_log = structlog.get_logger()

_LONGEST_TEXT = 255
_TRIES = 3
"""How often a statement is read anew when the invoice moves between reading and settling."""
_STUCK = (AccountsUnusable, InvalidInput, NotPosted, PaymentEnded, StatementDiffers)
"""What leaves a payment as it is until somebody has seen to it, or another try goes better."""


async def carry_through(
    operations: Operations, principal: Principal, book: str, output: PaymentOutput
) -> PaymentOutput:
    """
    Take a payment as far as it goes: tell the provider what it has not been told, and note what it answers.

    Safe to run at any time, any number of times, by anyone. When the provider's answer does not come, the payment stays as it is
    and a worker asks again; the caller learns the status, never a guess.
    """
    del principal
    return await advance(operations, book, output.payment_id)


async def advance(
    operations: Operations, book: str, payment_id: uuid.UUID, *, ask_first: bool = False
) -> PaymentOutput:
    """
    Make the next call to the provider and note its outcome.

    With *ask_first* the provider is asked how the transaction stands before it is told anything. What cannot be
    noted leaves the payment as it is, and is an error in the log until it can.
    """
    provider = cast("Provider | None", operations.resources.get(protocol.Provider))
    payment: Payment = await operations.call(SYSTEM, book, "payments.find_whole", "", {"payment_id": str(payment_id)})
    if provider is None:  # a process without one, such as the command line: a worker beside the server carries on
        return as_output(payment)
    try:
        match PaymentStatus(payment.status):
            case PaymentStatus.STARTED:
                return await _create(operations, book, provider, payment)
            case PaymentStatus.SUBMITTED:
                return await _capture(operations, book, provider, payment, ask_first=ask_first)
            case PaymentStatus.OPENED | PaymentStatus.SETTLED | PaymentStatus.FAILED:
                pass
    except (ProviderUnreachable, ProviderRefused) as unknown:
        _log.warning("the provider's outcome is not known", payment=str(payment_id), code=unknown.code)
    except _STUCK as stuck:
        _log.error("a payment cannot go on", payment=str(payment_id), status=payment.status, code=stuck.code)
    return as_output(payment)


async def _create(operations: Operations, book: str, provider: Provider, payment: Payment) -> PaymentOutput:
    reference = str(payment.payment_id)
    request = CreateRequest(
        reference=reference,
        amount=payment.amount,
        currency=payment.asset,
        user=payment.user,
        email=payment.email,
        payment_type=protocol.PaymentType(payment.payment_type),
    )
    try:
        created = await provider.create(request)
    except ProviderRefused as refused:
        return await _fail(operations, book, payment, refused.message)
    if created.status is TransactionStatus.DECLINED:
        return await _fail(operations, book, payment, _decline(created))
    fields = {"payment_id": reference, "transaction_id": created.id, "token": created.token}
    return await _note(operations, book, payment, "open", fields, _beyond(payment))


async def _capture(
    operations: Operations, book: str, provider: Provider, payment: Payment, *, ask_first: bool
) -> PaymentOutput:
    """
    Have the money taken, once what its receipt will say is known and its accounts can take it.

    Only a decline ends the payment: a refusal may be about another request of ours, or come from a provider that
    never heard of the transaction. It proves nothing about money.
    """
    transaction_id = cast("str", payment.transaction_id)
    found = await provider.find(transaction_id) if ask_first else None
    statement = None
    if found is None or found.status is TransactionStatus.CREATED:
        statement = await _read_statement(operations, book, payment)
        key = f"capture:{payment.payment_id}"
        try:
            found = await provider.capture(transaction_id, payment.amount, payment.asset, key)
        except ProviderRefused:
            found = await provider.find(transaction_id)
    match found.status:
        case TransactionStatus.CAPTURED:
            return await _settle(operations, book, payment, statement)
        case TransactionStatus.DECLINED:
            return await _fail(operations, book, payment, _decline(found))
        case TransactionStatus.CREATED:
            raise ProviderUnreachable(cause="it refused to take the money, and has not ended the transaction")


async def _settle(
    operations: Operations, book: str, payment: Payment, statement: dict[str, Any] | None
) -> PaymentOutput:
    """Settle; when the invoice has moved since the statement was read, with another."""
    for _ in range(_TRIES):
        statement = statement or await _read_statement(operations, book, payment)
        fields = {"payment_id": str(payment.payment_id), "statement": statement}
        try:
            return await _note(operations, book, payment, "settle", fields, {PaymentStatus.SETTLED})
        except StatementDiffers:
            statement = None
    raise StatementDiffers


async def _read_statement(operations: Operations, book: str, payment: Payment) -> dict[str, Any]:
    fields = {"payment_id": str(payment.payment_id)}
    return cast("dict[str, Any]", await operations.call(SYSTEM, book, "payments.statement", "", fields))


async def _fail(operations: Operations, book: str, payment: Payment, reason: str) -> PaymentOutput:
    fields = {"payment_id": str(payment.payment_id), "reason": printable(reason), "ends": payment.status}
    return await _note(operations, book, payment, "fail", fields, _beyond(payment), f":{payment.status}")


def _beyond(payment: Payment) -> set[PaymentStatus]:
    """Return where a payment can be when it is no longer where it was: it never comes back."""
    return set(PaymentStatus) - {PaymentStatus(payment.status)}


def _decline(transaction: ProviderTransaction) -> str:
    return f"declined: {transaction.decline_code or 'no reason given'}"


def printable(reason: str) -> str:
    """Write a provider's reason so that it fits on one line of ours, whatever is in it."""
    line = "".join(character if character.isprintable() else " " for character in reason)
    return " ".join(line.split())[:_LONGEST_TEXT].strip() or "no reason given"


async def _note(
    operations: Operations,
    book: str,
    payment: Payment,
    step_name: str,
    fields: dict[str, Any],
    reached: Collection[PaymentStatus],
    suffix: str = "",
) -> PaymentOutput:
    """
    Send a worker's message; where it was sent before with other content, look what became of the payment.

    One that has not *reached* what the message was to bring about is an error in the log, and goes on as it is.
    """
    key = f"{RESERVED}{step_name}:{payment.payment_id}{suffix}"
    try:
        return cast("PaymentOutput", await operations.call(SYSTEM, book, f"payments.{step_name}", key, fields))
    except IdReused as reused:
        find_fields = {"payment_id": str(payment.payment_id)}
        found: PaymentOutput = await operations.call(SYSTEM, book, "payments.find", "", find_fields)
        if PaymentStatus(found.status) not in reached:
            _log.error("a payment cannot go on", payment=str(payment.payment_id), status=found.status, code=reused.code)
        return found
