"""Charge one rate for every package of units."""

from decimal import Decimal

from tallystick.rating.exact import EXACT, ONE
from tallystick.rating.measure import Measured
from tallystick.rating.model import Package
from tallystick.rating.share import Share

TWO = Decimal(2)


def charge_package(price: Package, measured: Measured) -> list[Share]:
    """Return the packages that what is billable fills or starts; a full package starts no further one."""
    if not measured.billable:
        return []
    if price.package_rounding == "exact":
        fraction = EXACT.divide(measured.billable, price.size)  # it ends: `measure` took the size in
        return [Share("package", fraction, price.rate, size=price.size)]
    size = EXACT.multiply(price.size, measured.whole)
    packages, rest = EXACT.divmod(measured.billable, size)
    starts = price.package_rounding == "up" and rest
    if starts or (price.package_rounding == "nearest" and EXACT.multiply(rest, TWO) >= size):
        packages = EXACT.add(packages, ONE)
    if not packages:
        return []
    return [Share("package", EXACT.multiply(packages, measured.whole), price.rate, size=price.size)]
