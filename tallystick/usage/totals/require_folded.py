"""Require folded: rows may leave the store once they are in the totals, since what leaves before is in no total."""

import datetime as dt

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import Kind, TallystickError
from tallystick.ledger.accounts import Recorded
from tallystick.usage.totals.fold import MOST_ROWS, fold

_queries = queries_beside(__file__)
_folded_through = _queries.value("folded_through")
_any_usage_behind = _queries.value("any_usage_behind")


class MonthNotFolded(TallystickError):
    """Some usage of {month} is in no total yet, and would be in none if the month left now; try again in a moment."""

    code = "usage.month_not_folded"
    kind = Kind.UNAVAILABLE


async def fold_rest(connection: Connection, recorded: Recorded, month: dt.date) -> None:
    """
    Fold what is behind, if any of it is of *month*, as far as one transaction should and nobody else is folding.

    Usually the worker has done so, and nothing is written.
    """
    starts = dt.datetime(month.year, month.month, 1, tzinfo=dt.UTC)
    ends = dt.datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=dt.UTC)
    through = await _folded_through(connection, recorded.book_id)
    if not await _any_usage_behind(connection, recorded.book_id, through, starts, ends):
        return
    rows, stretch, more = 0, 0, True
    while more and rows < MOST_ROWS:
        folded = await fold(connection, recorded.book_id, recorded.at, stretch)
        rows, stretch, more = rows + folded.rows, folded.stretch, folded.more


async def require_folded(connection: Connection, book_id: int, month: dt.date, last_order: int | None) -> None:
    """
    Hold the place of the last row that leaves against how far usage is folded; nobody may add rows to it any more.

    The place only grows, and who folds rows of the month keeps it from leaving until it is told.

    Raises:
        MonthNotFolded: the row is not in the totals (``usage.month_not_folded``).
    """
    if last_order is not None and last_order >= await _folded_through(connection, book_id):
        raise MonthNotFolded(field="month", month=f"{month:%Y-%m}")
