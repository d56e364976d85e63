"""What a charge model hands to rating: the parts of a line before any division and any rounding."""

from decimal import Decimal
from typing import NamedTuple

from tallystick.rating.exact import EXACT, constant, plain, quotient
from tallystick.rating.model import Detail, Part


class Share(NamedTuple):
    """One part of a line, *quantity* and amount multiplied by what `Measured` calls *whole*."""

    part: Part
    quantity: Decimal
    rate: Decimal
    tier: int | None = None
    above: Decimal | None = None
    up_to: Decimal | None = None
    size: Decimal | None = None
    of: Decimal | None = None
    """The transacted amount that the part settles, multiplied likewise."""

    @property
    def amount(self) -> Decimal:
        """Return quantity times rate."""
        return EXACT.multiply(self.quantity, self.rate)


def detail_of(share: Share, amount: Decimal, whole: Decimal) -> Detail:
    """Write *share* and its *amount* out, divided by *whole*."""
    return Detail(
        part=share.part,
        quantity=plain(quotient(share.quantity, whole)),
        rate=constant(share.rate),
        amount=plain(quotient(amount, whole)),
        tier=share.tier,
        above=None if share.above is None else constant(share.above),
        up_to=None if share.up_to is None else constant(share.up_to),
        size=None if share.size is None else constant(share.size),
        of=None if share.of is None else plain(quotient(share.of, whole)),
    )
