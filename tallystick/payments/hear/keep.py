"""Keep what providers tell, once, and wake what it is about; what is about nothing that is known is looked at again."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.accounts import Recorded
from tallystick.payments import wake as payments
from tallystick.payments.disputes.queue import dispute_jobs
from tallystick.payments.late.find import find_failed
from tallystick.payments.late.queue import late_jobs
from tallystick.payments.payouts.queue import list_jobs
from tallystick.payments.providers.protocol import EventKind
from tallystick.payments.refunds.queue import refund_jobs
from tallystick.queues.enqueue import enqueue, finish, postpone
from tallystick.queues.model import NewJob

_queries = queries_beside(__file__)
_insert_events = _queries.run("insert_events")
_find_payments_of = _queries.tuples("find_payments_of")
_find_refunds_of = _queries.tuples("find_refunds_of")

QUEUE = "provider_events"
_PRIORITY = 5
FIRST_LOOK = dt.timedelta(seconds=2)
"""After so long it is looked again what an event is about: an answer of the provider was on its way, mostly."""
LOOKED_FOR = dt.timedelta(days=3)
"""After so long an event is about nothing of this book: several books can have an account with a provider in common."""


class Event(NamedTuple):
    """What a genuine webhook said."""

    provider: str
    event_id: str
    kind: EventKind
    type: str
    subject: str
    transaction_id: str | None
    """The provider's."""
    occurred_at: dt.datetime

    @property
    def key(self) -> str:
        """Return the key of the job of looking at it again."""
        return f"{self.provider}/{self.event_id}"

    @property
    def named_transaction(self) -> str | None:
        """Return the transaction that it is about, if it says so."""
        return self.subject if self.kind is EventKind.TRANSACTION else self.transaction_id


async def keep_events(
    connection: Connection, recorded: Recorded, events: Sequence[Event], places: Sequence[int]
) -> None:  # fmt: skip
    """
    Append events, each with the place of its message, and wake what they are about.

    Those about a payment or a refund that is not known, or not yet, are looked at again.
    """
    await _insert_events(
        connection,
        recorded.book_id,
        recorded.at,
        [one.provider for one in events],
        [one.event_id for one in events],
        [one.kind.value for one in events],
        [one.type for one in events],
        [one.subject for one in events],
        [one.transaction_id for one in events],
        [one.occurred_at for one in events],
        list(places),
    )
    unknown = await wake_subjects(connection, recorded, events)
    again = [NewJob(QUEUE, one.key, _PRIORITY, recorded.at + FIRST_LOOK) for one in unknown]
    await enqueue(connection, recorded.book_id, again)


async def look_again(
    connection: Connection, recorded: Recorded, events: Sequence[Event], heard_at: Sequence[dt.datetime]
) -> int:
    """
    Wake what kept events are about, and return how many are about nothing that is known; those wait as long as they waited.

    They are given up after `LOOKED_FOR`, and stay kept.
    """
    unknown = {one.key for one in await wake_subjects(connection, recorded, events)}
    for one, heard in zip(events, heard_at, strict=True):
        waited = recorded.at - heard
        if one.key in unknown and waited < LOOKED_FOR:
            due_at = recorded.at + max(waited, FIRST_LOOK)
            await postpone(connection, recorded.book_id, QUEUE, [one.key], due_at)
        else:
            await finish(connection, recorded.book_id, QUEUE, [one.key])
    return len(unknown)


async def wake_subjects(connection: Connection, recorded: Recorded, events: Sequence[Event]) -> list[Event]:
    """Have looked at what events are about, and return those that are about nothing that is known."""
    known_payments = await _find_payments(connection, recorded.book_id, events)
    about_refunds = [one for one in events if one.kind is EventKind.REFUND]
    known_refunds = await _find_refunds(connection, recorded.book_id, about_refunds)
    jobs: list[NewJob] = []
    unknown: list[Event] = []
    woken: list[uuid.UUID] = []
    for one in events:
        match one.kind:
            case EventKind.TRANSACTION:
                payment = known_payments.get((one.provider, one.subject))
                woken += [payment] if payment is not None else []
                unknown += [one] if payment is None else []
            case EventKind.REFUND:
                refunds = known_refunds.get(one.key, [])
                jobs += refund_jobs(refunds, recorded.at)
                unknown += [one] if not refunds else []
            case EventKind.DISPUTE:
                jobs += dispute_jobs([(one.provider, one.subject)], recorded.at)
            case EventKind.PAYOUT:
                jobs += list_jobs([one.provider], recorded.at)
            case EventKind.OTHER:
                pass
    if woken:
        await payments.wake(connection, recorded, list(dict.fromkeys(woken)))
        failed = await find_failed(connection, recorded.book_id, known_payments)
        jobs += late_jobs(failed, recorded.at)
    await enqueue(connection, recorded.book_id, jobs)
    return unknown


async def _find_payments(
    connection: Connection, book_id: int, events: Sequence[Event]
) -> Mapping[tuple[str, str], uuid.UUID]:
    """Return payments by provider and its id of the transaction."""
    named = sorted({(one.provider, one.subject) for one in events if one.kind is EventKind.TRANSACTION})
    if not named:
        return {}
    rows = await _find_payments_of(connection, book_id, [one[0] for one in named], [one[1] for one in named])
    return {(provider, transaction_id): payment_id for provider, transaction_id, payment_id in rows}


async def _find_refunds(
    connection: Connection, book_id: int, events: Sequence[Event]
) -> Mapping[str, list[uuid.UUID]]:  # fmt: skip
    """Return by the key of an event the refunds that it can be about: that one, or those that have no id of the provider yet."""
    if not events:
        return {}
    columns = [one.provider for one in events], [one.subject for one in events], [one.transaction_id for one in events]
    found: dict[str, list[uuid.UUID]] = {}
    for nth, refund_id in await _find_refunds_of(connection, book_id, *columns):
        found.setdefault(events[nth - 1].key, []).append(refund_id)
    return found
