"""The expiry of credit: what is left of a grant whose time has run out goes away, within a second."""

import uuid

from tallystick.ids import uuid7
from tallystick.ledger.errors import BatchTooLarge
from tallystick.operations.run import RESERVED, Operations
from tallystick.operations.work_books import work_books
from tallystick.security.model import SYSTEM
from tallystick.wallets.end import find_due_grants


async def work_wallets(operations: Operations) -> None:
    """End the grants that expire, in every book, until cancelled; a store that is away is waited for."""
    await work_books(operations, lambda book: expire_due(operations, book.name, book.book_id), "credit does not expire")


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
