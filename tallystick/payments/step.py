"""The steps of a payment, each appended at most once; the job ends with the last."""

import datetime as dt
import uuid
from collections.abc import Collection

from msgspec.structs import replace

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.accounts import Recorded
from tallystick.notify.tell import tell
from tallystick.payments.errors import NotOpened, PaymentEnded
from tallystick.payments.find import find_payment
from tallystick.payments.model import Payment, PaymentStatus
from tallystick.payments.start import LEASE
from tallystick.payments.told import told_of

_queries = queries_beside(__file__)
_lock_payment = _queries.run("lock_payment")
_insert_step = _queries.run("insert_step")
_lease_job = _queries.run("lease_job")
_delete_job = _queries.run("delete_job")
_claim_jobs = _queries.tuples("claim_jobs")
_release_jobs = _queries.run("release_jobs")

LONGEST_LEASE = dt.timedelta(minutes=15)
"""How long a worker waits at most before it tries again what has failed again and again."""

SESSION = dt.timedelta(minutes=30)
"""How long a customer has to complete a payment that the provider has opened."""


async def open_payment(
    connection: Connection, recorded: Recorded, payment_id: uuid.UUID, provider_id: str, token: str
) -> Payment:
    """Note the transaction that the provider gave the payment, and wait for the customer."""
    payment = await _locked(connection, recorded, payment_id)
    if payment.transaction_id is not None:
        return payment
    await _append(connection, recorded, payment_id, PaymentStatus.OPENED, provider_id=provider_id, token=token)
    await _lease_job(connection, recorded.book_id, payment_id, recorded.at + SESSION)
    return replace(payment, status=PaymentStatus.OPENED.value, transaction_id=provider_id, token=token)


async def submit_payment(connection: Connection, recorded: Recorded, payment_id: uuid.UUID) -> Payment:
    """
    Note that completion is asked for, before the provider is.

    Raises:
        NotOpened: the provider has given it no transaction yet (``payments.not_opened``).
        PaymentEnded: it has failed (``payments.ended``).
    """
    payment = await _locked(connection, recorded, payment_id)
    match PaymentStatus(payment.status):
        case PaymentStatus.STARTED:
            raise NotOpened
        case PaymentStatus.FAILED:
            raise PaymentEnded(field="transaction_id", reason=payment.reason)
        case PaymentStatus.OPENED:
            await _append(connection, recorded, payment_id, PaymentStatus.SUBMITTED)
            await _lease_job(connection, recorded.book_id, payment_id, recorded.at + LEASE)
            return replace(payment, status=PaymentStatus.SUBMITTED.value)
        case PaymentStatus.SUBMITTED | PaymentStatus.SETTLED:
            return payment


def is_overdue(payment: Payment, at: dt.datetime) -> bool:
    """Say whether the customer's time to complete the payment has run out."""
    opened = PaymentStatus(payment.status) is PaymentStatus.OPENED
    return opened and payment.opened_at is not None and payment.opened_at + SESSION <= at


async def expire_payment(connection: Connection, recorded: Recorded, payment_id: uuid.UUID) -> None:
    """Give a payment up whose customer did not complete it in time; one that has time left, or was submitted, goes on."""
    payment = await _locked(connection, recorded, payment_id)
    if is_overdue(payment, recorded.at):
        await _fail(connection, recorded, payment, "expired")


async def fail_payment(
    connection: Connection, recorded: Recorded, payment_id: uuid.UUID, reason: str, ends: Collection[PaymentStatus]
) -> None:
    """Note that the provider took no money and never will; one that is in none of the statuses *ends* by now goes on."""
    payment = await _locked(connection, recorded, payment_id)
    if PaymentStatus(payment.status) in ends:
        await _fail(connection, recorded, payment, reason)


async def settle_payment(connection: Connection, recorded: Recorded, payment_id: uuid.UUID) -> Payment | None:
    """
    Note that the provider took the money; None when that was noted before, and nothing is to be done.

    Raises:
        PaymentEnded: it was noted as failed (``payments.ended``).
    """
    payment = await _locked(connection, recorded, payment_id)
    if PaymentStatus(payment.status) is PaymentStatus.SETTLED:
        return None
    if PaymentStatus(payment.status) is PaymentStatus.FAILED:
        raise PaymentEnded(field="payment_id", reason=payment.reason)
    await _append(connection, recorded, payment_id, PaymentStatus.SETTLED)
    await _delete_job(connection, recorded.book_id, payment_id)
    return replace(payment, status=PaymentStatus.SETTLED.value)


async def claim_jobs(connection: Connection, at: dt.datetime, most: int) -> list[tuple[str, uuid.UUID, int]]:
    """
    Take up to *most* jobs whose lease has run out: book, payment, how often it was taken since its last step.

    Each time the new lease is twice as long, up to `LONGEST_LEASE`.
    """
    rows = await _claim_jobs(connection, at, LEASE, most, LONGEST_LEASE)
    return [(book, uuid.UUID(bytes=payment_id.bytes), attempts) for book, payment_id, attempts in rows]


async def release_jobs(connection: Connection, at: dt.datetime) -> None:
    """
    End every lease now, except a customer's time to complete a payment.

    For a process that knows that whoever held them is gone. Where it is wrong nothing breaks, since every step is
    appended once and the provider knows the call again: a payment is only asked about more often.
    """
    await _release_jobs(connection, at)


async def _locked(connection: Connection, recorded: Recorded, payment_id: uuid.UUID) -> Payment:
    """Return the payment, which nobody else moves until the transaction ends."""
    await _lock_payment(connection, payment_id)
    return await find_payment(connection, recorded.book_id, payment_id)


async def _fail(connection: Connection, recorded: Recorded, payment: Payment, reason: str) -> None:
    await _append(connection, recorded, payment.payment_id, PaymentStatus.FAILED, reason=reason)
    await _delete_job(connection, recorded.book_id, payment.payment_id)
    await tell(connection, recorded, [told_of(replace(payment, status=PaymentStatus.FAILED.value, reason=reason))])


async def _append(
    connection: Connection,
    recorded: Recorded,
    payment_id: uuid.UUID,
    step: PaymentStatus,
    *,
    provider_id: str | None = None,
    token: str | None = None,
    reason: str | None = None,
) -> None:
    await _insert_step(
        connection, recorded.book_id, payment_id, step.value, provider_id, token, reason, recorded.message_place,
        recorded.at,
    )  # fmt: skip
