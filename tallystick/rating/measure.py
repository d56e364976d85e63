"""Measure: how much of a quantity is priced, free, discounted and billable, in the unit that the price counts in."""

from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from tallystick.rating.exact import EXACT, ONE, ZERO, round_off
from tallystick.rating.model import Flat, Package, Price
from tallystick.rating.terms import Unit

WHOLE = Fraction(1)
"""The share of a period that is all of it."""


class Measured(NamedTuple):
    """
    How much there is to charge for; every quantity here is multiplied by *whole*.

    Charge models compare quantities with bounds times *whole*, and only sums and details are divided by it: so
    nothing is divided early, and a conversion (per 3) or a share (10/31) without an end stays exact.
    """

    priced: Decimal
    free: Decimal
    discounted: Decimal
    """What discounts by units take off behind the free units."""
    billable: Decimal
    whole: Decimal
    """One unit of the price: the metered units that make it, times what fractions would divide by."""
    fixed: Decimal
    """One of what is charged for a period, prorated: *whole* times the share."""


def measure(price: Price, quantity: Decimal, share: Fraction) -> Measured:
    """Return how much of *quantity* there is to charge for in *share* of a period."""
    unit = None if isinstance(price, Flat) else price.unit
    whole = fixed = ONE if unit is None else unit.per
    priced = quantity if unit is None or unit.rounding == "none" else round_converted(quantity, unit)
    if share is not WHOLE:
        parts = Decimal(share.denominator)
        priced, whole = EXACT.multiply(priced, parts), EXACT.multiply(whole, parts)
        fixed = EXACT.multiply(fixed, Decimal(share.numerator))
    if isinstance(price, Package) and price.package_rounding == "exact":
        priced, whole, fixed = (EXACT.multiply(one, price.size) for one in (priced, whole, fixed))
    free = min(EXACT.multiply(price.allowance, fixed), priced)
    billable = EXACT.subtract(priced, free)
    if not price.discounts:
        return Measured(priced, free, ZERO, billable, whole, fixed)
    discounted = min(EXACT.multiply(price.discounted_units, fixed), billable)
    return Measured(priced, free, discounted, EXACT.subtract(billable, discounted), whole, fixed)


def round_converted(quantity: Decimal, unit: Unit) -> Decimal:
    """Round *quantity* to where the *unit* rounds it, still in metered units."""
    if unit.rounding == "none":
        return quantity
    rounded = round_off(Fraction(quantity) / Fraction(unit.per), unit.digits, unit.rounding)
    return EXACT.multiply(EXACT.divide(Decimal(rounded.numerator), Decimal(rounded.denominator)), unit.per)
