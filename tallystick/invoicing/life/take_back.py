"""Take back taxes: of each tax of an invoice the part that belongs to what is taken back of its lines. Pure."""

from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

from tallystick.taxes.round_tax import round_tax


class Line(NamedTuple):
    """A line of an invoice; amounts in minor units."""

    position: int
    name: str
    category: str | None
    """Of tax; None: it is not taxed."""
    account: str
    """Which it credited."""
    amount: int
    taken: int
    """What credit notes have taken back of it."""

    @property
    def left(self) -> int:
        """Return what is left of it to be taken back."""
        return self.amount - self.taken


class Tax(NamedTuple):
    """A tax of an invoice; amounts in minor units."""

    position: int
    category: str
    inclusive: bool
    base: int
    amount: int
    base_taken: int
    """What credit notes have taken back."""
    amount_taken: int


class TaxBack(NamedTuple):
    """What is taken back of a tax."""

    position: int
    inclusive: bool
    base: int
    amount: int


def take_back_taxes(taxes: list[Tax], lines: Mapping[int, Line], back: Mapping[int, int]) -> list[TaxBack]:
    """
    Return what is taken back of each tax, where *back* is taken of lines, by position.

    What all credit notes together took back of a tax is always its part of what they took back of the lines, rounded
    once, half to even: so when all lines are taken back, all of the tax is, to the unit.
    """
    found: list[TaxBack] = []
    for tax in taxes:
        own = [line for line in lines.values() if line.category == tax.category]
        if not any(back.get(line.position) for line in own):
            continue
        whole = sum(line.amount for line in own)
        by_now = sum(line.taken + back.get(line.position, 0) for line in own)
        done = all(line.left == back.get(line.position, 0) for line in own)
        base, amount = (_part(value, by_now, whole, done=done) for value in (tax.base, tax.amount))
        found.append(TaxBack(tax.position, tax.inclusive, base - tax.base_taken, amount - tax.amount_taken))
    return found


def _part(value: int, by_now: int, whole: int, *, done: bool) -> int:
    """Return so much of *value* as *by_now* is of *whole*; all of it when all is *done*."""
    if done:
        return value
    return round_tax(Fraction(value * by_now, whole), "half_even") if whole else 0
