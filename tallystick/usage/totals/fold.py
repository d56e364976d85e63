"""Fold: add what came in to the totals, a bounded stretch of the order at a time, together with the new place in it."""

import datetime as dt
from dataclasses import dataclass

from tallystick.db.queries import Connection, queries_beside

_queries = queries_beside(__file__)
_lead_fold = _queries.value("lead_fold")
_read_place = _queries.tuples("read_place")
_any_message = _queries.value("any_message")
_count_rows = _queries.value("count_rows")
_fold_rows = _queries.values("fold_rows")
_any_correction = _queries.value("any_correction")
_find_largest_anew = _queries.run("find_largest_anew")
_set_place = _queries.run("set_place")
_tend_month = _queries.value("tend_month")

MOST_ROWS = 200_000
"""Rows folded in one transaction, unless a single transaction brought more."""


@dataclass(frozen=True, slots=True)
class Folded:
    """One step of folding, to be told to the next."""

    rows: int
    months: tuple[dt.date, ...]
    """The months that got rows, by their first days; see ``tend``."""
    more: bool
    """There may be more to fold already."""
    stretch: int
    """How much of the order to try next."""


NOTHING = Folded(0, (), more=False, stretch=0)


async def fold(
    connection: Connection, book_id: int, at: dt.datetime, stretch: int = 0, most_rows: int = MOST_ROWS
) -> Folded:
    """
    Add the next rows of a book to its totals, and note how far they reach; in the caller's transaction, all or nothing.

    Only transactions that have ended are looked at, so that none can appear below the place that is noted. One folds at
    a time: when another does, nothing is done. *stretch* is what the step before said, 0 for the first.
    """
    if not await _lead_fold(connection, book_id):
        return NOTHING
    ((place, horizon),) = await _read_place(connection, book_id)
    # Whatever stored usage left a message, so the usual answer, that nothing came, is found without reading usage.
    if horizon <= place or (place and not stretch and not await _any_message(connection, book_id, place, horizon)):
        return NOTHING
    until, rows = await _choose_stretch(connection, book_id, place, horizon, stretch, most_rows)
    months = await _fold_rows(connection, book_id, place, until) if rows else []
    if await _any_correction(connection, book_id, place, until):
        await _find_largest_anew(connection, book_id, place, until)
    await _set_place(connection, book_id, until, at)
    wider = until - place if rows > most_rows // 2 else 2 * (until - place)
    return Folded(rows, tuple(months), until < horizon, wider)


async def tend(connection: Connection, book_id: int, folded: Folded) -> None:
    """Keep the newest rows of the months that were folded quick to find; see ``tend_usage_month`` in SQL."""
    for month in folded.months:
        await _tend_month(connection, book_id, month)


async def _choose_stretch(
    connection: Connection, book_id: int, place: int, horizon: int, stretch: int, most_rows: int
) -> tuple[int, int]:
    """Return how far to fold, and how many rows lie there: halve until they are few enough, or of one transaction."""
    length = min(horizon - place, stretch or horizon - place)
    while True:
        rows = await _count_rows(connection, book_id, place, place + length, most_rows + 1)
        if rows <= most_rows or length == 1:
            return place + length, rows
        length = max(1, length // 2)
