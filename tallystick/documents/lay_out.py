"""Lay out: everything that the page of an invoice says, as text in the buyer's language. Pure."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from tallystick.documents.check_party import is_iban
from tallystick.documents.model import Document, Party
from tallystick.documents.read_words import Words, read_words
from tallystick.documents.speak import Speech, breakable
from tallystick.invoicing.model import InvoiceLine, InvoiceStatus
from tallystick.money import Asset
from tallystick.taxes.model import InvoiceTax

Page = dict[str, Any]
"""What the template reads; README.md lists the fields."""
_TIMES = "\N{MULTIPLICATION SIGN}"
_INSTANT = dt.timedelta(microseconds=1)
_WORDS_OF_PARTS = {
    "transaction_fee": "transactions",
    "transaction_minimum": "transactions",
    "transaction_maximum": "transactions",
    "free_transactions": "transactions",
    "discount": "discount",
    "discount_units": "discount",
    "maximum_spend": "maximum",
    "minimum_spend": "minimum",
    "flat": "flat",
    "markup": "markup",
}
"""What a part that is neither a tier nor a package is called; the others are called by their unit."""
_ONE_PART = ("units", "flat")
"""Parts that, alone, say no more than the line above them."""


@dataclass(frozen=True, slots=True)
class _Reader:
    """Who reads the document, and in which words."""

    speech: Speech
    words: Words
    zone: ZoneInfo

    def day(self, at: dt.datetime) -> str:
        """Say the day of an instant."""
        return self.speech.day(at.astimezone(self.zone).date())

    def span(self, start: dt.datetime | None, end: dt.datetime | None) -> str:
        """Say the days of a half-open period; nothing of what has none."""
        if start is None or end is None:
            return ""
        last = max(start, end - _INSTANT)
        return self.speech.span(start.astimezone(self.zone).date(), last.astimezone(self.zone).date())

    def filled(self, word: str, **details: str) -> str:
        """Fill a word's fields in."""
        return word.format_map(details)


def lay_out(document: Document) -> Page:
    """Return what the page says."""
    invoice, words = document.invoice, read_words(document.buyer.language)
    speech = Speech(document.buyer.language, Asset(invoice.asset, invoice.exponent))
    reader = _Reader(speech, words, ZoneInfo(document.zone))
    void = invoice.status is InvoiceStatus.VOID
    credit = document.takes_back is not None
    return {
        "language": document.buyer.language,
        "words": words,
        "title": words["credit_note" if credit else "invoice"],
        "number_label": words["credit_note_number" if credit else "number"],
        "due_label": words["in_your_favour" if credit else "amount_due"],
        "seller": _party(document.seller, speech, at_home=False),
        "buyer": _party(document.buyer, speech, at_home=document.buyer.country == document.seller.country),
        "number": breakable(invoice.number or ""),
        "customer": breakable(invoice.customer),
        "date": "" if invoice.issued_at is None else reader.day(invoice.issued_at),
        "due": "" if invoice.due_on is None else speech.day(invoice.due_on),
        "period": reader.span(invoice.period_start, invoice.period_end),
        "memo": breakable(invoice.memo or ""),
        "void": words["void"] if void else "",
        "lines": [_line(reader, document, line) for line in invoice.lines],
        "totals": _totals(reader, document),
        "notes": [_note(words, tax) for tax in invoice.taxes if tax.treatment != "taxed"],
        "amount_due": speech.amount(invoice.outstanding),
        "settled": _settled(reader, document),
        "payment": _payment(words, document),
    }


def _settled(reader: _Reader, document: Document) -> str:
    """Say why nothing is to be paid; nothing where something is."""
    if document.takes_back is not None:
        return reader.filled(reader.words["takes_back"], number=document.takes_back)
    if document.invoice.outstanding:
        return ""
    return reader.words["void" if document.invoice.status is InvoiceStatus.VOID else "settled"]


def _party(party: Party, speech: Speech, *, at_home: bool) -> Page:
    """Return a name and an address; the country is left out where both are in it."""
    city = f"{party.postcode} {party.city}" if party.postcode else party.city
    lines = [*party.address, city, *([] if at_home else [speech.country(party.country)])]
    return {
        "name": breakable(party.name),
        "address": [breakable(one) for one in lines],
        "vat_id": party.vat_id or "",
        "registration": breakable(party.registration or ""),
        "email": breakable(party.email or ""),
        "phone": party.phone or "",
    }


def _line(reader: _Reader, document: Document, line: InvoiceLine) -> Page:
    speech, detail, invoice = reader.speech, line.detail, document.invoice
    said: Page = {
        "name": breakable(line.name),
        "quantity": "",
        "rate": "",
        "amount": speech.amount(line.amount),
        "rows": [],
    }
    if line.period_start is not None and (line.period_start, line.period_end) != (
        invoice.period_start,
        invoice.period_end,
    ):
        said["rows"].append(_row(reader.span(line.period_start, line.period_end)))
    if line.charge is None:
        if line.unit_amount is not None:
            said["quantity"], said["rate"] = (
                f"{speech.number(line.quantity)} {line.unit}".strip(),
                speech.minor(line.unit_amount),
            )
        return said
    if line.adjusts is not None:
        number = document.adjusted.get(line.adjusts.invoice, str(line.adjusts.invoice))
        said["rows"].append(_row(reader.filled(reader.words["adjusts"], number=number)))
        said["rows"] += _difference(speech, line)
        return said
    parts = detail.get("details", [])
    if detail.get("model") != "flat":
        quantity, unit = detail.get("priced_quantity", line.quantity), detail.get("priced_unit", line.unit)
        said["quantity"] = f"{speech.number(quantity)} {breakable(unit)}"
        if unit != line.unit:
            said["rows"].append(_row(f"{speech.number(line.quantity)} {breakable(line.unit)}"))
    if len(parts) == 1 and parts[0].get("part") == "units" and detail.get("free_units", "0") == "0":
        said["rate"] = speech.rate(parts[0]["rate"])
    said["rows"] += _parts(reader, line)
    return said


def _difference(speech: Speech, line: InvoiceLine) -> Iterator[Page]:
    """Say from what to what a line of an earlier invoice is corrected."""
    before, now = line.detail.get("before"), line.detail.get("now")
    if not isinstance(before, dict) or not isinstance(now, dict):
        return
    quantities = f"{speech.number(before['quantity'])} → {speech.number(now['quantity'])} {line.unit}"
    yield _row(quantities, amount=f"{speech.amount(before['amount'])} → {speech.amount(now['amount'])}")


def _parts(reader: _Reader, line: InvoiceLine) -> Iterator[Page]:
    """Say how the amount came about: what was free, what credit covered, and each tier, fee and limit."""
    speech, words, detail = reader.speech, reader.words, line.detail
    unit = breakable(str(detail.get("priced_unit", line.unit)))
    if "covered" in detail:
        yield _row(reader.filled(words["from_credits"], count=f"{speech.number(detail['covered'])} {line.unit}"))
    if detail.get("free_units", "0") != "0":
        yield _row(reader.filled(words["free"], count=f"{speech.number(detail['free_units'])} {unit}"))
    if "share" in detail:
        yield _row(reader.filled(words["of_a_period"], share=detail["share"]))
    parts = detail.get("details", [])
    if len(parts) == 1 and parts[0].get("part") in _ONE_PART and detail.get("free_units", "0") == "0":
        return
    for part in parts:
        yield _part(reader, part, unit)


def _part(reader: _Reader, part: dict[str, Any], unit: str) -> Page:
    speech = reader.speech
    kind = part["part"]
    shown = speech.percent(part["rate"]) if kind in {"percent", "markup"} else speech.rate(part["rate"])
    quantity = speech.rate(part["quantity"]) if kind in {"percent", "markup"} else speech.number(part["quantity"])
    how = f"{quantity} {_TIMES} {shown}"
    return _row(_named(reader, part, unit), how, speech.rate(part["amount"]))


def _named(reader: _Reader, part: dict[str, Any], unit: str) -> str:
    """Name a part of an amount, a tier by its bounds."""
    kind = part["part"]
    if kind == "tier_fee":
        return f"{reader.words['fee']}, {_bounds(reader, part, unit)}"
    if kind == "package":
        return reader.filled(reader.words["package"], size=f"{reader.speech.number(part.get('size', '1'))} {unit}")
    if "tier" in part:
        return _bounds(reader, part, unit)
    return reader.words.get(_WORDS_OF_PARTS.get(kind, ""), unit)


def _bounds(reader: _Reader, part: dict[str, Any], unit: str) -> str:
    words, speech = reader.words, reader.speech
    above, up_to = part.get("above"), part.get("up_to")
    if up_to is None:
        bound = f"{speech.number(above or '0')} {unit}"
        return reader.filled(words["above"], bound=bound)
    if above is None or above == "0":
        return reader.filled(words["up_to"], bound=f"{speech.number(up_to)} {unit}")
    return f"{speech.number(above)} \N{EN DASH} {speech.number(up_to)} {unit}"


def _row(what: str, how: str = "", amount: str = "") -> Page:
    return {"what": what, "how": how, "amount": amount}


def _totals(reader: _Reader, document: Document) -> list[Page]:
    """Return each line from the subtotal to what is left to pay; ``strong`` marks the sums that matter."""
    speech, words, invoice = reader.speech, reader.words, document.invoice
    added = [tax for tax in invoice.taxes if not tax.inclusive]
    rows: list[Page] = []
    if added:
        rows.append(_total(words["subtotal"], speech.amount(invoice.subtotal)))
        rows += [_total(_tax(reader, tax), speech.amount(tax.amount)) for tax in added]
    rows.append(_total(words["total"], speech.amount(invoice.total), strong=True))
    for tax in (one for one in invoice.taxes if one.inclusive):
        rows.append(
            _total(reader.filled(words["contained"], tax=_tax(reader, tax)), speech.amount(tax.amount), small=True)
        )
    if invoice.credits_applied:
        rows.append(_total(words["credits"], speech.amount(-invoice.credits_applied)))
    if invoice.credited:
        rows.append(_total(words["credited"], speech.amount(-invoice.credited)))
    paid = invoice.total - invoice.credits_applied - invoice.credited - invoice.outstanding
    if paid:
        settled = words["cleared" if invoice.status is InvoiceStatus.VOID else "paid"]
        if document.takes_back is not None:
            settled = reader.filled(words["deducted"], number=document.takes_back)
        rows.append(_total(settled, speech.amount(-paid)))
    return rows


def _tax(reader: _Reader, tax: InvoiceTax) -> str:
    if tax.treatment != "taxed":
        return reader.words["reverse_charge" if tax.treatment == "reverse_charge" else "exempt"]
    rate, base = reader.speech.percent(tax.rate), reader.speech.amount(tax.base)
    return reader.filled(reader.words["tax_on"], name=breakable(tax.name), rate=rate, base=base)


def _total(what: str, amount: str, *, strong: bool = False, small: bool = False) -> Page:
    return {"what": what, "amount": amount, "strong": strong, "small": small}


def _note(words: Words, tax: InvoiceTax) -> str:
    """Say why no tax is asked for."""
    why = words["reverse_charge" if tax.treatment == "reverse_charge" else "exempt"]
    return f"{why}: {breakable(tax.reason)}" if tax.reason else why


def _payment(words: Words, document: Document) -> list[list[str]]:
    """Return where to pay, each with its name; nothing where the seller told no account."""
    bank, invoice = document.seller.bank, document.invoice
    if bank is None:
        return []
    account = " ".join(bank.account[at : at + 4] for at in range(0, len(bank.account), 4))
    told = [
        (words["holder"], bank.holder or document.seller.name),
        ("IBAN" if is_iban(bank.account) else words["account"], account if is_iban(bank.account) else bank.account),
        (words["bic"], bank.bic),
        (words["bank"], bank.bank),
        (words["reference"], invoice.number),
    ]
    return [[what, breakable(value) if "IBAN" not in what else value] for what, value in told if value]
