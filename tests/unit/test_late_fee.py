"""Late fees: exact until they are rounded, once; and which reminder comes next."""

import datetime as dt
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.collecting.dunning.errors import FeeBeyond
from tallystick.collecting.dunning.late_fee import NO_FEE, late_fee, years
from tallystick.collecting.dunning.remind import NEVER, Before, next_level
from tallystick.collecting.dunning.rules import FixedFee, Level, RateFee, Rules
from tallystick.money import MAX_AMOUNT, Asset

USD, JPY = Asset("USD", 2), Asset("JPY", 0)
DUE = dt.date(2026, 10, 1)
days = st.dates(dt.date(2000, 1, 1), dt.date(2100, 12, 31))


@given(
    st.integers(1, 10**12), st.decimals(0, 2, places=6), days, st.integers(0, 2_000), st.sampled_from(["365", "360"])
)
def test_a_rate_is_rounded_once(outstanding: int, rate: object, from_on: dt.date, late: int, year: str) -> None:
    """It is within half a minor unit of the exact amount, and on the half it is even."""
    fee = late_fee(RateFee(str(rate), year), outstanding, USD, from_on, from_on + dt.timedelta(days=late))  # type: ignore[arg-type] # one of the two
    exact = Fraction(outstanding) * Fraction(str(rate)) * Fraction(late, int(year))
    assert fee.days == late
    assert abs(fee.amount - exact) <= Fraction(1, 2)
    if abs(fee.amount - exact) == Fraction(1, 2):
        assert fee.amount % 2 == 0


@given(days, st.integers(0, 900), st.integers(0, 900), st.sampled_from(["365", "360", "actual"]))
def test_years_add_up(from_on: dt.date, first: int, second: int, year: str) -> None:
    """Counted in two parts, the days are no more and no fewer."""
    middle, last = from_on + dt.timedelta(days=first), from_on + dt.timedelta(days=first + second)
    assert years(from_on, middle, year) + years(middle, last, year) == years(from_on, last, year)


def test_a_leap_year_has_a_day_more() -> None:
    """By actual days a year is a year; by 365 a leap year is a day more than that."""
    first, last = dt.date(2027, 12, 31), dt.date(2028, 12, 31)
    assert years(first, last, "actual") == 1
    assert years(first, last, "365") == Fraction(366, 365)
    assert years(dt.date(2028, 2, 28), dt.date(2028, 3, 1), "actual") == Fraction(2, 366)
    fee = RateFee("0.365", "365")
    assert late_fee(fee, 100_000, USD, dt.date(2028, 2, 28), dt.date(2028, 3, 1)).amount == 200
    assert late_fee(fee, 100_000, USD, dt.date(2027, 2, 28), dt.date(2027, 3, 1)).amount == 100


def test_a_cap_is_never_exceeded_and_too_much_is_refused() -> None:
    """A fee that nobody can be asked for is refused, not cut off in silence."""
    later = DUE + dt.timedelta(days=365)
    assert late_fee(RateFee("1", cap={"USD": 50}), 100, USD, DUE, later).amount == 50
    assert late_fee(RateFee("1", cap={"JPY": 50}), 100, USD, DUE, later).amount == 100
    with pytest.raises(FeeBeyond):
        late_fee(RateFee("999999"), MAX_AMOUNT, JPY, DUE, later)


def test_a_fixed_fee_is_of_an_asset() -> None:
    """One that is not named costs nothing; nor does a reminder without a fee."""
    fee = FixedFee({"USD": 500})
    assert (late_fee(fee, 1, USD, DUE, DUE).amount, late_fee(fee, 1, JPY, DUE, DUE).amount) == (500, 0)
    assert late_fee(None, 1, USD, DUE, DUE) == NO_FEE


def test_one_reminder_is_made_at_a_time() -> None:
    """After the days of grace, and with as many days between two as the rules have."""
    rules = Rules([Level(5), Level(15), Level(30)])
    day = dt.timedelta(days=1)
    assert next_level(rules, DUE, NEVER, DUE + 4 * day) is None
    assert next_level(rules, DUE, NEVER, DUE + 5 * day) == 1
    assert next_level(rules, DUE, NEVER, DUE + 90 * day) == 1
    after = Before(1, DUE + 90 * day, None)
    assert next_level(rules, DUE, after, DUE + 90 * day) is None
    assert next_level(rules, DUE, after, DUE + 99 * day) is None
    assert next_level(rules, DUE, after, DUE + 100 * day) == 2
    assert next_level(rules, DUE, Before(3, DUE + 30 * day, None), DUE + 300 * day) is None
