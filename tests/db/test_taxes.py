"""Taxes on invoices: rates in force at the end of what is invoiced, kept as they were asked for."""

from typing import Any

import pytest_asyncio

from tallystick.ids import uuid7
from tests.conftest import House
from tests.db.priced_usage import MAY, ask, meter_requests, price, refusal_of, use_in_may

LONG_AGO, SINCE_JUNE = "2010-01-01T00:00:00Z", "2015-06-01T00:00:00Z"
ADA = "customer-003"


@pytest_asyncio.fixture
async def shop(house: House) -> House:
    """Give a shop where customer n made n requests in May, at 1.00 each, and Austria and California have taxes."""
    await meter_requests(house)
    await price(house, "1")
    await use_in_may(house, 3)
    await set_rate(house, "AT", "VAT", "0.20")
    await set_rate(house, "US-CA", "State", "0.0725")
    await set_rate(house, "US-CA", "County", "0.0125")
    return house


async def set_rate(house: House, jurisdiction: str, name: str, rate: str | None, **fields: object) -> Any:  # noqa: ANN401 - what the operation answers
    """Set a rate."""
    given = {"jurisdiction": jurisdiction, "name": name, "rate": rate, "effective_at": LONG_AGO} | fields
    return await ask(house, "taxes.set_rate", **given)


async def live_in(house: House, jurisdiction: str, customer: str = ADA, **fields: object) -> None:
    """Say where a customer is taxed."""
    given = {"customer": customer, "jurisdiction": jurisdiction, "effective_at": LONG_AGO} | fields
    await ask(house, "taxes.set_customer", **given)


async def invoices(house: House) -> dict[str, Any]:
    """Draft and issue May, and return the invoices by customer."""
    drafted = await ask(house, "invoicing.draft", month="2015-05")
    assert drafted.failed == []
    await ask(house, "invoicing.issue", month="2015-05")
    return {one.customer: one for one in (await ask(house, "invoicing.list")).items}


async def test_a_tax_is_added_to_the_invoice_and_to_what_is_owed(shop: House) -> None:
    """The lines, the taxes and the total add up, and the total is what the ledger is owed; nobody else is taxed."""
    await live_in(shop, "US-CA")
    found = await invoices(shop)
    taxed, other = found[ADA], found["customer-002"]
    assert (taxed.subtotal, taxed.total, taxed.outstanding) == (300, 326, 326)
    assert [(one.name, one.rate, one.base, one.amount) for one in taxed.taxes] == [
        ("County", "0.0125", 300, 4), ("State", "0.0725", 300, 22),
    ]  # fmt: skip
    assert (await ask(shop, "ledger.balance", account=taxed.account)).balance == -326
    assert (other.subtotal, other.taxes, other.total) == (200, [], 200)


async def test_a_price_that_contains_its_tax_stays_what_it_is(shop: House) -> None:
    """Base and tax are the total."""
    await set_rate(shop, "DE", "USt", "0.19", inclusive=True)
    await live_in(shop, "DE")
    taxed = (await invoices(shop))[ADA]
    assert (taxed.subtotal, taxed.total) == (300, 300)
    assert [(one.base, one.amount, one.inclusive) for one in taxed.taxes] == [(252, 48, True)]


async def test_the_rate_at_the_end_of_the_month_counts(shop: House) -> None:
    """One from the first of June on is of June; one from within May is of all of May."""
    await set_rate(shop, "AT", "VAT", "0.50", effective_at=SINCE_JUNE)
    await set_rate(shop, "AT", "VAT", "0.10", effective_at="2015-05-20T00:00:00Z")
    await live_in(shop, "AT")
    assert [one.rate for one in (await invoices(shop))[ADA].taxes] == ["0.1"]


async def test_who_is_exempt_is_told_why_and_pays_none(shop: House) -> None:
    """An exemption and a reverse charge stand on the invoice with their reasons."""
    await live_in(shop, "AT", treatment="exempt", reason="charity")
    await live_in(shop, "AT", "customer-002", treatment="reverse_charge", reason="Art. 196")
    found = await invoices(shop)
    assert [(one.treatment, one.reason, one.amount) for one in found[ADA].taxes] == [("exempt", "charity", 0)]
    assert [(one.treatment, one.reason) for one in found["customer-002"].taxes] == [("reverse_charge", "Art. 196")]
    assert found[ADA].total == 300


async def test_a_charge_has_the_category_that_it_was_given(shop: House) -> None:
    """Its own before that of the product, and standard without either."""
    await price(shop, "1", charge="book", name="Books")
    await price(shop, "1", charge="paper", name="Papers")
    await set_rate(shop, "AT", "VAT", "0.10", category="reduced")
    await set_rate(shop, "AT", "VAT", "0.13", category="press")
    await ask(shop, "taxes.set_category", charge="book", category="reduced", effective_at=LONG_AGO)
    await ask(shop, "taxes.set_category", charge="paper", category="reduced", effective_at=LONG_AGO)
    await ask(shop, "taxes.set_category", charge="paper", category="press", effective_at=MAY)
    await live_in(shop, "AT")
    taxed = (await invoices(shop))[ADA]
    assert [(one.category, one.amount) for one in taxed.taxes] == [("press", 39), ("reduced", 30), ("standard", 60)]


async def test_a_customer_whose_lines_have_no_rate_is_set_aside(shop: House) -> None:
    """The others are invoiced; once there is a rate, so is this one."""
    await live_in(shop, "AT")
    await ask(shop, "taxes.set_category", category="odd", effective_at=LONG_AGO)
    drafted = await ask(shop, "invoicing.draft", month="2015-05")
    assert [(one.customer, one.code) for one in drafted.failed] == [(ADA, "taxes.no_rate")]
    assert drafted.drafted == 2
    await set_rate(shop, "AT", "VAT", "0", category="odd")
    assert (await ask(shop, "invoicing.draft", month="2015-05")).drafted == 1


async def test_a_tax_that_ended_is_asked_for_no_more(shop: House) -> None:
    """A version without a rate ends it; the other taxes of the category stay."""
    await set_rate(shop, "US-CA", "County", None, effective_at=MAY)
    await live_in(shop, "US-CA")
    assert [one.name for one in (await invoices(shop))[ADA].taxes] == ["State"]


async def test_a_preview_says_what_the_taxes_would_be(shop: House) -> None:
    """Of a customer or a jurisdiction; with the parts of each line, rounded as the jurisdiction does."""
    lines = [{"amount": 2}, {"amount": 2}, {"amount": 2}]
    await ask(shop, "taxes.set_rounding", jurisdiction="AT", effective_at=LONG_AGO, scope="line", mode="up")
    by_line = await ask(shop, "taxes.preview", jurisdiction="AT", lines=lines)
    assert (by_line.subtotal, by_line.exclusive, by_line.total, by_line.parts) == (6, 3, 9, [[1, 1, 1]])
    then = await refusal_of(shop, "taxes.preview", jurisdiction="AT", lines=lines, before=LONG_AGO)
    assert then == ("taxes.no_rate", None)
    untaxed = await ask(shop, "taxes.preview", customer=ADA, lines=lines)
    assert (untaxed.taxes, untaxed.total) == ([], 6)
    await live_in(shop, "AT")
    assert (await ask(shop, "taxes.preview", customer=ADA, lines=lines)).total == 9


async def test_the_same_again_is_the_same_and_other_content_a_conflict(shop: House) -> None:
    """A version is never changed; another begins at another instant."""
    assert await set_rate(shop, "AT", "VAT", "0.2") == await set_rate(shop, "AT", "VAT", "0.200")
    given = {"jurisdiction": "AT", "name": "VAT", "rate": "0.21", "effective_at": LONG_AGO}
    assert await refusal_of(shop, "taxes.set_rate", **given) == ("taxes.version_exists", "rate")
    await live_in(shop, "AT")
    moved = {"customer": ADA, "jurisdiction": "US-CA", "effective_at": LONG_AGO}
    assert await refusal_of(shop, "taxes.set_customer", **moved) == ("taxes.version_exists", "jurisdiction")


NONSENSE: list[tuple[str, dict[str, object], tuple[str, str]]] = [
    ("set_rate", {"jurisdiction": "AT", "name": "V", "rate": "-0.1"}, ("invalid_input", "rate")),
    ("set_rate", {"jurisdiction": "AT", "name": "V", "rate": "10.01"}, ("invalid_input", "rate")),
    ("set_rate", {"jurisdiction": "AT", "name": "V", "rate": "NaN"}, ("invalid_input", "rate")),
    ("set_rate", {"jurisdiction": "AT", "name": "V", "rate": "1e400"}, ("invalid_input", "rate")),
    ("set_rate", {"jurisdiction": "austria", "name": "V", "rate": "0"}, ("invalid_input", "jurisdiction")),
    ("set_rate", {"jurisdiction": "AT", "name": "", "rate": "0"}, ("invalid_input", "name")),
    ("set_rounding", {"jurisdiction": "FR", "scope": "line"}, ("taxes.unknown_jurisdiction", "jurisdiction")),
    ("set_rounding", {"jurisdiction": "AT", "scope": "month"}, ("invalid_input", "scope")),
    ("set_customer", {"customer": "nobody", "jurisdiction": "AT"}, ("taxes.unknown_customer", "customer")),
    ("set_customer", {"customer": ADA, "jurisdiction": "FR"}, ("taxes.unknown_jurisdiction", "jurisdiction")),
    ("set_customer", {"customer": ADA, "jurisdiction": "AT", "treatment": "exempt"}, ("invalid_input", "reason")),
    ("set_customer", {"customer": ADA, "jurisdiction": "AT", "reason": "why"}, ("invalid_input", "reason")),
    ("set_category", {"category": "Not a code"}, ("invalid_input", "category")),
]  # fmt: skip
"""An operation, what is asked of it, and its refusal."""


async def test_what_makes_no_sense_is_refused_by_field(shop: House) -> None:
    """Each with the field to blame."""
    for operation, fields, refusal in NONSENSE:
        refused = await refusal_of(shop, f"taxes.{operation}", effective_at=LONG_AGO, **fields)
        assert refused == refusal, (operation, fields)


async def test_an_instant_outside_the_calendar_is_refused(shop: House) -> None:
    """So is one without a zone, and lines that are nobody's or everybody's."""
    for at in ("9999-12-31T23:00:00-12:00", "2015-05-01T00:00:00"):
        given = {"jurisdiction": "AT", "name": "VAT", "rate": "0", "effective_at": at}
        assert await refusal_of(shop, "taxes.set_rate", **given) == ("invalid_input", "effective_at")
    lines = [{"amount": 1}]
    assert await refusal_of(shop, "taxes.preview", lines=lines) == ("invalid_input", "customer")
    unknown = await refusal_of(shop, "taxes.preview", lines=lines, jurisdiction="FR")
    assert unknown == ("taxes.unknown_jurisdiction", "jurisdiction")


async def test_credit_pays_the_tax_too(shop: House) -> None:
    """What is owed is the total, so that is what prepaid money pays."""
    await live_in(shop, "AT")
    await ask(shop, "wallets.grant", id=str(uuid7()), customer=ADA, asset="USD", amount=1_000)
    paid = (await invoices(shop))[ADA]
    assert (paid.subtotal, paid.total, paid.credits_applied, paid.outstanding) == (300, 360, 360, 0)
