"""The totals of usage: what comes in is added to them within seconds, by whichever node gets to it first."""

import asyncio
import time

from tallystick.operations.run import Operations
from tallystick.operations.work_books import work_books
from tallystick.usage.totals.fold import MOST_ROWS, Folded, fold, tend

ROWS_AT_ONCE = 25_000
"""How many rows the worker folds in one transaction: while it is open the log seals nothing that came after it."""


async def work_totals(operations: Operations) -> None:
    """Fold what comes in, in every book, until cancelled; a store that is away is waited for."""
    await work_books(
        operations,
        lambda book: fold_behind(operations, book.book_id, breathe=True, most_rows=ROWS_AT_ONCE),
        "usage totals stay behind",
    )


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
