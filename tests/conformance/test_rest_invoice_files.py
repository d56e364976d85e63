"""Invoices as files over HTTP: the right types, a tag that tells whether they changed, and refusals that say why."""

import hashlib
import io
import uuid
from pathlib import Path

import httpx
import pytest
from pypdf import PdfReader

from tallystick.api.rest.app import make_app
from tests.conformance.conftest import Rest, listening
from tests.db.priced_usage import meter_requests, price, use
from tests.db.test_parties import ADA, BERLIN, SELLER, USED, issue


@pytest.fixture
async def issued(rest: Rest) -> str:
    """Issue an invoice of Ada's; return the path that it is at."""
    house = rest.house
    await meter_requests(house)
    await price(house, "1")
    await use(house, USED)
    invoice = await issue(house)
    assert (await rest.post("/parties", **SELLER)).status_code == 200
    assert (await rest.post("/parties", customer=ADA, **BERLIN)).status_code == 200
    return f"/v1/books/main/invoices/{invoice}"


async def test_the_pdf_and_its_xml_come_with_their_types(rest: Rest, issued: str) -> None:
    """The XML is the one that is attached to the PDF."""
    pdf, xml = await rest.client.get(f"{issued}/pdf"), await rest.client.get(f"{issued}/xml")
    assert (pdf.status_code, xml.status_code) == (200, 200)
    assert pdf.headers["content-type"] == "application/pdf"
    assert xml.headers["content-type"] == "application/xml; charset=utf-8"
    assert pdf.headers["content-disposition"] == 'inline; filename="INV-000001.pdf"'
    assert pdf.headers["cache-control"] == "private, no-cache"
    assert pdf.headers["electronic-invoice"] == "attached"
    assert PdfReader(io.BytesIO(pdf.content)).attachments["factur-x.xml"] == [xml.content]


async def test_who_has_it_already_is_told_that_it_is_the_same(rest: Rest, issued: str) -> None:
    """As long as nothing was paid of it."""
    first = await rest.client.get(f"{issued}/pdf")
    tag = first.headers["etag"]
    assert tag == f'"{hashlib.sha256(first.content).hexdigest()[:32]}"'
    again = await rest.client.get(f"{issued}/pdf", headers={"if-none-match": f'"other", W/{tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    other = await rest.client.get(f"{issued}/pdf", headers={"if-none-match": '"other"'})
    assert other.content == first.content


async def test_a_credit_note_has_its_files(rest: Rest, issued: str) -> None:
    """At its own path."""
    note = await rest.house.do("invoicing.credit", id=issued.rsplit("/", 1)[1], reference="r", reason="agreed")
    pdf = await rest.client.get(f"/v1/books/main/credit-notes/{note.id}/pdf")
    assert (pdf.status_code, pdf.headers["content-disposition"]) == (200, f'inline; filename="{note.number}.pdf"')
    xml = await rest.client.get(f"/v1/books/main/credit-notes/{note.id}/xml")
    assert b"<ram:TypeCode>381</ram:TypeCode>" in xml.content
    absent = await rest.client.get(f"/v1/books/main/credit-notes/{issued.rsplit('/', 1)[1]}/pdf")
    assert (absent.status_code, absent.json()["code"]) == (404, "invoicing.unknown_credit_note")


async def test_head_tells_how_it_would_come(rest: Rest, issued: str) -> None:
    """Without the bytes; and nothing else than reading is offered there."""
    head = await rest.client.head(f"{issued}/pdf")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 10_000
    posted = await rest.client.post(f"{issued}/pdf")
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")


async def test_a_refusal_says_why(rest: Rest, issued: str) -> None:
    """An invoice that is not there, one whose buyer has no address, a key without the scope, an id that is none."""

    def code(answer: httpx.Response) -> tuple[int, str]:
        return answer.status_code, answer.json()["code"]

    absent = f"/v1/books/main/invoices/{uuid.uuid4()}"
    assert code(await rest.client.get(f"{absent}/pdf")) == (404, "invoicing.unknown_invoice")
    assert code(await rest.client.get(f"/v1/books/main/invoices/{'-' * 36}/xml")) == (400, "invalid_input")
    assert (await rest.client.get("/v1/books/main/invoices/nonsense/pdf")).status_code == 404
    key = (await rest.new_key("ledger:read")).key
    forbidden = await rest.client.get(f"{issued}/pdf", headers={"authorization": f"Bearer {key}"})
    assert code(forbidden) == (403, "security.scope_missing")
    reader = (await rest.new_key("invoicing:read")).key
    assert (await rest.client.get(f"{issued}/pdf", headers={"authorization": f"Bearer {reader}"})).status_code == 200


async def test_a_template_of_ones_own_is_what_the_server_uses(rest: Rest, issued: str, tmp_path: Path) -> None:
    """And a mistake in it is told with its line, while the XML still comes."""
    template = tmp_path / "invoice.typ"
    template.write_text("#let page-data = json(bytes(sys.inputs.page))\nOur own #page-data.number")
    headers = {"authorization": rest.client.headers["authorization"]}
    async with listening(make_app(rest.house.operations, templates=tmp_path)) as port:
        address = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=address, headers=headers, timeout=20, trust_env=False) as client:
            own = await client.get(f"{issued}/pdf")
            assert PdfReader(io.BytesIO(own.content)).pages[0].extract_text() == "Our own INV-000001"
            template.write_text("\n\n#oops")
            wrong = await client.get(f"{issued}/pdf")
            assert (wrong.status_code, wrong.json()["code"]) == (500, "documents.template")
            assert "invoice.typ, line 3" in wrong.json()["detail"]
            assert (await client.get(f"{issued}/xml")).status_code == 200
