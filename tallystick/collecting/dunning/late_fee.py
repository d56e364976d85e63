"""What being late costs: exact until it is rounded, once; pure."""

import calendar
import datetime as dt
from dataclasses import dataclass
from fractions import Fraction

from tallystick.collecting.dunning.errors import FeeBeyond
from tallystick.collecting.dunning.rules import Fee, FixedFee, RateFee
from tallystick.money import MAX_AMOUNT, Asset, Money


@dataclass(frozen=True, slots=True)
class LateFee:
    """A fee in minor units."""

    amount: int
    days: int | None
    """For how many days it was counted; None: it does not go by days."""


NO_FEE = LateFee(0, None)


def late_fee(fee: Fee | None, outstanding: int, asset: Asset, from_on: dt.date, on: dt.date) -> LateFee:
    """
    Return what a reminder costs on a day, of an amount that has been outstanding since the end of *from_on*.

    Raises:
        FeeBeyond: it is beyond the largest amount there is (``dunning.fee_beyond``).
    """
    match fee:
        case FixedFee(amounts):
            return LateFee(amounts.get(asset.code, 0), None)
        case RateFee():
            days = max((on - from_on).days, 0)
            exact = Fraction(outstanding, 10**asset.exponent) * Fraction(fee.rate) * years(from_on, on, fee.year)
            amount = (fee.cap or {}).get(asset.code, MAX_AMOUNT + 1)
            if exact * 10**asset.exponent < amount:
                amount = min(Money.from_fraction(exact, asset).minor, amount)
            if amount > MAX_AMOUNT:
                raise FeeBeyond(largest=MAX_AMOUNT)
            return LateFee(amount, days)
        case _:
            return NO_FEE


def years(from_on: dt.date, on: dt.date, year: str) -> Fraction:
    """Return how many years lie behind the end of *from_on* at the end of *on*, by a count of days; none if it is before."""
    if on <= from_on:
        return Fraction(0)
    if year != "actual":
        return Fraction((on - from_on).days, int(year))
    found = Fraction(0)
    for number in range(from_on.year, on.year + 1):
        first = max(from_on, dt.date(number - 1, 12, 31)) if number > 1 else from_on
        last = min(on, dt.date(number, 12, 31))
        found += Fraction((last - first).days, 366 if calendar.isleap(number) else 365)
    return found
