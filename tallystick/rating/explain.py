"""Put a line into one sentence for people."""

from decimal import Decimal
from fractions import Fraction

from tallystick.money import Money
from tallystick.rating.exact import ONE, quotient, spoken
from tallystick.rating.model import Unit
from tallystick.rating.share import Share

TIMES = "\N{MULTIPLICATION SIGN}"


def used(quantity: Decimal, unit_name: str, unit: Unit | None) -> str:
    """Name what was used, as in ``2,500,000 bytes (2.5 MB)``."""
    metered = f"{spoken(quantity)} {unit_name}"
    return metered if unit is None else f"{metered} ({spoken(quotient(quantity, unit.per))} {unit.name})"


def explain(what: str, free: Decimal | Fraction, shares: list[Share], per: Decimal, money: Money) -> str:
    """Say how *what* became *money*, as in ``12 requests: 2 free, 10 x 0.5 USD = 5.00 USD`` (with a real cross)."""
    asset = money.asset.code
    terms = " + ".join([_term(share, per, asset) for share in shares])
    total = f"{money.major:,.{money.asset.exponent}f} {asset}"
    if shares and shares[0].part == "flat":
        return f"{terms} = {total}"
    reasons = [f"{spoken(free)} free"] if free else []
    if terms:
        reasons.append(terms)
    return f"{what}: {', '.join(reasons)} = {total}" if reasons else f"{what} = {total}"


def _term(share: Share, per: Decimal, asset: str) -> str:
    rate = f"{spoken(share.rate)} {asset}"
    if share.part == "flat":
        return f"flat fee of {rate}"
    if share.part == "tier_fee":
        return f"tier fee of {rate}"
    quantity = quotient(share.quantity, per)
    if share.size is not None:
        return (
            f"{spoken(quantity)} {'package' if quantity == ONE else 'packages'} of {spoken(share.size)} {TIMES} {rate}"
        )
    return f"{spoken(quantity)} {TIMES} {rate}"
