"""The payments' operations; what carries a payment from one to the next is ``carry_payments``."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from tallystick.errors import TallystickError
from tallystick.operations.carry_payments import carry_again, carry_through, name_provider
from tallystick.operations.fields import Amount, Instant, PageSize
from tallystick.operations.keep_sessions import SessionOutput, show_session
from tallystick.operations.model import Call, Input, Operation
from tallystick.operations.run import KEPT_KINDS
from tallystick.operations.settle_payments import (
    PaymentIdInput,
    PaymentIdsInput,
    PaymentStatement,
    SettlePaymentInput,
    open_account_beyond,
    read_statements,
    settle,
)
from tallystick.payments.accounts import clearing_account, find_usable, prepare_accounts, require_clearing
from tallystick.payments.enter import lock_customers
from tallystick.payments.errors import PaymentDiffers, UnknownPayment
from tallystick.payments.find import (
    StepTaken,
    find_by_provider_ids,
    find_history,
    find_payment,
    find_payments,
    page_payments,
)
from tallystick.payments.model import Payment, PaymentOutput, PaymentStatus, PaymentType, as_output
from tallystick.payments.start import NewPayment, start_payments
from tallystick.payments.step import Failing, Opening, expire_payments, fail_payments, open_payments, submit_payments
from tallystick.payments.trouble import StuckPayment, list_stuck

_LONGEST_TEXT = 255
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=_LONGEST_TEXT, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
Token = Annotated[str, msgspec.Meta(max_length=4096, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]
Email = Annotated[str, msgspec.Meta(max_length=320, pattern=r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+$(?!\n)")]
ProviderName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,31}$(?!\n)")]

FIRST_PROVIDER = "sandbox"
"""Who took the payments that name none and were started before there was a choice."""


class StartPaymentInput(Input, frozen=True):
    """Who pays what, how; without an invoice, the user's invoice that is due first."""

    user: Text
    email: Email
    timestamp: Instant
    payment_type: PaymentType
    invoice_id: uuid.UUID | None = None
    amount: Amount | None = None
    """Minor units; left out, all that is outstanding."""
    provider: ProviderName | None = None
    """Who takes the money; left out, the one that the server is set to."""


class PostPaymentInput(Input, frozen=True):
    """The same as the payment was started with, the provider's transaction, and the amount in minor units."""

    user: Text
    email: Email
    timestamp: Instant
    payment_type: PaymentType
    transaction_id: Text
    amount: Amount


class PaymentsPageInput(Input, frozen=True):
    """A page of payments, the newest first; of one customer, one invoice or one status if given."""

    user: Text | None = None
    invoice_id: uuid.UUID | None = None
    status: PaymentStatus | None = None
    after: uuid.UUID | None = None
    limit: PageSize = 100


class ListedPayment(msgspec.Struct, frozen=True):
    """A payment as it is listed."""

    payment_id: uuid.UUID
    user: str
    invoice_id: uuid.UUID
    provider: str
    transaction_id: str | None
    payment_type: str
    amount: int
    asset: str
    status: str
    reason: str | None
    receipt_id: uuid.UUID | None
    started_at: dt.datetime


class PaymentsPage(msgspec.Struct, frozen=True):
    """Payments, the newest first; ``next`` is the cursor of the page behind, null on the last."""

    items: list[ListedPayment]
    next: uuid.UUID | None


class StuckPageInput(Input, frozen=True):
    """A page of payments that did not go on."""

    after: uuid.UUID | None = None
    limit: PageSize = 100


class StuckPage(msgspec.Struct, frozen=True):
    """Payments that did not go on when they were last tried; ``next`` is the cursor of the page behind, null on the last."""

    items: list[StuckPayment]
    next: uuid.UUID | None


class PaymentHistory(msgspec.Struct, frozen=True):
    """The steps of a payment in their order."""

    payment: ListedPayment
    steps: list[StepTaken]


class TransactionInput(Input, frozen=True):
    """A provider's transaction."""

    transaction_id: Text


class OpenPaymentInput(Input, frozen=True):
    """What the provider answered to a new transaction."""

    payment_id: uuid.UUID
    transaction_id: Text
    token: Token


class FailPaymentInput(Input, frozen=True):
    """Why the provider takes no money for the payment."""

    payment_id: uuid.UUID
    reason: Text
    ends: Literal["started", "opened", "submitted"]
    """The status that it must still have; one that has moved on since the provider was asked goes on."""


Answers = list[PaymentOutput | TallystickError]


async def start(call: Call, requests: Sequence[StartPaymentInput]) -> Answers:
    """Start a payment (startPayment): the provider gives a transaction id and a token to complete it with."""
    wanted = [
        NewPayment(
            payment_id=call.new_id_at(place),
            message_place=place,
            invoice_id=request.invoice_id,
            user=request.user,
            email=request.email,
            timestamp=request.timestamp,
            payment_type=request.payment_type,
            amount=request.amount,
            provider=request.provider or FIRST_PROVIDER,
        )
        for place, request in enumerate(requests)
    ]
    return _answers(await start_payments(call.connection, call.book.ledger, call.recorded, wanted))


async def submit(call: Call, requests: Sequence[PostPaymentInput]) -> Answers:
    """Complete a payment (postPayment): the money is taken once, whatever fails in between and however often it is sent."""
    book_id = call.book.book_id
    # Before anything is looked at: who opens a payment of theirs by an earlier place in the order has done it then.
    await lock_customers(call.connection, book_id, [one.user for one in requests])
    by_provider = await find_by_provider_ids(call.connection, book_id, [one.transaction_id for one in requests])
    payments = await find_payments(call.connection, book_id, list(by_provider.values()))
    known = [payments.get(by_provider.get(one.transaction_id, _NOBODY)) for one in requests]
    answers: list[PaymentOutput | TallystickError | None] = [
        _refusal(request, payment) for request, payment in zip(requests, known, strict=True)
    ]
    going = [(place, one) for place, one in enumerate(known) if one is not None and answers[place] is None]
    opened = [one for _, one in going if PaymentStatus(one.status) is PaymentStatus.OPENED]
    accounts = await find_usable(call.connection, book_id, [clearing_account(one) for one in opened])
    for one in opened:
        require_clearing(accounts, one)
    submitted = await submit_payments(call.connection, call.recorded, [(place, one.payment_id) for place, one in going])
    for (place, _), answer in zip(going, _answers(submitted), strict=True):
        answers[place] = answer
    return [one for one in answers if one is not None]


_NOBODY = uuid.UUID(int=0)


def _refusal(request: PostPaymentInput, payment: Payment | None) -> TallystickError | None:
    """Say what of a completion does not fit its payment."""
    if payment is None:
        return UnknownPayment(field="transaction_id", payment=request.transaction_id)
    for field, started in (
        ("user", payment.user),
        ("email", payment.email),
        ("payment_type", payment.payment_type),
        ("amount", payment.amount),
    ):
        if getattr(request, field) != started:
            return PaymentDiffers(field=field, field_name=field)
    return None


async def find(call: Call, request: PaymentIdInput) -> PaymentOutput:
    """Return a payment as it stands; its token, which completes it, to those alone who may complete it."""
    found = as_output(await find_payment(call.connection, call.book.book_id, request.payment_id))
    return found if call.principal.holds(_WRITE) else msgspec.structs.replace(found, token=None)


async def read_session(call: Call, request: TransactionInput) -> SessionOutput:
    """
    Return what a customer's screen needs while they complete a payment, by the provider's transaction.

    The token, which completes it, is told to those alone who may complete it.
    """
    found = await find_by_provider_ids(call.connection, call.book.book_id, [request.transaction_id])
    if request.transaction_id not in found:
        raise UnknownPayment(field="transaction_id", payment=request.transaction_id)
    payment = await find_payment(call.connection, call.book.book_id, found[request.transaction_id])
    ended = PaymentStatus(payment.status) in {PaymentStatus.SETTLED, PaymentStatus.FAILED}
    return SessionOutput(
        payment.payment_id,
        request.transaction_id,
        payment.status,
        payment.provider,
        payment.user,
        payment.amount,
        payment.asset,
        payment.token if call.principal.holds(_WRITE) and not ended else None,
        receipt_id=payment.receipt_id,
        reason=payment.reason,
    )


async def list_payments(call: Call, request: PaymentsPageInput) -> PaymentsPage:
    """Return a page of payments, the newest first."""
    status = None if request.status is None else request.status.value
    found = await page_payments(
        call.connection,
        call.book.book_id,
        after=request.after,
        user=request.user,
        invoice_id=request.invoice_id,
        status=status,
        most=request.limit + 1,
    )
    items = [_listed(one) for one in found[: request.limit]]
    return PaymentsPage(items, items[-1].payment_id if len(found) > request.limit else None)


async def read_history(call: Call, request: PaymentIdInput) -> PaymentHistory:
    """Return the steps of a payment, and when each was taken."""
    payment = await find_payment(call.connection, call.book.book_id, request.payment_id)
    return PaymentHistory(_listed(payment), await find_history(call.connection, call.book.book_id, request.payment_id))


async def page_stuck(call: Call, request: StuckPageInput) -> StuckPage:
    """Return a page of payments that did not go on when they were last tried, and why; they are tried again and again."""
    found = await list_stuck(call.connection, call.book.book_id, request.after, request.limit + 1)
    items = found[: request.limit]
    return StuckPage(items, items[-1].payment_id if len(found) > request.limit else None)


def _listed(payment: Payment) -> ListedPayment:
    return ListedPayment(
        payment.payment_id,
        payment.user,
        payment.invoice_id,
        payment.provider,
        payment.transaction_id,
        payment.payment_type,
        payment.amount,
        payment.asset,
        payment.status,
        payment.reason,
        payment.receipt_id,
        payment.started_at,
    )


async def find_whole(call: Call, request: PaymentIdsInput) -> list[Payment]:
    """Return all that is kept of payments, for the workers that carry them through."""
    found = await find_payments(call.connection, call.book.book_id, request.payment_ids)
    return [found[one] for one in request.payment_ids if one in found]


async def open_payment(call: Call, requests: Sequence[OpenPaymentInput]) -> Answers:
    """Note the transaction that the provider gave a payment, and see that its money has accounts to arrive on."""
    openings = [Opening(one.payment_id, one.transaction_id, one.token) for one in requests]
    opened = await open_payments(call.connection, call.recorded, openings)
    await prepare_accounts(call.connection, call.recorded, [one for one in opened if isinstance(one, Payment)])
    return _answers(opened)


async def fail_payment(call: Call, requests: Sequence[FailPaymentInput]) -> Answers:
    """Note that the provider took no money for a payment and never will."""
    failing = [Failing(one.payment_id, one.reason, PaymentStatus(one.ends)) for one in requests]
    return _answers(await fail_payments(call.connection, call.recorded, failing))


async def expire_payment(call: Call, requests: Sequence[PaymentIdInput]) -> Answers:
    """Give up a payment that its customer did not complete in time."""
    ids = [one.payment_id for one in requests]
    return _answers(await expire_payments(call.connection, call.recorded, ids))


def _answers(found: Sequence[Payment | TallystickError]) -> Answers:
    """
    Return what callers are told of each.

    Raises:
        TallystickError: one that is no answer, since the same message may fare better later; each is run by itself then.
    """
    for one in found:
        if isinstance(one, TallystickError) and one.kind not in KEPT_KINDS:
            raise one
    return [as_output(one) if isinstance(one, Payment) else one for one in found]


def _kept(request: StartPaymentInput) -> dict[str, Any]:
    """Return what the journal keeps of a start; one that names no provider is kept as before there was a choice."""
    kept: dict[str, Any] = msgspec.to_builtins(request)
    if request.provider is None:
        del kept["provider"]
    return kept


INTERNAL = ""
"""The route of an operation that only the product's own workers call."""

_WRITE, _READ, _CARRY = "payments:write", "payments:read", "payments:carry"
OPERATIONS = [
    Operation(
        "payments.start", StartPaymentInput, PaymentOutput, _WRITE, "POST /payments/start", together=start,
        before=name_provider, then=carry_through, again=carry_again, kept=_kept,
    ),
    Operation(
        "payments.post", PostPaymentInput, PaymentOutput, _WRITE, "POST /payments/post", together=submit,
        then=carry_through, again=carry_again,
    ),
    Operation("payments.list", PaymentsPageInput, PaymentsPage, _READ, "GET /payments", list_payments, reads=True),
    Operation("payments.stuck", StuckPageInput, StuckPage, _READ, "GET /payments/stuck", page_stuck, reads=True),
    Operation(
        "payments.history", PaymentIdInput, PaymentHistory, _READ, "GET /payments/{payment_id}/history", read_history,
        reads=True,
    ),
    Operation(
        "payments.session", TransactionInput, SessionOutput, _READ, "GET /payments/sessions/{transaction_id}",
        read_session, then=show_session, reads=True,
    ),
    Operation("payments.find", PaymentIdInput, PaymentOutput, _READ, "GET /payments/{payment_id}", find, reads=True),
    Operation("payments.find_whole", PaymentIdsInput, list[Payment], _CARRY, INTERNAL, find_whole, reads=True),
    Operation("payments.statements", PaymentIdsInput, list[PaymentStatement], _CARRY, INTERNAL, read_statements, reads=True),
    Operation("payments.open", OpenPaymentInput, PaymentOutput, _CARRY, INTERNAL, together=open_payment),
    Operation("payments.fail", FailPaymentInput, PaymentOutput, _CARRY, INTERNAL, together=fail_payment),
    Operation("payments.expire", PaymentIdInput, PaymentOutput, _CARRY, INTERNAL, together=expire_payment),
    Operation(
        "payments.open_account_beyond", PaymentIdInput, PaymentOutput, _CARRY, INTERNAL, open_account_beyond
    ),
    Operation("payments.settle", SettlePaymentInput, PaymentOutput, _CARRY, INTERNAL, together=settle),
]  # fmt: skip
