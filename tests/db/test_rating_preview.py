"""The preview: what a price asks, and what a customer's usage would be invoiced as, with nothing kept."""

from typing import Any

import asyncpg
import pytest

from tests.conftest import House
from tests.db.priced_usage import ask, meter_requests, price, refusal_of, use

PER_UNIT: dict[str, Any] = {"model": "per_unit", "rate": "0.002", "free_units": "1000"}
OF_PRICE: dict[str, Any] = {"price": PER_UNIT, "asset": "USD", "quantities": [{"quantity": "1234"}]}
MAY: dict[str, Any] = {"start_at": "2015-05-01T00:00:00Z", "end_at": "2015-06-01T00:00:00Z"}
FEE: dict[str, Any] = {"model": "percentage", "percent": "2.9", "per_transaction": "0.3"}

BAD: list[tuple[dict[str, Any], str, str | None]] = [
    ({}, "invalid_input", None),
    (OF_PRICE | {"customer": "ada"}, "invalid_input", None),
    ({"price": PER_UNIT}, "invalid_input", "asset"),
    ({"price": PER_UNIT, "asset": "USD"}, "invalid_input", "quantities"),
    (OF_PRICE | {"asset": "XQZ"}, "invalid_input", "asset"),
    (OF_PRICE | {"asset": "XAU"}, "invalid_input", "asset"),
    (OF_PRICE | MAY, "invalid_input", "start_at"),
    (OF_PRICE | {"colour": "red"}, "invalid_input", "colour"),
    (OF_PRICE | {"price": {"model": "per_unit", "rate": 0.1}}, "rating.invalid_price", "price.rate"),
    (OF_PRICE | {"price": {"model": "volume", "tiers": []}}, "rating.invalid_price", "price.tiers"),
    (OF_PRICE | {"quantities": []}, "invalid_input", "quantities"),
    (OF_PRICE | {"quantities": [{}]}, "invalid_input", "quantities[0].quantity"),
    (OF_PRICE | {"quantities": [{"quantity": 1.5}]}, "invalid_input", "quantities[0].quantity"),
    (OF_PRICE | {"quantities": [{"quantity": "NaN"}]}, "rating.invalid_quantity", "quantities[0].quantity"),
    (OF_PRICE | {"quantities": [{"quantity": "1e400"}]}, "rating.invalid_quantity", "quantities[0].quantity"),
    (OF_PRICE | {"quantities": [{"quantity": "-1"}]}, "rating.invalid_quantity", "quantities[0].quantity"),
    (OF_PRICE | {"quantities": [{"quantity": "1" * 41}]}, "rating.invalid_quantity", "quantities[0].quantity"),
    (OF_PRICE | {"quantities": [{"quantity": "1" * 40}]}, "rating.amount_too_large", "quantities[0].quantity"),
    (
        OF_PRICE | {"quantities": [{"quantity": 1}, {"quantity": 10**40}]},
        "rating.invalid_quantity",
        "quantities[1].quantity",
    ),
    (OF_PRICE | {"quantities": [{"quantity": 1, "events": -1}]}, "invalid_input", "quantities[0].events"),
    (OF_PRICE | {"quantities": [{"quantity": 1, "share": "-1/2"}]}, "invalid_input", "quantities[0].share"),
    (OF_PRICE | {"quantities": [{"quantity": 1, "share": "0.5"}]}, "invalid_input", "quantities[0].share"),
    (OF_PRICE | {"quantities": [{"quantity": 1, "share": "1/0"}]}, "rating.invalid_share", "quantities[0].share"),
    (OF_PRICE | {"quantities": [{"quantity": 1, "share": "3/2"}]}, "rating.invalid_share", "quantities[0].share"),
    (OF_PRICE | {"quantities": [{"quantity": 1, "share": "0"}]}, "rating.invalid_share", "quantities[0].share"),
    (OF_PRICE | {"price": FEE}, "rating.transactions_needed", "quantities[0].events"),
    (
        OF_PRICE | {"price": FEE, "quantities": [{"transactions": ["1", "x"]}]},
        "rating.invalid_quantity",
        "quantities[0].transactions[1]",
    ),
    ({"customer": "ada"}, "invalid_input", "start_at"),
    ({"customer": "ada", "start_at": MAY["start_at"]}, "invalid_input", "end_at"),
    ({"customer": "ada", "asset": "USD", **MAY}, "invalid_input", "asset"),
    ({"customer": "ada", "start_at": MAY["end_at"], "end_at": MAY["start_at"]}, "invalid_input", "end_at"),
    ({"customer": "ada", "start_at": MAY["end_at"], "end_at": MAY["end_at"]}, "invalid_input", "end_at"),
    ({"customer": "ada", **MAY, "start_at": "2015-05-01T00:00:00"}, "invalid_input", "start_at"),
    ({"customer": "ada", **MAY, "end_at": "9999-12-31T23:59:59Z"}, "invalid_input", "end_at"),
    ({"customer": "ada", **MAY}, "invoicing.no_prices", "product"),
    ({"customer": "nobody", **MAY}, "invoicing.unknown_customer", "customer"),
    ({"customer": "", **MAY}, "invalid_input", "customer"),
]


@pytest.fixture
async def _used(house: House) -> None:
    await meter_requests(house)
    await use(house, [("ada", "2015-05-10T00:00:00Z")])


async def test_each_quantity_makes_a_line_and_all_of_them_a_total(house: House) -> None:
    """Nothing is in the book but the asset, and nothing is after it."""
    quantities = [{"quantity": "1234"}, {"quantity": 2000}, {"quantity": "1234", "share": "1/2"}]
    found = await ask(house, "rating.preview", price=PER_UNIT, asset="USD", unit="requests", quantities=quantities)
    assert [one.line.amount for one in found.lines] == [47, 200, 147]
    assert found.lines[0].line.explanation == (
        "1,234 requests: 1,000 free, 234 \N{MULTIPLICATION SIGN} 0.002 USD = 0.47 USD"
    )
    assert found.lines[2].line.share == "1/2"
    assert [(one.asset, one.exponent, one.amount) for one in found.totals] == [("USD", 2, 394)]


async def test_any_currency_and_any_asset_of_the_book_will_do(house: House) -> None:
    """A currency need not be in the book; an asset of the operator's own counts in its own digits."""
    await house.do("ledger.ensure_asset", asset="CREDIT", exponent=4)
    amounts = []
    for asset in ("JPY", "CREDIT"):
        found = await ask(house, "rating.preview", price=PER_UNIT, asset=asset, quantities=[{"quantity": "2000"}])
        amounts.append((found.lines[0].line.amount, found.totals[0].exponent))
    assert amounts == [(2, 0), (20000, 4)]


async def test_transactions_are_the_quantity_that_they_add_up_to(house: House) -> None:
    """Whoever lists the transactions need not add them up."""
    judged = FEE | {"minimum_per_transaction": "0.5"}
    found = await ask(
        house, "rating.preview", price=judged, asset="USD", quantities=[{"transactions": ["5", 10, "0.50"]}]
    )
    assert (found.lines[0].line.quantity, found.lines[0].line.amount) == ("15.5", 159)


@pytest.mark.usefixtures("_used")
async def test_what_cannot_be_previewed_is_refused_by_field(house: House) -> None:
    """Each refusal names the field in the whole input, and the next call works."""
    for fields, code, field in BAD:
        assert await refusal_of(house, "rating.preview", **fields) == (code, field), fields
    assert (await ask(house, "rating.preview", **OF_PRICE)).totals[0].amount == 47


async def test_the_preview_of_a_month_is_what_its_draft_then_says(house: House) -> None:
    """Metered charges with a change of price inside, a flat one and one by transaction: line by line the same."""
    await meter_requests(house)
    await price(house, "0.01")
    await price(house, "0.02", "2015-05-16T00:00:00Z")
    await price(house, "0", charge="base", name="Base", meter=None, price={"model": "flat", "amount": "5"})
    await price(
        house, "0", charge="late", name="Late", meter=None, price={"model": "flat", "amount": "7"},
        effective_at="2015-05-16T00:00:00Z",
    )  # fmt: skip
    await price(house, "0", charge="fee", name="Fee", meter="bytes", price={"model": "percentage", "percent": "1"})
    await use(
        house, [("ada", "2015-05-10T00:00:00Z"), ("ada", "2015-05-20T00:00:00Z"), ("bob", "2015-04-01T00:00:00Z")]
    )
    found = await ask(house, "rating.preview", customer="ada", **MAY)
    await ask(house, "invoicing.draft", month="2015-05", customers=["ada"])
    (invoice,) = (await ask(house, "invoicing.list", customer="ada")).items
    drafted = [
        (one.charge, one.price_at, one.period_start, one.events, one.amount, one.explanation) for one in invoice.lines
    ]
    assert drafted == [
        (one.charge, one.price_at, one.period_start, one.events, one.line.amount, one.line.explanation)
        for one in found.lines
    ]
    assert [(one.asset, one.amount) for one in found.totals] == [("USD", invoice.total)]
    assert (await ask(house, "rating.preview", customer="bob", **MAY)).lines == []


async def test_the_preview_takes_off_what_credits_would_pay_for_and_takes_nothing(house: House) -> None:
    """Units pay before anything is priced, as the draft then says in the same words; what judges each pays by itself."""
    await meter_requests(house)
    await house.do("ledger.ensure_asset", asset="CALLS", exponent=0)
    await ask(house, "wallets.bind_unit", asset="CALLS", meter="requests", units="2")
    await price(house, "1")
    await use(house, [("ada", f"2015-05-{day:02}T00:00:00Z") for day in range(1, 6)])
    grant = "01890000-0000-7000-8000-000000000001"
    await ask(house, "wallets.grant", id=grant, customer="ada", asset="CALLS", amount=1)
    found = await ask(house, "rating.preview", customer="ada", **MAY)
    assert [(one.covered, one.line.quantity, one.line.amount) for one in found.lines] == [("2", "3", 300)]
    assert (await ask(house, "wallets.find_grant", id=grant)).balance == 1
    await ask(house, "invoicing.draft", month="2015-05")
    (invoice,) = (await ask(house, "invoicing.list", customer="ada")).items
    assert [(one.amount, one.explanation) for one in invoice.lines] == [(300, found.lines[0].line.explanation)]
    assert found.totals[0].amount == invoice.total


async def test_a_price_that_judges_transactions_reads_each_of_them(house: House) -> None:
    """Of three events the small one is raised to the minimum; one that was withdrawn is none."""
    await meter_requests(house)
    judged = {"model": "percentage", "percent": "10", "minimum_per_transaction": "1", "maximum_per_transaction": "20"}
    await price(house, "0", charge="fee", name="Fee", meter="bytes", price=judged)
    for size in (5, 100, 1000):
        await use(house, [("ada", f"2015-05-10T00:00:0{size % 7}Z")], size)
    found = await ask(house, "rating.preview", customer="ada", **MAY)
    assert (found.lines[0].line.amount, found.lines[0].line.transactions, found.lines[0].events) == (3100, 3, 3)


async def test_a_price_that_judges_transactions_is_not_set_on_a_meter_that_counts(house: House) -> None:
    """A count has no single amounts to judge; a percentage of the sum needs none."""
    await meter_requests(house)
    wanted: dict[str, Any] = {"charge": "fee", "effective_at": MAY["start_at"], "name": "Fee", "asset": "USD"}
    judged = {"model": "percentage", "percent": "10", "minimum_per_transaction": "1"}
    refused = await refusal_of(house, "catalog.set_price", **wanted, meter="requests", price=judged)
    assert refused == ("invalid_input", "meter")
    await ask(house, "catalog.set_price", **wanted, meter="requests", price={"model": "percentage", "percent": "10"})


async def test_what_a_draft_cannot_rate_is_named_and_the_others_are_drafted(house: House) -> None:
    """A charge that judges transactions costs nobody else the invoice: who has such usage is drafted or named."""
    await meter_requests(house)
    judged = {"model": "percentage", "percent": "10", "maximum_per_transaction": "20"}
    await price(house, "0", charge="fee", name="Fee", meter="bytes", price=judged)
    await use(house, [("ada", "2015-05-10T00:00:00Z")])
    drafted = await ask(house, "invoicing.draft", month="2015-05")
    assert drafted.drafted + len(drafted.failed) == 1
    assert {one.code for one in drafted.failed} <= {"rating.transactions_needed"}


async def test_a_preview_leaves_nothing_behind(house: House, owner: asyncpg.Connection) -> None:
    """No message, no invoice, no asset: the tables are as full as before."""
    await meter_requests(house)
    await price(house, "0.01")
    await use(house, [("ada", "2015-05-10T00:00:00Z")])
    before = await _counts(owner)
    await ask(house, "rating.preview", customer="ada", **MAY)
    await ask(house, "rating.preview", **(OF_PRICE | {"asset": "EUR"}))
    assert await _counts(owner) == before


async def _counts(owner: asyncpg.Connection) -> dict[str, int]:
    tables = ("message", "invoice", "invoice_line", "asset", "price", "transfer")
    return {table: await owner.fetchval(f"SELECT count(*) FROM {table}") for table in tables}
