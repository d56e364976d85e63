"""Charge the amounts that came with the events, and a markup on them."""

from tallystick.rating.exact import EXACT, ONE
from tallystick.rating.measure import Measured
from tallystick.rating.model import Dynamic
from tallystick.rating.share import Share
from tallystick.rating.terms import HUNDREDTH


def charge_dynamic(price: Dynamic, measured: Measured) -> list[Share]:
    """Return what is billable as the money that it is, and the markup."""
    if not measured.billable:
        return []
    shares = [Share("amount", measured.billable, ONE)]
    if price.markup_percent:
        shares.append(Share("markup", measured.billable, EXACT.multiply(price.markup_percent, HUNDREDTH)))
    return shares
