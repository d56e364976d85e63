"""Query: what usage of a period adds up to, and the events themselves, page by page."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tallystick import canonical
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput
from tallystick.periods import Period
from tallystick.usage.model import write_number

_queries = queries_beside(__file__)
_summarise = _queries.tuples("summarise")
_page_events = _queries.tuples("page_events")
_page_all_events = _queries.tuples("page_all_events")
_count_events = _queries.value("count_events_in_force")
_settled_horizon = _queries.value("settled_horizon")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_NO_KEY = uuid.UUID(int=0)
_LARGEST = 2**63 - 1
NOW = _LARGEST
"""The place in the order behind everything: what is in force now."""


class Summary(msgspec.Struct, frozen=True):
    """What the usage of a period adds up to."""

    events: int
    customers: int
    quantity: str
    """The sum of the quantity that was asked for, a decimal written in full; 0 if none was."""
    first_at: dt.datetime | None
    """When the first of the events occurred; None without any."""
    last_at: dt.datetime | None


class StoredEvent(msgspec.Struct, frozen=True):
    """A billable event as it is in force: what was amended is shown with its newest numbers."""

    id: str
    source: str
    customer: str
    type: str
    at: dt.datetime
    quantities: dict[str, int | str]
    dimensions: dict[str, str]


class EventsPage(msgspec.Struct, frozen=True):
    """Events by customer and time; ``next`` is the cursor of the page behind, null on the last."""

    items: list[StoredEvent]
    next: str | None
    months_away: list[str] = []
    """Months of UTC in the period, as ``2015-05``, of which events were detached: those are on no page."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events."""

    period: Period
    customer: str | None = None
    """Only this one's; None: everybody's, customer by customer."""
    type: str | None = None
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Only those whose dimensions have one of these values each."""


async def summarise(
    connection: Connection, book_id: int, period: Period, *, customer: str | None, quantity: str | None
) -> Summary:
    """Count the events of *period*, of one customer or of all, and add up one of their quantities."""
    rows = await _summarise(connection, book_id, period.start_at, period.end_at, customer, quantity)
    events, customers, total, first_at, last_at = rows[0]
    return Summary(events, customers, write_number(total), first_at, last_at)


async def page_events(
    connection: Connection, book_id: int, selection: Selection, *, after: str, limit: int, through: int = NOW
) -> EventsPage:
    """
    Return *limit* events behind the cursor *after*, by customer and time, none that was taken back.

    With *through*, as they were in force at that place in the order of transactions.

    Raises:
        InvalidInput: *after* is not a cursor (``invalid_input``).
    """
    behind = _read_cursor(after) if after else (0, selection.period.start_at, _NO_KEY)
    asked = (selection.period.start_at, selection.period.end_at, selection.type, _filters(selection), *behind, through)
    if selection.customer is None:
        rows = await _page_all_events(connection, book_id, *asked, limit + 1)
    else:
        rows = await _page_events(connection, book_id, selection.customer, *asked, limit + 1)
    items = [_stored(row) for row in rows[:limit]]
    return EventsPage(items, _cursor(rows[limit - 1]) if len(rows) > limit else None)


async def count_events(connection: Connection, book_id: int, selection: Selection, through: int = NOW) -> int:
    """Count the events that all pages have together."""
    period = selection.period
    asked = (through, period.start_at, period.end_at, selection.type, _filters(selection), selection.customer)
    count: int = await _count_events(connection, book_id, *asked)
    return count


async def settled_horizon(connection: Connection) -> int:
    """Return the place in the order below which nothing can appear any more."""
    place: int = await _settled_horizon(connection)
    return place


def _filters(selection: Selection) -> str:
    return canonical.encode({name: list(values) for name, values in selection.filters.items()}).decode()


def _stored(row: tuple[Any, ...]) -> StoredEvent:
    _, at, _, event_id, source, customer, type_, quantities, dimensions = row
    told_apart = msgspec.json.decode(dimensions) if dimensions else {}
    return StoredEvent(event_id, source, customer, type_, at, msgspec.json.decode(quantities), told_apart)


def _cursor(row: tuple[Any, ...]) -> str:
    return f"{row[0]}.{(row[1] - _EPOCH) // _MICROSECOND}.{row[2].hex}"


def _read_cursor(text: str) -> tuple[int, dt.datetime, uuid.UUID]:
    try:
        customer_id, moment, key = text.split(".")
        place = int(customer_id), _EPOCH + int(moment) * _MICROSECOND, uuid.UUID(hex=key)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(field="after", rule="a cursor is what `next` of the page before gave") from error
    if not 0 <= place[0] <= _LARGEST:
        raise InvalidInput(field="after", rule="a cursor is what `next` of the page before gave")
    return place
