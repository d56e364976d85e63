"""Every invoice whose due date has come, noted once: page by page, restartable at any point; or by itself, all day."""

import datetime as dt

from tallystick.ids import uuid7
from tallystick.invoicing.life.mark_overdue import DuePage, MarkedOverdue
from tallystick.ledger.books import Book
from tallystick.operations.run import Operations
from tallystick.operations.work_books import work_books
from tallystick.security.model import SYSTEM, Principal

_AT_ONCE = 1_000
_EVERY = dt.timedelta(minutes=1)
"""So often it is looked whether a day has begun somewhere; each invoice goes by the zone of its own."""


async def run_overdue(operations: Operations, principal: Principal, book: str) -> MarkedOverdue:
    """
    Note which invoices fall due today and which are overdue; killed anywhere and run again, each is noted once.

    Raises:
        TallystickError: of ``invoicing.list_due`` and ``invoicing.mark_overdue``; what was noted before it stays noted.
    """
    due = overdue = 0
    after = None
    while True:
        page: DuePage = await operations.call(
            principal, book, "invoicing.list_due", "", {"after": after, "limit": _AT_ONCE}
        )
        if page.items:
            ids = [one.id for one in page.items]
            key = f"overdue-{uuid7()}"
            done: MarkedOverdue = await operations.call(
                principal, book, "invoicing.mark_overdue", key, {"invoices": ids}
            )
            due, overdue = due + done.due, overdue + done.overdue
        if page.next is None:
            return MarkedOverdue(due, overdue)
        after = page.next


async def work_overdue(operations: Operations) -> None:
    """Note what falls due and what is overdue within a minute of its day, in every book, until cancelled."""
    looked: dict[int, dt.datetime] = {}

    async def look(book: Book) -> None:
        now = operations.clock.now()
        if book.book_id in looked and dt.timedelta(0) <= now - looked[book.book_id] < _EVERY:
            return
        await run_overdue(operations, SYSTEM, book.name)
        looked[book.book_id] = now

    await work_books(operations, look, "what falls due is not noted")
