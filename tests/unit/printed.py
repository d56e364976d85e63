"""Invoices to print: as they come out of the store, written by hand."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from tallystick.documents.model import BankAccount, Document, Party
from tallystick.invoicing.model import AdjustedLine, Invoice, InvoiceLine, InvoiceStatus
from tallystick.taxes.model import InvoiceTax

MAY, JUNE = dt.datetime(2015, 5, 1, tzinfo=dt.UTC), dt.datetime(2015, 6, 1, tzinfo=dt.UTC)
EARLIER = uuid.UUID(int=3)
IBAN = "DE89370400440532013000"
TIERS = {
    "model": "graduated",
    "priced_quantity": "1234",
    "priced_unit": "requests",
    "free_units": "100",
    "details": [
        {"part": "tier", "quantity": "400", "rate": "0.002", "amount": "0.8", "tier": 0, "above": "0", "up_to": "500"},
        {"part": "tier", "quantity": "734", "rate": "0.0015", "amount": "1.101", "tier": 1, "above": "500"},
    ],
}
PER_UNIT = {
    "model": "per_unit",
    "priced_quantity": "12.5",
    "priced_unit": "GB",
    "free_units": "0",
    "details": [{"part": "units", "quantity": "12.5", "rate": "0.08", "amount": "1"}],
}
FLAT = {"model": "flat", "details": [{"part": "flat", "quantity": "1", "rate": "20", "amount": "20"}]}
ADJUSTED = {
    "model": "adjustment",
    "before": {"events": 1000, "quantity": "1000", "amount": 120},
    "now": {"events": 900, "quantity": "900", "amount": 100},
}


def make_party(customer: str | None = "ada", **changed: Any) -> Party:  # noqa: ANN401 - each field has its own type
    """Write a company in Berlin."""
    fields: dict[str, Any] = {
        "customer": customer, "name": "Ada & Söhne GmbH", "address": ["Hauptstraße 1", "2. Stock"], "city": "Berlin",
        "postcode": "10115", "country": "DE", "vat_id": "DE123456789", "registration": None, "email": "ada@example.com",
        "phone": "+49 30 1234", "language": "de", "bank": None, "set_at": MAY,
    }  # fmt: skip
    return Party(**fields | changed)


def make_line(amount: int = 190, detail: Mapping[str, Any] = TIERS, **changed: Any) -> InvoiceLine:  # noqa: ANN401 - as above
    """Write a line for requests of May."""
    fields: dict[str, Any] = {
        "position": 0, "charge": "requests", "name": "API requests", "price_at": MAY, "meter": "requests",
        "period_start": MAY, "period_end": JUNE, "events": 1234, "quantity": "1234", "unit": "requests",
        "amount": amount, "explanation": "1,234 requests = 1.90 EUR", "detail": dict(detail),
    }  # fmt: skip
    return InvoiceLine(**fields | changed)


def make_lines() -> list[InvoiceLine]:
    """Write a line of each kind: tiers, units, a flat fee, an adjustment. They come to 22.70."""
    return [
        make_line(),
        make_line(100, PER_UNIT, name="Storage", quantity="12500000000", unit="bytes"),
        make_line(2000, FLAT, name="Support", quantity="1", unit=""),
        make_line(-20, ADJUSTED, name="API requests", adjusts=AdjustedLine(EARLIER, 0)),
    ]


def make_tax(base: int, amount: int, **changed: Any) -> InvoiceTax:  # noqa: ANN401 - as above
    """Write German VAT, added."""
    fields: dict[str, Any] = {
        "jurisdiction": "DE", "category": "standard", "name": "USt", "rate": "0.19", "inclusive": False, "base": base,
        "amount": amount,
    }  # fmt: skip
    return InvoiceTax(**fields | changed)


def make_invoice(lines: Sequence[InvoiceLine], taxes: Sequence[InvoiceTax] = (), **changed: Any) -> Invoice:  # noqa: ANN401 - as above
    """Write an issued invoice, of which nothing is paid."""
    subtotal = sum(line.amount for line in lines)
    total = subtotal + sum(tax.amount for tax in taxes if not tax.inclusive)
    fields: dict[str, Any] = {
        "id": uuid.UUID(int=7), "number": "INV-000123", "customer": "ada", "product": "api", "asset": "EUR", "exponent": 2,
        "period_start": MAY, "period_end": JUNE, "subtotal": subtotal, "taxes": list(taxes), "total": total,
        "credits_applied": 0, "credits": [], "outstanding": total, "status": InvoiceStatus.ISSUED,
        "due_on": dt.date(2015, 7, 3), "drafted_at": JUNE, "issued_at": JUNE + dt.timedelta(days=2, hours=8),
        "account": "x", "transfer_id": None, "usage_through": 1, "lines": list(lines),
    }  # fmt: skip
    return Invoice(**fields | changed)


def make_document(invoice: Invoice | None = None, **changed: Any) -> Document:  # noqa: ANN401 - as above
    """Write all that is printed; left out, an invoice with a line of each kind and German VAT."""
    if invoice is None:
        invoice = make_invoice(make_lines(), [make_tax(2270, 431)])
    fields: dict[str, Any] = {
        "invoice": invoice, "seller": make_seller(), "buyer": make_party(),
        "categories": ["standard"] * len(invoice.lines), "adjusted": {EARLIER: "INV-000101"}, "zone": "UTC",
    }  # fmt: skip
    return Document(**fields | changed)


def make_seller(**changed: Any) -> Party:  # noqa: ANN401 - as above
    """Write who sells, with a bank account."""
    return make_party(
        None, **{"name": "Tally Verkauf AG", "bank": BankAccount(IBAN, "COBADEFFXXX", "Commerzbank")} | changed
    )
