"""The electronic invoice: valid by the profile's schema, exact, and refused where EN 16931 has no way to say it."""

import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from drafthorse.utils import validate_xml as validate_schema

from tallystick.documents.errors import NoElectronicInvoice, RulesMissing
from tallystick.documents.model import BankAccount, Document
from tallystick.documents.render_xml import SCHEMA, render_xml
from tallystick.documents.validate_xml import BrokenRule, read_report, validate_xml
from tests.unit.printed import make_document, make_invoice, make_line, make_lines, make_party, make_seller, make_tax

RULES = os.environ.get("EN16931_RULES", "")
"""Where the official rules (EN16931-CII-validation.xslt) are, on a machine that has them."""
NOT_TAXED = {"rate": "0", "treatment": "exempt", "reason": "charity"}
REVERSED = {"rate": "0", "treatment": "reverse_charge", "reason": "Art. 196"}
ASKED = {"charge": None, "price_at": None, "period_start": None, "period_end": None}


def documents() -> Iterator[Document]:
    """Write an invoice of each kind that EN 16931 treats in its own way."""
    lines = make_lines()
    yield make_document()
    yield make_document(make_invoice(lines, [make_tax(2270, 431)], outstanding=0))
    yield make_document(make_invoice(lines))
    for treated in (NOT_TAXED, REVERSED, {"rate": "0"}):
        yield make_document(make_invoice(lines, [make_tax(2270, 0, **treated)]))
    thirds = [make_line(333), make_line(334), make_line(333)]
    yield make_document(make_invoice(thirds, [make_tax(840, 160, inclusive=True)]))
    two = [make_tax(500, 35, rate="0.07", category="reduced"), make_tax(1000, 190)]
    yield make_document(make_invoice([make_line(1000), make_line(500)], two), categories=["standard", "reduced"])
    yield make_document(make_invoice([make_line(0)], [make_tax(0, 0)]))
    yen = make_invoice([make_line(1000)], [make_tax(1000, 100, rate="0.1")], asset="JPY", exponent=0)
    yield make_document(yen, seller=make_seller(country="JP", vat_id="T1234567890123", bank=BankAccount("1234567")))
    asked = make_line(1000, {}, unit_amount="500", quantity="2", **ASKED)
    without_month = {"period_start": None, "period_end": None, "memo": "Thank you <3"}
    yield make_document(make_invoice([asked], [make_tax(1000, 190)], **without_month))
    back = make_invoice(lines, [make_tax(2270, 431)], outstanding=500, due_on=None, number="CN-000001")
    yield make_document(back, takes_back="INV-000123")


def texts(xml: bytes, tag: str) -> list[str]:
    """Return what stands in each element of this name."""
    return re.findall(rf"<ram:{tag}\b[^>]*>([^<]*)<", xml.decode())


def test_every_kind_of_invoice_is_valid_by_the_schema() -> None:
    """Drafthorse carries the XSD of the profile EN 16931."""
    for document in documents():
        xml = render_xml(document)
        assert xml == render_xml(document)
        assert validate_schema(xml, SCHEMA)


@pytest.mark.skipif(find_spec("saxonche") is None or not RULES, reason="the official rules are not on this machine")
def test_every_kind_of_invoice_passes_the_official_rules() -> None:
    """And one whose total is tampered with does not."""
    for document in documents():
        assert validate_xml(render_xml(document), Path(RULES)) == []
    wrong = render_xml(make_document()).replace(b">27.01</ram:GrandTotalAmount>", b">27.02</ram:GrandTotalAmount>")
    assert "BR-CO-15" in {one.rule for one in validate_xml(wrong, Path(RULES))}


def test_totals_are_exact_and_taxes_told_by_rate() -> None:
    """What is paid is told beside what is due."""
    xml = render_xml(make_document(make_invoice(make_lines(), [make_tax(2270, 431)], outstanding=2201)))
    totals = ["LineTotalAmount", "TaxTotalAmount", "GrandTotalAmount", "TotalPrepaidAmount", "DuePayableAmount"]
    assert [texts(xml, one)[-1] for one in totals] == ["22.70", "4.31", "27.01", "5.00", "22.01"]
    assert texts(xml, "BasisAmount") == ["22.70"]
    assert texts(xml, "PaymentReference") == ["INV-000123"]
    assert "DE89370400440532013000" in texts(xml, "IBANID")


def test_a_credit_note_is_one_and_names_its_invoice() -> None:
    """Type 381; nobody is asked to pay it."""
    note = make_invoice([make_line(1000)], [make_tax(1000, 190)], outstanding=190, due_on=None, number="CN-000001")
    xml = render_xml(make_document(note, takes_back="INV-000123"))
    assert texts(xml, "TypeCode")[0] == "381"
    assert "INV-000123" in texts(xml, "IssuerAssignedID")
    assert [texts(xml, one)[0] for one in ("TotalPrepaidAmount", "DuePayableAmount")] == ["10.00", "1.90"]
    assert texts(xml, "IBANID") == []


def test_a_line_has_its_unit_and_price_where_they_make_its_amount() -> None:
    """Otherwise it is one of what it comes to; what is given back is a negative quantity, since no price is negative."""
    xml = render_xml(make_document())
    assert re.findall(r'BilledQuantity unitCode="(\w+)">([^<]+)<', xml.decode()) == [
        ("C62", "1"), ("E34", "12.5"), ("C62", "1"), ("C62", "-1"),
    ]  # fmt: skip
    assert texts(xml, "ChargeAmount") == ["1.9", "0.08", "20", "0.2"]
    assert texts(xml, "LineTotalAmount")[:4] == ["1.90", "1.00", "20.00", "-0.20"]
    assert any("INV-000101" in one for one in texts(xml, "Description"))


def test_where_no_vat_applies_no_vat_id_is_told() -> None:
    """EN 16931 forbids it, and wants to know the seller by something else."""
    xml = render_xml(make_document(make_invoice(make_lines())))
    assert "DE123456789" not in xml.decode()
    assert texts(xml, "ExemptionReasonCode") == ["VATEX-EU-O"]


def test_what_en_16931_cannot_say_is_refused_with_the_reason() -> None:
    """Assets that are no currency, amounts of three decimals, VAT of a seller without a VAT id."""
    reversed_ = make_invoice([make_line(1000)], [make_tax(1000, 0, **REVERSED)])
    for document, reason in (
        (make_document(make_invoice([make_line()], asset="TOKENS")), "TOKENS is no currency"),
        (make_document(make_invoice([make_line(1)], asset="KWD", exponent=3)), "more than two decimals"),
        (make_document(seller=make_seller(vat_id=None)), "the seller has no VAT id"),
        (make_document(reversed_, buyer=make_party(vat_id=None)), "the buyer has no VAT id"),
    ):
        with pytest.raises(NoElectronicInvoice, match=reason):
            render_xml(document)


def test_what_no_xml_can_carry_is_left_out() -> None:
    """Names come from customers."""
    xml = render_xml(make_document(make_invoice([make_line(name="a\x00b\ufffec</ram:Name>")])))
    assert texts(xml, "Name")[0] == "abc&lt;/ram:Name&gt;"
    assert validate_schema(xml, SCHEMA)


def test_a_report_of_broken_rules_is_read() -> None:
    """As SaxonC gives it, in the Schematron Validation Report Language."""
    report = (
        '<svrl:fired-rule/><svrl:failed-assert test="x" id="BR-01" flag="fatal" location="/a">'
        "<svrl:text>An invoice\n  shall</svrl:text></svrl:failed-assert>"
    )
    assert read_report(report) == [BrokenRule("BR-01", "fatal", "An invoice shall")]


def test_rules_that_are_not_there_are_told(tmp_path: Path) -> None:
    """Whether the file is absent or the program that runs it."""
    with pytest.raises(RulesMissing):
        validate_xml(b"<a/>", tmp_path / "none.xslt")
