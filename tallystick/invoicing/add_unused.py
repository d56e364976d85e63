"""
Add what is unused: some prices ask for something where nothing was used, a minimum or the fee of the first tier.

Such a charge is due once for a period, at the version in force when the period starts, as flat charges are.
"""

from collections.abc import Sequence
from decimal import Decimal

from tallystick.catalog.model import PriceWindow
from tallystick.periods import Period
from tallystick.rating.rate import asks_at_zero
from tallystick.usage.aggregate import Aggregate

NOTHING_USED = Aggregate(0, Decimal(0))


def is_due_unused(window: PriceWindow, period: Period) -> bool:
    """Say whether the *window* of *period* is due where nothing was used of its charge in all of the period."""
    return window.meter is not None and window.period.start_at == period.start_at and asks_at_zero(window.price)


def none_of(used: Aggregate) -> Sequence[Decimal] | None:
    """Return the single amounts of what was used where they need not be read: nothing was; None where they must be."""
    return () if used == NOTHING_USED else None


def add_unused(charges: Sequence[str], due: Sequence[bool], used: Sequence[Aggregate | None]) -> list[Aggregate | None]:
    """Return what was *used* in each window of *charges*, with nothing in place of None where that is *due* all the same."""
    if not any(due):
        return list(used)
    in_use = {charge for charge, it in zip(charges, used, strict=True) if it is not None}
    return [
        NOTHING_USED if it is None and is_due and charge not in in_use else it
        for charge, is_due, it in zip(charges, due, used, strict=True)
    ]
