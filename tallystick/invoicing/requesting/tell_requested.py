"""Tell of requested invoices what their products are answered."""

import uuid
from collections.abc import Container, Sequence

from tallystick.db.queries import Connection, queries_beside
from tallystick.invoicing.model import printed_number
from tallystick.invoicing.requesting.model import RequestedInvoice

_queries = queries_beside(__file__)
_find_told = _queries.tuples("find_told")


async def find_told(
    connection: Connection, book_id: int, invoice_ids: Sequence[uuid.UUID], known: Container[uuid.UUID] = ()
) -> dict[uuid.UUID, RequestedInvoice]:
    """Return those of the invoices that a product asked for; *known* are those that had been there before."""
    found: dict[uuid.UUID, RequestedInvoice] = {}
    for row in await _find_told(connection, book_id, list(invoice_ids)):
        invoice_id, product, reference, series, number, customer, asset, subtotal, total, day, issued_at = row
        plain_id = invoice_id
        found[plain_id] = RequestedInvoice(
            id=plain_id,
            product=product,
            reference=reference,
            number=None if series is None else printed_number(series, number),
            customer=customer,
            asset=asset,
            subtotal=subtotal,
            total=total,
            due_on=day,
            issued_at=issued_at,
            known=plain_id in known,
        )
    return found
