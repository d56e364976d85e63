"""Find what was told, who is told, and how far that has come."""

import datetime as dt
import uuid

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.notify.derive_secret import WebhookKey
from tallystick.notify.set_endpoint import UnknownEndpoint

_queries = queries_beside(__file__)


class EndpointState(msgspec.Struct, frozen=True):
    """An endpoint and how it goes with it."""

    endpoint_id: uuid.UUID
    url: str
    description: str
    types: list[str] | None
    """The types it is told of; null: every one."""
    state: str
    """``enabled`` or ``disabled``."""
    reason: str | None
    """Why it is disabled."""
    generation: int
    """Which secret signs: 1 is the first."""
    overlap_until: dt.datetime | None
    """Until then the secret before signs too."""
    set_at: dt.datetime
    created_at: dt.datetime
    failing_since: dt.datetime | None
    failures: int
    """How many attempts in a row have failed."""
    paused_until: dt.datetime | None
    """It fails as a whole and is asked with one event at a time, the next time then."""
    delivered_at: dt.datetime | None
    """When it last took an event."""
    pending: int
    """Events that wait for it."""


class Delivery(msgspec.Struct, frozen=True):
    """An event on its way to an endpoint, with the last answer."""

    sequence: int
    event_id: uuid.UUID
    """The ``webhook-id`` it is sent under, each time."""
    type: str
    subject: str
    state: str
    """``pending``, ``delivered``, ``given_up`` or ``skipped``."""
    attempts: int
    told_at: dt.datetime
    made_at: dt.datetime
    """When it was put to this endpoint: later than it was told, where it was replayed."""
    due_at: dt.datetime
    """When it is sent next, while it is pending."""
    attempted_at: dt.datetime | None
    ended_at: dt.datetime | None
    status: int | None
    """The HTTP status of the last answer; null: there was none."""
    answer: str | None
    """The first 200 bytes of the last answer, or why there was none."""


class DeliveryPage(msgspec.Struct, frozen=True):
    """A page of deliveries, the newest first."""

    items: list[Delivery]
    next: int | None
    """Pass as ``before`` for the next page."""


class Event(msgspec.Struct, frozen=True):
    """What was told, whether anybody listened or not."""

    event_id: uuid.UUID
    type: str
    subject: str
    data: msgspec.Raw
    told_at: dt.datetime


class EventPage(msgspec.Struct, frozen=True):
    """A page of events, in the order of their times."""

    items: list[Event]
    next: uuid.UUID | None
    """Pass as ``after`` for the next page."""


def _event(event_id: uuid.UUID, type_: str, subject: str, data: str, told_at: dt.datetime) -> Event:
    return Event(event_id, type_, subject, msgspec.Raw(data.encode()), told_at)


_list_endpoints = _queries.rows("list_endpoints", EndpointState)
_page_deliveries = _queries.rows("page_deliveries", Delivery)
_page_events = _queries.tuples("page_events")
_keep_fingerprint = _queries.run("keep_fingerprint")
_find_fingerprint = _queries.value("find_fingerprint")


async def list_endpoints(connection: Connection, book_id: int) -> list[EndpointState]:
    """Return every endpoint of the book, the oldest first."""
    return await _list_endpoints(connection, book_id, None)


async def find_state(connection: Connection, book_id: int, endpoint_id: uuid.UUID) -> EndpointState:
    """
    Return how it goes with an endpoint.

    Raises:
        UnknownEndpoint: there is none of that id (``webhooks.unknown_endpoint``).
    """
    found = await _list_endpoints(connection, book_id, endpoint_id)
    if not found:
        raise UnknownEndpoint(field="endpoint_id", endpoint_id=endpoint_id)
    return found[0]


async def page_deliveries(
    connection: Connection, book_id: int, endpoint_id: uuid.UUID, state: str | None, before: int, limit: int
) -> DeliveryPage:
    """Return the deliveries to an endpoint in front of *before*, the newest first."""
    items = await _page_deliveries(connection, book_id, endpoint_id, before, state, limit)
    return DeliveryPage(items, items[-1].sequence if len(items) == limit else None)


async def page_events(
    connection: Connection, book_id: int, after: uuid.UUID, since: dt.datetime, limit: int
) -> EventPage:
    """Return the events behind *after* that were told at *since* or later."""
    items = [_event(*row) for row in await _page_events(connection, book_id, after, since, limit)]
    return EventPage(items, items[-1].event_id if len(items) == limit else None)


async def claim_key(connection: Connection, book_id: int, endpoint_id: uuid.UUID, key: WebhookKey) -> None:
    """
    Note which key an endpoint's secrets are derived from, or find that it is this one.

    Raises:
        WebhookKeyLost: it is another (``webhooks.key_lost``).
    """
    await _keep_fingerprint(connection, book_id, endpoint_id, key.fingerprint())
    key.require(await _find_fingerprint(connection, book_id, endpoint_id))
