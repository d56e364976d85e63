"""
The terms that prices of several models share: tiers, units, discounts, limits of spend and rounding.

What they say is checked here; the prices that are made of them stand in ``model.py``.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal, TypeAlias

from msgspec import Struct

from tallystick.rating.check_number import check_number, check_whole, invalid
from tallystick.rating.exact import EXACT, HUNDRED, ZERO, RoundingMode, added_up

HUNDREDTH = Decimal("0.01")
MAX_TIERS = 100
MAX_NAME = 64
MAX_DISCOUNTS = 10
MAX_UNIT_DIGITS = 12

Bounds: TypeAlias = Literal["inclusive", "exclusive"]
"""Whether a quantity equal to a tier's bound belongs to that tier or to the next."""


class Unit(Struct, frozen=True, forbid_unknown_fields=True):
    """The unit a price counts in, where the meter counts in a smaller one."""

    per: Decimal
    """How many metered units make one of these: 1000000 for bytes sold by the MB."""
    name: str
    rounding: Literal["none", "up", "down", "half_up", "half_even"] = "none"
    """How the converted quantity is rounded before it is priced; ``none`` prices it exactly."""
    digits: int = 0
    """To how many digits behind the point it is rounded."""


class Tier(Struct, frozen=True, forbid_unknown_fields=True):
    """One step of a price: from above the tier before it up to, and with, *up_to*."""

    up_to: Decimal | None
    """The last quantity inside; None: no end, and only in the last tier."""
    rate: Decimal
    flat: Decimal = ZERO
    """Charged once when the tier is entered by more than nothing."""


class PercentTier(Struct, frozen=True, forbid_unknown_fields=True):
    """One step of a price over a transacted amount."""

    up_to: Decimal | None
    """The last amount inside; None: no end, and only in the last tier."""
    percent: Decimal
    """Of the amount inside: 2.9 for 2.9 percent."""
    flat: Decimal = ZERO
    """Charged once when the tier is entered by more than nothing."""

    @property
    def rate(self) -> Decimal:
        """Return what one unit of the amount costs."""
        return EXACT.multiply(self.percent, HUNDREDTH)


class Discount(Struct, frozen=True, forbid_unknown_fields=True):
    """What is taken off: exactly one of an amount, a percentage of what is asked so far, and units."""

    amount: Decimal | None = None
    percent: Decimal | None = None
    units: Decimal | None = None
    """In the price's unit, taken off before anything is priced."""


class Terms(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every price may add to its model."""

    minimum_spend: Decimal = ZERO
    """A line that asks for less asks for this."""
    maximum_spend: Decimal | None = None
    """A line that asks for more asks for this; None: there is no such limit."""
    discounts: tuple[Discount, ...] = ()
    """Taken off one after the other, before the limits of spend."""
    rounding: RoundingMode = "half_even"
    """How an amount is rounded onto minor units."""
    round_each: Literal["line", "detail"] = "line"
    """What is rounded: the line once, or each of its details."""

    @property
    def is_plain(self) -> bool:
        """Say whether the line is what the model alone asks, rounded as usual."""
        changed = self.minimum_spend or self.discounts or self.maximum_spend is not None
        return not changed and self.rounding == "half_even" and self.round_each == "line"

    @property
    def allowance(self) -> Decimal:
        """Return how many units of a whole period are free."""
        return ZERO

    @property
    def discounted_units(self) -> Decimal:
        """Return how many units all the discounts take off."""
        return added_up(one.units for one in self.discounts if one.units is not None)


def check_terms(terms: Terms) -> None:
    """Refuse limits and discounts that are none."""
    check_number(terms.minimum_spend, "minimum_spend")
    if terms.maximum_spend is not None:
        check_number(terms.maximum_spend, "maximum_spend")
        if terms.maximum_spend < terms.minimum_spend:
            raise invalid("maximum_spend", f"must not be less than minimum_spend, which is {terms.minimum_spend:f}")
    if len(terms.discounts) > MAX_DISCOUNTS:
        raise invalid("discounts", f"must have at most {MAX_DISCOUNTS} discounts")
    for place, discount in enumerate(terms.discounts):
        _check_discount(discount, f"discounts[{place}]")


def check_unit(unit: Unit | None) -> None:
    """Refuse a unit that nothing can be counted in."""
    if unit is None:
        return
    check_number(unit.per, "unit.per", above_zero=True)
    if not unit.name.strip() or len(unit.name) > MAX_NAME or not unit.name.isprintable():
        raise invalid("unit.name", f"must have 1 to {MAX_NAME} printable characters")
    if not 0 <= unit.digits <= MAX_UNIT_DIGITS:
        raise invalid("unit.digits", f"must be from 0 to {MAX_UNIT_DIGITS}")
    if unit.digits and unit.rounding == "none":
        raise invalid("unit.digits", "needs unit.rounding to be other than none")


def check_tiers(tiers: Sequence[Tier | PercentTier]) -> None:
    """Refuse tiers that do not cover every quantity once."""
    if not 1 <= len(tiers) <= MAX_TIERS:
        raise invalid("tiers", f"must have 1 to {MAX_TIERS} tiers")
    bound = ZERO
    for place, tier in enumerate(tiers):
        if isinstance(tier, PercentTier):
            check_number(tier.percent, f"tiers[{place}].percent")
        else:
            check_number(tier.rate, f"tiers[{place}].rate")
        check_number(tier.flat, f"tiers[{place}].flat")
        bound = _check_bound(tier.up_to, bound, f"tiers[{place}].up_to", last=place == len(tiers) - 1)


def check_count(count: Decimal, field: str) -> None:
    """Refuse what is no number of things."""
    check_number(count, field)
    check_whole(count, field)


def _check_discount(discount: Discount, field: str) -> None:
    said = [name for name in ("amount", "percent", "units") if getattr(discount, name) is not None]
    if len(said) != 1:
        raise invalid(field, "must have exactly one of amount, percent and units")
    number = getattr(discount, said[0])
    check_number(number, f"{field}.{said[0]}", above_zero=True)
    if discount.percent is not None and number > HUNDRED:
        raise invalid(f"{field}.percent", "must be at most 100")


def _check_bound(up_to: Decimal | None, bound: Decimal, field: str, *, last: bool) -> Decimal:
    """Return the tier's upper bound, or the one before it where the tier has no end."""
    if last:
        if up_to is not None:
            raise invalid(field, "must be null: the last tier has no end")
        return bound
    if up_to is None:
        raise invalid(field, "must be a number: only the last tier has no end")
    check_number(up_to, field)
    if up_to <= bound:
        raise invalid(field, f"must be greater than {bound:f}")
    return up_to
