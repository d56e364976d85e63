"""The totals of usage: what comes in is added to them within seconds, by whichever node gets to it first."""

import asyncio
import contextlib
import time

import structlog

from tallystick.db.connect import StoreBusy, StoreUnreachable, faults_told
from tallystick.errors import TallystickError
from tallystick.ledger.books import list_books
from tallystick.operations.run import Operations
from tallystick.usage.totals.fold import MOST_ROWS, Folded, fold, tend

_log = structlog.get_logger()
PAUSE = 0.5
"""Seconds between two looks."""
ROWS_AT_ONCE = 25_000
"""How many rows the worker folds in one transaction: while it is open the log seals nothing that came after it."""


async def work_totals(operations: Operations) -> None:
    """Fold what comes in, in every book, until cancelled; a store that is away is waited for."""
    while True:
        with contextlib.suppress(StoreUnreachable, StoreBusy), faults_told():  # what is behind then is behind still
            for book in await operations.work(list_books):
                await _fold_or_tell(operations, book.name, book.book_id)
        await asyncio.sleep(PAUSE)


async def _fold_or_tell(operations: Operations, book: str, book_id: int) -> None:
    """Fold one book; what goes wrong there is told, and the other books are not made to wait for it."""
    try:
        await fold_behind(operations, book_id, breathe=True, most_rows=ROWS_AT_ONCE)
    except (StoreUnreachable, StoreBusy):
        raise
    except TallystickError as error:
        _log.error("usage totals stay behind", book=book, reason=error.message, code=error.code)


async def fold_behind(
    operations: Operations, book_id: int, *, breathe: bool = False, most_rows: int = MOST_ROWS
) -> int:
    """
    Fold all that is behind in a book, a transaction at a time, and return how many rows that was.

    With *breathe*, as long as each step took nothing is done after it: folding takes half a core from recording at most.
    """
    rows, stretch = 0, 0
    while True:
        began = time.monotonic()
        at = operations.clock.now()
        folded: Folded = await operations.work(
            lambda connection: fold(connection, book_id, at, stretch, most_rows)  # noqa: B023 - awaited here
        )
        if folded.months:
            await operations.work(lambda connection: tend(connection, book_id, folded))  # noqa: B023 - awaited here
        rows, stretch = rows + folded.rows, folded.stretch
        if not folded.more:
            return rows
        if breathe:
            await asyncio.sleep(time.monotonic() - began)
