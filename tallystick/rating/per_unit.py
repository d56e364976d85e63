"""Charge one rate for every unit."""

from tallystick.rating.measure import Measured
from tallystick.rating.model import PerUnit
from tallystick.rating.share import Share


def charge_per_unit(price: PerUnit, measured: Measured) -> list[Share]:
    """Return all that is billable at the price's rate."""
    return [Share("units", measured.billable, price.rate)] if measured.billable else []
