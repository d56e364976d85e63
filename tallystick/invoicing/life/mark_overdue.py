"""Mark overdue: note which invoices are due today, and which were before and are not paid."""

import datetime as dt
import uuid
from collections.abc import Sequence

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.db.retry import OrderLost
from tallystick.invoicing.find import require_cursor
from tallystick.invoicing.life.enter_to_decide import enter_to_decide
from tallystick.invoicing.life.note_states import Noted, append_states, find_to_note, note_states
from tallystick.invoicing.model import NotedState
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.post import Ledger
from tallystick.ledger.read_in_order import read_in_order, take_place

_queries = queries_beside(__file__)
_list_due = _queries.tuples("list_due")
_find_owed_accounts = _queries.values("find_owed_accounts")
_find_late = _queries.tuples("find_late")
_note_told = _queries.run("note_told")


class DueInvoice(msgspec.Struct, frozen=True):
    """An issued invoice whose due date has come, by the calendar of its zone, and of which that is not noted yet."""

    id: uuid.UUID
    due_on: dt.date


class DuePage(msgspec.Struct, frozen=True):
    """Invoices by due date; ``next`` is the cursor of the page behind, null on the last."""

    items: list[DueInvoice]
    next: uuid.UUID | None


class MarkedOverdue(msgspec.Struct, frozen=True):
    """What was noted now."""

    due: int
    """How many fall due today."""
    overdue: int
    """How many were due before today and are not paid."""


async def list_due(
    connection: Connection, book_id: int, at: dt.datetime, after: uuid.UUID | None, limit: int
) -> DuePage:
    """
    Return what `mark_overdue` has to look at, *limit* at the most behind a cursor.

    Raises:
        InvalidInput: *after* is no invoice (``invalid_input``).
    """
    await require_cursor(connection, book_id, after)
    rows = await _list_due(connection, book_id, at, after, limit + 1)
    items = [DueInvoice(invoice_id, day) for invoice_id, day in rows[:limit]]
    return DuePage(items, items[-1].id if len(rows) > limit else None)


async def mark_overdue(
    connection: Connection, ledger: Ledger, recorded: Recorded, invoice_ids: Sequence[uuid.UUID]
) -> MarkedOverdue:
    """
    Note of those of the invoices on which something is outstanding that they are due, or were due before today.

    Each is noted once, however many look at once; one that is paid by now, or not due yet, is left out.

    Raises:
        OrderLost: a transaction that is ordered later moved what is owed already; run this one again, under a later place.
    """
    await enter_to_decide(connection, recorded.book_id)
    place = await take_place(connection)
    accounts = await _find_owed_accounts(connection, recorded.book_id, list(invoice_ids))
    before = await read_in_order(connection, ledger, place, accounts)
    if before.raised_later or before.lowered_later:
        raise OrderLost
    await note_states(connection, recorded, invoice_ids)
    rows = await _find_late(connection, recorded.book_id, list(invoice_ids), recorded.at)
    late = {invoice_id: (told, over) for invoice_id, told, over in rows}
    found = {one.invoice_id: one for one in await find_to_note(connection, recorded.book_id, list(late))}
    overdue = [one for one in found.values() if one.outstanding and late[one.invoice_id][1]]
    due = [one for one in found.values() if one.outstanding and late[one.invoice_id] == (False, False)]
    noted = [Noted(one, NotedState.OVERDUE, one.outstanding) for one in overdue]
    noted += [Noted(one, NotedState.DUE, one.outstanding) for one in due]
    await append_states(connection, recorded, noted)
    if due:
        await _note_told(connection, recorded.book_id, [one.invoice_id for one in due])
    return MarkedOverdue(len(due), len(overdue))
