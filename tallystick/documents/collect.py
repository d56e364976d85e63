"""Collect what a document says, as it was when the invoice was issued; what is paid of it, as it is now."""

import datetime as dt
import uuid
from collections.abc import Sequence

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.documents.model import Document
from tallystick.documents.parties import find_party
from tallystick.invoicing.find import InvoiceNotIssued, find_invoice
from tallystick.invoicing.life.find_credit_notes import find_credit_note
from tallystick.invoicing.life.model import CreditNote, CreditNoteLine
from tallystick.invoicing.model import Invoice, InvoiceLine, InvoiceStatus, printed_number
from tallystick.ledger.model import Reason
from tallystick.ledger.post import Ledger
from tallystick.taxes.apply import load_table
from tallystick.taxes.model import STANDARD, InvoiceTax

_queries = queries_beside(__file__)
_find_numbers = _queries.tuples("find_numbers")
_find_zone = _queries.value("find_zone")
_due_of_bill = _queries.value("due_of_bill")
_find_given_up = _queries.value("find_given_up")

_MOMENT = dt.timedelta(microseconds=1)
_UTC = "UTC"


async def collect_document(connection: Connection, ledger: Ledger, invoice_id: uuid.UUID) -> Document:
    """
    Return everything that the document of an invoice says.

    What was written off is the seller's loss and was not paid: the document asks for it still.

    Raises:
        UnknownInvoice: there is no such invoice (``invoicing.unknown_invoice``).
        InvoiceNotIssued: it is a draft (``invoicing.not_issued``).
        NoParty: seller or buyer has no name and address (``documents.no_party``).
    """
    invoice = await find_invoice(connection, ledger, invoice_id)
    if invoice.issued_at is None:
        raise InvoiceNotIssued(field="id", invoice=invoice_id)
    book_id = ledger.book_id
    if invoice.outstanding < invoice.total:
        given_up = await _find_given_up(connection, book_id, invoice_id, Reason.INVOICE_WRITE_OFF)
        invoice = msgspec.structs.replace(invoice, outstanding=invoice.outstanding + given_up)
    seller = await find_party(connection, book_id, None, invoice.issued_at)
    buyer = await find_party(connection, book_id, invoice.customer, invoice.issued_at)
    zone: str | None = await _find_zone(connection, book_id, invoice.product)
    categories = await _categories(connection, book_id, invoice)
    return Document(
        invoice,
        seller,
        buyer,
        categories,
        await _adjusted(connection, book_id, invoice),
        _UTC if zone is None else zone,
    )


async def collect_credit_note(connection: Connection, ledger: Ledger, credit_note_id: uuid.UUID) -> Document:
    """
    Return everything that the document of a credit note says.

    Raises:
        UnknownCreditNote: there is no such credit note (``invoicing.unknown_credit_note``).
        NoParty: seller or buyer has no name and address (``documents.no_party``).
    """
    note = await find_credit_note(connection, ledger.book_id, credit_note_id)
    of = await collect_document(connection, ledger, note.invoice)
    categories = [of.categories[line.line] for line in note.lines]
    seller = await find_party(connection, ledger.book_id, None, note.issued_at)
    buyer = await find_party(connection, ledger.book_id, note.customer, note.issued_at)
    return Document(
        _as_invoice(note, of.invoice, categories),
        seller,
        buyer,
        categories,
        {},
        of.zone,
        takes_back=note.invoice_number,
    )


def _as_invoice(note: CreditNote, of: Invoice, categories: Sequence[str | None]) -> Invoice:
    """Write a credit note in the form of an invoice: what was paid back is outstanding, what lowered the invoice is not."""
    lines = [_as_line(place, one, of.lines[one.line]) for place, one in enumerate(note.lines)]
    return Invoice(
        id=note.id, number=note.number, customer=note.customer, product=note.product, asset=note.asset,
        exponent=of.exponent, period_start=of.period_start, period_end=of.period_end,
        subtotal=sum(line.amount for line in lines), taxes=_taxes_taken_back(note, of, categories), total=note.total,
        credits_applied=0, credits=[], outstanding=note.unallocated, status=InvoiceStatus.ISSUED, due_on=None,
        drafted_at=note.issued_at, issued_at=note.issued_at, account=None, transfer_id=None, usage_through=None,
        lines=lines, memo=note.reason,
    )  # fmt: skip


def _as_line(position: int, taken: CreditNoteLine, line: InvoiceLine) -> InvoiceLine:
    return InvoiceLine(
        position=position, charge=None, name=taken.description, price_at=None, meter=None, period_start=line.period_start,
        period_end=line.period_end, events=0, quantity="1", unit="", amount=taken.amount, explanation=line.name, detail={},
    )  # fmt: skip


def _taxes_taken_back(note: CreditNote, of: Invoice, categories: Sequence[str | None]) -> list[InvoiceTax]:
    """Return the taxes of a credit note, with why none was asked for where none was."""
    taxes = [
        InvoiceTax(
            one.jurisdiction,
            one.category,
            one.name,
            one.rate,
            inclusive=one.inclusive,
            base=one.base,
            amount=one.amount,
        )
        for one in note.taxes
    ]
    told = {one.category for one in taxes}
    for tax in of.taxes:
        own = [line.amount for line, category in zip(note.lines, categories, strict=True) if category == tax.category]
        if tax.treatment != "taxed" and own and tax.category not in told:
            taxes.append(msgspec.structs.replace(tax, base=sum(own), amount=0))
    return taxes


async def _categories(connection: Connection, book_id: int, invoice: Invoice) -> list[str | None]:
    """Return the tax category of each line: what the taxes were asked for by, at the instant that counted."""
    taxed = {one.category for one in invoice.taxes}
    asked_for = any(line.charge is None for line in invoice.lines)
    if len(taxed) <= 1 and not asked_for:
        return [next(iter(taxed), STANDARD)] * len(invoice.lines)
    due: dt.datetime | None = await _due_of_bill(connection, book_id, invoice.id)
    on = invoice.period_end if due is None else due
    table = await load_table(connection, book_id)
    return [
        line.tax_category if line.charge is None else table.category_of(invoice.product, line.charge, _before(line, on))
        for line in invoice.lines
    ]


def _before(line: InvoiceLine, on: dt.datetime | None) -> dt.datetime:
    """Return the instant right before which what was in force counts for a line, as it did for its taxes."""
    if on is None or line.period_end is None:
        return dt.datetime.max.replace(tzinfo=dt.UTC)
    return on if line.period_end <= on else on + _MOMENT


async def _adjusted(connection: Connection, book_id: int, invoice: Invoice) -> dict[uuid.UUID, str]:
    ids = {line.adjusts.invoice for line in invoice.lines if line.adjusts is not None}
    if not ids:
        return {}
    found = await _find_numbers(connection, book_id, list(ids))
    return {one: printed_number(series, number) for one, series, number in found}
