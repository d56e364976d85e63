"""Charge the same amount whatever was used."""

from tallystick.rating.exact import ONE
from tallystick.rating.model import Flat
from tallystick.rating.share import Share


def charge_flat(price: Flat) -> list[Share]:
    """Return the one amount, also for no usage at all."""
    return [Share("flat", ONE, price.amount)]
