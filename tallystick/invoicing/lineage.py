"""Lineage: from a line of an invoice back to the usage events behind it, and the messages that brought them."""

import uuid

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput, Kind, TallystickError
from tallystick.invoicing.model import BilledEvent, LineagePage

_queries = queries_beside(__file__)
_line_exists = _queries.value("line_exists")
_page_events = _queries.tuples("page_events")
_event_exists = _queries.value("event_exists")


class UnknownLine(TallystickError):
    """The invoice {invoice} has no line {line}."""

    code = "invoicing.unknown_line"
    kind = Kind.NOT_FOUND


async def page_lineage(
    connection: Connection, book_id: int, invoice_id: uuid.UUID, line: int, *, after: uuid.UUID | None, limit: int
) -> LineagePage:
    """
    Return *limit* of the usage events that the line covers, in order of time behind the event *after*.

    They are exactly those that were counted, however much usage came later; a flat charge covers none. Of an adjustment
    they are those that came, or were amended or taken back, since the line was made or adjusted last.

    Raises:
        UnknownLine: there is no such invoice or line (``invoicing.unknown_line``).
        InvalidInput: *after* is no event (``invalid_input``).
    """
    if not await _line_exists(connection, book_id, invoice_id, line):
        raise UnknownLine(field="line", invoice=invoice_id, line=line)
    if after is not None and not await _event_exists(connection, book_id, after):
        raise InvalidInput(field="after", rule="a cursor is what `next` of the page before gave")
    rows = await _page_events(connection, book_id, invoice_id, line, after, limit + 1)
    items = [
        BilledEvent(key, source, event_id, type_, at, msgspec.json.decode(quantities), message, change)
        for key, source, event_id, type_, at, quantities, message, change in rows[:limit]
    ]
    return LineagePage(items, items[-1].event_key if len(rows) > limit else None)
