"""What must hold for every price and quantity, and a second rater, in fractions, that must agree."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick import canonical
from tallystick.money import Asset
from tallystick.rating.model import Line
from tallystick.rating.prorate import prorate
from tallystick.rating.rate import needs, rate
from tallystick.rating.read_price import price_to_builtins, read_price
from tallystick.rating.split_line import split_line
from tests.unit.fraction_rater import Asked, rate_in_fractions, round_to
from tests.unit.random_prices import MODELS, asked, plain_prices, prices, quantities

tried = settings(print_blob=True, deadline=None, max_examples=60)

COIN = Asset("COIN", 3)
LINEAR = [model for model in MODELS if model != "volume"]


def rated(price: dict[str, Any], about: Asked) -> Line:
    """Rate what is asked."""
    return rate(
        read_price(price),
        about.quantity,
        COIN,
        "events",
        share=about.share,
        events=about.events,
        transactions=about.transactions,
    )


def sum_of_details(line: Line) -> Fraction:
    """Add up the details as they are written."""
    return sum((Fraction(detail.amount) for detail in line.details), Fraction(0))


@pytest.mark.parametrize("model", MODELS)
@settings(tried, max_examples=50)
@given(st.data())
def test_a_second_rater_agrees_to_the_last_digit(model: str, data: st.DataObject) -> None:
    """A rater in fractions, written from the documentation, finds the same exact details and the same amount."""
    price, about = data.draw(prices([model])), data.draw(asked())
    line = rated(price, about)
    exact, amount = rate_in_fractions(price, about, COIN.exponent)
    assert sum_of_details(line) == exact
    assert line.amount == amount


@tried
@given(prices(["flat", "per_unit", "graduated", "volume", "package", "graduated_percentage", "dynamic"]), quantities)
def test_a_second_rater_agrees_on_large_quantities(price: dict[str, Any], quantity: Decimal) -> None:
    """The same with quantities up to a million, without a word about events."""
    line = rate(read_price(price), quantity, COIN, "events")
    assert (sum_of_details(line), line.amount) == rate_in_fractions(price, Asked(quantity), COIN.exponent)


@tried
@given(prices(), asked())
def test_every_detail_is_its_quantity_times_its_rate(price: dict[str, Any], about: Asked) -> None:
    """A reader can multiply any detail again and find its amount exactly."""
    for detail in rated(price, about).details:
        assert Fraction(detail.quantity) * Fraction(detail.rate) == Fraction(detail.amount)


@tried
@given(prices(), asked())
def test_billed_and_free_units_add_back_to_the_quantity(price: dict[str, Any], about: Asked) -> None:
    """No unit is lost between the free ones, the discounted ones and the parts, and none is billed twice."""
    line = rated(price, about)
    counted = {"units", "tier", "percent", "amount", "discount_units"}
    billed = sum((Fraction(d.quantity) for d in line.details if d.part in counted), Fraction(0))
    settled = {"transaction_minimum", "transaction_maximum"}
    billed += sum((Fraction(d.of or 0) for d in line.details if d.part in settled), Fraction(0))
    assert line.model in {"flat", "package"} or billed + Fraction(line.free_units) == Fraction(line.priced_quantity)


@tried
@given(prices(), asked())
def test_rounded_details_add_up_to_the_amount(price: dict[str, Any], about: Asked) -> None:
    """Where each detail is rounded, the line is their sum and nothing else is rounded."""
    line = rated(price, about)
    if price.get("round_each") == "detail":
        assert line.amount == sum(detail.rounded or 0 for detail in line.details)
    else:
        assert all(detail.rounded is None for detail in line.details)


@tried
@given(prices(), asked())
def test_details_in_minor_units_add_up_to_the_amount(price: dict[str, Any], about: Asked) -> None:
    """However a line is rounded, each detail is less than a unit off, and all of them are the amount."""
    line = rated(price, about)
    parts = split_line(line, COIN)
    assert sum(parts) == line.amount
    if price.get("round_each") != "detail":
        exact = [Fraction(detail.amount) * 1000 for detail in line.details]
        assert all(abs(part - amount) < 1 or part == amount for part, amount in zip(parts, exact, strict=True))


@tried
@given(prices(), asked())
def test_a_line_keeps_between_its_limits_of_spend(price: dict[str, Any], about: Asked) -> None:
    """Whatever was used and discounted, a line asks for no less than the minimum and no more than the maximum."""
    line = rated(price, about)
    mode = price.get("rounding", "half_even")
    least = round_to(Fraction(price.get("minimum_spend", 0)) * about.share, COIN.exponent, mode)
    assert line.amount >= 0
    assert line.amount >= least * 1000
    if "maximum_spend" in price:
        assert line.amount <= round_to(Fraction(price["maximum_spend"]) * about.share, COIN.exponent, mode) * 1000


@tried
@given(prices(LINEAR), asked(whole=True), st.lists(st.decimals(0, 50, places=2), max_size=3))
def test_using_more_never_costs_less(price: dict[str, Any], about: Asked, more: list[Decimal]) -> None:
    """Every model but volume, where a cheaper tier may cost less in all, rises with the quantity and the transactions."""
    amounts = [*(about.transactions or []), *more]
    assert rated(price, about).amount <= rated(price, Asked(sum(amounts, Decimal(0)), len(amounts), amounts)).amount


@tried
@given(plain_prices(["per_unit", "dynamic"]), st.lists(quantities, min_size=1, max_size=6))
def test_what_is_rated_in_splits_is_what_is_rated_whole(price: dict[str, Any], split: list[Decimal]) -> None:
    """Without free units and rounded conversion, the exact details of any split add up to those of the whole."""
    price.pop("free_units", None)
    price.get("unit", {}).pop("rounding", None)
    price.get("unit", {}).pop("digits", None)
    known = read_price(price)
    parts = [sum_of_details(rate(known, part, COIN, "events")) for part in split]
    assert sum(parts, Fraction(0)) == sum_of_details(rate(known, sum(split, Decimal(0)), COIN, "events"))


@tried
@given(plain_prices(), asked())
def test_a_share_of_a_period_is_told(price: dict[str, Any], about: Asked) -> None:
    """A line that was prorated says by how much, one that was not says nothing of it."""
    line = rated(price, about)
    assert line.share == (None if about.share == 1 else str(about.share))


@tried
@given(plain_prices(["flat"]), st.lists(st.integers(1, 400), min_size=1, max_size=12))
def test_prorated_parts_of_a_fixed_amount_add_to_the_whole(price: dict[str, Any], days: list[int]) -> None:
    """However a period is cut, the exact parts of a flat fee add to it, and so do those in minor units of `prorate`."""
    known, shares = read_price(price), [Fraction(one, sum(days)) for one in days]
    whole = rate(known, Decimal(1), COIN, "periods")
    parts = [rate(known, Decimal(1), COIN, "periods", share=share) for share in shares]
    assert sum(map(sum_of_details, parts), Fraction(0)) == sum_of_details(whole)
    divided = prorate(whole.amount, shares)
    assert sum(divided) == whole.amount
    assert all(abs(part - whole.amount * share) < 1 for part, share in zip(divided, shares, strict=True))


@tried
@given(st.integers(-(10**12), 10**12), st.lists(st.fractions(0, 3, max_denominator=400), max_size=9))
def test_prorating_leaves_nothing_over(amount: int, shares: list[Fraction]) -> None:
    """The parts are the amount times all the shares, rounded once, and what is taken back divides as what was given."""
    parts = prorate(amount, shares)
    assert sum(parts) == round(amount * sum(shares, Fraction(0)))
    assert prorate(-amount, shares) == [-part for part in parts]


@tried
@given(prices(), asked())
def test_what_a_price_needs_is_all_that_it_needs(price: dict[str, Any], about: Asked) -> None:
    """With no more than `needs` names, the line is the same as with everything known."""
    known = read_price(price)
    wanted = needs(known)
    line = rate(
        known,
        about.quantity,
        COIN,
        "events",
        share=about.share,
        events=about.events if wanted == "events" else None,
        transactions=about.transactions if wanted == "transactions" else None,
    )
    assert line == rated(price, about)


@tried
@given(prices())
def test_a_price_written_and_read_again_is_the_same_price(price: dict[str, Any]) -> None:
    """Through builtins and through canonical JSON, a price comes back equal, and its text does not change."""
    known = read_price(price)
    content = price_to_builtins(known)
    assert read_price(content) == known
    assert read_price(canonical.encode(content)) == known
    assert price_to_builtins(read_price(content)) == content


@tried
@given(prices(), asked())
def test_a_line_survives_json(price: dict[str, Any], about: Asked) -> None:
    """A line kept as JSON is the same line when it is read."""
    line = rated(price, about)
    assert msgspec.json.decode(msgspec.json.encode(line), type=Line) == line
