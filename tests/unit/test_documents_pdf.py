"""The PDF: PDF/A-3b with the invoice attached, the same bytes every time, in the buyer's language, whatever it says."""

import datetime as dt
import hashlib
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from tallystick.documents.errors import NoElectronicInvoice, TemplateRefused
from tallystick.documents.lay_out import lay_out
from tallystick.documents.mark_facturx import mark_facturx
from tallystick.documents.model import LANGUAGES, Document
from tallystick.documents.read_words import read_words
from tallystick.documents.render_pdf import SHIPPED, PdfRenderer
from tallystick.documents.render_xml import render_xml
from tallystick.documents.speak import Speech
from tallystick.invoicing.model import InvoiceStatus
from tallystick.money import Asset
from tests.unit.printed import (
    JUNE,
    make_document,
    make_invoice,
    make_line,
    make_lines,
    make_party,
    make_seller,
    make_tax,
)

MARKUP = '#panic("no") *bold* _it_ $x$ `raw` @ref <label> \\ // /* = head #eval("1+1") ${x} "'


@pytest.fixture(scope="module")
def renderer() -> PdfRenderer:
    """Keep one compiler for all tests, as a server does."""
    return PdfRenderer()


def read(renderer: PdfRenderer, document: Document) -> PdfReader:
    """Render a document and open it."""
    return PdfReader(io.BytesIO(renderer.render(document).content), strict=True)


def text_of(reader: PdfReader) -> str:
    """Return the text of all pages, without what lets long words break."""
    return "\n".join(page.extract_text() for page in reader.pages).replace("\u200b", "")


def test_it_is_pdf_a_3_with_the_invoice_attached(renderer: PdfRenderer) -> None:
    """By its structure: what it claims, its colours, its attachment and what that is to the page."""
    document = make_document()
    reader = read(renderer, document)
    root: Any = reader.trailer["/Root"]
    metadata = root["/Metadata"].get_object().get_data().decode()
    assert "<pdfaid:part>3</pdfaid:part>" in metadata
    assert "<pdfaid:conformance>B</pdfaid:conformance>" in metadata
    assert root["/OutputIntents"][0].get_object()["/S"] == "/GTS_PDFA1"
    assert "/DestOutputProfile" in root["/OutputIntents"][0].get_object()
    (attached,) = root["/AF"]
    assert attached.get_object()["/AFRelationship"] == "/Alternative"
    assert attached.get_object()["/UF"] == "factur-x.xml"
    assert reader.attachments["factur-x.xml"] == [render_xml(document)]
    assert attached.get_object()["/EF"]["/F"].get_object()["/Subtype"] == "/text/xml"


def test_its_metadata_say_that_it_is_factur_x(renderer: PdfRenderer) -> None:
    """The properties, and the schema that describes them, without which PDF/A would not allow them."""
    root: Any = read(renderer, make_document()).trailer["/Root"]
    metadata = root["/Metadata"].get_object().get_data().decode()
    said = dict(re.findall(r"<fx:(\w+)>([^<]*)<", metadata))
    assert said == {
        "DocumentFileName": "factur-x.xml", "DocumentType": "INVOICE", "Version": "1.0", "ConformanceLevel": "EN 16931",
    }  # fmt: skip
    described = set(re.findall(r"<pdfaProperty:name>(\w+)<", metadata))
    assert described >= set(said)


def test_the_places_of_all_objects_are_told_rightly(renderer: PdfRenderer) -> None:
    """Marking moves what stands behind the metadata."""
    pdf = renderer.render(make_document()).content
    table = int(re.findall(rb"startxref\n(\d+)", pdf)[-1])
    for number, entry in enumerate(re.findall(rb"(\d{10}) 00000 n", pdf[table:]), start=1):
        assert pdf[int(entry) :].startswith(b"%d 0 obj" % number)
    with pytest.raises(TemplateRefused):
        mark_facturx(b"%PDF-1.7 and no more")


def test_the_same_invoice_has_the_same_bytes() -> None:
    """From another compiler in another process, too: nothing of the machine or the moment is in it."""
    program = (
        "import hashlib; from tests.unit.printed import make_document; "
        "from tallystick.documents.render_pdf import PdfRenderer; "
        "print(hashlib.sha256(PdfRenderer().render(make_document()).content).hexdigest())"
    )
    root = Path(__file__).parents[2]
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=root)
    ours = PdfRenderer().render(make_document()).content
    assert hashlib.sha256(ours).hexdigest() == told.stdout.strip()
    assert b"D:20150603080000" in ours


def test_it_says_all_that_is_owed_and_why(renderer: PdfRenderer) -> None:
    """Tiers, free units, what is corrected, taxes, credit and what was paid, where to pay and by when."""
    invoice = make_invoice(make_lines(), [make_tax(2270, 431)], credits_applied=500, outstanding=1701)
    text = text_of(read(renderer, make_document(invoice)))
    for said in (
        "Rechnung INV-000123", "3. Juni 2015", "Bitte zahlen Sie bis 3. Juli 2015.", "Ada & Söhne GmbH", "12,5 GB",
        "100 requests kostenfrei", "bis 500 requests", "über 500 requests", "0,0015 €", "1,101 €",
        "Berichtigung der Rechnung INV-000101", "USt 19 % auf 22,70 €", "4,31 €", "27,01 €", "-5,00 €", "17,01 €",
        "DE89 3704 0044 0532 0130 00", "COBADEFFXXX", "Seite 1/1", "USt-IdNr. DE123456789",
    ):  # fmt: skip
        assert said.replace(" ", "") in text.replace("\xa0", "").replace(" ", ""), said


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_its_words_and_letters(renderer: PdfRenderer, language: str) -> None:
    """Japanese and Chinese names, too, are set from the fonts that are installed with the product."""
    assert read_words(language).keys() == read_words("en").keys()
    buyer = make_party(language=language, name="髙﨑商事株式会社 骨直 청구서", address=["Łódź, Žižkov, Ελλάς, Київ"])
    text = text_of(read(renderer, make_document(buyer=buyer)))
    assert "髙﨑商事株式会社" in text
    assert "Łódź" in text
    assert read_words(language)["invoice"] in text
    assert "□" not in text


def test_many_lines_go_on_under_the_same_head(renderer: PdfRenderer) -> None:
    """Each page repeats the table's head and says which of how many it is."""
    lines = [make_line(100, name=f"Region {number}") for number in range(60)]
    reader = read(renderer, make_document(make_invoice(lines, [make_tax(6000, 1140)])))
    pages = [page.extract_text() for page in reader.pages]
    assert len(pages) >= 3
    for number, page in enumerate(pages[:-1], start=1):
        assert "Beschreibung" in page
        assert f"Seite {number}/{len(pages)}" in page
    assert "71,40" in pages[-1]


def test_what_customers_are_called_is_never_code(renderer: PdfRenderer) -> None:
    """Typst's markup in a name, an address, a charge or a memo is shown as it is."""
    buyer = make_party(MARKUP, name=MARKUP, address=[MARKUP])
    line = make_line(100, name=MARKUP, unit=MARKUP)
    document = make_document(make_invoice([line], customer=MARKUP, memo=MARKUP), buyer=buyer)
    text = " ".join(text_of(read(renderer, document)).split())
    assert text.count('#panic("no") *bold*') >= 4


def test_letters_that_no_font_has_are_squares(renderer: PdfRenderer) -> None:
    """A document that lacks an emoji is better than none; the electronic invoice has it."""
    document = make_document(buyer=make_party(name="Ada 🎉 ไทย \x01"))
    reader = read(renderer, document)
    assert "Ada □" in text_of(reader)
    assert "Ada 🎉 ไทย".encode() in reader.attachments["factur-x.xml"][0]


def test_the_longest_words_and_amounts_stay_on_the_page(renderer: PdfRenderer) -> None:
    """They break where no column is wide enough."""
    party = make_party("c" * 255, name="W" * 255, address=["A" * 255] * 3, city="C" * 255)
    line = make_line(2**62, name="Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft")
    text = text_of(read(renderer, make_document(make_invoice([line]), buyer=party)))
    assert "46.116.860.184.273.879,04" in text


def test_what_is_settled_or_void_asks_for_nothing(renderer: PdfRenderer) -> None:
    """A total of zero is settled from the start."""
    zero = text_of(read(renderer, make_document(make_invoice([make_line(0)]))))
    assert "Vollständig beglichen" in zero
    assert "Bitte zahlen" not in zero
    void = make_invoice([make_line(100)], outstanding=0, status=InvoiceStatus.VOID)
    reader = read(renderer, make_document(void))
    assert "storniert" in text_of(reader)
    assert "factur-x.xml" not in reader.attachments
    with pytest.raises(NoElectronicInvoice, match="voided"):
        render_xml(make_document(void))


def test_marks_that_turn_text_are_left_out(renderer: PdfRenderer) -> None:
    """Overrides and isolates of direction, line separators and control characters of the upper half are spaces."""
    turned = "Ada\u202e0001\u2066x\u2028y\x85z"
    said = make_document(make_invoice([make_line(100, name=turned)], memo=turned), buyer=make_party(name=turned))
    text = text_of(read(renderer, said))
    assert text.count("Ada 0001 x y z") == 3


def test_a_credit_note_says_what_became_of_it(renderer: PdfRenderer) -> None:
    """What lowered the invoice, and what is in the customer's favour; nothing is asked for."""
    note = make_invoice([make_line(1000)], [make_tax(1000, 190)], outstanding=190, due_on=None, number="CN-000001")
    document = make_document(note, takes_back="INV-000123", buyer=make_party(language="en"))
    text = text_of(read(renderer, document))
    for said in ("Credit note CN-000001", "Deducted from invoice INV-000123", "-€10.00", "In your favour", "€1.90"):
        assert said in text, said
    assert "IBAN" not in text


def test_an_invoice_that_en_16931_cannot_say_has_no_attachment(renderer: PdfRenderer) -> None:
    """It is PDF/A all the same, and the reason is told."""
    rendered = renderer.render(make_document(make_invoice([make_line()], asset="TOKENS")))
    assert rendered.lacks is not None
    assert "TOKENS" in rendered.lacks.message
    reader = PdfReader(io.BytesIO(rendered.content))
    assert not reader.attachments
    assert "1,90" in text_of(reader)


def test_what_a_product_asked_for_in_its_own_words_is_shown(renderer: PdfRenderer) -> None:
    """Quantity and price as it gave them, no month, and its memo."""
    asked: dict[str, Any] = {"charge": None, "price_at": None, "period_start": None, "period_end": None, "detail": {}}
    line = make_line(999, name="Monthly fee", quantity="3", unit="pieces", unit_amount="333", **asked)
    invoice = make_invoice([line], memo="Thank you", period_start=None, period_end=None)
    page = lay_out(make_document(invoice, buyer=make_party(language="en")))
    assert (page["period"], page["memo"]) == ("", "Thank you")
    assert [(one["quantity"], one["rate"], one["amount"]) for one in page["lines"]] == [("3 pieces", "€3.33", "€9.99")]
    assert renderer.render(make_document(invoice)).lacks is None


def test_amounts_are_spoken_from_integers_without_loss() -> None:
    """Of nineteen digits the last is right; an asset of its own has its own name."""
    assert Speech("en", Asset("USD", 2)).amount(2**63 - 1) == "$92,233,720,368,547,758.07"
    assert Speech("ja", Asset("JPY", 0)).amount(-1234) == "-\uffe51,234"
    assert Speech("de", Asset("CREDITS", 3)).amount(1234567) == "1.234,567\xa0CREDITS"
    assert Speech("en", Asset("EUR", 2)).rate("0." + "0" * 15 + "1") == "€0.0000000000000001"
    assert Speech("fr", Asset("EUR", 2)).rate("1/3") == "1/3"


def test_days_are_those_of_the_billing_zone() -> None:
    """What is issued at eleven at night in UTC is issued on the next day in Tokyo."""
    invoice = make_invoice([make_line()], issued_at=JUNE + dt.timedelta(hours=23))
    page = lay_out(make_document(invoice, zone="Asia/Tokyo", buyer=make_party(language="ja")))
    assert page["date"] == "2015年6月2日"


def test_a_template_of_ones_own_is_used(tmp_path: Path) -> None:
    """The electronic invoice is attached, whatever it does."""
    (tmp_path / "invoice.typ").write_text(
        '#import "colours.typ": ink\n#let page-data = json(bytes(sys.inputs.page))\n'
        "#set text(fill: ink, lang: page-data.language)\nOur own #page-data.number"
    )
    (tmp_path / "colours.typ").write_text('#let ink = rgb("#112233")')
    reader = read(PdfRenderer(tmp_path), make_document())
    assert text_of(reader) == "Our own INV-000123"
    assert "factur-x.xml" in reader.attachments


def test_an_error_in_a_template_names_file_and_line(tmp_path: Path) -> None:
    """So does one in a file that it uses; and a directory without a template is told."""
    (tmp_path / "invoice.typ").write_text('= Title\n#include "more.typ"\n')
    (tmp_path / "more.typ").write_text("fine\n\n#unknown-thing\n")
    with pytest.raises(TemplateRefused, match=r"more\.typ, line 3: unknown variable: unknown-thing"):
        PdfRenderer(tmp_path).render(make_document())
    with pytest.raises(TemplateRefused, match=r"invoice\.typ is not there"):
        PdfRenderer(tmp_path / "nowhere")
    assert (SHIPPED / "invoice.typ").is_file()


def test_the_seller_without_an_account_asks_for_no_transfer(renderer: PdfRenderer) -> None:
    """Only by when to pay is said."""
    text = text_of(read(renderer, make_document(seller=make_seller(bank=None))))
    assert "IBAN" not in text
    assert "Bitte zahlen Sie bis" in text
