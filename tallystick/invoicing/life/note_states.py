"""Note states: append what the ledger now says of invoices whose money moved, and tell it."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tallystick.db.queries import Connection, queries_beside
from tallystick.invoicing.model import NotedState, printed_number
from tallystick.ledger.accounts import Recorded
from tallystick.notify.tell import Told, tell

_queries = queries_beside(__file__)
_find_to_note = _queries.tuples("find_to_note")
_insert_states = _queries.run("insert_states")
_end_due = _queries.run("end_due")
_begin_due = _queries.run("begin_due")
_ENDED = {NotedState.PAID.value, NotedState.WRITTEN_OFF.value, NotedState.VOID.value}


class Noting(NamedTuple):
    """An issued invoice as the ledger and the facts have it now; amounts in minor units."""

    invoice_id: uuid.UUID
    customer: str
    product: str
    asset: str
    total: int
    owed: int
    """The total, without what credit notes took of what was outstanding."""
    outstanding: int
    noted: str | None
    """The newest state noted of it, those aside that only tell of its due date."""
    noted_outstanding: int | None
    overdue: bool
    series: str
    number: int
    due_on: dt.date


class Noted(NamedTuple):
    """A state to append."""

    one: Noting
    state: NotedState
    outstanding: int


async def note_states(
    connection: Connection,
    recorded: Recorded,
    invoice_ids: Sequence[uuid.UUID],
    places: Mapping[uuid.UUID, int] | None = None,
) -> None:
    """
    Append that invoices are partly paid, paid or open again, where the ledger says so and no fact does yet.

    To be called by every verb that moved money of an invoice, after its postings, in the same transaction: their
    accounts are locked by then, so that of two at once the second sees what the first has noted.

    *places* are by invoice the places of the messages that moved them, where one transaction does many; None: all are of one.
    """
    await note_found(connection, recorded, await find_to_note(connection, recorded.book_id, invoice_ids), places)


async def note_found(
    connection: Connection, recorded: Recorded, found: Sequence[Noting], places: Mapping[uuid.UUID, int] | None = None
) -> None:
    """Note states as `note_states` does, of invoices that the caller knows as they are now, each once."""
    noted = [Noted(one, state, one.outstanding) for one in found if (state := next_state(one)) is not None]
    await append_states(connection, recorded, noted, places=places)


async def find_to_note(connection: Connection, book_id: int, invoice_ids: Sequence[uuid.UUID]) -> list[Noting]:
    """Return those of the invoices that are issued, each once, in their order."""
    if not invoice_ids:
        return []
    rows = await _find_to_note(connection, book_id, list(dict.fromkeys(invoice_ids)))
    return [Noting._make(row) for row in rows]


def next_state(one: Noting) -> NotedState | None:
    """
    Return what is to be noted of an invoice; None where nothing has changed since it was noted last. Pure.

    A credit note alone makes no invoice partly paid; one that leaves nothing to pay makes it paid.
    """
    before = one.owed if one.noted_outstanding is None else one.noted_outstanding
    if one.outstanding == 0:
        return None if one.noted in _ENDED else NotedState.PAID
    if one.outstanding > before:
        return NotedState.REOPENED
    if one.outstanding in {before, one.owed}:
        return None
    return NotedState.PARTLY_PAID


async def append_states(
    connection: Connection,
    recorded: Recorded,
    noted: Sequence[Noted],
    reason: str | None = None,
    places: Mapping[uuid.UUID, int] | None = None,
) -> None:
    """Append states, each for another invoice, see to what still has to fall due, and tell them."""
    if not noted:
        return
    by = places or {}
    told_by = [by.get(each.one.invoice_id, recorded.message_place) for each in noted]
    await _insert_states(
        connection,
        recorded.book_id,
        told_by,
        recorded.at,
        reason,
        [each.one.invoice_id for each in noted],
        [each.state for each in noted],
        [each.outstanding for each in noted],
    )
    done = [each.one.invoice_id for each in noted if not each.outstanding or each.state is NotedState.OVERDUE]
    if done:
        await _end_due(connection, recorded.book_id, done)
    again = [each.one for each in noted if each.state is NotedState.REOPENED and not each.one.overdue]
    if again:
        ids, days = [one.invoice_id for one in again], [one.due_on for one in again]
        await _begin_due(connection, recorded.book_id, ids, days)
    await tell(connection, recorded, [_told(each, reason) for each in noted], places=told_by)


def _told(each: Noted, reason: str | None) -> Told:
    one = each.one
    said: dict[str, object] = {
        "invoice_id": one.invoice_id,
        "customer": one.customer,
        "product": one.product,
        "asset": one.asset,
        "total": one.total,
        "outstanding": each.outstanding,
        "number": printed_number(one.series, one.number),
        "due_on": one.due_on,
    }
    if reason is not None:
        said["reason"] = reason
    return Told(f"invoice.{each.state.value}", f"invoice/{one.invoice_id}", said)
