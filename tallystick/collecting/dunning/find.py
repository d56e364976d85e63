"""Find who is to be reminded, which fees have no invoice yet, and reminders."""

import datetime as dt
import uuid
from typing import Any, NamedTuple

from tallystick.collecting.dunning.model import DebtorsPage, FeesPage, FeeToAsk, Reminder, RemindersPage
from tallystick.collecting.dunning.rules import find_rules
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput
from tallystick.invoicing.model import printed_number
from tallystick.repayments.dues import NOW

_queries = queries_beside(__file__)
_page_debtors = _queries.tuples("page_debtors")
_page_fees = _queries.tuples("page_fees")
_page_reminders = _queries.tuples("page_reminders")


async def page_debtors(connection: Connection, book_id: int, on: dt.date, after: int, limit: int) -> DebtorsPage:
    """Return customers, behind *after* in order of their numbers, who have an invoice to be reminded of on a day."""
    rules = await find_rules(connection, book_id, NOW)
    if not rules.levels:
        return DebtorsPage([], None)
    days = [level.after_days for level in rules.levels]
    rows = await _page_debtors(connection, book_id, after, on, days, rules.gaps, limit)
    return DebtorsPage([row[1] for row in rows], str(rows[-1][0]) if len(rows) == limit else None)


async def page_fees(connection: Connection, book_id: int, after: str, limit: int) -> FeesPage:
    """
    Return fees that have no invoice yet.

    Raises:
        InvalidInput: *after* is no cursor (``invalid_input``).
    """
    invoice_id, level = _read_cursor(after)
    rows = await _page_fees(connection, book_id, invoice_id, level, limit)
    items = [FeeToAsk(row[0], row[1], row[2]) for row in rows]
    return FeesPage(items, f"{items[-1].invoice}/{items[-1].level}" if len(rows) == limit else None)


class Wanted(NamedTuple):
    """Which reminders a page shows."""

    customer: str | None
    invoice: uuid.UUID | None


async def page_reminders(connection: Connection, book_id: int, wanted: Wanted, after: str, limit: int) -> RemindersPage:
    """
    Return a page of reminders by invoice and level.

    Raises:
        InvalidInput: *after* is no cursor (``invalid_input``).
    """
    rows = await _page_reminders(connection, book_id, *wanted, *_read_cursor(after), limit)
    items = [_reminder(row) for row in rows]
    return RemindersPage(items, f"{items[-1].invoice}/{items[-1].level}" if len(rows) == limit else None)


def _reminder(row: tuple[Any, ...]) -> Reminder:
    invoice_id, series, number, level, customer, asset, on, due_on, outstanding, fee, fee_days, fee_invoice = row
    return Reminder(
        invoice_id, printed_number(series, number), level, customer, asset, on, due_on, outstanding, fee, fee_days,
        fee_invoice,
    )  # fmt: skip


def _read_cursor(after: str) -> tuple[uuid.UUID, int]:
    """Read the cursor of a page: an invoice, and the level of a reminder of it."""
    if not after:
        return uuid.UUID(int=0), 0
    invoice, _, level = after.partition("/")
    try:
        return uuid.UUID(invoice), int(level[:5])
    except ValueError as error:
        raise InvalidInput(field="after", rule="a cursor is what `next` of the page before gave") from error
