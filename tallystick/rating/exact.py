"""Decimal arithmetic that is exact or fails: the context that rating computes in, and how its numbers are written."""

from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from fractions import Fraction
from functools import lru_cache

EXACT = Context(
    prec=300,
    Emax=MAX_EMAX,
    Emin=MIN_EMIN,
    traps=[Inexact, InvalidOperation, DivisionByZero, Overflow],
)
"""
Wide enough for everything rating computes, so that `Inexact` means a quotient without an end.

A quantity has 40 digits, a rate, bound or size 30; the longest finite quotient (by a power of 2 below 10**30)
adds 100 digits.
"""

ONE = Decimal(1)
THOUSAND = Decimal(1000)


def quotient(numerator: Decimal, denominator: Decimal) -> Decimal | Fraction:
    """Divide exactly: a Decimal where the quotient has an end, a Fraction where it has none."""
    if denominator == ONE:
        return numerator
    try:
        return EXACT.divide(numerator, denominator)
    except Inexact:
        return Fraction(numerator) / Fraction(denominator)


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
    text = str(shortest := EXACT.normalize(number))
    return f"{shortest:f}" if "E" in text else text  # str is several times faster than the format


constant = lru_cache(maxsize=4096)(plain)
"""Write a number of a price: the same few come with every customer, so their text is kept."""


def spoken(number: Decimal | Fraction) -> str:
    """Write *number* for people, with a comma between thousands: ``1,234.5``."""
    if not isinstance(number, Decimal):
        return f"{number.numerator:,}/{number.denominator:,}"
    return plain(number) if number < THOUSAND else f"{EXACT.normalize(number):,f}"
