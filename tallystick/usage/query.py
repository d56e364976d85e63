"""Query: what usage of a period adds up to, and the events themselves, page by page."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput
from tallystick.periods import Period

_queries = queries_beside(__file__)
_summarise = _queries.tuples("summarise")
_page_events = _queries.tuples("page_events")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_NO_KEY = uuid.UUID(int=0)


class Summary(msgspec.Struct, frozen=True):
    """What the usage of a period adds up to."""

    events: int
    customers: int
    quantity: Decimal
    """The sum of the quantity that was asked for, 0 if none was."""
    first_at: dt.datetime | None
    """When the first of the events occurred; None without any."""
    last_at: dt.datetime | None


class StoredEvent(msgspec.Struct, frozen=True):
    """A billable event as it is stored."""

    id: str
    source: str
    type: str
    at: dt.datetime
    quantities: dict[str, int | str]


class EventsPage(msgspec.Struct, frozen=True):
    """Events in order of time; ``next`` is the cursor of the page behind, null on the last."""

    items: list[StoredEvent]
    next: str | None


async def summarise(
    connection: Connection, book_id: int, period: Period, *, customer: str | None, quantity: str | None
) -> Summary:
    """Count the events of *period*, of one customer or of all, and add up one of their quantities."""
    rows = await _summarise(connection, book_id, period.start_at, period.end_at, customer, quantity)
    return Summary(*rows[0])


async def page_events(
    connection: Connection, book_id: int, customer: str, period: Period, *, after: str, limit: int
) -> EventsPage:
    """
    Return *limit* events of *customer* in *period* behind the cursor *after*, in order of time.

    Raises:
        InvalidInput: *after* is not a cursor (``invalid_input``).
    """
    at, key = _read_cursor(after) if after else (period.start_at, _NO_KEY)
    rows = await _page_events(connection, book_id, customer, period.start_at, period.end_at, at, key, limit + 1)
    items = [_stored(row) for row in rows[:limit]]
    return EventsPage(items, _cursor(rows[limit - 1]) if len(rows) > limit else None)


def _stored(row: tuple[Any, ...]) -> StoredEvent:
    _, event_id, source, type_, at, quantities = row
    return StoredEvent(event_id, source, type_, at, msgspec.json.decode(quantities))


def _cursor(row: tuple[Any, ...]) -> str:
    return f"{(row[4] - _EPOCH) // _MICROSECOND}.{row[0].hex}"


def _read_cursor(text: str) -> tuple[dt.datetime, uuid.UUID]:
    moment, _, key = text.partition(".")
    try:
        return _EPOCH + int(moment) * _MICROSECOND, uuid.UUID(hex=key)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(field="after", rule="a cursor is what `next` of the page before gave") from error
