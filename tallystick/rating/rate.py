"""Rate one quantity by one price: exact until the line's amount is rounded once, onto minor units."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Literal, TypeAlias, assert_never

from tallystick.errors import Kind, TallystickError
from tallystick.money import MAX_AMOUNT, Asset, Money
from tallystick.rating.adjust import adjust
from tallystick.rating.dynamic import charge_dynamic
from tallystick.rating.exact import EXACT, ZERO, RoundingMode, added_up, digits_written_out, plain, quotient, round_off
from tallystick.rating.explain import explain, used
from tallystick.rating.flat import charge_flat
from tallystick.rating.graduated import charge_graduated
from tallystick.rating.measure import WHOLE, Measured, measure
from tallystick.rating.model import (
    Detail,
    Dynamic,
    Flat,
    Graduated,
    GraduatedPercentage,
    Line,
    Package,
    Percentage,
    PerUnit,
    Price,
    Volume,
)
from tallystick.rating.package import charge_package
from tallystick.rating.per_unit import charge_per_unit
from tallystick.rating.percentage import charge_percentage, charge_transactions
from tallystick.rating.share import Share, detail_of
from tallystick.rating.volume import charge_volume

MAX_DIGITS = 40
"""How many digits a quantity may have, written out."""
MAX_SHARE_DIGITS = 15
"""How many digits the parts of a share may have: 10 to the 15th microseconds are thirty years."""

Needs: TypeAlias = Literal["quantity", "events", "transactions"]
"""What a price must be told beside the quantity: nothing, how many events it came in, or the quantity of each."""


class InvalidQuantity(TallystickError):
    """The quantity {rule}."""

    code = "rating.invalid_quantity"
    kind = Kind.INVALID


class InvalidShare(TallystickError):
    """The share of a period {rule}."""

    code = "rating.invalid_share"
    kind = Kind.INVALID


class TransactionsNeeded(InvalidQuantity):
    """The price charges by transaction and must be told {what}."""

    code = "rating.transactions_needed"
    kind = Kind.INVALID


class AmountTooLarge(TallystickError):
    """The price asks for more than {largest} minor units of {asset}, the largest amount there is."""

    code = "rating.amount_too_large"
    kind = Kind.INVALID


def needs(price: Price) -> Needs:
    """Say what must be told about usage, beside how much it is, to rate it by *price*."""
    if not isinstance(price, Percentage):
        return "quantity"
    if price.judges_each:
        return "transactions"
    return "events" if price.per_transaction else "quantity"


def asks_at_zero(price: Price) -> bool:
    """Say whether *price* may ask for something where nothing was used: a minimum, or the fee of its first tier."""
    if price.minimum_spend or isinstance(price, Flat):
        return True
    return isinstance(price, Graduated | GraduatedPercentage | Volume) and bool(
        price.charge_first_tier_at_zero and price.tiers[0].flat
    )


def rate(
    price: Price,
    quantity: Decimal,
    asset: Asset,
    unit_name: str,
    *,
    share: Fraction = WHOLE,
    events: int | None = None,
    transactions: Sequence[Decimal] | None = None,
) -> Line:
    """
    Return the line that *price* makes of *quantity*, counted by the meter in *unit_name*.

    *share* is the share of a period that the line is for: it prorates what the price fixes for a period. *events* is how
    many the quantity came in, *transactions* the quantity of each in order of time; `needs` says which must be given.

    Raises:
        InvalidQuantity: rating.invalid_quantity: negative, not finite, or over 40 digits; or the transactions add up
            to another quantity, or are not as many as the events.
        InvalidShare: rating.invalid_share: negative, or of parts with over 15 digits.
        TransactionsNeeded: rating.transactions_needed: the price needs events or transactions that are not given.
        AmountTooLarge: rating.amount_too_large: over 2**63 - 1 minor units.
    """
    check_quantity(quantity)
    quantity = quantity.copy_abs()  # minus zero, which is not negative, loses its sign
    if share is not WHOLE:
        share = _check_share(share)
    measured = measure(price, quantity, share)
    if isinstance(price, Percentage):
        transactions, events = _check_transactions(price, quantity, transactions, events)
        measured, shares = _charge_percentage(price, measured, transactions, events, share)
    else:
        events = None
        shares = _charge(price, measured)

    money, details, reasons = _add_up(price, measured, shares, share, asset)
    unit = None if isinstance(price, Flat) else price.unit
    written = plain(quantity)
    converted = unit is not None or measured.priced is not quantity
    what = used(quantity, unit_name, price, measured, events)
    return Line(
        model=str(type(price).__struct_config__.tag),
        quantity=written,
        unit=unit_name,
        priced_quantity=plain(quotient(measured.priced, measured.whole)) if converted else written,
        priced_unit=unit_name if unit is None else unit.name,
        free_units=plain(quotient(measured.free, measured.whole)),
        details=tuple(details),
        amount=money.minor,
        asset=asset.code,
        explanation=explain(what, measured, shares, share, reasons, money),
        share=None if share is WHOLE else str(share),
        transactions=events,
    )


def check_quantity(quantity: Decimal, field: str = "quantity") -> None:
    """
    Refuse what no meter can have counted.

    Raises:
        InvalidQuantity: rating.invalid_quantity: negative, not finite, or over 40 digits.
    """
    if not quantity.is_finite():
        raise InvalidQuantity(field=field, rule="must be a finite number")
    if quantity < 0:
        raise InvalidQuantity(field=field, rule="must not be negative")
    if digits_written_out(quantity) > MAX_DIGITS:
        raise InvalidQuantity(field=field, rule=f"must have at most {MAX_DIGITS} digits")


def _check_share(share: Fraction) -> Fraction:
    """Return *share*, as `WHOLE` where it is all of a period."""
    if share < 0:
        raise InvalidShare(field="share", rule="must not be negative")
    if max(share.numerator, share.denominator) >= 10**MAX_SHARE_DIGITS:
        raise InvalidShare(field="share", rule=f"must be of parts with at most {MAX_SHARE_DIGITS} digits")
    return WHOLE if share == 1 else share


def _check_transactions(
    price: Percentage, quantity: Decimal, transactions: Sequence[Decimal] | None, events: int | None
) -> tuple[Sequence[Decimal] | None, int | None]:
    """Return the transactions and how many there are, as far as the price asks for them."""
    if transactions is not None:
        for place, amount in enumerate(transactions):
            check_quantity(amount, f"transactions[{place}]")
        if added_up(transactions) != quantity:
            raise InvalidQuantity(field="transactions", rule="must be the sum of the transactions")
        if events is not None and events != len(transactions):
            raise InvalidQuantity(field="events", rule="must come in as many events as there are transactions")
        events = len(transactions)
    if events is not None and events < 0:
        raise InvalidQuantity(field="events", rule="must not come in fewer events than none")
    asked = needs(price)
    if asked == "transactions" and transactions is None:
        raise TransactionsNeeded(field="transactions", what="the amount of each")
    if asked == "events" and events is None:
        raise TransactionsNeeded(field="events", what="how many there are")
    return (transactions if asked == "transactions" else None), (None if asked == "quantity" else events)


def _charge_percentage(
    price: Percentage, measured: Measured, transactions: Sequence[Decimal] | None, events: int | None, share: Fraction
) -> tuple[Measured, list[Share]]:
    if transactions is None:
        return measured, charge_percentage(price, measured, events or 0, share)
    return charge_transactions(price, measured, transactions, share)


def _charge(
    price: Flat | PerUnit | Graduated | Volume | Package | GraduatedPercentage | Dynamic, measured: Measured
) -> list[Share]:
    match price:
        case Flat():
            shares = charge_flat(price, measured)
        case PerUnit():
            shares = charge_per_unit(price, measured)
        case Graduated():
            shares = charge_graduated(price, measured, "tier")
        case Volume():
            shares = charge_volume(price, measured)
        case Package():
            shares = charge_package(price, measured)
        case GraduatedPercentage():
            shares = charge_graduated(price, measured, "percent")
        case Dynamic():
            shares = charge_dynamic(price, measured)
        case _:
            assert_never(price)
    return shares


def _add_up(
    price: Price, measured: Measured, shares: list[Share], share: Fraction, asset: Asset
) -> tuple[Money, list[Detail], list[str]]:
    """Return the amount that *shares* come to, their details with those of the terms, and what the terms did."""
    if not price.is_plain:
        discounted = [Share("discount_units", measured.discounted, ZERO)] if measured.discounted else []
        parts = [detail_of(one, one.amount, measured.whole) for one in (*discounted, *shares)]
        adjusted = adjust(price, share, parts, asset)
        return _round(adjusted.amount, asset, price.rounding), adjusted.details, adjusted.reasons
    details = []
    total = ZERO
    for one in shares:
        amount = one.amount
        total = EXACT.add(total, amount)
        details.append(detail_of(one, amount, measured.whole))
    return _round(quotient(total, measured.whole), asset), details, []


def _round(amount: Decimal | Fraction, asset: Asset, mode: RoundingMode = "half_even") -> Money:
    """Round the line's exact amount: the one rounding of rating, where a price does not round each detail."""
    # Major units first: an amount far too large would not fit the precision of the rounding either.
    if amount <= MAX_AMOUNT:
        if mode != "half_even":
            amount = round_off(amount, asset.exponent, mode)
        money = Money.from_decimal(amount, asset) if isinstance(amount, Decimal) else Money.from_fraction(amount, asset)
        if money.minor <= MAX_AMOUNT:
            return money
    raise AmountTooLarge(field="quantity", largest=MAX_AMOUNT, asset=asset.code)
