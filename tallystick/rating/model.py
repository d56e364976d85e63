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
from tallystick.rating.exact import EXACT, ZERO
from tallystick.rating.terms import (
    HUNDREDTH,
    Bounds,
    PercentTier,
    Terms,
    Tier,
    Unit,
    check_count,
    check_terms,
    check_tiers,
    check_unit,
)


class Flat(Terms, frozen=True, kw_only=True, tag_field="model", tag="flat"):
    """The same amount whatever was used."""

    amount: Decimal

    def __post_init__(self) -> None:
        """Refuse an amount that is no amount."""
        check_number(self.amount, "amount")
        check_terms(self)
        for place, discount in enumerate(self.discounts):
            if discount.units is not None:
                raise invalid(f"discounts[{place}].units", "must be left out: a flat price counts no units")


class PerUnit(Terms, frozen=True, kw_only=True, tag_field="model", tag="per_unit"):
    """One rate for every unit."""

    rate: Decimal
    free_units: Decimal = ZERO
    unit: Unit | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that are no price."""
        check_number(self.rate, "rate")
        check_number(self.free_units, "free_units")
        check_unit(self.unit)
        check_terms(self)

    @property
    def allowance(self) -> Decimal:
        """Return how many units of a whole period are free."""
        return self.free_units


class Graduated(Terms, frozen=True, kw_only=True, tag_field="model", tag="graduated"):
    """Each tier's rate for the units inside that tier."""

    tiers: tuple[Tier, ...]
    free_units: Decimal = ZERO
    unit: Unit | None = None
    bounds: Bounds = "inclusive"
    charge_first_tier_at_zero: bool = False
    """Whether the flat fee of the first tier is charged when nothing is left to be billed."""

    def __post_init__(self) -> None:
        """Refuse tiers that do not cover every quantity once."""
        check_tiers(self.tiers)
        check_number(self.free_units, "free_units")
        check_unit(self.unit)
        check_terms(self)

    @property
    def allowance(self) -> Decimal:
        """Return how many units of a whole period are free."""
        return self.free_units


class Volume(Terms, frozen=True, kw_only=True, tag_field="model", tag="volume"):
    """The rate of the tier that the whole quantity falls into, for every unit."""

    tiers: tuple[Tier, ...]
    free_units: Decimal = ZERO
    unit: Unit | None = None
    bounds: Bounds = "inclusive"
    charge_first_tier_at_zero: bool = False
    """Whether the flat fee of the first tier is charged when nothing is left to be billed."""

    def __post_init__(self) -> None:
        """Refuse tiers that do not cover every quantity once."""
        check_tiers(self.tiers)
        check_number(self.free_units, "free_units")
        check_unit(self.unit)
        check_terms(self)

    @property
    def allowance(self) -> Decimal:
        """Return how many units of a whole period are free."""
        return self.free_units


class Package(Terms, frozen=True, kw_only=True, tag_field="model", tag="package"):
    """One rate for every package of *size* units that was started."""

    size: Decimal
    rate: Decimal
    free_units: Decimal = ZERO
    unit: Unit | None = None
    package_rounding: Literal["up", "down", "nearest", "exact"] = "up"
    """What becomes of a package that is not full: ``exact`` charges its fraction, ``nearest`` takes half for one."""

    def __post_init__(self) -> None:
        """Refuse numbers that are no price."""
        check_number(self.size, "size", above_zero=True)
        check_number(self.rate, "rate")
        check_number(self.free_units, "free_units")
        check_unit(self.unit)
        check_terms(self)

    @property
    def allowance(self) -> Decimal:
        """Return how many units of a whole period are free."""
        return self.free_units


class Percentage(Terms, frozen=True, kw_only=True, tag_field="model", tag="percentage"):
    """A percentage of a transacted amount, and a fixed part for each transaction."""

    percent: Decimal
    """2.9 for 2.9 percent."""
    per_transaction: Decimal = ZERO
    """The fixed part."""
    free_amount: Decimal = ZERO
    """The part of the amount that no percentage is taken of."""
    free_amount_covers: Literal["percent", "all"] = "percent"
    """Whether a transaction that lies wholly inside it pays the fixed part, or nothing at all."""
    free_transactions: Decimal = ZERO
    """How many transactions, the first ones, pay neither the fixed part nor the minimum."""
    free_transactions_cover: Literal["fixed", "all"] = "fixed"
    """Whether those pay the percentage, or nothing at all."""
    minimum_per_transaction: Decimal = ZERO
    maximum_per_transaction: Decimal | None = None
    unit: Unit | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that are no price."""
        for name in ("percent", "per_transaction", "free_amount", "minimum_per_transaction"):
            check_number(getattr(self, name), name)
        check_count(self.free_transactions, "free_transactions")
        if self.maximum_per_transaction is not None:
            check_number(self.maximum_per_transaction, "maximum_per_transaction")
            if self.maximum_per_transaction < self.minimum_per_transaction:
                rule = f"must not be less than minimum_per_transaction, which is {self.minimum_per_transaction:f}"
                raise invalid("maximum_per_transaction", rule)
        check_unit(self.unit)
        check_terms(self)

    @property
    def allowance(self) -> Decimal:
        """Return how many units of a whole period are free."""
        return self.free_amount

    @property
    def rate(self) -> Decimal:
        """Return what one unit of the amount costs."""
        return EXACT.multiply(self.percent, HUNDREDTH)

    @property
    def judges_each(self) -> bool:
        """Say whether the amount of each transaction must be known, and their sum is not enough."""
        return (
            bool(self.minimum_per_transaction)
            or self.maximum_per_transaction is not None
            or (bool(self.free_transactions) and self.free_transactions_cover == "all")
            or (bool(self.free_amount and self.per_transaction) and self.free_amount_covers == "all")
        )


class GraduatedPercentage(Terms, frozen=True, kw_only=True, tag_field="model", tag="graduated_percentage"):
    """Each tier's percentage for the part of a transacted amount inside that tier."""

    tiers: tuple[PercentTier, ...]
    free_amount: Decimal = ZERO
    unit: Unit | None = None
    bounds: Bounds = "inclusive"
    charge_first_tier_at_zero: bool = False
    """Whether the flat fee of the first tier is charged when nothing is left to be billed."""

    def __post_init__(self) -> None:
        """Refuse tiers that do not cover every amount once."""
        check_tiers(self.tiers)
        check_number(self.free_amount, "free_amount")
        check_unit(self.unit)
        check_terms(self)

    @property
    def allowance(self) -> Decimal:
        """Return how many units of a whole period are free."""
        return self.free_amount


class Dynamic(Terms, frozen=True, kw_only=True, tag_field="model", tag="dynamic"):
    """The amounts that came with the events, added up by the meter, and a markup on them."""

    markup_percent: Decimal = ZERO
    unit: Unit | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that are no price."""
        check_number(self.markup_percent, "markup_percent")
        check_unit(self.unit)
        check_terms(self)


Price: TypeAlias = Flat | PerUnit | Graduated | Volume | Package | Percentage | GraduatedPercentage | Dynamic

Part: TypeAlias = Literal[
    "flat",
    "units",
    "tier",
    "tier_fee",
    "package",
    "percent",
    "transaction_fee",
    "transaction_minimum",
    "transaction_maximum",
    "free_transactions",
    "amount",
    "markup",
    "discount_units",
    "discount",
    "maximum_spend",
    "minimum_spend",
]


class Detail(Struct, frozen=True, omit_defaults=True, gc=False):
    """
    One part of a line's amount; *quantity* times *rate* is *amount*, exactly.

    Numbers are plain decimal text, or ``1/3`` where a unit conversion or a proration has no end.
    """

    part: Part
    quantity: str
    """Units in the price's unit; packages or transactions where the part is theirs; for a fee its prorated share."""
    rate: str
    amount: str
    """In major units, not rounded."""
    tier: int | None = None
    """The tier's place in the price, from 0."""
    above: str | None = None
    """The bound below the tier."""
    up_to: str | None = None
    """The tier's upper bound; None: no end."""
    size: str | None = None
    """How many units one package holds."""
    of: str | None = None
    """The transacted amount that the part settles, where it is not *quantity*."""
    limit: str | None = None
    """The limit of spend that the part brings the line to."""
    rounded: int | None = None
    """In minor units, where each detail is rounded."""


class Line(Struct, frozen=True, omit_defaults=True, gc=False):
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
    share: str | None = None
    """The share of a period that what is fixed was prorated by; None: all of it."""
    transactions: int | None = None
    """How many transactions the quantity came in, where the price asks for them."""
