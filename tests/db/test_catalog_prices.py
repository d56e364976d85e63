"""Prices: versions appended in time, and the windows they are in force."""

import asyncio
import datetime as dt
from decimal import Decimal
from typing import Any

import asyncpg

from tallystick.catalog.prices_in import prices_in
from tallystick.ledger.books import find_book
from tallystick.periods import Period, month
from tallystick.rating.model import PerUnit
from tests.conftest import House
from tests.db.priced_usage import ask, meter_requests, price, refusal_of

GOOD: dict[str, Any] = {
    "charge": "requests",
    "effective_at": "2015-05-01T00:00:00Z",
    "name": "API requests",
    "meter": "requests",
    "asset": "USD",
    "price": {"model": "per_unit", "rate": "0.01"},
}
TIERS = {"model": "graduated", "tiers": [{"up_to": "10", "rate": "-1"}, {"up_to": None, "rate": "1"}]}

OTHER_CONTENT: list[tuple[dict[str, Any], str]] = [
    ({"price": {"model": "per_unit", "rate": "0.02"}}, "price"),
    ({"name": "Calls"}, "name"),
    ({"meter": "bytes"}, "meter"),
    ({"asset": "EUR"}, "asset"),
]
BAD_PRICES: list[tuple[dict[str, Any], str, str | None]] = [
    ({"asset": "XYZ"}, "ledger.unknown_asset", "asset"),
    ({"asset": "usd"}, "invalid_input", "asset"),
    ({"meter": "nothing"}, "catalog.unknown_meter", "meter"),
    ({"meter": None}, "invalid_input", "meter"),
    ({"price": {"model": "flat", "amount": "5"}}, "invalid_input", "meter"),
    ({"price": {"model": "per_unit", "rate": 0.01}}, "rating.invalid_price", "price.rate"),
    ({"price": {"model": "per_unit", "rate": "-1"}}, "rating.invalid_price", "price.rate"),
    ({"price": {"model": "per_unit"}}, "rating.invalid_price", "price.rate"),
    ({"price": {"model": "per_unit", "rate": "1", "colour": "red"}}, "rating.invalid_price", "price.colour"),
    ({"price": {"model": "guess"}}, "rating.invalid_price", "price.model"),
    ({"price": TIERS}, "rating.invalid_price", "price.tiers[0].rate"),
    ({"price": "cheap"}, "invalid_input", "price"),
    ({"effective_at": "2015-05-01T00:00:00"}, "invalid_input", "effective_at"),
    ({"effective_at": "soon"}, "invalid_input", "effective_at"),
    ({"charge": "Requests!"}, "invalid_input", "charge"),
    ({"colour": "red"}, "invalid_input", "colour"),
]


async def test_a_price_set_again_the_same_is_the_same(house: House) -> None:
    """The same content, even written with another zone and more zeros, is the version that is there."""
    await meter_requests(house)
    first = await price(house, "0.01")
    again = await price(house, "0.010", "2015-05-01T02:00:00+02:00")
    assert again == first
    assert (await ask(house, "catalog.list_prices")).items == [first]


async def test_two_prices_from_one_instant_are_a_conflict(house: House) -> None:
    """A version never changes; another price needs a later instant."""
    await meter_requests(house)
    await house.do("ledger.ensure_asset", asset="EUR", exponent=2)
    await ask(house, "catalog.set_price", **GOOD)
    for change, field in OTHER_CONTENT:
        assert await refusal_of(house, "catalog.set_price", **(GOOD | change)) == ("catalog.price_exists", field)


async def test_a_bad_price_is_refused_by_field_and_rule(house: House) -> None:
    """Each refusal says which field broke which rule, and the catalog stays as it was."""
    await meter_requests(house)
    for change, code, field in BAD_PRICES:
        assert await refusal_of(house, "catalog.set_price", **(GOOD | change)) == (code, field), change
    assert not (await ask(house, "catalog.list_prices")).items


async def test_prices_come_in_pages(house: House) -> None:
    """Following the cursor visits each version once, by charge and instant."""
    await meter_requests(house)
    for day in (3, 1, 2):
        await price(house, f"0.0{day}", f"2015-05-0{day}T00:00:00Z")
    seen: list[int] = []
    after: str | None = ""
    while after is not None:
        page = await ask(house, "catalog.list_prices", limit=1, after=after)
        seen += [one.effective_at.day for one in page.items]
        after = page.next
    assert seen == [1, 2, 3]
    assert await refusal_of(house, "catalog.list_prices", after="page two") == ("invalid_input", "after")


async def test_a_period_is_cut_where_a_price_changes(house: House, owner: asyncpg.Connection) -> None:
    """The version in force at the start and each change inside have a window each, and the windows touch."""
    await meter_requests(house)
    for rate, at in (
        ("1", "2015-01-01"),
        ("2", "2015-04-01"),
        ("3", "2015-05-11"),
        ("4", "2015-05-21"),
        ("5", "2015-06-01"),
    ):
        await price(house, rate, f"{at}T00:00:00Z")
    windows = await _windows(owner, month("2015-05"))
    assert [(_rate(one.price), one.period.start_at.day, one.period.end_at.day) for one in windows] == [
        (Decimal(2), 1, 11),
        (Decimal(3), 11, 21),
        (Decimal(4), 21, 1),
    ]
    assert [one.period for one in windows] == month("2015-05").cut([one.effective_at for one in windows])


async def test_a_charge_has_no_window_before_its_first_version(house: House, owner: asyncpg.Connection) -> None:
    """A price set for the eleventh asks for nothing before it, and nothing at all in an earlier month."""
    await meter_requests(house)
    await price(house, "1", "2015-05-11T00:00:00Z")
    (window,) = await _windows(owner, month("2015-05"))
    assert window.period == Period(dt.datetime(2015, 5, 11, tzinfo=dt.UTC), dt.datetime(2015, 6, 1, tzinfo=dt.UTC))
    assert await _windows(owner, month("2015-04")) == []


async def test_of_two_who_set_one_instant_one_wins_and_the_other_is_told(house: House) -> None:
    """Set at the same time, two prices for one instant never both stand."""
    await meter_requests(house)
    outcomes = await asyncio.gather(price(house, "1"), price(house, "2"), return_exceptions=True)
    refused = [one for one in outcomes if isinstance(one, BaseException)]
    assert [getattr(one, "code", None) for one in refused] == ["catalog.price_exists"]
    assert len((await ask(house, "catalog.list_prices")).items) == 1


async def _windows(owner: asyncpg.Connection, period: Period) -> list[Any]:
    return list(await prices_in(owner, (await find_book(owner, "main")).book_id, "api", period))


def _rate(priced: object) -> Decimal:
    assert isinstance(priced, PerUnit)
    return priced.rate


async def test_a_currency_has_the_digits_that_iso_4217_gives_it(house: House) -> None:
    """Else a payment provider, which counts by ISO, would move ten times as much; a unit of one's own has any."""
    for asset, exponent in (("EUR", 3), ("EUR", 0), ("JPY", 2), ("KWD", 2)):
        refused = await refusal_of(house, "ledger.ensure_asset", asset=asset, exponent=exponent)
        assert refused == ("invalid_input", "exponent")
    for asset, exponent in (("JPY", 0), ("KWD", 3), ("XAU", 4), ("XQZ", 18)):
        assert (await ask(house, "ledger.ensure_asset", asset=asset, exponent=exponent)).exponent == exponent
