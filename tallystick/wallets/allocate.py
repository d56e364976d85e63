"""Allocate: which grants pay how much of an amount or a quantity, in the order in which credit is spent. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from tallystick.rating.exact import EXACT
from tallystick.wallets.model import NOTHING, Covered, Draw, GrantLeft, Unit, UnitDraw


@dataclass(slots=True)
class Wallets:
    """
    The grants of some customers, each customer's in the order in which they are spent, and what was taken of them since.

    What is asked for first gets what there is first.
    """

    grants: Mapping[int, Sequence[GrantLeft]]
    """By customer."""
    units: Mapping[str, Sequence[Unit]] = field(default_factory=dict)
    """By meter what pays for it."""
    taken: dict[GrantLeft, int] = field(default_factory=dict)

    def of(self, customer_id: int, asset_id: int, product: str) -> list[GrantLeft]:
        """Return the customer's grants in an asset that may be spent on *product*."""
        found = self.grants.get(customer_id, ())
        return [one for one in found if one.asset_id == asset_id and one.may_pay(product)]

    def left(self, grant: GrantLeft) -> int:
        """Return what is left of a grant by now."""
        return grant.left - self.taken.get(grant, 0)

    def pay(self, grants: Iterable[GrantLeft], total: int, charges: Mapping[str, int]) -> list[Draw]:
        """
        Take what pays *total*, or as much of it as there is.

        A grant that is bound to charges pays no more than what they come to, which other such grants may have paid
        already. Nothing is paid of a total below zero.
        """
        draws: list[Draw] = []
        due, unpaid = total, dict(charges)
        for grant in grants:
            most = due if grant.charges is None else min(due, sum(max(unpaid.get(one, 0), 0) for one in grant.charges))
            amount = min(self.left(grant), most)
            if amount <= 0:
                continue
            draws.append(self._take(grant, amount))
            due -= amount
            if grant.charges is not None:
                _pay_charges(unpaid, sorted(grant.charges), amount)
        return draws

    def cover(self, customer_id: int, product: str, charge: str, meter: str, quantity: Decimal) -> Covered:
        """
        Take the units that pay for *quantity* of a meter, or for as much of it as there are; only whole minor units.

        So what is left of a quantity that does not come out even is not covered, and has its price.
        """
        if not self.units or customer_id not in self.grants or quantity <= 0:
            return NOTHING
        draws: list[UnitDraw] = []
        by_asset = {unit.asset_id: unit for unit in self.units.get(meter, ())}
        rest = quantity
        for grant in self.grants[customer_id]:
            unit = by_asset.get(grant.asset_id)
            if unit is None or not may_cover(grant, product, charge, meter):
                continue
            amount = min(self.left(grant), _whole(rest, unit))
            if amount <= 0:
                continue
            covered = _quantity(amount, unit)
            draws.append(UnitDraw(self._take(grant, amount).grant, unit.asset, amount, covered))
            rest = EXACT.subtract(rest, covered)
        return Covered(EXACT.subtract(quantity, rest), draws) if draws else NOTHING

    def _take(self, grant: GrantLeft, amount: int) -> Draw:
        self.taken[grant] = self.taken.get(grant, 0) + amount
        return Draw(grant, amount)


def may_cover(grant: GrantLeft, product: str, charge: str, meter: str) -> bool:
    """Say whether units of a grant may be spent on what a charge asks for of a meter."""
    return (
        grant.may_pay(product)
        and (grant.charges is None or charge in grant.charges)
        and (grant.meters is None or meter in grant.meters)
    )


def _pay_charges(unpaid: dict[str, int], charges: Sequence[str], amount: int) -> None:
    """Take *amount* off what the charges come to, one after the other."""
    for charge in charges:
        part = min(amount, max(unpaid.get(charge, 0), 0))
        if part:
            unpaid[charge] -= part
            amount -= part


def _whole(quantity: Decimal, unit: Unit) -> int:
    """Return how many whole minor units pay for *quantity* without paying for more."""
    return int(Fraction(quantity) * 10**unit.exponent / Fraction(unit.units))


def _quantity(amount: int, unit: Unit) -> Decimal:
    """Return how many metered units *amount* minor units pay for, exactly."""
    return EXACT.multiply(EXACT.scaleb(Decimal(amount), -unit.exponent), unit.units)
