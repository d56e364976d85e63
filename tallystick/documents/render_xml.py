"""
Render an invoice as XML: EN 16931 in the syntax of UN/CEFACT Cross Industry Invoice, as Factur-X attaches it.

Comments name the business terms (BT) and rules (BR) of EN 16931. Pure.
"""

import datetime as dt
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import iso4217
from drafthorse.models.accounting import ApplicableTradeTax
from drafthorse.models.document import Document as CrossIndustryInvoice
from drafthorse.models.note import IncludedNote
from drafthorse.models.party import TaxRegistration
from drafthorse.models.payment import PaymentMeans, PaymentTerms
from drafthorse.models.tradelines import LineItem

from tallystick.documents.break_down import Breakdown, TaxGroup, break_down
from tallystick.documents.check_party import COUNTRIES, is_iban
from tallystick.documents.errors import NoElectronicInvoice
from tallystick.documents.model import Document, Party
from tallystick.documents.unit_codes import ONE, unit_code
from tallystick.invoicing.model import InvoiceLine, InvoiceStatus
from tallystick.money import Asset, Money
from tallystick.rating.exact import EXACT, plain

GUIDELINE = "urn:cen.eu:en16931:2017"
SCHEMA = "FACTUR-X_EN16931"
"""The name that drafthorse knows the profile's XSD by."""
_INVOICE, _CREDIT_NOTE = "380", "381"
_SEPA_TRANSFER, _TRANSFER = "58", "30"
_ON_ACCOUNT = "Credited to the account of the buyer"
_MOST_DECIMALS = 2
_REVERSE_CHARGE = "VATEX-EU-AE"
_NOT_SUBJECT = "VATEX-EU-O"
_NOT_IN_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_GREECE = "EL"
_VAT, _AT_HOME = "VA", "FC"
_INSTANT = dt.timedelta(microseconds=1)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Writing:
    """An invoice under way."""

    document: Document
    breakdown: Breakdown
    asset: Asset
    zone: ZoneInfo

    @property
    def outside_of_vat(self) -> bool:
        """Say whether no VAT applies: then nobody's VAT id may be told (BR-O-02)."""
        return self.breakdown.groups[0].code == "O"

    def amount(self, minor: int) -> Decimal:
        """
        Return major units.

        Raises:
            NoElectronicInvoice: they have more decimals than EN 16931 allows (BR-DEC).
        """
        major = Money(minor, self.asset).major
        digits = _decimals(major)
        if digits > _MOST_DECIMALS:
            raise NoElectronicInvoice(reason=f"{plain(major)} {self.asset.code} has more than two decimals")
        return major.quantize(Decimal(1).scaleb(-min(self.asset.exponent, _MOST_DECIMALS)))

    def day(self, at: dt.datetime) -> dt.date:
        """Return the day of an instant where its days are counted."""
        return at.astimezone(self.zone).date()


def render_xml(document: Document) -> bytes:
    """
    Return the electronic invoice; the same document always gives the same bytes.

    Raises:
        NoElectronicInvoice: EN 16931 has no way to say it (``documents.no_electronic_invoice``).
    """
    invoice = document.invoice
    if invoice.status is InvoiceStatus.VOID:
        raise NoElectronicInvoice(reason="it was voided, and a machine would take it for one that is owed")
    _require_currency(invoice.asset)
    breakdown = break_down(invoice, document.categories)
    _require_vat_ids(document, breakdown)
    writing = _Writing(document, breakdown, Asset(invoice.asset, invoice.exponent), ZoneInfo(document.zone))
    written = CrossIndustryInvoice()
    written.context.guideline_parameter.id = GUIDELINE  # BT-24
    written.header.id = invoice.number  # BT-1
    written.header.type_code = _INVOICE if document.takes_back is None else _CREDIT_NOTE  # BT-3
    written.header.issue_date_time = writing.day(_given(invoice.issued_at))  # BT-2
    if invoice.memo:
        note = IncludedNote()
        note.content = _clean(invoice.memo)  # BT-22
        written.header.notes.add(note)
    for place, line in enumerate(invoice.lines):
        written.trade.items.add(_line(writing, place, line))
    _write_party(written.trade.agreement.seller, document.seller, writing, seller=True)
    _write_party(written.trade.agreement.buyer, document.buyer, writing, seller=False)
    _write_settlement(written.trade.settlement, writing)
    xml: bytes = super(CrossIndustryInvoice, written).serialize(schema=None)  # its own declares names that none uses
    return xml


def _require_currency(asset: str) -> None:
    try:
        iso4217.Currency(asset)
    except ValueError as error:
        raise NoElectronicInvoice(reason=f"{asset} is no currency of ISO 4217") from error


def _require_vat_ids(document: Document, breakdown: Breakdown) -> None:
    """Hold the parties to what their categories ask of them (BR-S-02, BR-E-02, BR-Z-02, BR-AE-02)."""
    codes = {one.code for one in breakdown.groups}
    if "O" not in codes and document.seller.vat_id is None:
        raise NoElectronicInvoice(reason="there is VAT on it, or a reason for none, and the seller has no VAT id")
    buyer = document.buyer
    if "AE" in codes and buyer.vat_id is None and buyer.registration is None:
        raise NoElectronicInvoice(reason="it is under reverse charge, and the buyer has no VAT id")


def _write_party(party: Any, said: Party, writing: _Writing, *, seller: bool) -> None:  # noqa: ANN401 - drafthorse types few of its fields
    if said.customer is not None:
        party.id = _clean(said.customer)  # BT-46
    elif said.registration is None and (writing.outside_of_vat or _scheme(said.vat_id or "") != _VAT):
        party.id = _clean(said.name)  # BT-29, for one by which to know the seller there must be (BR-CO-26)
    party.name = _clean(said.name)  # BT-27, BT-44
    if said.registration is not None:
        party.legal_organization.id = _clean(said.registration)  # BT-30, BT-47
    _write_address(party.address, said)
    if said.email is not None:
        party.electronic_address.uri_ID = ("EM", _clean(said.email))  # BT-34, BT-49
    if seller and (said.email or said.phone):
        _write_contact(party.contact, said)
    if said.vat_id is not None and not writing.outside_of_vat:
        scheme = _scheme(said.vat_id)
        if seller or scheme == _VAT:
            registration = TaxRegistration()
            registration.id = (scheme, said.vat_id)  # BT-31, BT-32, BT-48
            party.tax_registrations.add(registration)


def _write_address(address: Any, said: Party) -> None:  # noqa: ANN401 - drafthorse types few of its fields
    for name, line in zip(("line_one", "line_two", "line_three"), said.address, strict=False):
        setattr(address, name, _clean(line))
    address.city_name = _clean(said.city)
    address.country_id = said.country
    if said.postcode is not None:
        address.postcode = _clean(said.postcode)


def _write_contact(contact: Any, said: Party) -> None:  # noqa: ANN401 - drafthorse types few of its fields
    contact.person_name = _clean(said.name)  # BT-41
    if said.phone is not None:
        contact.telephone.number = _clean(said.phone)  # BT-42
    if said.email is not None:
        contact.email.address = _clean(said.email)  # BT-43


def _scheme(vat_id: str) -> str:
    """Say whether a tax id begins with its country (BR-CO-09); what does not is the seller's number at home."""
    return _VAT if vat_id[:2] in COUNTRIES | {_GREECE} else _AT_HOME


def _line(writing: _Writing, place: int, line: InvoiceLine) -> LineItem:
    net, group = writing.breakdown.nets[place], writing.breakdown.groups[writing.breakdown.of_line[place]]
    quantity, unit, price = _priced(writing, line, net)
    item = LineItem()
    item.document.line_id = str(place + 1)  # BT-126
    item.product.name = _clean(line.name)  # BT-153
    item.product.description = _clean(_described(writing, line))  # BT-154
    item.agreement.net.amount = _plain(price)  # BT-146
    item.delivery.billed_quantity = (_plain(quantity), unit)  # BT-129, BT-130
    item.settlement.trade_tax.type_code = "VAT"
    item.settlement.trade_tax.category_code = group.code  # BT-151
    if group.code != "O":
        item.settlement.trade_tax.rate_applicable_percent = _plain(group.percent)  # BT-152
    if line.period_start is not None and line.period_end is not None:
        item.settlement.period.start = writing.day(line.period_start)  # BT-134
        item.settlement.period.end = _last_day(writing, line.period_start, line.period_end)  # BT-135
    item.settlement.monetary_summation.total_amount = writing.amount(net)  # BT-131
    return item


def _priced(writing: _Writing, line: InvoiceLine, net: int) -> tuple[Decimal, str, Decimal]:
    """
    Return quantity, unit and price of one unit: those of the charge where they make the amount, else the line as one.

    A price is never negative (BR-27): of what is given back the quantity is.
    """
    if line.unit_amount is not None and net == line.amount >= 0 and "/" not in line.unit_amount:
        price = EXACT.scaleb(Decimal(line.unit_amount), -writing.asset.exponent)
        if price >= 0 and EXACT.multiply(Decimal(line.quantity), price) == Money(net, writing.asset).major:
            return Decimal(line.quantity), unit_code(line.unit), price
    details = line.detail.get("details", ())
    if line.detail.get("model") == "per_unit" and len(details) == 1 and net == line.amount >= 0:
        quantity, rate = details[0].get("quantity", ""), details[0].get("rate", "")
        exact = "/" not in f"{quantity}{rate}" and details[0].get("part") == "units"
        if exact and EXACT.multiply(Decimal(quantity), Decimal(rate)) == Money(net, writing.asset).major:
            return Decimal(quantity), unit_code(line.detail.get("priced_unit", line.unit)), Decimal(rate)
    one = Decimal(-1 if net < 0 else 1)
    return one, ONE, writing.amount(abs(net))


def _described(writing: _Writing, line: InvoiceLine) -> str:
    if line.adjusts is None:
        return line.explanation
    number = writing.document.adjusted.get(line.adjusts.invoice, str(line.adjusts.invoice))
    return f"{number}: {line.explanation}"


def _last_day(writing: _Writing, start: dt.datetime, end: dt.datetime) -> dt.date:
    """Return the last day of a half-open period, never before its first (BR-29, BR-30)."""
    return max(writing.day(start), writing.day(max(start, end - _INSTANT)))


def _write_settlement(settlement: Any, writing: _Writing) -> None:  # noqa: ANN401 - drafthorse types few of its fields
    invoice, bank = writing.document.invoice, writing.document.seller.bank
    settlement.currency_code = invoice.asset  # BT-5
    settlement.payment_reference = invoice.number  # BT-83
    if bank is not None and writing.document.takes_back is None:
        means = PaymentMeans()
        iban = is_iban(bank.account)
        means.type_code = _SEPA_TRANSFER if iban and invoice.asset == "EUR" else _TRANSFER  # BT-81
        means.payee_account.account_name = _clean(bank.holder or writing.document.seller.name)  # BT-85
        if iban:
            means.payee_account.iban = bank.account  # BT-84
        else:
            means.payee_account.proprietary_id = _clean(bank.account)
        if bank.bic is not None:
            means.payee_institution.bic = bank.bic  # BT-86
        settlement.payment_means.add(means)
    for group in writing.breakdown.groups:
        settlement.trade_tax.add(_tax(writing, group))
    if invoice.period_start is not None and invoice.period_end is not None:
        settlement.period.start = writing.day(invoice.period_start)  # BT-73
        settlement.period.end = _last_day(writing, invoice.period_start, invoice.period_end)  # BT-74
    if writing.document.takes_back is not None:
        settlement.invoice_referenced_document.issuer_assigned_id = writing.document.takes_back  # BT-25
        terms = PaymentTerms()
        terms.description = _ON_ACCOUNT  # BT-20
        settlement.terms.add(terms)
    elif invoice.due_on is not None:
        terms = PaymentTerms()
        terms.due = invoice.due_on  # BT-9
        settlement.terms.add(terms)
    _write_totals(settlement.monetary_summation, writing)


def _tax(writing: _Writing, group: TaxGroup) -> ApplicableTradeTax:
    tax = ApplicableTradeTax()
    tax.calculated_amount = writing.amount(group.tax)  # BT-117
    tax.type_code = "VAT"
    if group.code not in {"S", "Z"}:
        tax.exemption_reason = _clean("; ".join(group.reasons))  # BT-120
    tax.basis_amount = writing.amount(group.base)  # BT-116
    tax.category_code = group.code  # BT-118
    if group.code in {"AE", "O"}:
        tax.exemption_reason_code = _REVERSE_CHARGE if group.code == "AE" else _NOT_SUBJECT  # BT-121
    if group.code != "O":
        tax.rate_applicable_percent = _plain(group.percent)  # BT-119, none where VAT does not apply
    return tax


def _write_totals(summation: Any, writing: _Writing) -> None:  # noqa: ANN401 - drafthorse types few of its fields
    invoice, groups = writing.document.invoice, writing.breakdown.groups
    net = sum(writing.breakdown.nets)
    summation.line_total = writing.amount(net)  # BT-106
    summation.charge_total = writing.amount(0)  # BT-108
    summation.allowance_total = writing.amount(0)  # BT-107
    summation.tax_basis_total = (writing.amount(net), None)  # BT-109
    summation.tax_total = (writing.amount(sum(one.tax for one in groups)), invoice.asset)  # BT-110
    summation.grand_total = (writing.amount(invoice.total), None)  # BT-112
    summation.prepaid_total = writing.amount(invoice.total - invoice.outstanding)  # BT-113
    summation.due_amount = writing.amount(invoice.outstanding)  # BT-115


def _decimals(number: Decimal) -> int:
    exponent = EXACT.normalize(number).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _plain(number: Decimal) -> Decimal:
    """Keep the number from being written with an exponent."""
    return Decimal(plain(number))


def _clean(text: str) -> str:
    """Leave out what no XML file can carry."""
    return _NOT_IN_XML.sub("", text)


def _given(value: _T | None) -> _T:
    if value is None:
        raise TypeError("an issued invoice has an instant of issue")
    return value
