"""Taxes of an invoice, as they are kept beside its lines."""

import uuid
from collections.abc import Sequence

from tallystick.db.queries import Connection, queries_beside
from tallystick.rating.exact import plain
from tallystick.taxes.model import InvoiceTax

__all__ = ["InvoiceTax", "find_taxes", "write_taxes"]

_queries = queries_beside(__file__)
_insert_taxes = _queries.run("insert_taxes")
_find_taxes = _queries.tuples("find_taxes")


async def write_taxes(
    connection: Connection, book_id: int, taxes: Sequence[tuple[uuid.UUID, Sequence[InvoiceTax]]]
) -> None:
    """Keep the taxes of invoices that were written just now."""
    rows = [(invoice_id, place, tax) for invoice_id, of_one in taxes for place, tax in enumerate(of_one)]
    if rows:
        await _insert_taxes(
            connection,
            book_id,
            [invoice_id for invoice_id, _, _ in rows],
            [place for _, place, _ in rows],
            [tax.jurisdiction for _, _, tax in rows],
            [tax.category for _, _, tax in rows],
            [tax.name for _, _, tax in rows],
            [tax.rate for _, _, tax in rows],
            [tax.inclusive for _, _, tax in rows],
            [tax.base for _, _, tax in rows],
            [tax.amount for _, _, tax in rows],
            [tax.treatment for _, _, tax in rows],
            [tax.reason for _, _, tax in rows],
        )


async def find_taxes(
    connection: Connection, book_id: int, invoice_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, list[InvoiceTax]]:
    """Return the taxes of those of the invoices that have any, as they were kept."""
    taxes: dict[uuid.UUID, list[InvoiceTax]] = {}
    for invoice_id, jurisdiction, category, name, rate, *tax in await _find_taxes(
        connection, book_id, list(invoice_ids)
    ):
        taxes.setdefault(invoice_id, []).append(InvoiceTax(jurisdiction, category, name, plain(rate), *tax))
    return taxes
