"""Charge one rate for every unit."""

from decimal import Decimal

from tallystick.rating.model import PerUnit
from tallystick.rating.share import Share


def charge_per_unit(price: PerUnit, billable: Decimal) -> list[Share]:
    """Return all *billable* metered units at the price's rate."""
    return [Share("units", billable, price.rate)] if billable else []
