"""Charge one rate for every package of units that was started."""

from decimal import Decimal

from tallystick.rating.exact import EXACT, ONE
from tallystick.rating.model import Package
from tallystick.rating.share import Share


def charge_package(price: Package, billable: Decimal, per: Decimal) -> list[Share]:
    """Return the packages that *billable* metered units start; a full package starts no further one."""
    if not billable:
        return []
    packages, rest = EXACT.divmod(billable, EXACT.multiply(price.size, per))
    if rest:
        packages = EXACT.add(packages, ONE)
    return [Share("package", EXACT.multiply(packages, per), price.rate, size=price.size)]
