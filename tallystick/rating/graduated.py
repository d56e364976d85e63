"""Charge each tier's rate for the units inside that tier."""

from decimal import Decimal

from tallystick.rating.exact import EXACT
from tallystick.rating.model import ZERO, Graduated
from tallystick.rating.share import Share


def charge_graduated(price: Graduated, billable: Decimal, per: Decimal) -> list[Share]:
    """Return what of the *billable* metered units lies in each tier, and the fee of each tier entered."""
    shares = []
    above, metered_above = ZERO, ZERO
    for place, tier in enumerate(price.tiers):
        if billable <= metered_above:
            break
        metered_up_to = billable if tier.up_to is None else min(billable, EXACT.multiply(tier.up_to, per))
        inside = EXACT.subtract(metered_up_to, metered_above)
        shares.append(Share("tier", inside, tier.rate, place, above, tier.up_to))
        if tier.flat:
            shares.append(Share("tier_fee", per, tier.flat, place, above, tier.up_to))
        above, metered_above = tier.up_to or ZERO, metered_up_to
    return shares
