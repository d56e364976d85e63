"""
What a price and a rated line are.

A price is one of the tagged structs below. It is checked when it is made, however it is made, so a price that
exists is a valid one. Every number in it is a Decimal and counts in major units of the asset (money) or in the
price's own unit (quantities).
"""

from decimal import Decimal
from typing import Literal, TypeAlias

from msgspec import Struct

from tallystick.rating.check_number import check_number, invalid

ZERO = Decimal(0)
MAX_TIERS = 100
MAX_NAME = 64


class Unit(Struct, frozen=True, forbid_unknown_fields=True):
    """The unit a price counts in, where the meter counts in a smaller one."""

    per: Decimal
    """How many metered units make one of these: 1000000 for bytes sold by the MB."""
    name: str


class Tier(Struct, frozen=True, forbid_unknown_fields=True):
    """One step of a price: from above the tier before it up to, and with, *up_to*."""

    up_to: Decimal | None
    """The last quantity inside; None: no end, and only in the last tier."""
    rate: Decimal
    flat: Decimal = ZERO
    """Charged once when the tier is entered by more than nothing."""


class Flat(Struct, frozen=True, forbid_unknown_fields=True, tag_field="model", tag="flat"):
    """The same amount whatever was used."""

    amount: Decimal

    def __post_init__(self) -> None:
        """Refuse an amount that is no amount."""
        check_number(self.amount, "amount")


class PerUnit(Struct, frozen=True, forbid_unknown_fields=True, tag_field="model", tag="per_unit"):
    """One rate for every unit."""

    rate: Decimal
    free_units: Decimal = ZERO
    unit: Unit | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that are no price."""
        check_number(self.rate, "rate")
        _check_usage(self.free_units, self.unit)


class Graduated(Struct, frozen=True, forbid_unknown_fields=True, tag_field="model", tag="graduated"):
    """Each tier's rate for the units inside that tier."""

    tiers: tuple[Tier, ...]
    free_units: Decimal = ZERO
    unit: Unit | None = None

    def __post_init__(self) -> None:
        """Refuse tiers that do not cover every quantity once."""
        _check_tiers(self.tiers)
        _check_usage(self.free_units, self.unit)


class Volume(Struct, frozen=True, forbid_unknown_fields=True, tag_field="model", tag="volume"):
    """The rate of the tier that the whole quantity falls into, for every unit."""

    tiers: tuple[Tier, ...]
    free_units: Decimal = ZERO
    unit: Unit | None = None

    def __post_init__(self) -> None:
        """Refuse tiers that do not cover every quantity once."""
        _check_tiers(self.tiers)
        _check_usage(self.free_units, self.unit)


class Package(Struct, frozen=True, forbid_unknown_fields=True, tag_field="model", tag="package"):
    """One rate for every package of *size* units that was started."""

    size: Decimal
    rate: Decimal
    free_units: Decimal = ZERO
    unit: Unit | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that are no price."""
        check_number(self.size, "size", above_zero=True)
        check_number(self.rate, "rate")
        _check_usage(self.free_units, self.unit)


Price: TypeAlias = Flat | PerUnit | Graduated | Volume | Package

Part: TypeAlias = Literal["flat", "units", "tier", "tier_fee", "package"]


class Detail(Struct, frozen=True, omit_defaults=True, gc=False):
    """
    One part of a line's amount; *quantity* times *rate* is *amount*, exactly.

    Numbers are plain decimal text, or ``1/3`` where a unit conversion has no end.
    """

    part: Part
    quantity: str
    """Units in the price's unit; for a package the number of packages, for a fee 1."""
    rate: str
    amount: str
    """In major units, not rounded."""
    tier: int | None = None
    """The tier's place in the price, from 0."""
    above: str | None = None
    """The bound below the tier, itself outside."""
    up_to: str | None = None
    """The tier's last quantity, inside; None: no end."""
    size: str | None = None
    """How many units one package holds."""


class Line(Struct, frozen=True):
    """What one price asks for one quantity; the details add up to the amount before its one rounding."""

    model: str
    quantity: str
    """As metered."""
    unit: str
    priced_quantity: str
    """The same quantity in the unit the price counts in; ``1/3`` where the conversion has no end."""
    priced_unit: str
    free_units: str
    """How many units of *priced_quantity* cost nothing."""
    details: tuple[Detail, ...]
    amount: int
    """In minor units."""
    asset: str
    explanation: str
    """The line as one sentence for people."""


def _check_usage(free_units: Decimal, unit: Unit | None) -> None:
    check_number(free_units, "free_units")
    if unit is None:
        return
    check_number(unit.per, "unit.per", above_zero=True)
    if not unit.name.strip() or len(unit.name) > MAX_NAME or not unit.name.isprintable():
        raise invalid("unit.name", f"must have 1 to {MAX_NAME} printable characters")


def _check_tiers(tiers: tuple[Tier, ...]) -> None:
    if not 1 <= len(tiers) <= MAX_TIERS:
        raise invalid("tiers", f"must have 1 to {MAX_TIERS} tiers")
    bound = ZERO
    for place, tier in enumerate(tiers):
        check_number(tier.rate, f"tiers[{place}].rate")
        check_number(tier.flat, f"tiers[{place}].flat")
        bound = _check_bound(tier.up_to, bound, f"tiers[{place}].up_to", last=place == len(tiers) - 1)


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
