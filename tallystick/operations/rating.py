"""Rating: the preview, which says what a price asks for and keeps nothing."""

import datetime as dt
import re
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Literal

import msgspec

from tallystick.errors import InvalidInput
from tallystick.invoicing.preview import RatedWindow, TaxedAsset, preview, tax_preview
from tallystick.ledger.accounts import find_asset
from tallystick.ledger.errors import UnknownAsset
from tallystick.money import MAX_AMOUNT, Asset, currency
from tallystick.operations.ask_taxes import PREVIEW_SECONDS, Look, ask_before
from tallystick.operations.catalog import DEFAULT_PRODUCT, CatalogCode, Name
from tallystick.operations.fields import AssetCode, Instant
from tallystick.operations.invoicing import CustomerRef
from tallystick.operations.model import Call, Input, Operation
from tallystick.operations.run import Operations
from tallystick.periods import Period
from tallystick.rating.check_number import InvalidPrice
from tallystick.rating.exact import added_up, plain
from tallystick.rating.measure import WHOLE
from tallystick.rating.model import Line, Price
from tallystick.rating.rate import (
    AmountTooLarge,
    InvalidQuantity,
    InvalidShare,
    check_quantity,
    rate,
)
from tallystick.rating.read_price import read_price
from tallystick.rating.split_line import split_line
from tallystick.security.model import SYSTEM, Principal
from tallystick.taxes.engine import TaxEngine, TaxQuestion
from tallystick.taxes.keep_answers import AnswerMissing
from tallystick.taxes.model import InvoiceTax

MAX_QUANTITIES = 1_000
"""How many quantities one preview rates."""
MAX_TRANSACTIONS = 10_000
"""How many transactions one of them may come in."""
_DECIMAL_TEXT = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
_FIRST, _LAST = dt.datetime(1, 1, 2, tzinfo=dt.UTC), dt.datetime(9999, 1, 1, tzinfo=dt.UTC)

Number = Annotated[str, msgspec.Meta(max_length=64)] | int
"""Plain decimal text, or a JSON integer."""


class QuantityInput(Input, frozen=True):
    """What was used, of which a line is made."""

    quantity: Number | None = None
    """As metered, in decimal text; left out, it is the sum of the transactions."""
    events: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """How many events it came in, where the price charges by transaction."""
    transactions: Annotated[list[Number], msgspec.Meta(max_length=MAX_TRANSACTIONS)] | None = None
    """The quantity of each in order of time, where the price judges each."""
    share: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,16}(/[0-9]{1,16})?$(?!\n)")] | None = None
    """The share of a period, as in ``10/31``, that prorates what is fixed for a period."""


class PreviewInput(Input, frozen=True):
    """Either a price with an asset and quantities, or a customer with a period whose stored usage is rated."""

    price: dict[str, Any] | None = None
    """One of the charge models of rating, every number as decimal text."""
    asset: AssetCode | None = None
    """An asset of the book, or a currency of ISO 4217."""
    unit: Name = "units"
    """What the quantities count, in the plural."""
    quantities: Annotated[list[QuantityInput], msgspec.Meta(min_length=1, max_length=MAX_QUANTITIES)] | None = None
    customer: CustomerRef | None = None
    product: CatalogCode = DEFAULT_PRODUCT
    start_at: Instant | None = None
    end_at: Instant | None = None
    taxes: Literal["answers"] | msgspec.UnsetType = msgspec.UNSET
    """
    Of a customer: say ``answers`` where a tax engine was asked and its answers kept.

    A server that has an engine does so by itself.
    """


class PreviewedLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line, and of stored usage what it is of."""

    line: Line
    amounts: list[int]
    """What each detail of the line comes to, in minor units; they add up to the amount of the line."""
    charge: str | None = None
    name: str | None = None
    price_at: dt.datetime | None = None
    """Which version of the charge: the instant it is in force from."""
    meter: str | None = None
    period_start: dt.datetime | None = None
    period_end: dt.datetime | None = None
    events: int | None = None
    """How many usage events it covers."""
    covered: str | None = None
    """How much was used that credits would pay for, and that is not in the line; left out where there is none."""


class AssetTotal(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the lines of one asset add up to; of a customer who is taxed somewhere, with the taxes."""

    asset: str
    exponent: int
    """How many decimal digits a major unit has."""
    amount: int
    """The lines, in minor units."""
    taxes: Sequence[InvoiceTax] = msgspec.field(default_factory=list)
    with_taxes: int | None = None
    """The lines, and the taxes that are added to them, in minor units; left out where there are no taxes."""
    problem: str | None = None
    """Why the taxes are not known, if they are not."""


class Preview(msgspec.Struct, frozen=True):
    """Lines that nobody owes."""

    lines: list[PreviewedLine]
    totals: list[AssetTotal]
    """By asset."""
    questions: list[TaxQuestion] | msgspec.UnsetType = msgspec.UNSET
    """What a tax engine has to be asked before the taxes are known; left out where the rates of the book count."""


async def preview_lines(call: Call, request: PreviewInput) -> Preview:
    """
    Say what a price asks for quantities, or what an invoice of a customer would say now; keep nothing.

    Without a customer each quantity makes a line of the price given. With one, the lines are those of the prices in
    force in the period on the usage recorded so far, less what credits in units would pay for, with the taxes of the
    customer and without adjustments of earlier periods.
    """
    if (request.price is None) == (request.customer is None):
        raise InvalidInput(
            rule="Name either a price, with asset and quantities, or a customer, with start_at and end_at"
        )
    if request.customer is not None:
        return await _preview_customer(call, request, request.customer)
    return await _preview_price(call, request)


async def _preview_price(call: Call, request: PreviewInput) -> Preview:
    _require_only(request, needed=("asset", "quantities"), others=("start_at", "end_at"))
    assert request.asset is not None  # noqa: S101 - required just above
    price = _read(request.price or {})
    asset = await _find_asset(call, request.asset)
    lines = [
        _rate(price, asset, request.unit, one, f"quantities[{place}]")
        for place, one in enumerate(request.quantities or ())
    ]
    totals = _totals([(line, asset) for line in lines])
    return Preview([PreviewedLine(line, split_line(line, asset)) for line in lines], totals)


async def _preview_customer(call: Call, request: PreviewInput, customer: str) -> Preview:
    _require_only(request, needed=("start_at", "end_at"), others=("asset", "quantities"))
    period = _period(request.start_at, request.end_at)
    rated = await preview(call.connection, call.recorded, customer, request.product, period)
    answered = request.taxes == "answers"
    taxed = await tax_preview(
        call.connection, call.book.book_id, customer, request.product, period, rated, answered=answered
    )
    open_ = [question for one in taxed if isinstance(one.problem, AnswerMissing) for question in one.problem.questions]
    return Preview(
        [_previewed(one) for one in rated], [_taxed(one) for one in taxed], open_ if answered else msgspec.UNSET
    )


def _taxed(one: TaxedAsset) -> AssetTotal:
    return AssetTotal(
        one.asset.code,
        one.asset.exponent,
        one.amount,
        one.taxes,
        one.total if one.taxes else None,
        None if one.problem is None else one.problem.message,
    )


async def ask_engine(
    operations: Operations, principal: Principal, book: str, name: str, request: PreviewInput
) -> PreviewInput:
    """Ask the tax engine, where there is one, about the lines of a customer; say that its answers count."""
    if TaxEngine not in operations.resources or request.customer is None or request.taxes == "answers":
        return request
    told = msgspec.structs.replace(request, taxes="answers")
    look = Look(name, msgspec.to_builtins(told), _questions, PREVIEW_SECONDS, SYSTEM)
    await ask_before(operations, principal, book, look)
    return told


def _questions(shown: Preview) -> list[tuple[str, TaxQuestion]]:
    found = shown.questions
    return [] if found is msgspec.UNSET else [(str(one.reference), one) for one in found]


def _require_only(request: PreviewInput, *, needed: tuple[str, ...], others: tuple[str, ...]) -> None:
    """Refuse a preview that lacks a field of its kind, or has one of the other kind."""
    kind = "a price" if request.customer is None else "a customer"
    for name in needed:
        if getattr(request, name) is None:
            raise InvalidInput(field=name, rule=f"The preview of {kind} needs {name}")
    for name in others:
        if getattr(request, name) is not None:
            raise InvalidInput(field=name, rule=f"The preview of {kind} takes no {name}")


def _period(start_at: dt.datetime | None, end_at: dt.datetime | None) -> Period:
    ends: list[dt.datetime] = []
    for name, at in (("start_at", start_at), ("end_at", end_at)):
        if at is None or not _FIRST <= at < _LAST:
            raise InvalidInput(field=name, rule="Expected an instant within the years 1 to 9998")
        ends.append(at.astimezone(dt.UTC))
    if ends[0] >= ends[1]:
        raise InvalidInput(field="end_at", rule="A period ends after it starts")
    return Period(*ends)


def _read(price: dict[str, Any]) -> Price:
    """Read the price; what is wrong with it is said with its path in the whole input."""
    try:
        return read_price(price)
    except InvalidPrice as error:
        error.field = f"price.{error.field}" if error.field else "price"
        raise


async def _find_asset(call: Call, code: str) -> Asset:
    """Return an asset of the book, or the currency of that code."""
    try:
        found = await find_asset(call.connection, call.book.book_id, code)
        return Asset(found.code, found.exponent)
    except UnknownAsset:
        try:
            return currency(code)
        except ValueError:
            rule = f"{code} is neither an asset of the book nor a currency of ISO 4217"
            raise InvalidInput(field="asset", rule=rule) from None


def _rate(price: Price, asset: Asset, unit: str, given: QuantityInput, path: str) -> Line:
    """Rate one quantity; what is wrong with it is said with its path in the whole input."""
    if given.quantity is None and given.transactions is None:
        raise InvalidInput(field=f"{path}.quantity", rule="Expected a quantity, or the transactions that make it up")
    try:
        transactions = None
        if given.transactions is not None:
            transactions = [_number(one, f"transactions[{place}]") for place, one in enumerate(given.transactions)]
        quantity = added_up(transactions or ()) if given.quantity is None else _number(given.quantity, "quantity")
        share = _share(given.share)
        return rate(price, quantity, asset, unit, share=share, events=given.events, transactions=transactions)
    except (InvalidQuantity, InvalidShare, AmountTooLarge) as error:
        error.field = f"{path}.{error.field}"
        raise


def _number(given: str | int, field: str) -> Decimal:
    if isinstance(given, str) and not _DECIMAL_TEXT.fullmatch(given):
        raise InvalidQuantity(field=field, rule="must be a plain decimal number such as 12.50")
    number = Decimal(given)
    check_quantity(number, field)
    return number


def _share(text: str | None) -> Fraction:
    if text is None:
        return WHOLE
    try:
        share = Fraction(text)
    except ZeroDivisionError:
        raise InvalidShare(field="share", rule="must not divide by zero") from None
    if not 0 < share <= WHOLE:
        raise InvalidShare(field="share", rule="must be more than 0 and at most 1, such as 10/31")
    return share


def _previewed(rated: RatedWindow) -> PreviewedLine:
    window = rated.window
    return PreviewedLine(
        rated.line,
        split_line(rated.line, window.asset),
        window.charge,
        window.name,
        window.effective_at,
        None if window.meter is None else window.meter.code,
        window.period.start_at,
        window.period.end_at,
        rated.used.events,
        plain(rated.covered.quantity) if rated.covered.draws else None,
    )


def _totals(lines: list[tuple[Line, Asset]]) -> list[AssetTotal]:
    totals: dict[Asset, int] = {}
    for line, asset in lines:
        totals[asset] = totals.get(asset, 0) + line.amount
    for asset, amount in totals.items():
        if amount > MAX_AMOUNT:
            raise AmountTooLarge(largest=MAX_AMOUNT, asset=asset.code)
    return [AssetTotal(asset.code, asset.exponent, amount) for asset, amount in totals.items()]


OPERATIONS = [
    Operation(
        "rating.preview",
        PreviewInput,
        Preview,
        "invoicing:read",
        "POST /rating/preview",
        preview_lines,
        before=ask_engine,
        reads=True,
        snapshot=True,
    )
]
