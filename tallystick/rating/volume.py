"""Charge every unit at the rate of the tier that the whole quantity falls into."""

from decimal import Decimal

from tallystick.rating.exact import EXACT
from tallystick.rating.model import ZERO, Volume
from tallystick.rating.share import Share


def charge_volume(price: Volume, billable: Decimal, per: Decimal) -> list[Share]:
    """Return all *billable* metered units at the rate of their tier, and that tier's fee."""
    if not billable:
        return []
    place = next(
        place
        for place, tier in enumerate(price.tiers)
        if tier.up_to is None or billable <= EXACT.multiply(tier.up_to, per)
    )
    tier = price.tiers[place]
    above = (price.tiers[place - 1].up_to or ZERO) if place else ZERO
    shares = [Share("tier", billable, tier.rate, place, above, tier.up_to)]
    if tier.flat:
        shares.append(Share("tier_fee", per, tier.flat, place, above, tier.up_to))
    return shares
