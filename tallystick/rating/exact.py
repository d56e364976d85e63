"""Decimal arithmetic that is exact or fails: the context that rating computes in, and how its numbers are written."""

from collections.abc import Iterable
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from fractions import Fraction
from functools import lru_cache
from typing import Literal, TypeAlias

RoundingMode: TypeAlias = Literal["half_even", "half_up", "up", "down"]
"""Up is away from zero, down is towards it."""

EXACT = Context(
    prec=300,
    Emax=MAX_EMAX,
    Emin=MIN_EMIN,
    traps=[Inexact, InvalidOperation, DivisionByZero, Overflow],
)
"""
Wide enough for everything rating computes, so that `Inexact` means a quotient without an end.

A quantity has 40 digits, a rate, bound or size 30, the parts of a share 15; the longest finite quotient (by a power
of 2 below 10**45) adds 150 digits.
"""

ZERO = Decimal(0)
ONE = Decimal(1)
HUNDRED = Decimal(100)
THOUSAND = Decimal(1000)


def quotient(numerator: Decimal, denominator: Decimal) -> Decimal | Fraction:
    """Divide exactly: a Decimal where the quotient has an end, a Fraction where it has none."""
    if denominator == ONE:
        return numerator
    try:
        return EXACT.divide(numerator, denominator)
    except Inexact:
        return Fraction(numerator) / Fraction(denominator)


def added_up(numbers: Iterable[Decimal]) -> Decimal:
    """Add *numbers* up, exactly."""
    total = ZERO
    for number in numbers:
        total = EXACT.add(total, number)
    return total


def shortest(number: Fraction) -> Decimal | Fraction:
    """Return *number* as a Decimal where it has an end, as it is where it has none or one too far away."""
    try:
        return EXACT.divide(Decimal(number.numerator), Decimal(number.denominator))
    except Inexact:
        return number


def round_off(number: Decimal | Fraction, digits: int, mode: RoundingMode) -> Fraction:
    """Round *number* to *digits* behind the point."""
    scale = 10**digits
    scaled = Fraction(number) * scale
    whole, rest = divmod(abs(scaled.numerator), scaled.denominator)
    if _goes_up(2 * rest - scaled.denominator, mode, odd=bool(whole % 2), exact=not rest):
        whole += 1
    return Fraction(whole if scaled >= 0 else -whole, scale)


def digits_written_out(number: Decimal) -> int:
    """Count the digits of a finite *number* written without an exponent, zeros included."""
    before = max(number.adjusted() + 1, 1)
    exponent = number.as_tuple().exponent
    behind = -exponent if isinstance(exponent, int) and exponent < 0 else 0
    return before + behind


def plain(number: Decimal | Fraction) -> str:
    """Write *number* in its one shortest text without an exponent: ``0.5``, ``1000``, or ``1/3`` where it has no end."""
    if not isinstance(number, Decimal):  # asked this way round because Fraction's own check is slow
        return f"{number.numerator}/{number.denominator}"
    text = str(normal := EXACT.normalize(number))
    return f"{normal:f}" if "E" in text else text  # str is several times faster than the format


constant = lru_cache(maxsize=4096)(plain)
"""Write a number of a price: the same few come with every customer, so their text is kept."""


def spoken(number: Decimal | Fraction) -> str:
    """Write *number* for people, with a comma between thousands: ``1,234.5``."""
    if not isinstance(number, Decimal):
        return f"{number.numerator:,}/{number.denominator:,}"
    return plain(number) if number < THOUSAND else f"{EXACT.normalize(number):,f}"


spoken_constant = lru_cache(maxsize=4096)(spoken)
"""Write a number of a price for people; kept like `constant`."""


def _goes_up(over_half: int, mode: RoundingMode, *, odd: bool, exact: bool) -> bool:
    """Say whether a size goes to the next whole one; *over_half* is negative where its rest is less than half."""
    if exact or mode == "down":
        return False
    if mode == "up" or over_half > 0:
        return True
    return over_half == 0 and (mode == "half_up" or odd)
