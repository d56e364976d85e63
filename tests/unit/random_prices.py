"""Random prices of every model with every term, and what they rate, as strategies of Hypothesis."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from tallystick.rating.read_price import read_price
from tests.unit.fraction_rater import Asked

MODELS = ["flat", "per_unit", "graduated", "volume", "package", "percentage", "graduated_percentage", "dynamic"]
MODES = ["half_even", "half_up", "up", "down"]
Drawn = dict[str, Any]


def decimals(highest: int, places: int) -> st.SearchStrategy[str]:
    """Draw decimal text from 0 to *highest*, many of them whole and many on each other's bounds."""
    anywhere = st.decimals(0, highest, places=places)
    return (st.integers(0, min(highest, 40)).map(Decimal) | anywhere).map(lambda number: f"{number:f}")


def positive(highest: int, places: int) -> st.SearchStrategy[str]:
    """Draw decimal text above 0."""
    return decimals(highest, places).filter(lambda text: Decimal(text) > 0)


quantities = (decimals(10**6, 2) | decimals(60, 1)).map(Decimal)
shares = st.just(Fraction(1)) | st.fractions(0, 1, max_denominator=400)


@st.composite
def tiers(draw: st.DrawFn, rate: str) -> list[Drawn]:
    """Draw one to six tiers that cover every quantity once; *rate* names what a unit costs."""
    bounds = sorted(draw(st.sets(st.integers(1, 60).map(lambda half: Fraction(half, 2)), max_size=5)))
    ends = [f"{Decimal(bound.numerator) / bound.denominator:f}" for bound in bounds]
    return [{"up_to": end, rate: draw(decimals(9, 5)), "flat": draw(decimals(9, 4))} for end in [*ends, None]]


@st.composite
def units(draw: st.DrawFn) -> Drawn:
    """Draw a unit of the price."""
    unit: Drawn = {"per": draw(st.sampled_from(["1", "1000", "3", "0.7", "64", "12"])), "name": "things"}
    mode = draw(st.sampled_from(["none", "none", *MODES]))
    return unit if mode == "none" else unit | {"rounding": mode, "digits": draw(st.integers(0, 3))}


@st.composite
def plain_prices(draw: st.DrawFn, models: list[str] | None = None) -> Drawn:
    """Draw a price of any model as its JSON content, without the terms that every model may add."""
    model = draw(st.sampled_from(models or MODELS))
    price: Drawn = {"model": model}
    if model == "flat":
        return price | {"amount": draw(decimals(1000, 6))}
    if draw(st.booleans()):
        price["unit"] = draw(units())
    if model in {"per_unit", "graduated", "volume", "package"}:
        price["free_units"] = draw(decimals(20, 1))
    if model in {"per_unit", "package"}:
        price["rate"] = draw(decimals(9, 7))
    if model == "package":
        price |= {
            "size": draw(positive(30, 1)),
            "package_rounding": draw(st.sampled_from(["up", "down", "nearest", "exact"])),
        }
    if model in {"graduated", "volume", "graduated_percentage"}:
        price["tiers"] = draw(tiers("percent" if model == "graduated_percentage" else "rate"))
        price["bounds"] = draw(st.sampled_from(["inclusive", "exclusive"]))
        price["charge_first_tier_at_zero"] = draw(st.booleans())
    if model == "dynamic":
        price["markup_percent"] = draw(decimals(50, 2))
    if model in {"percentage", "graduated_percentage"}:
        price["free_amount"] = draw(decimals(20, 1))
    return price | draw(by_transaction()) if model == "percentage" else price


@st.composite
def by_transaction(draw: st.DrawFn) -> Drawn:
    """Draw what a percentage asks for each transaction."""
    price: Drawn = {
        "percent": draw(decimals(30, 3)),
        "per_transaction": draw(decimals(2, 3)),
        "free_transactions": draw(st.integers(0, 3).map(str)),
        "free_transactions_cover": draw(st.sampled_from(["fixed", "all"])),
        "free_amount_covers": draw(st.sampled_from(["percent", "all"])),
    }
    least = draw(st.none() | decimals(2, 3))
    most = draw(st.none() | decimals(6, 3))
    if least is not None:
        price["minimum_per_transaction"] = least
    if most is not None and Decimal(most) >= Decimal(least or 0):
        price["maximum_per_transaction"] = most
    return price


@st.composite
def terms(draw: st.DrawFn, *, units: bool) -> Drawn:
    """Draw discounts, limits of spend and rounding."""
    kinds = ["amount", "percent", "units"] if units else ["amount", "percent"]
    discounts = [
        {kind: draw(positive(100 if kind == "percent" else 12, 2))}
        for kind in draw(st.lists(st.sampled_from(kinds), max_size=3))
    ]
    price: Drawn = {
        "discounts": discounts,
        "minimum_spend": draw(decimals(30, 4)),
        "rounding": draw(st.sampled_from(MODES)),
        "round_each": draw(st.sampled_from(["line", "detail"])),
    }
    more = draw(st.none() | decimals(90, 4))
    if more is not None:
        price["maximum_spend"] = f"{Decimal(price['minimum_spend']) + Decimal(more):f}"
    return {name: value for name, value in price.items() if draw(st.booleans())}


@st.composite
def prices(draw: st.DrawFn, models: list[str] | None = None) -> Drawn:
    """Draw a price of any model with any terms, as its JSON content; half of them have none."""
    price = draw(plain_prices(models))
    if draw(st.booleans()):
        price |= draw(terms(units=price["model"] != "flat"))
    if Decimal(price.get("maximum_spend", "100000")) < Decimal(price.get("minimum_spend", "0")):
        del price["maximum_spend"]
    return price


@st.composite
def asked(draw: st.DrawFn, *, whole: bool = False) -> Asked:
    """Draw what is rated: a few transactions and their sum, or a quantity in as many events."""
    share = Fraction(1) if whole else draw(shares)
    amounts = draw(st.just([]) | st.lists(decimals(200, 2).map(Decimal), max_size=5))
    return Asked(sum(amounts, Decimal(0)), len(amounts), amounts, share)


def known_price(content: Drawn) -> Any:  # noqa: ANN401 - the union of all prices
    """Read a drawn price."""
    return read_price(content)
