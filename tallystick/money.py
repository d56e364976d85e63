"""Exact money: integer minor units with an asset, rounded from a Decimal at one place only."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_05UP, ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import NewType

MinorUnits = NewType("MinorUnits", int)

MAX_AMOUNT = 2**63 - 1
"""The largest amount of one transfer, in minor units: what a signed 64-bit column holds."""

_ONE = Decimal(1)
_WIDE = Context(prec=60)
"""Our own, so that nobody's surrounding decimal context changes an amount."""
_CUT = Context(prec=90, rounding=ROUND_05UP)
"""Keeps at least 30 digits more than _WIDE; its last digit is never 0 or 5 unless the quotient ends there."""


@dataclass(frozen=True, slots=True)
class Asset:
    """What an amount is counted in: a currency of ISO 4217 or a unit of the operator's own."""

    code: str
    exponent: int
    """How many decimal digits a major unit has: 2 for USD, 0 for JPY."""


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount, in minor units of one asset; may be negative."""

    minor: int
    asset: Asset

    @classmethod
    def from_decimal(cls, major: Decimal, asset: Asset) -> "Money":
        """
        Round *major* units half to even onto minor units.

        The one rounding point of the product: rates and quantities stay exact until they pass here.

        Raises:
            decimal.InvalidOperation: *major* is infinite or has over 60 digits when rounded.
            ValueError: *major* is not a number.
        """
        rounded = major.quantize(_ONE.scaleb(-asset.exponent, _WIDE), ROUND_HALF_EVEN, _WIDE)
        return cls(int(rounded.scaleb(asset.exponent, _WIDE)), asset)

    @classmethod
    def from_fraction(cls, major: Fraction, asset: Asset) -> "Money":
        """
        Round *major* units that may have no decimal end, such as a third, half to even onto minor units.

        Raises:
            decimal.InvalidOperation: *major* has over 60 digits when rounded.
        """
        # Cut off so that what is left of an endless quotient cannot be taken for a half: from_decimal then rounds
        # it as it would have rounded the quotient itself.
        cut = _CUT.divide(Decimal(major.numerator), Decimal(major.denominator))
        return cls.from_decimal(cut, asset)

    @property
    def major(self) -> Decimal:
        """Return the amount in major units, exactly."""
        return Decimal(self.minor).scaleb(-self.asset.exponent, _WIDE)

    def __add__(self, other: "Money") -> "Money":
        """Add an amount of the same asset."""
        self._require_same_asset(other)
        return Money(self.minor + other.minor, self.asset)

    def __sub__(self, other: "Money") -> "Money":
        """Subtract an amount of the same asset."""
        self._require_same_asset(other)
        return Money(self.minor - other.minor, self.asset)

    def __str__(self) -> str:
        """Write the amount in major units behind its asset, as in ``USD 12.30``."""
        return f"{self.asset.code} {self.major:,.{self.asset.exponent}f}"

    def split(self, weights: Sequence[int]) -> list["Money"]:
        """
        Divide into parts proportional to *weights* that add back to exactly this amount.

        The leftover minor units go to the largest remainders, earliest part first.

        Raises:
            ValueError: *weights* is empty, has a negative, or sums to zero.
        """
        total = sum(weights)
        if total == 0 or min(weights) < 0:
            raise ValueError("weights must be non-negative and not all zero")
        sign = -1 if self.minor < 0 else 1
        shares = [divmod(abs(self.minor) * weight, total) for weight in weights]
        left_over = abs(self.minor) - sum(share for share, _ in shares)
        by_remainder = sorted(range(len(shares)), key=lambda place: (-shares[place][1], place))
        lucky = set(by_remainder[:left_over])
        return [Money(sign * (share + (place in lucky)), self.asset) for place, (share, _) in enumerate(shares)]

    def _require_same_asset(self, other: "Money") -> None:
        if self.asset != other.asset:
            raise ValueError(f"{self.asset.code} and {other.asset.code} do not add")


def digits_of(code: str) -> int | None:
    """Return how many decimal digits ISO 4217 gives a currency; None where it does not know *code*, or gives it none."""
    try:
        return currency(code).exponent
    except ValueError:
        return None


def currency(code: str) -> Asset:
    """
    Look up a currency of ISO 4217.

    Raises:
        ValueError: ISO 4217 does not know *code*, or gives it no minor unit (gold, testing codes).
    """
    import iso4217  # noqa: PLC0415 - reads its table as it is loaded, and only names of currencies need that

    known = iso4217.Currency(code)
    if known.exponent is None:
        raise ValueError(f"{code} has no minor unit")
    return Asset(code, known.exponent)
