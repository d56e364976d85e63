"""Preview: the lines that a customer's stored usage of a period makes at the prices in force, with nothing written."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from tallystick.catalog.model import PriceWindow
from tallystick.catalog.plans.find_plan import require_no_plan
from tallystick.catalog.prices_in import ALL, prices_in
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import TallystickError
from tallystick.ids import id_of_content
from tallystick.invoicing.add_unused import add_unused, is_due_unused, none_of
from tallystick.invoicing.draft import NoPrices, UnknownCustomer
from tallystick.invoicing.read_transactions import Transactions, read_transactions
from tallystick.invoicing.tax_draft import UNTAXABLE, Answered, tax_draft
from tallystick.invoicing.write_drafts import Draft, DraftLine
from tallystick.ledger.accounts import Recorded
from tallystick.money import MAX_AMOUNT, Asset
from tallystick.periods import Period
from tallystick.rating.exact import EXACT
from tallystick.rating.model import Line
from tallystick.rating.rate import AmountTooLarge, needs, rate
from tallystick.taxes.apply import TaxTable, load_taxes
from tallystick.taxes.keep_answers import find_answers_of
from tallystick.taxes.model import InvoiceTax
from tallystick.usage.aggregate import Aggregate, MeterQuery, aggregate
from tallystick.usage.totals.require_there import require_attached
from tallystick.wallets.allocate import Wallets
from tallystick.wallets.draw import find_wallets
from tallystick.wallets.explain import say_covered
from tallystick.wallets.model import NOTHING, Covered

_queries = queries_beside(__file__)
_find_customers = _queries.tuples("find_customers")
_ONCE = Aggregate(0, Decimal(1))
"""What a flat charge is due for: one period, and no usage."""


@dataclass(frozen=True, slots=True)
class RatedWindow:
    """A version of a charge in the span it is in force, with what was used in it and what that costs."""

    window: PriceWindow
    used: Aggregate
    line: Line
    """Of what is not covered."""
    covered: Covered
    """What credits would pay of it."""


async def preview(
    connection: Connection, recorded: Recorded, customer: str, product: str, period: Period
) -> list[RatedWindow]:
    """
    Return the lines that an invoice of *period* would have now, by charge and time; none for who used nothing.

    They are what `draft` would write of the usage recorded so far, less what credits in units would pay for of it; late usage
    of earlier periods and taxes are left out.

    Raises:
        IsPlan: the product is a plan, which subscriptions preview (``plans.is_plan``).
        UnknownCustomer: there is no such customer (``invoicing.unknown_customer``).
        NoPrices: the product has no price in the period (``invoicing.no_prices``).
        EventsAway: a part of its usage is not attached (``usage.events_away``).
        TransactionsNeeded: a price judges transactions and its meter adds none up (``rating.transactions_needed``).
        AmountTooLarge: a line asks for more than there is (``rating.amount_too_large``).
        InvalidQuantity: a meter reads more digits than a quantity has (``rating.invalid_quantity``).
    """
    book_id = recorded.book_id
    await require_no_plan(connection, book_id, product)
    found = await _find_customers(connection, book_id, [customer])
    if not found:
        raise UnknownCustomer(field="customer", customer=customer)
    ((customer_id, _),) = found
    windows = await prices_in(connection, book_id, product, period)
    # A flat charge that begins inside the period is due from the next one on.
    due = [one for one in windows if one.meter is not None or one.period.start_at == period.start_at]
    if not due:
        raise NoPrices(field="product", product=product)
    await require_attached(connection, book_id, period)
    read = [(window, await _read(connection, book_id, customer_id, window, period)) for window in due]
    metered = [used for window, used in read if window.meter is not None]
    if metered and not any(metered):
        return []
    transactions = await read_transactions(connection, book_id, [customer_id], due, ALL)
    unused = [is_due_unused(window, period) for window in due]
    owed = add_unused([window.charge for window in due], unused, [used for _, used in read])
    wallets = await find_wallets(connection, recorded, [customer_id], units=True)
    return [
        _rate(window, used, transactions, customer_id, _cover(wallets, customer_id, product, window, used))
        for window, used in zip(due, owed, strict=True)
        if used is not None
    ]


async def _read(
    connection: Connection, book_id: int, customer_id: int, window: PriceWindow, whole: Period
) -> Aggregate | None:
    """Return what the window's meter reads; None: nothing was used of it."""
    if window.meter is None:
        return _ONCE
    query = MeterQuery.of(window.meter, whole)
    reading = await aggregate(connection, book_id, [customer_id], query, window.period, ALL)
    return reading.get(customer_id)


def _cover(wallets: Wallets, customer_id: int, product: str, window: PriceWindow, used: Aggregate) -> Covered:
    """Take what pays for units; where a price judges each transaction, a quantity less that would be that of none."""
    if window.meter is None or needs(window.price) == "transactions":
        return NOTHING
    return wallets.cover(customer_id, product, window.charge, window.meter.code, used.quantity)


def _rate(
    window: PriceWindow, used: Aggregate, transactions: Transactions, customer_id: int, covered: Covered
) -> RatedWindow:
    if window.meter is None:
        return RatedWindow(window, used, rate(window.price, used.quantity, window.asset, "periods"), covered)
    each = transactions.get((window.meter.code, window.period), {}).get(customer_id, none_of(used))
    rest = EXACT.subtract(used.quantity, covered.quantity) if covered.draws else used.quantity
    line = rate(window.price, rest, window.asset, window.meter.name, events=used.events, transactions=each)
    return RatedWindow(window, used, msgspec.structs.replace(line, explanation=say_covered(line, covered)), covered)


@dataclass(frozen=True, slots=True)
class TaxedAsset:
    """What the lines of one asset come to with their taxes."""

    asset: Asset
    amount: int
    """The lines, in minor units."""
    total: int | None
    """With the taxes that are added to them; None where they are not known."""
    taxes: Sequence[InvoiceTax]
    problem: TallystickError | None
    """Why the taxes are not known."""


async def tax_preview(
    connection: Connection, book_id: int, customer: str, product: str, period: Period, rated: Sequence[RatedWindow],
    *, answered: bool,
) -> list[TaxedAsset]:  # fmt: skip
    """
    Return what previewed lines come to with taxes, by asset; *answered*: a tax engine's answers count, not the rates.

    Raises:
        AmountTooLarge: the lines add up to more than there is (``rating.amount_too_large``).
    """
    found = await _find_customers(connection, book_id, [customer])
    customer_ids = [customer_id for customer_id, _ in found]
    taxes = await load_taxes(connection, book_id, customer_ids)
    answers = None
    if answered:
        answers = await find_answers_of(connection, book_id, customer_ids, [period.end_at], ALL)
    by_asset: dict[int, list[RatedWindow]] = {}
    for one in rated:
        by_asset.setdefault(one.window.asset_id, []).append(one)
    return [
        _tax(_as_draft(customer, customer_ids[0], product, period, several), several[0].window.asset, product, taxes,
             None if answers is None else Answered(customer, several[0].window.asset, answers))
        for several in by_asset.values()
    ]  # fmt: skip


def _as_draft(customer: str, customer_id: int, product: str, period: Period, rated: Sequence[RatedWindow]) -> Draft:
    """Return what an invoice of the lines would be; its id is no invoice's, so that no answer about it is one's."""
    asset = rated[0].window.asset
    total = sum(one.line.amount for one in rated)
    if total > MAX_AMOUNT:
        raise AmountTooLarge(largest=MAX_AMOUNT, asset=asset.code)
    parts = ("rating.preview", customer, product, period.start_at.isoformat(), period.end_at.isoformat(), asset.code)
    lines = [
        DraftLine(one.window.charge, one.window.effective_at, None, one.window.period, one.used.events,
                  one.used.quantity, one.line.amount, one.line)
        for one in rated
    ]  # fmt: skip
    return Draft(id_of_content(parts), customer_id, rated[0].window.asset_id, total, period, lines)


def _tax(draft: Draft, asset: Asset, product: str, taxes: TaxTable, answered: Answered | None) -> TaxedAsset:
    try:
        taxed = tax_draft(taxes, draft, product, draft.period.end_at, answered)
    except UNTAXABLE as error:
        return TaxedAsset(asset, draft.total, None, (), error)
    return TaxedAsset(asset, draft.total, taxed.total, taxed.taxes, None)
