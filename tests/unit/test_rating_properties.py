"""What must hold for every price and quantity, and a second rater, in fractions, that must agree."""

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick import canonical
from tallystick.money import Asset
from tallystick.rating.model import Line
from tallystick.rating.rate import rate
from tallystick.rating.read_price import price_to_builtins, read_price

tried = settings(print_blob=True, deadline=None, max_examples=60)

COIN = Asset("COIN", 3)


def decimals(highest: int, places: int) -> st.SearchStrategy[str]:
    """Draw decimal text from 0 to *highest*, many of them whole and many on each other's bounds."""
    anywhere = st.decimals(0, highest, places=places)
    return (st.integers(0, min(highest, 40)).map(Decimal) | anywhere).map(lambda number: f"{number:f}")


@st.composite
def tiers(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw one to six tiers that cover every quantity once."""
    bounds = sorted(draw(st.sets(st.integers(1, 60).map(lambda half: Fraction(half, 2)), max_size=5)))
    ends = [f"{Decimal(bound.numerator) / bound.denominator:f}" for bound in bounds]
    return [{"up_to": end, "rate": draw(decimals(9, 5)), "flat": draw(decimals(9, 4))} for end in [*ends, None]]


@st.composite
def prices(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a price of any model as its JSON content."""
    model = draw(st.sampled_from(["flat", "per_unit", "graduated", "volume", "package"]))
    if model == "flat":
        return {"model": model, "amount": draw(decimals(1000, 6))}
    price: dict[str, Any] = {"model": model, "free_units": draw(decimals(20, 1))}
    per = draw(st.sampled_from([None, "1", "1000", "3", "0.7", "64", "12"]))
    if per is not None:
        price["unit"] = {"per": per, "name": "things"}
    if model in {"graduated", "volume"}:
        return price | {"tiers": draw(tiers())}
    if model == "package":
        price["size"] = draw(decimals(30, 1).filter(lambda size: Decimal(size) > 0))
    return price | {"rate": draw(decimals(9, 7))}


quantities = (decimals(10**6, 2) | decimals(60, 1)).map(Decimal)


def exact_amount(price: dict[str, Any], quantity: Decimal) -> Fraction:
    """Rate in fractions, sharing nothing with the product: what each model means, said a second time."""
    if price["model"] == "flat":
        return Fraction(price["amount"])
    per = Fraction(price.get("unit", {}).get("per", 1))
    billable = max(Fraction(quantity) / per - Fraction(price["free_units"]), Fraction(0))
    if price["model"] == "per_unit":
        return billable * Fraction(price["rate"])
    if price["model"] == "package":
        return math.ceil(billable / Fraction(price["size"])) * Fraction(price["rate"])
    bounds = [Fraction(0), *(Fraction(tier["up_to"]) for tier in price["tiers"][:-1])]
    entered = [(low, tier) for low, tier in zip(bounds, price["tiers"], strict=True) if billable > low]
    if price["model"] == "volume":
        return sum((billable * Fraction(t["rate"]) + Fraction(t["flat"]) for _, t in entered[-1:]), Fraction(0))
    # A unit above a bound pays the new rate in place of the old one: the difference, from that bound on.
    amount, old = Fraction(0), Fraction(0)
    for low, tier in entered:
        amount += (billable - low) * (Fraction(tier["rate"]) - old) + Fraction(tier["flat"])
        old = Fraction(tier["rate"])
    return amount


def sum_of_details(line: Line) -> Fraction:
    """Add up the details as they are written."""
    return sum((Fraction(detail.amount) for detail in line.details), Fraction(0))


def half_even(amount: Fraction) -> int:
    """Round onto whole units; Python rounds a Fraction's half to even."""
    return round(amount)


@tried
@given(prices(), quantities)
def test_a_second_rater_agrees_to_the_last_digit(price: dict[str, Any], quantity: Decimal) -> None:
    """A rater in fractions finds the same exact sum of details, and the same amount once rounded."""
    line = rate(read_price(price), quantity, COIN, "events")
    expected = exact_amount(price, quantity)
    assert sum_of_details(line) == expected
    assert line.amount == half_even(expected * 1000)


@tried
@given(prices(), quantities)
def test_every_detail_is_its_quantity_times_its_rate(price: dict[str, Any], quantity: Decimal) -> None:
    """A reader can multiply any detail again and find its amount exactly."""
    for detail in rate(read_price(price), quantity, COIN, "events").details:
        assert Fraction(detail.quantity) * Fraction(detail.rate) == Fraction(detail.amount)


@tried
@given(prices(), quantities)
def test_billed_and_free_units_add_back_to_the_quantity(price: dict[str, Any], quantity: Decimal) -> None:
    """No unit is lost between the free ones and the parts, and none is billed twice."""
    line = rate(read_price(price), quantity, COIN, "events")
    billed = sum((Fraction(d.quantity) for d in line.details if d.part in {"units", "tier"}), Fraction(0))
    assert line.model in {"flat", "package"} or billed + Fraction(line.free_units) == Fraction(line.priced_quantity)


@tried
@given(prices().filter(lambda price: price["model"] != "volume"), quantities, quantities)
def test_using_more_never_costs_less(price: dict[str, Any], one: Decimal, other: Decimal) -> None:
    """Every model but volume, where a cheaper tier may cost less in all, rises with the quantity."""
    less, more = sorted([one, other])
    known = read_price(price)
    assert rate(known, less, COIN, "events").amount <= rate(known, more, COIN, "events").amount


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
@given(prices(), quantities)
def test_a_line_survives_json(price: dict[str, Any], quantity: Decimal) -> None:
    """A line kept as JSON is the same line when it is read."""
    line = rate(read_price(price), quantity, COIN, "events")
    assert msgspec.json.decode(msgspec.json.encode(line), type=Line) == line
