"""Put a line into one sentence for people."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction

from tallystick.money import Money
from tallystick.rating.exact import EXACT, HUNDRED, ONE, plain, quotient, spoken, spoken_constant
from tallystick.rating.measure import WHOLE, Measured
from tallystick.rating.model import Flat, Price
from tallystick.rating.share import Share

TIMES = "\N{MULTIPLICATION SIGN}"


def used(quantity: Decimal, unit_name: str, price: Price, measured: Measured, transactions: int | None) -> str:
    """Name what was used, as in ``2,500,000 bytes (2.5 MB)`` or ``310 USD in 12 transactions``."""
    what = f"{spoken(quantity)} {unit_name}"
    if not isinstance(price, Flat) and price.unit is not None:
        what += f" ({spoken(quotient(measured.priced, measured.whole))} {price.unit.name})"
    if transactions is not None:
        what += f" in {_counted(Decimal(transactions), 'transaction')}"
    return what


def explain(
    what: str, measured: Measured, shares: Sequence[Share], share: Fraction, adjustments: Iterable[str], money: Money
) -> str:
    """Say how *what* became *money*, as in ``12 requests: 2 free, 10 x 0.5 USD = 5.00 USD`` (with a real cross)."""
    asset = money.asset.code
    total = f"{money.major:,.{money.asset.exponent}f} {asset}"
    reasons = []
    is_flat = bool(shares) and shares[0].part == "flat"
    if share is not WHOLE and not is_flat:
        reasons.append(f"{plain(share)} of a period")
    if measured.free:
        reasons.append(f"{spoken(quotient(measured.free, measured.whole))} free")
    if measured.discounted:
        reasons.append(f"{spoken(quotient(measured.discounted, measured.whole))} discounted")
    if shares and shares[0].part == "free_transactions":
        count = EXACT.divide(shares[0].quantity, measured.whole)
        free = f"{_counted(count, 'transaction')} free"
        reasons.append(free if shares[0].of is not None else f"{free} of the fixed part")
        shares = shares[1:]
    terms = " + ".join([_term(one, measured.whole, asset) for one in shares])
    if terms:
        reasons.append(terms)
    reasons.extend(adjustments)
    if is_flat:
        return f"{', '.join(reasons)} = {total}"
    return f"{what}: {', '.join(reasons)} = {total}" if reasons else f"{what} = {total}"


def _term(share: Share, whole: Decimal, asset: str) -> str:
    quantity = quotient(share.quantity, whole)
    rate = f"{spoken_constant(share.rate)} {asset}"
    match share.part:
        case "tier" | "units":  # the most, so asked first
            term = f"{spoken(quantity)} {TIMES} {rate}"
        case "flat" | "tier_fee":
            fee = f"{'flat' if share.part == 'flat' else 'tier'} fee of {rate}"
            term = fee if quantity == ONE else f"{spoken(quantity)} {TIMES} {fee}"
        case "package":
            term = f"{_counted(quantity, 'package')} of {spoken(share.size or ONE)} {TIMES} {rate}"
        case "percent":
            term = f"{_percent(share.rate)} of {spoken(quantity)} {asset}"
        case "markup":
            term = f"markup of {_percent(share.rate)}"
        case "amount":
            term = f"{spoken(quantity)} {asset}"
        case "transaction_fee":
            term = f"{_counted(quantity, 'transaction')} {TIMES} {rate}"
        case "transaction_minimum" | "transaction_maximum":
            term = f"{_counted(quantity, 'transaction')} at the {share.part.removeprefix('transaction_')} of {rate}"
        case _:
            term = f"{spoken(quantity)} {TIMES} {rate}"
    return term


def _percent(rate: Decimal) -> str:
    return f"{spoken(EXACT.multiply(rate, HUNDRED))}%"


def _counted(count: Decimal | Fraction, noun: str) -> str:
    return f"{spoken(count)} {noun if count == ONE else noun + 's'}"
