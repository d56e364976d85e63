"""The expiry of holds: what is left of a hold whose time has run out is free again, within a second."""

import uuid

from tallystick.ids import uuid7
from tallystick.ledger.errors import BatchTooLarge
from tallystick.ledger.find_due_holds import find_due_holds, note_expiry_pass
from tallystick.operations.run import RESERVED, Operations
from tallystick.operations.work_books import work_books
from tallystick.security.model import SYSTEM


async def work_holds(operations: Operations) -> None:
    """End the holds that expire, in every book, until cancelled; a store that is away is waited for."""
    await work_books(operations, lambda book: expire_due(operations, book.name, book.book_id), "holds do not expire")


async def expire_due(operations: Operations, book: str, book_id: int) -> int:
    """
    End the holds of a book that are due by now, and return how many were ended.

    A pass is noted only when nothing is due any more: what could not be ended, since a clock went back meanwhile, is
    looked at again.
    """
    count = 0
    while True:
        at = operations.clock.now()
        due = await operations.work(lambda connection: find_due_holds(connection, book_id, at))  # noqa: B023 - awaited here
        if not due.holds:
            await operations.work(lambda connection: note_expiry_pass(connection, book_id, due))  # noqa: B023 - awaited here
            return count
        ended = await _expire(operations, book, due.holds)
        count += ended
        if not ended:
            return count


async def _expire(operations: Operations, book: str, holds: list[uuid.UUID]) -> int:
    """End holds in one message, or in two where their sum is more than one batch can move."""
    asked = {"holds": [str(one) for one in holds]}
    try:
        done = await operations.call(SYSTEM, book, "ledger.expire_holds", f"{RESERVED}expire:{uuid7()}", asked)
    except BatchTooLarge:
        half = len(holds) // 2
        return await _expire(operations, book, holds[:half]) + await _expire(operations, book, holds[half:])
    return int(done.expired)
