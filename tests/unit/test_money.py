"""Money: one exact rounding, and parts that add back."""

from decimal import Decimal, InvalidOperation, localcontext
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.money import Asset, Money, currency

tried = settings(print_blob=True, deadline=None)

USD, JPY = currency("USD"), currency("JPY")

assets = st.integers(0, 18).map(lambda exponent: Asset("X", exponent))
minors = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("major", "minor"),
    [
        ("0.005", 0),
        ("0.015", 2),
        ("0.025", 2),
        ("-0.015", -2),
        ("-0.025", -2),
        ("0.0250000000000000000001", 3),
        ("12", 1200),
    ],
)
def test_a_half_goes_to_the_even_minor_unit(major: str, minor: int) -> None:
    """Half to even, on both sides of zero, and anything beyond the half is no half."""
    assert Money.from_decimal(Decimal(major), USD).minor == minor


def test_an_amount_longer_than_the_precision_is_still_rounded_only_once() -> None:
    """A hair over a half, 80 digits behind the point, is not first cut to a half and then to even."""
    assert Money.from_decimal(Decimal("0.025" + "0" * 80 + "1"), USD).minor == 3


@tried
@given(st.fractions(-(10**15), 10**15), assets)
def test_a_fraction_is_rounded_as_python_rounds_fractions(major: Fraction, asset: Asset) -> None:
    """Rounding a quotient agrees with exact half-even rounding, endless quotients included."""
    assert Money.from_fraction(major, asset).minor == round(major * 10**asset.exponent)


@tried
@given(st.integers(-(10**12), 10**12), st.integers(1, 300), assets)
def test_a_hair_beside_a_half_is_no_half(whole: int, distance: int, asset: Asset) -> None:
    """However near a quotient comes to a half, it is rounded to its own side."""
    half = Fraction(2 * whole + 1, 2)
    for hair in (Fraction(1, 3 * 10**distance), Fraction(-1, 3 * 10**distance), Fraction(0)):
        major = (half + hair) / 10**asset.exponent
        assert Money.from_fraction(major, asset).minor == round(half + hair)


@tried
@given(st.decimals(-(10**12), 10**12, allow_nan=False, allow_infinity=False), assets)
def test_a_decimal_is_rounded_like_the_same_fraction(major: Decimal, asset: Asset) -> None:
    """There is one rounding, whichever of the two ways an amount comes."""
    assert Money.from_decimal(major, asset) == Money.from_fraction(Fraction(major), asset)


@tried
@given(minors, assets)
def test_an_amount_in_major_units_comes_back_the_same(minor: int, asset: Asset) -> None:
    """Minor to major to minor loses nothing, even where the caller computes with three digits."""
    with localcontext(prec=3):
        money = Money(minor, asset)
        assert Money.from_decimal(money.major, asset) == money


@pytest.mark.parametrize("major", ["NaN", "Infinity", "-Infinity", "1E+60", "1E+999999"])
def test_what_is_no_amount_is_not_rounded_to_one(major: str) -> None:
    """Not a number, endless or absurdly large: an error at once, not a wrong amount."""
    with pytest.raises((ValueError, InvalidOperation)):
        Money.from_decimal(Decimal(major), USD)


@tried
@given(minors, st.lists(st.integers(0, 10**6), min_size=1, max_size=20).filter(any))
def test_parts_add_back_to_the_whole(minor: int, weights: list[int]) -> None:
    """Not one minor unit is lost or made, and no part is a whole unit away from its exact share."""
    parts = Money(minor, USD).split(weights)
    assert sum(part.minor for part in parts) == minor
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part.minor - Fraction(minor * weight, sum(weights))) < 1


def test_the_left_over_goes_to_the_largest_remainder_earliest_first() -> None:
    """Ten cents in three go 4, 3, 3; and minus ten go -4, -3, -3."""
    assert [part.minor for part in Money(10, USD).split([1, 1, 1])] == [4, 3, 3]
    assert [part.minor for part in Money(-10, USD).split([1, 1, 1])] == [-4, -3, -3]
    assert [part.minor for part in Money(10, USD).split([1, 0, 2])] == [3, 0, 7]


@pytest.mark.parametrize("weights", [[], [0], [0, 0], [2, -1]])
def test_weights_that_divide_nothing_are_refused(weights: list[int]) -> None:
    """No weights, only zeros, or a negative one."""
    with pytest.raises(ValueError, match="weights"):
        Money(10, USD).split(weights)


def test_two_assets_do_not_add() -> None:
    """Dollars and yen are never summed by accident."""
    with pytest.raises(ValueError, match="USD and JPY do not add"):
        Money(1, USD) + Money(1, JPY)
    with pytest.raises(ValueError, match="USD and JPY do not add"):
        Money(1, USD) - Money(1, JPY)
    assert (Money(3, USD) + Money(4, USD) - Money(2, USD)).minor == 5


def test_an_amount_is_written_behind_its_asset() -> None:
    """With as many decimals as the asset has, and commas between thousands."""
    assert [str(Money(123456789, asset)) for asset in (USD, JPY)] == ["USD 1,234,567.89", "JPY 123,456,789"]
    assert str(Money(-5, USD)) == "USD -0.05"


@pytest.mark.parametrize("code", ["XXX", "XAU", "usd", "US", ""])
def test_what_is_no_currency_is_refused(code: str) -> None:
    """Unknown codes, and those without a minor unit such as gold."""
    with pytest.raises(ValueError, match=r".*"):
        currency(code)
