"""Hold one number of a price against the rules that every number of a price obeys."""

from decimal import Decimal

from tallystick.errors import Kind, TallystickError
from tallystick.rating.exact import digits_written_out

MAX_DIGITS = 30
"""How many digits a number of a price may have, written out."""


class InvalidPrice(TallystickError):
    """The price is not valid: {rule}."""

    code = "rating.invalid_price"
    kind = Kind.INVALID


def invalid(field: str | None, rule: str) -> InvalidPrice:
    """Make the error that blames *field* (a path such as ``tiers[1].up_to``; None: the price as a whole)."""
    return InvalidPrice(field=field, rule=f"{field or 'it'} {rule}")


def check_number(number: Decimal, field: str, *, above_zero: bool = False) -> None:
    """
    Refuse a *number* that cannot be a rate, an amount, a bound or a size.

    Raises:
        InvalidPrice: rating.invalid_price: not finite, negative, zero where *above_zero*, or over 30 digits.
    """
    if not number.is_finite():
        raise invalid(field, "must be a finite number")
    if number < 0:
        raise invalid(field, "must not be negative")
    if above_zero and number == 0:
        raise invalid(field, "must be greater than 0")
    if digits_written_out(number) > MAX_DIGITS:
        raise invalid(field, f"must have at most {MAX_DIGITS} digits")


def check_whole(number: Decimal, field: str) -> None:
    """
    Refuse a *number*, one that `check_number` let pass, with a fraction.

    Raises:
        InvalidPrice: rating.invalid_price: it has one.
    """
    if number != number.to_integral_value():
        raise invalid(field, "must be a whole number")
