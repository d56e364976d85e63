"""
Invoices rendered on one core: the electronic invoice, the page, and both as one PDF/A-3 file.

Each of five lines, two of them with tiers, 19 % VAT and a bank account; no two are alike. One thread renders, as a
server's does, and its processor time counts; fonts are open by then, as they are from a server's first document on.
Beside it the same in Japanese.
"""

import datetime as dt
import os
import resource
import time
import uuid
from typing import Any

from bench.table import Number, Report, Result
from tallystick.documents.model import BankAccount, Document, Party
from tallystick.documents.render_pdf import PdfRenderer
from tallystick.invoicing.model import Invoice, InvoiceLine, InvoiceStatus
from tallystick.taxes.model import InvoiceTax

IDS = ("invoice_pdf",)
INVOICES = int(os.environ.get("BENCH_INVOICES", "200"))
_MAY, _JUNE = dt.datetime(2015, 5, 1, tzinfo=dt.UTC), dt.datetime(2015, 6, 1, tzinfo=dt.UTC)
_TIERS = {
    "model": "graduated",
    "priced_quantity": "1234",
    "priced_unit": "requests",
    "free_units": "100",
    "details": [
        {"part": "tier", "quantity": "400", "rate": "0.002", "amount": "0.8", "tier": 0, "above": "0", "up_to": "500"},
        {"part": "tier", "quantity": "734", "rate": "0.0015", "amount": "1.101", "tier": 1, "above": "500"},
    ],
}
_FLAT = {"model": "flat", "details": [{"part": "flat", "quantity": "1", "rate": "20", "amount": "20"}]}


class NoAttachment(Exception):
    """A PDF lacks its electronic invoice."""


async def run(_: set[str], report: Report) -> None:
    """Render in German, then in Japanese."""
    renderer = PdfRenderer()
    german, size = _measure(renderer, "de", INVOICES)
    japanese, _size = _measure(renderer, "ja", INVOICES // 4)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    extra: dict[str, Number | str] = {"ms": 1000 / german, "japanese": japanese, "KiB": size // 1024, "MiB": peak}
    report(Result("invoice_pdf", german, "PDF/s", extra))


def _measure(renderer: PdfRenderer, language: str, count: int) -> tuple[float, int]:
    """Return how many a second, and how large the last one is."""
    renderer.render(_document(0, language))
    documents = [_document(number, language) for number in range(1, count + 1)]
    size, started = 0, time.process_time()
    for document in documents:
        rendered = renderer.render(document)
        if rendered.lacks is not None:
            raise NoAttachment(rendered.lacks)
        size = len(rendered.content)
    return count / (time.process_time() - started), size


def _document(number: int, language: str) -> Document:
    lines = [
        _line(0, 180 + number, _TIERS),
        _line(1, 190, _TIERS),
        *(_line(place, 2000 + place, _FLAT) for place in range(2, 5)),
    ]
    base = sum(line.amount for line in lines)
    tax = InvoiceTax("DE", "standard", "USt", "0.19", inclusive=False, base=base, amount=base * 19 // 100)
    total = base + tax.amount
    invoice = Invoice(
        id=uuid.UUID(int=number), number=f"INV-{number:06d}", customer=f"customer-{number}", product="api", asset="EUR",
        exponent=2, period_start=_MAY, period_end=_JUNE, subtotal=base, taxes=[tax], total=total, credits_applied=0,
        credits=[], outstanding=total, status=InvoiceStatus.ISSUED, due_on=dt.date(2015, 7, 3), drafted_at=_JUNE,
        issued_at=_JUNE, account="", transfer_id=None, usage_through=1, lines=lines,
    )  # fmt: skip
    seller = _party(None, "Kerbholz GmbH", "de", BankAccount("DE89370400440532013000", "COBADEFFXXX"))
    name = f"株式会社 請求先 {number}" if language == "ja" else f"Kundin {number} & Söhne GmbH"
    return Document(invoice, seller, _party(f"customer-{number}", name, language, None), ["standard"] * 5, {}, "UTC")


def _line(position: int, amount: int, detail: dict[str, Any]) -> InvoiceLine:
    return InvoiceLine(
        position=position, charge="requests", name=f"API requests, region {position}", price_at=_MAY, meter="requests",
        period_start=_MAY, period_end=_JUNE, events=1234, quantity="1234", unit="requests", amount=amount,
        explanation="1,234 requests: 100 free", detail=detail,
    )  # fmt: skip


def _party(customer: str | None, name: str, language: str, bank: BankAccount | None) -> Party:
    return Party(
        customer, name, ["Hauptstraße 1"], "Berlin", "10115", "DE", "DE123456789", None, "billing@example.com", None,
        language, bank, _MAY,
    )  # fmt: skip
