"""Charge the same amount whatever was used."""

from tallystick.rating.measure import Measured
from tallystick.rating.model import Flat
from tallystick.rating.share import Share


def charge_flat(price: Flat, measured: Measured) -> list[Share]:
    """Return the one amount, also for no usage at all."""
    return [Share("flat", measured.fixed, price.amount)]
