"""The steps of payments, each appended at most once; many at a time, in the order of their messages."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import NamedTuple

import asyncpg
from msgspec.structs import replace

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import TallystickError
from tallystick.ledger.accounts import Recorded
from tallystick.notify.tell import tell
from tallystick.payments.enter import lock_payments
from tallystick.payments.errors import NotOpened, PaymentEnded, TransactionTaken, UnknownPayment
from tallystick.payments.find import find_payments
from tallystick.payments.model import Payment, PaymentStatus
from tallystick.payments.told import told_of
from tallystick.payments.wake import POST_PRIORITY, enqueue, finish, wait_until, wake

_queries = queries_beside(__file__)
_insert_steps = _queries.run("insert_steps")

SESSION = dt.timedelta(minutes=30)
"""How long a customer has to complete a payment that the provider has opened."""


class Opening(NamedTuple):
    """The transaction that a provider gave a payment."""

    payment_id: uuid.UUID
    provider_id: str
    token: str


class Failing(NamedTuple):
    """Why a payment takes no money, and the status in which it must still be for that to end it."""

    payment_id: uuid.UUID
    reason: str
    ends: PaymentStatus


class Step(NamedTuple):
    """A step to append."""

    place: int
    """Of the message that takes it."""
    payment_id: uuid.UUID
    status: PaymentStatus
    provider_id: str | None = None
    token: str | None = None
    reason: str | None = None


async def open_payments(
    connection: Connection, recorded: Recorded, openings: Sequence[Opening]
) -> list[Payment | TallystickError]:
    """
    Note the transactions that providers gave payments, and leave those to their customers; in order of *openings*.

    A completion names its transaction and no provider, so that in a book each is one payment's, whoever gave it.

    Raises:
        TransactionTaken: another payment has one of them (``payments.transaction_taken``).
    """
    payments = await _lock_and_find(connection, recorded, [one.payment_id for one in openings])
    answers: list[Payment | TallystickError] = []
    steps: list[Step] = []
    for place, one in enumerate(openings):
        payment = payments.get(one.payment_id)
        if payment is None:
            answers.append(UnknownPayment(field="payment_id", payment=one.payment_id))
            continue
        if PaymentStatus(payment.status) is PaymentStatus.STARTED:
            steps.append(Step(place, one.payment_id, PaymentStatus.OPENED, one.provider_id, one.token))
            payment = payments[one.payment_id] = replace(
                payment,
                status=PaymentStatus.OPENED.value,
                transaction_id=one.provider_id,
                token=one.token,
                opened_at=recorded.at,
            )
        answers.append(payment)
    try:
        await append_steps(connection, recorded, steps)
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "payment_of_provider":
            raise
        # Of many it is told of all: each is tried by itself then.
        raise TransactionTaken(transaction=", ".join(str(one.provider_id) for one in steps)) from error
    await wait_until(connection, recorded, [one.payment_id for one in steps], recorded.at + SESSION)
    return answers


async def submit_payments(
    connection: Connection, recorded: Recorded, wanted: Sequence[tuple[int, uuid.UUID]]
) -> list[Payment | TallystickError]:
    """
    Note that completion is asked for, before the provider is; *wanted* are the messages' places with their payments.

    Errors:
        NotOpened: the provider has given it no transaction yet (``payments.not_opened``).
        PaymentEnded: it has failed (``payments.ended``).
    """
    payments = await _lock_and_find(connection, recorded, [payment_id for _, payment_id in wanted])
    answers: list[Payment | TallystickError] = []
    steps: list[Step] = []
    again: list[uuid.UUID] = []
    for place, payment_id in wanted:
        payment = payments[payment_id]
        match PaymentStatus(payment.status):
            case PaymentStatus.STARTED:
                answers.append(NotOpened())
                continue
            case PaymentStatus.FAILED:
                answers.append(PaymentEnded(field="transaction_id", reason=payment.reason))
                continue
            case PaymentStatus.OPENED:
                steps.append(Step(place, payment_id, PaymentStatus.SUBMITTED))
                submitted = PaymentStatus.SUBMITTED.value
                payment = payments[payment_id] = replace(payment, status=submitted, submitted_at=recorded.at)
            case PaymentStatus.SUBMITTED:
                again.append(payment_id)
            case PaymentStatus.SETTLED:
                pass
        answers.append(payment)
    await append_steps(connection, recorded, steps)
    if steps:
        await enqueue(connection, recorded, [one.payment_id for one in steps], POST_PRIORITY)
    if again:
        await wake(connection, recorded, again)
    return answers


def is_overdue(payment: Payment, at: dt.datetime) -> bool:
    """Say whether the customer's time to complete the payment has run out."""
    opened = PaymentStatus(payment.status) is PaymentStatus.OPENED
    return opened and payment.opened_at is not None and payment.opened_at + SESSION <= at


async def expire_payments(
    connection: Connection, recorded: Recorded, payment_ids: Sequence[uuid.UUID]
) -> list[Payment | TallystickError]:
    """Give payments up whose customers did not complete them in time; what has time left, or was submitted, goes on."""
    payments = await _lock_and_find(connection, recorded, payment_ids)
    overdue = [
        Failing(one, "expired", PaymentStatus.OPENED)
        for one in payment_ids
        if one in payments and is_overdue(payments[one], recorded.at)
    ]
    return await _fail(connection, recorded, payments, payment_ids, overdue)


async def fail_payments(
    connection: Connection, recorded: Recorded, failing: Sequence[Failing]
) -> list[Payment | TallystickError]:
    """Note that providers took no money and never will; one that is not in the status that this *ends* by now goes on."""
    ids = [one.payment_id for one in failing]
    payments = await _lock_and_find(connection, recorded, ids)
    return await _fail(connection, recorded, payments, ids, failing)


async def append_steps(connection: Connection, recorded: Recorded, steps: Sequence[Step]) -> None:
    """Append steps of payments that are locked."""
    if steps:
        await _insert_steps(
            connection,
            recorded.book_id,
            recorded.at,
            [one.payment_id for one in steps],
            [one.status.value for one in steps],
            [one.provider_id for one in steps],
            [one.token for one in steps],
            [one.reason for one in steps],
            [one.place for one in steps],
        )


async def _lock_and_find(
    connection: Connection, recorded: Recorded, payment_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, Payment]:
    """Return payments, which nobody else moves until the transaction ends."""
    await lock_payments(connection, recorded.book_id, payment_ids)
    return await find_payments(connection, recorded.book_id, payment_ids)


async def _fail(
    connection: Connection,
    recorded: Recorded,
    payments: dict[uuid.UUID, Payment],
    wanted: Sequence[uuid.UUID],
    failing: Sequence[Failing],
) -> list[Payment | TallystickError]:
    """End those of *failing* that are where they were, and return all that are *wanted* as they stand then."""
    places = {one: place for place, one in reversed(list(enumerate(wanted)))}
    steps: list[Step] = []
    for one in failing:
        payment = payments.get(one.payment_id)
        if payment is not None and PaymentStatus(payment.status) is one.ends:
            failed = PaymentStatus.FAILED
            steps.append(Step(places[one.payment_id], one.payment_id, failed, reason=one.reason))
            payments[one.payment_id] = replace(payment, status=failed.value, reason=one.reason)
    if steps:
        ended = [payments[one.payment_id] for one in steps]
        await append_steps(connection, recorded, steps)
        await finish(connection, recorded, [one.payment_id for one in ended])
        await tell(connection, recorded, [told_of(one) for one in ended], places=[one.place for one in steps])
    return [payments.get(one) or UnknownPayment(field="payment_id", payment=one) for one in wanted]
