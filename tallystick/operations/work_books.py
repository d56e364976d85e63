"""Work on every book again and again, as those workers do that look for what is due."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from tallystick.db.connect import StoreBusy, StoreUnreachable, faults_told
from tallystick.errors import TallystickError
from tallystick.ledger.books import Book, list_books
from tallystick.operations.run import Operations

_log = structlog.get_logger()
PAUSE = 0.5
"""Seconds between two looks."""


async def work_books(operations: Operations, work: Callable[[Book], Awaitable[object]], complaint: str) -> None:
    """
    Do *work* in every book, until cancelled; a store that is away is waited for.

    What goes wrong in one book is told under the words of *complaint*, and the other books are not made to wait for it.
    """
    while True:
        with contextlib.suppress(StoreUnreachable, StoreBusy), faults_told():  # what is due then is due still
            for book in await operations.work(list_books):
                try:
                    await work(book)
                except (StoreUnreachable, StoreBusy):
                    raise
                except TallystickError as error:
                    _log.error(complaint, book=book.name, reason=error.message, code=error.code)
        await asyncio.sleep(PAUSE)
