"""
Move: months of usage leave and come back, each step a fact.

    attached ─ detach ─ detached ─ export ─ exported ─ drop ─ dropped ─ restore ─ exported ─ attach ─ attached

What comes late for a month that was detached begins the month anew, and can be detached as a further piece of it. To
attach a month puts all pieces back, with what came late.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import asyncpg

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.accounts import Recorded
from tallystick.usage.archive.model import (
    FileDiffers,
    MonthBusy,
    MonthHoldsLevels,
    MonthNotExported,
    MonthNotOver,
    Piece,
    Step,
    UnknownMonth,
    UsageMonth,
    span_of,
    written,
)

_queries = queries_beside(__file__)
_stored_months = _queries.tuples("stored_months")
_pieces = _queries.rows("pieces", Piece)
_insert_event = _queries.run("insert_event")
_detach = _queries.tuples("detach")
_attach = _queries.run("attach")
_drop = _queries.run("drop")
_sum_piece = _queries.tuples("sum_piece")
_holds_levels = _queries.value("holds_levels")


async def list_months(connection: Connection, book_id: int) -> list[UsageMonth]:
    """Return what there is of each month, attached or not, in order of time."""
    stored = {(month, piece): rest for month, piece, *rest in await _stored_months(connection, book_id)}
    found = [
        ((month, 0), UsageMonth(written(month), None, "attached", rows, exact, size, first, last, None, None))
        for (month, piece), (rows, size, first, last, exact) in stored.items()
        if piece is None
    ]
    for one in await _pieces(connection, book_id, None):
        if one.state != "attached":
            size = stored.get((one.month, one.piece), (0, None))[1]
            there = (written(one.month), one.piece, one.state, one.rows, True, size, one.first_order, one.last_order)
            found.append(((one.month, one.piece), UsageMonth(*there, one.file, one.sha256)))
    return [month for _, month in sorted(found, key=lambda pair: pair[0])]


async def find_pieces(connection: Connection, book_id: int, month: dt.date) -> list[Piece]:
    """Return the pieces of a month, in the order in which they were detached."""
    return await _pieces(connection, book_id, month)


async def detach(connection: Connection, recorded: Recorded, month: dt.date) -> list[Piece]:
    """
    Take what there is of a month out of all that is read and rated; it stays in the store, as a table of its own.

    Raises:
        MonthNotOver: it is not over (``usage.month_not_over``).
        UnknownMonth: there is nothing (``usage.unknown_month``).
        MonthHoldsLevels: later periods are read from it (``usage.month_holds_levels``).
        MonthBusy: others kept it too long (``usage.month_busy``).
    """
    span = span_of(month)
    if recorded.at < span.end_at:
        raise MonthNotOver(field="month", month=written(month))
    if await _holds_levels(connection, recorded.book_id, span.start_at, span.end_at):
        raise MonthHoldsLevels(field="month", month=written(month))
    pieces = await _pieces(connection, recorded.book_id, month)
    nth = max((one.piece for one in pieces), default=0) + 1
    try:
        ((rows, first_order, last_order),) = await _detach(connection, recorded.book_id, month, nth)
    except asyncpg.LockNotAvailableError as error:
        raise MonthBusy(month=written(month)) from error
    if not rows:
        raise UnknownMonth(field="month", month=written(month), state="attached")
    piece = Piece(month, nth, "detached", rows, first_order, last_order, None, None, None)
    await _note(connection, recorded, "detached", [piece])
    return [piece]


async def attach(connection: Connection, recorded: Recorded, month: dt.date) -> list[Piece]:
    """
    Put all pieces of a month that are in the store back, with what came late meanwhile; one that was dropped is restored first.

    Raises:
        UnknownMonth: there is none (``usage.unknown_month``).
        MonthBusy: others kept the book's usage too long (``usage.month_busy``).
    """
    pieces = _present(await _pieces(connection, recorded.book_id, month))
    if not pieces:
        raise UnknownMonth(field="month", month=written(month), state="detached")
    try:
        await _attach(connection, recorded.book_id, month, [one.piece for one in pieces])
    except asyncpg.LockNotAvailableError as error:
        raise MonthBusy(month=written(month)) from error
    await _note(connection, recorded, "attached", pieces)
    return [one._replace(step="attached") for one in pieces]


async def drop(connection: Connection, recorded: Recorded, month: dt.date, *, even_unexported: bool) -> list[Piece]:
    """
    Remove the pieces of a month that are detached from the store; their keys stay, so that a repeat is known for ever.

    Raises:
        UnknownMonth: none is detached (``usage.unknown_month``).
        MonthNotExported: one was not exported (``usage.month_not_exported``).
    """
    pieces = _present(await _pieces(connection, recorded.book_id, month))
    if not pieces:
        raise UnknownMonth(field="month", month=written(month), state="detached")
    if not even_unexported and any(one.sha256 is None for one in pieces):
        raise MonthNotExported(field="month", month=written(month))
    for one in pieces:
        await _drop(connection, recorded.book_id, month, one.piece)
    await _note(connection, recorded, "dropped", pieces)
    return [one._replace(step="dropped") for one in pieces]


async def note_export(
    connection: Connection, recorded: Recorded, month: dt.date, nth: int, rows: int, file: str, sha256: str
) -> Piece:
    """
    Note that a piece was written to *file*, once the rows in it are as many as there are.

    Raises:
        UnknownMonth: there is no such piece (``usage.unknown_month``).
        FileDiffers: the file has more rows, or fewer (``usage.file_differs``).
    """
    piece = await _require_piece(connection, recorded.book_id, month, nth, ("detached", "exported", "restored"))
    ((there, _, _, checksum),) = await _sum_piece(connection, recorded.book_id, month, nth)
    if there != rows:
        raise FileDiffers(file=file, what=f"it has {rows} rows, and {there} are detached")
    exported = piece._replace(step="exported", checksum=checksum, file=file, sha256=sha256)
    await _note(connection, recorded, "exported", [exported])
    return exported


async def note_restore(connection: Connection, recorded: Recorded, month: dt.date, nth: int, sha256: str) -> Piece:
    """
    Note that a piece that was dropped is back in the store, once its rows are those that were exported.

    Raises:
        UnknownMonth: there is no such piece (``usage.unknown_month``).
        FileDiffers: a row is another (``usage.file_differs``).
    """
    piece = await _require_piece(connection, recorded.book_id, month, nth, ("dropped",))
    ((rows, first_order, last_order, checksum),) = await _sum_piece(connection, recorded.book_id, month, nth)
    if (rows, first_order, last_order) != (piece.rows, piece.first_order, piece.last_order) or (
        piece.checksum not in {None, checksum}
    ):
        raise FileDiffers(file=piece.file or "", what="its rows are not those that were exported")
    restored = piece._replace(step="restored", sha256=sha256)
    await _note(connection, recorded, "restored", [restored])
    return restored


def _present(pieces: Iterable[Piece]) -> list[Piece]:
    """Return those that are in the store and not attached."""
    return [one for one in pieces if one.step in {"detached", "exported", "restored"}]


async def _require_piece(
    connection: Connection, book_id: int, month: dt.date, nth: int, steps: Sequence[Step]
) -> Piece:
    for one in await _pieces(connection, book_id, month):
        if one.piece == nth and one.step in steps:
            return one
    raise UnknownMonth(field="month", month=f"{written(month)}, piece {nth}", state=" or ".join(steps))


async def _note(connection: Connection, recorded: Recorded, step: Step, pieces: Sequence[Piece]) -> None:
    for one in pieces:
        checksum: Decimal | None = one.checksum if step in {"exported", "restored"} else None
        file, sha256 = (
            (one.file, one.sha256) if step == "exported" else (None, one.sha256 if step == "restored" else None)
        )
        values: list[Any] = [one.rows, one.first_order, one.last_order, checksum, file, sha256]
        place = (recorded.message_place, recorded.at)
        await _insert_event(connection, recorded.book_id, one.month, one.piece, step, *values, *place)
