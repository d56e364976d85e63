"""History: every fact of an invoice with its time, from the draft to what became of it."""

import uuid
from typing import Any

from tallystick.db.queries import Connection, queries_beside
from tallystick.invoicing.life.find_header import find_header
from tallystick.invoicing.life.model import InvoiceHistory, LifeEntry
from tallystick.invoicing.model import printed_number
from tallystick.ledger.model import Reason

_queries = queries_beside(__file__)
_find_facts = _queries.tuples("find_facts")


async def find_history(connection: Connection, book_id: int, invoice_id: uuid.UUID) -> InvoiceHistory:
    """
    Return what was drafted, issued, moved, credited and noted of an invoice, in the order in which it happened.

    Raises:
        UnknownInvoice: there is none (``invoicing.unknown_invoice``).
    """
    await find_header(connection, book_id, invoice_id)
    return InvoiceHistory(invoice_id, [_entry(row) for row in await _find_facts(connection, book_id, invoice_id)])


def _entry(row: tuple[Any, ...]) -> LifeEntry:
    at, what, amount, outstanding, series, number, transfer, account, reason, message = row
    return LifeEntry(
        at=at,
        what=Reason(int(what)).name.lower() if what.isdecimal() else what,
        amount=amount,
        outstanding=outstanding,
        number=None if series is None else printed_number(series, number),
        transfer=transfer,
        account=account,
        reason=reason,
        message=message,
    )
