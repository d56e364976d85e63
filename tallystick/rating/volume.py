"""Charge every unit at the rate of the tier that the whole quantity falls into."""

from tallystick.rating.exact import EXACT, ZERO
from tallystick.rating.graduated import charge_nothing
from tallystick.rating.measure import Measured
from tallystick.rating.model import Volume
from tallystick.rating.share import Share


def charge_volume(price: Volume, measured: Measured) -> list[Share]:
    """Return all that is billable at the rate of its tier, and that tier's fee."""
    if not measured.billable:
        return charge_nothing(price, measured)
    place = _find_tier(price, measured)
    tier = price.tiers[place]
    above = (price.tiers[place - 1].up_to or ZERO) if place else ZERO
    shares = [Share("tier", measured.billable, tier.rate, place, above, tier.up_to)]
    if tier.flat:
        shares.append(Share("tier_fee", measured.fixed, tier.flat, place, above, tier.up_to))
    return shares


def _find_tier(price: Volume, measured: Measured) -> int:
    exclusive = price.bounds == "exclusive"
    for place, tier in enumerate(price.tiers[:-1]):
        end = EXACT.multiply(tier.up_to or ZERO, measured.whole)
        if measured.billable < end or (measured.billable == end and not exclusive):
            return place
    return len(price.tiers) - 1
