"""
Cover usage: what credits pay of the usage of a subscription, and what becomes of those that paid for more. Pure.

What was paid for a line stays paid. Where less is left of it, or nothing, since it was taken back, the units that are free
pay for the lines that stand in its place; the rest is given back to the grants that it came from.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from tallystick.rating.exact import EXACT, added_up
from tallystick.subscriptions.reconcile import Balance, line_of
from tallystick.subscriptions.wanted import Wanted
from tallystick.wallets.allocate import Wallets, may_cover
from tallystick.wallets.give_back import GivenBack, LineKey, LineUse, free, give_back, merged
from tallystick.wallets.model import Covered, UnitDraw

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class UsageCovered:
    """What credits pay of usage."""

    lines: Sequence[Covered]
    """Of each line, in the order in which they were given."""
    given_back: Mapping[LineKey, GivenBack]
    """What lines that were billed give back."""


@dataclass(slots=True)
class _Freed:
    """What is free of a line, and what of that pays for other lines."""

    balance: Balance
    uses: list[LineUse]
    moved: list[UnitDraw] = field(default_factory=list)

    def take(self, line: Wanted, quantity: Decimal) -> list[UnitDraw]:
        """Take what pays for as much of *quantity* of a line as there is."""
        found: list[UnitDraw] = []
        rest = Fraction(quantity)
        for place, one in enumerate(self.uses):
            draw = one.draw
            if not draw.amount or not may_cover(draw.grant, line.plan, line.charge, line.meter or ""):
                continue
            each = Fraction(draw.quantity) / draw.amount
            amount = min(draw.amount, int(rest / each))
            if amount > 0:
                rest -= amount * each
                found.append(draw.part(amount))
                self.moved.append(draw.part(-amount))
                self.uses[place] = one.part(draw.amount - amount)
        return found

    def given_back(self) -> GivenBack:
        """Return what moved, and what goes back to its grants beside it."""
        back = give_back(one for one in self.uses if one.draw.amount)
        return GivenBack(merged([*self.moved, *back.draws]), back.lost)


def cover_usage(
    wallets: Wallets,
    customer_id: int,
    lines: Sequence[Wanted],
    balances: Sequence[Balance],
    uses: Mapping[LineKey, Sequence[LineUse]],
    stays: Callable[[Balance], bool],
) -> UsageCovered:
    """
    Return what credits pay of each of *lines*, which are all that there should be, not priced yet.

    What *wallets* pay is taken of them. *uses* says what credits pay of lines that were billed; those that *stays* says so
    of are left as they are.
    """
    standing = [line_of(one, balances) for one in lines]
    claimed: dict[LineKey, Decimal] = {}
    covered = []
    for one, balance in zip(lines, standing, strict=True):
        quantity = _ZERO
        if balance is not None:
            before = claimed.get(balance.key, _ZERO)
            quantity = max(min(balance.covered - before, one.quantity), _ZERO)
            claimed[balance.key] = before + quantity
        covered.append(Covered(quantity, ()))
    freed = [
        _Freed(one, free(uses.get(one.key, ()), one.covered - claimed.get(one.key, _ZERO)))
        for one in balances
        if one.covered > claimed.get(one.key, _ZERO) and not stays(one)
    ]
    for place, (one, balance) in enumerate(zip(lines, standing, strict=True)):
        if balance is None:
            covered[place] = _cover(wallets, customer_id, one, freed)
    back = {one.balance.key: one.given_back() for one in freed if one.moved or one.uses}
    return UsageCovered(covered, back)


def _cover(wallets: Wallets, customer_id: int, line: Wanted, freed: Sequence[_Freed]) -> Covered:
    """Cover a new line: first by what is free of lines in whose place it stands, then by what there is in the wallet."""
    moved: list[UnitDraw] = []
    rest = line.quantity
    for one in freed:
        if one.balance.billed.meter == line.meter:
            found = one.take(line, rest)
            moved += found
            rest = EXACT.subtract(rest, added_up(draw.quantity for draw in found))
    more = wallets.cover(customer_id, line.plan, line.charge, line.meter or "", rest)
    if not moved:
        return more
    return Covered(EXACT.add(EXACT.subtract(line.quantity, rest), more.quantity), merged([*moved, *more.draws]))
