"""What providers tell by webhook: heard once each, and looked at again while it is about nothing that is known."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from tallystick.db.queries import Connection
from tallystick.ledger.accounts import Recorded
from tallystick.operations.disputes import ProviderId
from tallystick.operations.fields import PageSize
from tallystick.operations.model import Call, Input, Operation
from tallystick.operations.payments import Text
from tallystick.operations.run import RESERVED, Operations
from tallystick.operations.work_queues import QueueWorker
from tallystick.payments.hear.find import HeardPage, find_events, page_heard
from tallystick.payments.hear.keep import QUEUE, Event, keep_events, look_again
from tallystick.payments.providers.protocol import EventKind, ProviderEvent
from tallystick.queues.enqueue import finish
from tallystick.queues.model import Job, Outcome
from tallystick.security.model import SYSTEM

INTERNAL = ""
"""The route of an operation that only the product's own workers call."""


class HearInput(Input, frozen=True):
    """What a genuine webhook said."""

    provider: ProviderId
    event_id: ProviderId
    kind: Literal["transaction", "refund", "dispute", "payout", "other"]
    type: Text
    subject: ProviderId
    transaction_id: ProviderId | None
    occurred_at: Annotated[dt.datetime, msgspec.Meta(tz=True)]


class HeardEventsInput(Input, frozen=True):
    """A page of what providers told, in the order in which it was heard."""

    after: Annotated[str, msgspec.Meta(max_length=30)] = ""
    limit: PageSize = 100


class Heard(msgspec.Struct, frozen=True):
    """That an event was heard; what follows from it is found out by asking the provider."""

    provider: str
    event_id: str


async def hear_events(call: Call, requests: Sequence[HearInput]) -> list[Heard]:
    """Keep what a provider told, and have the provider asked about it."""
    events = [
        Event(
            one.provider, one.event_id, EventKind(one.kind), one.type, one.subject, one.transaction_id, one.occurred_at
        )
        for one in requests
    ]
    await keep_events(call.connection, call.recorded, events, [call.place + nth for nth in range(len(events))])
    return [Heard(one.provider, one.event_id) for one in requests]


async def list_heard(call: Call, request: HeardEventsInput) -> HeardPage:
    """Return a page of what providers told by webhook."""
    return await page_heard(call.connection, call.book.book_id, request.after, request.limit)


async def hear(operations: Operations, book: str, provider: str, event: ProviderEvent) -> None:
    """
    Keep what a genuine webhook said, once however often it comes, and have it looked at.

    Raises:
        InvalidInput: an id of it is too long, or has characters that cannot be seen (``invalid_input``).
        IdReused: the provider told something else under the same id before (``journal.id_reused``).
    """
    fields = {
        "provider": provider,
        "event_id": event.id,
        "kind": event.kind.value,
        "type": event.type,
        "subject": event.subject,
        "transaction_id": event.transaction_id,
        "occurred_at": event.occurred_at.isoformat(),
    }
    await operations.call(SYSTEM, book, "payments.hear", f"{RESERVED}heard:{provider}:{event.id}", fields)
    worker = operations.resources.get(QueueWorker)
    if worker is not None:
        worker.wake()


async def carry_events(operations: Operations, jobs: Sequence[Job]) -> Sequence[Outcome]:
    """Look again at what was about nothing that is known; the handler of its queue."""
    books = list(dict.fromkeys(job.book_id for job in jobs))
    await asyncio.gather(*(_look_again(operations, [job for job in jobs if job.book_id == book]) for book in books))
    return [Outcome(job) for job in jobs]


async def _look_again(operations: Operations, jobs: Sequence[Job]) -> None:
    book_id, now = jobs[0].book_id, operations.clock.now()
    named = [(provider, event_id) for provider, _, event_id in (job.key.partition("/") for job in jobs)]

    async def work(connection: Connection) -> None:
        found = await find_events(connection, book_id, named)
        events = [event for event, _ in found]
        await look_again(connection, Recorded(book_id, 0, now), events, [heard_at for _, heard_at in found])
        gone = {job.key for job in jobs} - {event.key for event in events}
        await finish(connection, book_id, QUEUE, sorted(gone))

    await operations.work(work)


OPERATIONS = [
    Operation("payments.hear", HearInput, Heard, "payments:carry", INTERNAL, together=hear_events),
    Operation(
        "payments.heard", HeardEventsInput, HeardPage, "payments:read", "GET /provider-events", list_heard, reads=True
    ),
]
