"""The expiry of credit: what is left of a grant whose time has run out goes away, within a second."""

import asyncio
import contextlib
import uuid

import structlog

from tallystick.db.connect import StoreBusy, StoreUnreachable, faults_told
from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.ledger.books import list_books
from tallystick.ledger.errors import BatchTooLarge
from tallystick.operations.run import RESERVED, Operations
from tallystick.security.model import SYSTEM
from tallystick.wallets.end import find_due_grants

_log = structlog.get_logger()
PAUSE = 0.5
"""Seconds between two looks."""


async def work_wallets(operations: Operations) -> None:
    """End the grants that expire, in every book, until cancelled; a store that is away is waited for."""
    while True:
        with contextlib.suppress(StoreUnreachable, StoreBusy), faults_told():  # what is due then is due still
            for book in await operations.work(list_books):
                await _expire_or_tell(operations, book.name, book.book_id)
        await asyncio.sleep(PAUSE)


async def _expire_or_tell(operations: Operations, book: str, book_id: int) -> None:
    """End what is due in one book; what goes wrong there is told, and the other books are not made to wait for it."""
    try:
        await expire_due(operations, book, book_id)
    except (StoreUnreachable, StoreBusy):
        raise
    except TallystickError as error:
        _log.error("credit does not expire", book=book, reason=error.message, code=error.code)


async def expire_due(operations: Operations, book: str, book_id: int) -> int:
    """End the grants of a book that are due by now, and return how many were ended."""
    count = 0
    while True:
        at = operations.clock.now()
        due = await operations.work(lambda connection: find_due_grants(connection, book_id, at))  # noqa: B023 - awaited here
        ended = await _expire(operations, book, due) if due else 0
        count += ended
        if not ended:  # nothing is due, or the clock went back meanwhile
            return count


async def _expire(operations: Operations, book: str, grants: list[uuid.UUID]) -> int:
    """End grants in one message, or in two where their sum is more than one batch can move."""
    asked = {"grants": [str(one) for one in grants]}
    try:
        done = await operations.call(SYSTEM, book, "wallets.expire", f"{RESERVED}expire-credit:{uuid7()}", asked)
    except BatchTooLarge:
        half = len(grants) // 2
        return await _expire(operations, book, grants[:half]) + await _expire(operations, book, grants[half:])
    return int(done.expired)
