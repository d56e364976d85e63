"""Find credit notes, with their lines and taxes."""

import uuid
from typing import Any

from tallystick.db.queries import Connection, queries_beside
from tallystick.invoicing.life.errors import UnknownCreditNote
from tallystick.invoicing.life.model import CreditNote, CreditNoteLine, CreditNoteTax
from tallystick.invoicing.model import printed_number
from tallystick.rating.exact import plain

_queries = queries_beside(__file__)
_find_credit_notes = _queries.tuples("find_credit_notes")
_find_credit_lines = _queries.tuples("find_credit_lines")
_find_credit_taxes = _queries.tuples("find_credit_taxes")


async def find_credit_note(connection: Connection, book_id: int, credit_note_id: uuid.UUID) -> CreditNote:
    """
    Return a credit note.

    Raises:
        UnknownCreditNote: there is none (``invoicing.unknown_credit_note``).
    """
    found = await _find(connection, book_id, None, credit_note_id)
    if not found:
        raise UnknownCreditNote(field="id", credit_note=credit_note_id)
    return found[0]


async def find_credit_notes(connection: Connection, book_id: int, invoice_id: uuid.UUID) -> list[CreditNote]:
    """Return the credit notes of an invoice, the first one first."""
    return await _find(connection, book_id, invoice_id, None)


async def _find(
    connection: Connection, book_id: int, invoice_id: uuid.UUID | None, credit_note_id: uuid.UUID | None
) -> list[CreditNote]:
    rows = await _find_credit_notes(connection, book_id, invoice_id, credit_note_id)
    ids = [row[0] for row in rows]
    lines: dict[uuid.UUID, list[CreditNoteLine]] = {}
    for one, *line in await _find_credit_lines(connection, book_id, ids):
        lines.setdefault(one, []).append(CreditNoteLine(*line))
    taxes: dict[uuid.UUID, list[CreditNoteTax]] = {}
    for one, jurisdiction, category, name, rate, *tax in await _find_credit_taxes(connection, book_id, ids):
        taxes.setdefault(one, []).append(CreditNoteTax(jurisdiction, category, name, plain(rate), *tax))
    return [_credit_note(row, lines.get(row[0], []), taxes.get(row[0], [])) for row in rows]


def _credit_note(row: tuple[Any, ...], lines: list[CreditNoteLine], taxes: list[CreditNoteTax]) -> CreditNote:
    (credit_note_id, series, number, invoice_id, invoice_series, invoice_number, customer, product, asset, reference,
     total, applied, reason, issued_at) = row  # fmt: skip
    return CreditNote(
        id=credit_note_id,
        number=printed_number(series, number),
        invoice=invoice_id,
        invoice_number=printed_number(invoice_series, invoice_number),
        customer=customer,
        product=product,
        asset=asset,
        reference=reference,
        total=total,
        applied=applied,
        unallocated=total - applied,
        reason=reason,
        issued_at=issued_at,
        lines=lines,
        taxes=taxes,
    )
