"""Require there: what can only be read from single events is not read of a month whose events are away."""

import datetime as dt
from collections.abc import Sequence

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import Kind, TallystickError
from tallystick.periods import Period
from tallystick.usage.archive.model import span_of, written

_queries = queries_beside(__file__)
_months_away = _queries.values("months_away")
_any_total = _queries.value("any_total")

_EVERYBODY = 0
"""Whose totals are of everybody together."""


class EventsAway(TallystickError):
    """Events of {month} are not attached, and what its totals keep does not tell this; attach the month (if it was dropped, restore it before), or ask without it."""

    code = "usage.events_away"
    kind = Kind.REFUSED


async def months_away(connection: Connection, book_id: int, period: Period) -> list[dt.date]:
    """Return the months of *period* of which events were detached and are not attached again."""
    found: list[dt.date] = await _months_away(connection, book_id, period.start_at, period.end_at)
    return found


async def require_attached(connection: Connection, book_id: int, period: Period) -> None:
    """
    Find that all events of a period are there.

    Raises:
        EventsAway: those of a month are not (``usage.events_away``).
    """
    for month in await months_away(connection, book_id, period):
        raise EventsAway(month=written(month))


async def require_there(
    connection: Connection,
    book_id: int,
    measured: tuple[str, str],
    customer_id: int | None,
    spans: Sequence[Period],
) -> None:
    """
    Find that of *spans*, which are in order of time, no measured event is away: totals, which stay, tell of what was there.

    *measured* is a type of events and one of their quantities, empty where they are counted; *customer_id* None stands
    for everybody.

    Raises:
        EventsAway: some are (``usage.events_away``).
    """
    if not spans:
        return
    for month in await months_away(connection, book_id, Period(spans[0].start_at, spans[-1].end_at)):
        whole = span_of(month)
        within = [one for one in spans if one.start_at < whole.end_at and one.end_at > whole.start_at]
        starts = [max(one.start_at, whole.start_at) for one in within]
        ends = [min(one.end_at, whole.end_at) for one in within]
        whose, grain = (_EVERYBODY, "hour") if customer_id is None else (customer_id, "day")
        if await _any_total(connection, book_id, *measured, whose, grain, starts, ends):
            raise EventsAway(month=written(month))
