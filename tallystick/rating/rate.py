"""Rate one quantity by one price: exact until the line's amount is rounded once, onto minor units."""

from decimal import Decimal
from fractions import Fraction
from typing import assert_never

from tallystick.errors import Kind, TallystickError
from tallystick.money import MAX_AMOUNT, Asset, Money
from tallystick.rating.exact import EXACT, ONE, digits_written_out, plain, quotient
from tallystick.rating.explain import explain, used
from tallystick.rating.flat import charge_flat
from tallystick.rating.graduated import charge_graduated
from tallystick.rating.model import ZERO, Flat, Graduated, Line, Package, PerUnit, Price, Volume
from tallystick.rating.package import charge_package
from tallystick.rating.per_unit import charge_per_unit
from tallystick.rating.share import Share, detail_of
from tallystick.rating.volume import charge_volume

MAX_DIGITS = 40
"""How many digits a quantity may have, written out."""


class InvalidQuantity(TallystickError):
    """The quantity {rule}."""

    code = "rating.invalid_quantity"
    kind = Kind.INVALID


class AmountTooLarge(TallystickError):
    """The price asks for more than {largest} minor units of {asset}, the largest amount there is."""

    code = "rating.amount_too_large"
    kind = Kind.INVALID


def rate(price: Price, quantity: Decimal, asset: Asset, unit_name: str) -> Line:
    """
    Return the line that *price* makes of *quantity*, counted by the meter in *unit_name*.

    Raises:
        InvalidQuantity: rating.invalid_quantity: negative, not finite, or over 40 digits.
        AmountTooLarge: rating.amount_too_large: over 2**63 - 1 minor units.
    """
    check_quantity(quantity)
    quantity = quantity.copy_abs()  # minus zero, which is not negative, loses its sign
    unit = None if isinstance(price, Flat) else price.unit
    per = ONE if unit is None else unit.per
    free = ZERO if isinstance(price, Flat) else min(EXACT.multiply(price.free_units, per), quantity)
    shares = _charge(price, EXACT.subtract(quantity, free), per)

    total = ZERO
    for share in shares:
        total = EXACT.add(total, share.amount)
    money = _round(quotient(total, per), asset)

    free_units = quotient(free, per)
    return Line(
        model=str(type(price).__struct_config__.tag),
        quantity=plain(quantity),
        unit=unit_name,
        priced_quantity=plain(quotient(quantity, per)),
        priced_unit=unit_name if unit is None else unit.name,
        free_units=plain(free_units),
        details=tuple([detail_of(share, per) for share in shares]),
        amount=money.minor,
        asset=asset.code,
        explanation=explain(used(quantity, unit_name, unit), free_units, shares, per, money),
    )


def check_quantity(quantity: Decimal) -> None:
    """
    Refuse what no meter can have counted.

    Raises:
        InvalidQuantity: rating.invalid_quantity: negative, not finite, or over 40 digits.
    """
    if not quantity.is_finite():
        raise InvalidQuantity(field="quantity", rule="must be a finite number")
    if quantity < 0:
        raise InvalidQuantity(field="quantity", rule="must not be negative")
    if digits_written_out(quantity) > MAX_DIGITS:
        raise InvalidQuantity(field="quantity", rule=f"must have at most {MAX_DIGITS} digits")


def _charge(price: Price, billable: Decimal, per: Decimal) -> list[Share]:
    match price:
        case Flat():
            return charge_flat(price)
        case PerUnit():
            return charge_per_unit(price, billable)
        case Graduated():
            return charge_graduated(price, billable, per)
        case Volume():
            return charge_volume(price, billable, per)
        case Package():
            return charge_package(price, billable, per)
        case _:
            assert_never(price)


def _round(amount: Decimal | Fraction, asset: Asset) -> Money:
    """Round the line's exact amount: the one rounding of rating."""
    # Major units first: an amount far too large would not fit the precision of the rounding either.
    if amount <= MAX_AMOUNT:
        money = Money.from_decimal(amount, asset) if isinstance(amount, Decimal) else Money.from_fraction(amount, asset)
        if money.minor <= MAX_AMOUNT:
            return money
    raise AmountTooLarge(field="quantity", largest=MAX_AMOUNT, asset=asset.code)
