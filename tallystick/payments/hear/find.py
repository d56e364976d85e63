"""Find what providers told."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput
from tallystick.payments.hear.keep import QUEUE, Event
from tallystick.payments.providers.protocol import EventKind

_queries = queries_beside(__file__)
_find_events = _queries.tuples("find_events")
_first_heard = _queries.value("first_heard")
_page_events = _queries.tuples("page_events")
_DIGITS = 18


class HeardEvent(msgspec.Struct, frozen=True):
    """What a genuine webhook said: look at this."""

    provider: str
    event_id: str
    kind: str
    """transaction, refund, dispute, payout, other."""
    type: str
    """What the provider calls it."""
    subject: str
    """The provider's id of what it is about."""
    transaction_id: str | None
    """The provider's id of the transaction that it belongs to, if it told."""
    occurred_at: dt.datetime
    heard_at: dt.datetime
    unknown: bool
    """It is about nothing that is known here, and is looked at again."""


class HeardPage(msgspec.Struct, frozen=True):
    """What was heard, in that order; ``next`` is the cursor of the page behind, null on the last."""

    items: list[HeardEvent]
    next: str | None


async def find_events(
    connection: Connection, book_id: int, named: Sequence[tuple[str, str]]
) -> list[tuple[Event, dt.datetime]]:
    """Return those of the events that are kept, named by provider and its id, each with when it was heard."""
    rows = await _find_events(connection, book_id, [one[0] for one in named], [one[1] for one in named])
    return [(_event(row), row[7]) for row in rows]


async def first_heard(
    connection: Connection, book_id: int, provider: str, subject: str, kind: str
) -> dt.datetime | None:
    """Return when a webhook told of *subject* first, None if none did."""
    heard: dt.datetime | None = await _first_heard(connection, book_id, provider, subject, kind)
    return heard


async def page_heard(connection: Connection, book_id: int, after: str, limit: int) -> HeardPage:
    """
    Return *limit* events behind *after* in the order in which they were heard.

    Raises:
        InvalidInput: *after* is no cursor (``invalid_input``).
    """
    transaction_id, place = _read_cursor(after)
    rows = await _page_events(connection, book_id, transaction_id, place, limit + 1, QUEUE)
    items = [HeardEvent(*(*row[:8], row[10])) for row in rows[:limit]]
    return HeardPage(items, f"{rows[limit - 1][8]}.{rows[limit - 1][9]}" if len(rows) > limit else None)


def _event(row: tuple[Any, ...]) -> Event:
    provider, event_id, kind, type_, subject, transaction_id, occurred_at, _ = row
    return Event(provider, event_id, EventKind(kind), type_, subject, transaction_id, occurred_at)


def _read_cursor(after: str) -> tuple[int, int]:
    if not after:
        return 0, 0
    transaction_id, _, place = after.partition(".")
    if not (transaction_id.isdecimal() and place.isdecimal() and max(len(transaction_id), 2 * len(place)) <= _DIGITS):
        raise InvalidInput(field="after", rule="a cursor is what `next` of the page before gave")
    return int(transaction_id), int(place)
