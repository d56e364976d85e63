"""Parties in the store: versions that are only appended, and documents that name who it was at the time of issue."""

from typing import Any

import pytest_asyncio

from tallystick.documents.render_xml import render_xml
from tests.conftest import House
from tests.db.priced_usage import ask, meter_requests, price, refusal_of, use

ADA = "ada"
USED = [(ADA, "2015-05-02T00:00:00Z")]
BERLIN = {"name": "Ada Lovelace", "address": ["Gasse 2"], "city": "Berlin", "country": "DE"}
SELLER = {"name": "Kerbholz GmbH", "address": ["Ring 1"], "city": "Wien", "country": "AT", "vat_id": "ATU12345678"}


@pytest_asyncio.fixture
async def shop(house: House) -> House:
    """Return a house in which Ada used something in May."""
    await meter_requests(house)
    await price(house, "1")
    await use(house, USED)
    return house


async def issue(house: House) -> str:
    """Issue Ada's invoice of May and return its id."""
    await ask(house, "invoicing.draft", month="2015-05")
    await ask(house, "invoicing.issue", month="2015-05")
    return str((await ask(house, "invoicing.list")).items[0].id)


async def test_a_party_is_what_was_said_last(shop: House) -> None:
    """Of a customer, and of the book itself."""
    await shop.do("parties.set", customer=ADA, **BERLIN)
    moved = await shop.do("parties.set", customer=ADA, **BERLIN | {"city": "Graz", "country": "AT"})
    assert (moved.city, moved.country, moved.language, moved.postcode) == ("Graz", "AT", "en", None)
    assert await ask(shop, "parties.find", customer=ADA) == moved
    bank = {"account": "AT61 1904 3002 3457 3201", "bic": "bkauatww"}
    seller = await shop.do("parties.set", bank=bank, **SELLER)
    assert (seller.customer, seller.bank.account, seller.bank.bic) == (None, "AT611904300234573201", "BKAUATWW")
    assert await ask(shop, "parties.find") == seller


async def test_what_was_issued_names_who_it_was_then(shop: House) -> None:
    """Whoever moves has the next document at the new address; one said only later has the first that was said."""
    await shop.do("parties.set", **SELLER)
    invoice = await issue(shop)
    assert await refusal_of(shop, "documents.read", id=invoice) == ("documents.no_party", "customer")
    await shop.do("parties.set", customer=ADA, **BERLIN)
    await shop.do("parties.set", customer=ADA, **BERLIN | {"city": "Graz"})
    await shop.do("parties.set", **SELLER | {"name": "Renamed"})
    document = await ask(shop, "documents.read", id=invoice)
    assert (document.buyer.city, document.seller.name, document.zone) == ("Berlin", "Kerbholz GmbH", "UTC")
    assert document.categories == ["standard"]


async def test_each_line_has_the_category_that_it_was_taxed_by(shop: House) -> None:
    """Where an invoice has several."""
    await shop.do("parties.set", **SELLER)
    await shop.do("parties.set", customer=ADA, **BERLIN)
    long_ago = "2010-01-01T00:00:00Z"
    await price(shop, "2", charge="book", name="Books")
    await shop.do("taxes.set_rate", jurisdiction="AT", name="VAT", rate="0.20", effective_at=long_ago)
    await shop.do(
        "taxes.set_rate", jurisdiction="AT", name="VAT", rate="0.10", category="reduced", effective_at=long_ago
    )
    await shop.do("taxes.set_category", charge="book", category="reduced", effective_at=long_ago)
    await shop.do("taxes.set_customer", customer=ADA, jurisdiction="AT", effective_at=long_ago)
    document = await ask(shop, "documents.read", id=await issue(shop))
    found = {line.charge: category for line, category in zip(document.invoice.lines, document.categories, strict=True)}
    assert found["book"] == "reduced"
    assert {found[one] for one in found if one != "book"} == {"standard"}


async def test_a_credit_note_is_a_document_too(shop: House) -> None:
    """With the parties of its own issue, and the lines that it takes back."""
    await shop.do("parties.set", **SELLER)
    await shop.do("parties.set", customer=ADA, **BERLIN)
    note = await shop.do("invoicing.credit", id=await issue(shop), reference="r", reason="agreed")
    document = await ask(shop, "documents.read", id=str(note.id), kind="credit_note")
    assert (document.takes_back, document.invoice.number) == ("INV-000001", note.number)
    assert (document.invoice.total, document.invoice.outstanding, document.invoice.memo) == (note.total, 0, "agreed")
    assert [line.amount for line in document.invoice.lines] == [line.amount for line in note.lines]


async def test_a_draft_has_no_document(shop: House) -> None:
    """It has no number, and nothing is owed yet."""
    await ask(shop, "invoicing.draft", month="2015-05")
    draft = (await ask(shop, "invoicing.list")).items[0].id
    assert await refusal_of(shop, "documents.read", id=str(draft)) == ("invoicing.not_issued", "id")


NONSENSE: list[tuple[dict[str, Any], tuple[str, str]]] = [
    ({"customer": "nobody"}, ("documents.unknown_customer", "customer")),
    ({"name": ""}, ("invalid_input", "name")),
    ({"name": "a\x00b"}, ("invalid_input", "name")),
    ({"name": "x" * 10_000}, ("invalid_input", "name")),
    ({"name": "two\nlines"}, ("invalid_input", "name")),
    ({"address": []}, ("invalid_input", "address")),
    ({"address": ["a", "b", "c", "d"]}, ("invalid_input", "address")),
    ({"address": ["a", "\x07"]}, ("invalid_input", "address[1]")),
    ({"country": "XX"}, ("invalid_input", "country")),
    ({"country": "Austria"}, ("invalid_input", "country")),
    ({"language": "klingon"}, ("invalid_input", "language")),
    ({"vat_id": "DE12"}, ("invalid_input", "vat_id")),
    ({"email": "nowhere"}, ("invalid_input", "email")),
    ({"bank": {"account": "DE00370400440532013000"}}, ("invalid_input", "bank.account")),
    ({"bank": {"account": "1", "bic": "?"}}, ("invalid_input", "bank.bic")),
    ({"bank": {}}, ("invalid_input", "bank.account")),
    ({"nickname": "x"}, ("invalid_input", "nickname")),
]
"""What is changed of a good party, and its refusal."""


async def test_what_makes_no_sense_is_refused_by_field(shop: House) -> None:
    """Each with the field to blame; nothing of it is kept."""
    for changed, refusal in NONSENSE:
        assert await refusal_of(shop, "parties.set", **{"customer": ADA} | BERLIN | changed) == refusal, changed
    assert await refusal_of(shop, "parties.find", customer=ADA) == ("documents.no_party", "customer")
    assert await refusal_of(shop, "parties.find", customer="nobody") == ("documents.unknown_customer", "customer")


async def test_what_was_written_off_was_not_paid(shop: House) -> None:
    """The document asks for it still; what was paid before is told as paid, and XML and page say the same."""
    await shop.do("parties.set", **SELLER)
    await shop.do("parties.set", customer=ADA, **BERLIN)
    line = {"description": "instalment", "amount": 1_000}
    asked = await shop.do(
        "invoicing.request", product="loans", reference="1", customer=ADA, asset="USD", lines=[line], terms_days=30
    )
    money = {"customer": ADA, "asset": "USD", "channel": "bank_transfer"}
    await shop.do("repayments.receive", amount=300, reference="r", **money)
    ended = await shop.do("invoicing.write_off", id=asked.id, reason="insolvent")
    assert ended.amount == 700
    document = await ask(shop, "documents.read", id=str(asked.id))
    assert (document.invoice.status, document.invoice.total, document.invoice.outstanding) == (
        "written_off",
        1_000,
        700,
    )
    xml = render_xml(document).decode()
    assert "<ram:TotalPrepaidAmount>3.00</ram:TotalPrepaidAmount>" in xml
    assert "<ram:DuePayableAmount>7.00</ram:DuePayableAmount>" in xml
