"""Every invoice whose due date has come, noted once: page by page, restartable at any point."""

from tallystick.ids import uuid7
from tallystick.invoicing.life.mark_overdue import DuePage, MarkedOverdue
from tallystick.operations.run import Operations
from tallystick.security.model import Principal

_AT_ONCE = 1_000


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
