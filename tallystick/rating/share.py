"""What a charge model hands to rating: the parts of a line before any division and any rounding."""

from decimal import Decimal
from typing import NamedTuple

from tallystick.rating.exact import EXACT, constant, plain, quotient
from tallystick.rating.model import Detail, Part


class Share(NamedTuple):
    """
    One part of a line, *quantity* and amount still multiplied by the price's units per priced unit.

    Charge models compare metered quantities with bounds times *per*, and only sums and details are divided by
    it: so nothing is divided early, and a conversion without an end (per 3) stays exact.
    """

    part: Part
    quantity: Decimal
    rate: Decimal
    tier: int | None = None
    above: Decimal | None = None
    up_to: Decimal | None = None
    size: Decimal | None = None

    @property
    def amount(self) -> Decimal:
        """Return quantity times rate."""
        return EXACT.multiply(self.quantity, self.rate)


def detail_of(share: Share, per: Decimal) -> Detail:
    """Write *share* out, divided by *per*."""
    return Detail(
        part=share.part,
        quantity=plain(quotient(share.quantity, per)),
        rate=constant(share.rate),
        amount=plain(quotient(share.amount, per)),
        tier=share.tier,
        above=None if share.above is None else constant(share.above),
        up_to=None if share.up_to is None else constant(share.up_to),
        size=None if share.size is None else constant(share.size),
    )
