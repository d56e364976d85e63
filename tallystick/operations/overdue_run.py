"""Every invoice whose due date has come, noted once: page by page, restartable at any point; or by itself, all day."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import NamedTuple

import structlog

from tallystick.collecting.batches.model import Failure
from tallystick.ids import uuid7
from tallystick.invoicing.life.mark_overdue import DuePage, MarkedOverdue
from tallystick.invoicing.model import Invoice
from tallystick.ledger.books import Book
from tallystick.operations.isolate import isolate
from tallystick.operations.run import Operations
from tallystick.operations.work_books import work_books
from tallystick.security.model import SYSTEM, Principal

_log = structlog.get_logger()
_AT_ONCE = 1_000
_EVERY = dt.timedelta(minutes=1)
"""So often it is looked whether a day has begun somewhere; each invoice goes by the zone of its own."""


class OverdueRun(NamedTuple):
    """What one run noted; together with what earlier runs noted, nothing is missing."""

    due: int
    """How many fall due today."""
    overdue: int
    """How many were due before today and are not paid."""
    failed: list[Failure]
    """Whose invoices could not be noted; the next run tries them again."""


async def run_overdue(operations: Operations, principal: Principal, book: str) -> OverdueRun:
    """
    Note which invoices fall due today and which are overdue; killed anywhere and run again, each is noted once.

    An invoice that cannot be noted is left out and told, and the others go on.

    Raises:
        TallystickError: of ``invoicing.list_due``, or the store is away; what was noted before it stays noted.
    """

    async def mark(ids: Sequence[uuid.UUID]) -> MarkedOverdue:
        key = f"overdue-{uuid7()}"
        done: MarkedOverdue = await operations.call(
            principal, book, "invoicing.mark_overdue", key, {"invoices": list(ids)}
        )
        return done

    due = overdue = 0
    failed: list[Failure] = []
    after = None
    while True:
        page: DuePage = await operations.call(
            principal, book, "invoicing.list_due", "", {"after": after, "limit": _AT_ONCE}
        )
        if page.items:
            marked, left_out = await isolate(mark, [one.id for one in page.items])
            due, overdue = due + sum(one.due for one in marked), overdue + sum(one.overdue for one in marked)
            for invoice, why in left_out:
                found: Invoice = await operations.call(principal, book, "invoicing.find", "", {"id": invoice})
                failed.append(Failure(found.customer, why.code, f"{found.number}: {why.message}"))
        if page.next is None:
            return OverdueRun(due, overdue, failed)
        after = page.next


async def work_overdue(operations: Operations) -> None:
    """Note what falls due and what is overdue within a minute of its day, in every book, until cancelled."""
    looked: dict[int, dt.datetime] = {}

    async def look(book: Book) -> None:
        now = operations.clock.now()
        if book.book_id in looked and dt.timedelta(0) <= now - looked[book.book_id] < _EVERY:
            return
        for one in (await run_overdue(operations, SYSTEM, book.name)).failed:
            _log.error(
                "what falls due is not noted", book=book.name, customer=one.customer, reason=one.message, code=one.code
            )
        looked[book.book_id] = now

    await work_books(operations, look, "what falls due is not noted")
