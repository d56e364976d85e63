"""Charge each tier's rate for the units inside that tier."""

from collections.abc import Sequence

from tallystick.rating.exact import EXACT, ZERO
from tallystick.rating.measure import Measured
from tallystick.rating.model import Graduated, GraduatedPercentage, Part, Volume
from tallystick.rating.share import Share
from tallystick.rating.terms import PercentTier, Tier


def charge_graduated(price: Graduated | GraduatedPercentage, measured: Measured, part: Part) -> list[Share]:
    """Return what of the billable units lies in each tier, as *part*, and the fee of each tier entered."""
    billable, whole = measured.billable, measured.whole
    if not billable:
        return charge_nothing(price, measured)
    shares = []
    above, below = ZERO, ZERO
    exclusive = price.bounds == "exclusive"
    tiers: Sequence[Tier | PercentTier] = price.tiers
    for place, tier in enumerate(tiers):
        if billable < below or (billable == below and not exclusive):
            break
        up_to = tier.up_to
        bound = billable if up_to is None else EXACT.multiply(up_to, whole)
        inside = EXACT.subtract(min(billable, bound), below)
        if inside:
            shares.append(Share(part, inside, tier.rate, place, above, up_to))
        if tier.flat:
            shares.append(Share("tier_fee", measured.fixed, tier.flat, place, above, up_to))
        above, below = up_to or ZERO, bound
    return shares


def charge_nothing(price: Graduated | GraduatedPercentage | Volume, measured: Measured) -> list[Share]:
    """Return what tiers ask where nothing is billable: the fee of the first, if the price says so."""
    first = price.tiers[0]
    if not price.charge_first_tier_at_zero or not first.flat:
        return []
    return [Share("tier_fee", measured.fixed, first.flat, 0, ZERO, first.up_to)]
