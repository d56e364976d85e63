"""Read statements: what receipts say of invoices."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.invoicing.find import find_lines
from tallystick.invoicing.model import InvoiceLine, printed_number
from tallystick.invoicing.tax import find_taxes
from tallystick.wallets.find import uses_of_invoices

_queries = queries_beside(__file__)
_find_stated = _queries.tuples("find_stated")
_find_outstanding = _queries.tuples("find_outstanding")


async def read_statements(
    connection: Connection, book_id: int, invoice_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, dict[str, Any]]:
    """Return what a receipt says of each issued invoice, as plain JSON that never changes: no status, no float."""
    rows = await _find_stated(connection, book_id, list(invoice_ids))
    lines = await find_lines(connection, book_id, invoice_ids)
    taxes = await find_taxes(connection, book_id, invoice_ids)
    uses = await uses_of_invoices(connection, book_id, invoice_ids)
    return {
        invoice_id: {
            **_write_head(_Stated(invoice_id, *row)),
            "lines": [_write_line(line) for line in lines.get(invoice_id, ())],
            **_write_if_any("taxes", taxes.get(invoice_id, ())),
            **_write_if_any("credits", uses.get(invoice_id, ())),
        }
        for invoice_id, *row in rows
    }


async def read_outstanding(
    connection: Connection, book_id: int, invoice_ids: Sequence[uuid.UUID]
) -> Mapping[uuid.UUID, int]:  # fmt: skip
    """Return what is still owed of each issued invoice, in minor units."""
    return dict(await _find_outstanding(connection, book_id, list(invoice_ids)))


@dataclass(frozen=True, slots=True)
class _Stated:
    """An invoice, as far as nothing of it changes."""

    invoice_id: uuid.UUID
    customer: str
    product: str
    asset: str
    exponent: int
    period_start: Any
    period_end: Any
    total: int
    usage_through: int | None
    series: str
    number: int
    due_on: Any
    reference: str | None
    memo: str | None


def _write_head(stated: _Stated) -> dict[str, Any]:
    return {
        "id": str(stated.invoice_id),
        "number": printed_number(stated.series, stated.number),
        "customer": stated.customer,
        "product": stated.product,
        "asset": stated.asset,
        "exponent": stated.exponent,
        **_write_occasion(stated),
        "due_on": None if stated.due_on is None else stated.due_on.isoformat(),
        "total": stated.total,
    }


def _write_occasion(stated: _Stated) -> dict[str, Any]:
    """Say what an invoice is for: a period, or what a product asked for under its reference."""
    if stated.period_start is None:
        return {"reference": stated.reference, "memo": stated.memo}
    return {
        "period_start": stated.period_start.isoformat(),
        "period_end": stated.period_end.isoformat(),
        "usage_through": stated.usage_through,
    }


def _write_line(line: InvoiceLine) -> dict[str, Any]:
    if line.price_at is None or line.period_start is None or line.period_end is None:
        return {
            "description": line.name,
            "quantity": line.quantity,
            "unit_amount": line.unit_amount,
            "amount": line.amount,
            "tax_category": line.tax_category,
        }
    return {
        "charge": line.charge,
        "name": line.name,
        "price_at": line.price_at.isoformat(),
        "meter": line.meter,
        "period_start": line.period_start.isoformat(),
        "period_end": line.period_end.isoformat(),
        "events": line.events,
        "quantity": line.quantity,
        "unit": line.unit,
        "amount": line.amount,
        "explanation": line.explanation,
    }


def _write_if_any(name: str, parts: Sequence[msgspec.Struct]) -> dict[str, Any]:
    """Return what a statement says of taxes or credits, where there are any."""
    return {name: [msgspec.to_builtins(one) for one in parts]} if parts else {}
