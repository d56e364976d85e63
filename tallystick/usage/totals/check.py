"""Check: compare totals with what the single events add up to, and name the first bucket that differs."""

import datetime as dt
from decimal import Decimal
from typing import Any

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.periods import Period

_queries = queries_beside(__file__)
_folded_through = _queries.value("folded_through")
_months_with_usage = _queries.tuples("months_with_usage")
_first_difference = _queries.tuples("first_difference")


class Bucket(msgspec.Struct, frozen=True):
    """The events of a type and combination of dimensions, of a customer in a day or of everybody in an hour, added up."""

    events: int
    sum: Decimal
    max: Decimal | None


class Difference(msgspec.Struct, frozen=True):
    """A bucket of the totals that is not what the events add up to."""

    starts_at: dt.datetime
    customer: str | None
    """Whose day it is; null: everybody's hour."""
    type: str
    quantity: str
    """Empty: the events are counted."""
    dimensions: dict[str, str]
    kept: Bucket
    """What the totals say."""
    raw: Bucket
    """What the events add up to."""


class Month(msgspec.Struct, frozen=True):
    """A month of UTC of which there are totals or events."""

    starts_on: dt.date
    attached: bool
    """Its events are in the store; totals of a month that has left cannot be held against any."""


async def months_with_usage(connection: Connection, book_id: int) -> list[Month]:
    """Return the months of a book in order of time."""
    return [Month(*row) for row in await _months_with_usage(connection, book_id)]


async def check_month(connection: Connection, book_id: int, month: dt.date) -> Difference | None:
    """
    Return the first bucket of a month that differs, None if all are what the events add up to.

    Inside of a transaction that sees one moment. Compared is what is folded; what is not is read from the events.
    """
    through = await _folded_through(connection, book_id)
    start = dt.datetime(month.year, month.month, 1, tzinfo=dt.UTC)
    period = Period(start, dt.datetime(start.year + start.month // 12, start.month % 12 + 1, 1, tzinfo=dt.UTC))
    found = await _first_difference(connection, book_id, period.start_at, period.end_at, through)
    return _difference(found[0]) if found else None


def _difference(row: tuple[Any, ...]) -> Difference:
    starts_at, customer, type_, quantity, dimensions, *numbers = row
    return Difference(
        starts_at,
        customer,
        type_,
        quantity,
        msgspec.json.decode(dimensions),
        Bucket(*numbers[:3]),
        Bucket(*numbers[3:]),
    )
