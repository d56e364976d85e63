"""
Draft: for each customer of a chunk, the lines that their usage makes at the prices in force, and their total.

Drafts are never changed, so usage that was acknowledged before must not be left out: while some of it is recorded
behind a transaction that is still open, nothing is drafted. A customer whose usage has no amount is set aside.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec

from tallystick import ids
from tallystick.catalog.model import Meter, PriceWindow
from tallystick.catalog.prices_in import prices_in
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput, Kind, TallystickError
from tallystick.invoicing.billing_period import fix_zone
from tallystick.invoicing.model import Drafted, SetAside, how_many_fit
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.books import Book
from tallystick.money import MAX_AMOUNT
from tallystick.periods import Period
from tallystick.rating.model import Line
from tallystick.rating.rate import AmountTooLarge, InvalidQuantity, rate
from tallystick.usage.aggregate import Aggregate, MeterQuery, aggregate, customers_with_usage

_queries = queries_beside(__file__)
_read_order = _queries.tuples("read_order")
_has_unsettled = _queries.value("has_unsettled")
_find_customers = _queries.tuples("find_customers")
_customer_exists = _queries.value("customer_exists")
_find_drafted = _queries.tuples("find_drafted")
_insert_invoices = _queries.values("insert_invoices")
_insert_lines = _queries.run("insert_lines")

_encode = msgspec.json.Encoder().encode
_ONCE = Aggregate(0, Decimal(1))
"""What a flat charge is due for: one period, and no usage."""


class MonthNotOver(TallystickError):
    """The month is not over before {end}; an invoice made now would leave out what is used until then."""

    code = "invoicing.month_not_over"
    kind = Kind.REFUSED


class NoPrices(TallystickError):
    """The product {product} has no price in force in that month; set one before with `catalog.set_price`."""

    code = "invoicing.no_prices"
    kind = Kind.REFUSED


class UnknownCustomer(TallystickError):
    """There is no customer {customer} in this book."""

    code = "invoicing.unknown_customer"
    kind = Kind.NOT_FOUND


class UsageNotSettled(TallystickError):
    """Another transaction is still open, and usage of {month} was recorded behind it; try again in a moment."""

    code = "invoicing.usage_not_settled"
    kind = Kind.UNAVAILABLE


class TotalTooLarge(TallystickError):
    """The lines of customer {customer} add up to more than {largest} minor units of {asset}."""

    code = "invoicing.total_too_large"
    kind = Kind.REFUSED


@dataclass(frozen=True, slots=True)
class DraftOrder:
    """What to draft: which product and month, on which terms, and for which customers."""

    product: str
    period: Period
    zone: str
    terms_days: int
    """How many days after its issue an invoice is due."""
    refs: Sequence[str] | None
    """These customers; None: the next *limit* with usage."""
    after: int
    """Only customers behind this one."""
    limit: int


@dataclass(frozen=True, slots=True)
class _Draft:
    """One invoice to be written."""

    invoice_id: uuid.UUID
    customer_id: int
    asset_id: int
    total: int
    lines: list[tuple[PriceWindow, Aggregate, Line]]


_Readings = dict[tuple[str, Period], dict[int, Aggregate]]
"""What each meter read in each window, by customer."""


@dataclass(slots=True)
class _Rater:
    """Rates windows, each quantity once: many customers of a chunk use equally much."""

    rated: dict[tuple[int, Decimal], Line] = field(default_factory=dict)

    def line(self, place: int, window: PriceWindow, quantity: Decimal) -> Line:
        """Return the line of *quantity* in *window*, the one at *place*."""
        found = self.rated.get((place, quantity))
        if found is None:
            unit = "periods" if window.meter is None else window.meter.name
            found = self.rated[place, quantity] = rate(window.price, quantity, window.asset, unit)
        return found


async def draft(connection: Connection, book: Book, recorded: Recorded, order: DraftOrder) -> Drafted:
    """
    Write the invoices of a chunk of customers, leaving out those that are written already.

    A customer is invoiced who used what a meter of the product counts (any usage, where the product has flat
    charges alone). Every version of a charge is rated by itself, with its own tiers and free units, on what was
    used while it was in force; a flat charge is due once, at the version in force when the period starts.

    A customer whose quantities or amounts are beyond what there is gets no invoice and is named; the others do.

    Raises:
        InvalidInput: *after* is no customer (``invalid_input``).
        MonthNotOver: the period has not ended (``invoicing.month_not_over``).
        OtherZone: the product is invoiced by another zone's months (``invoicing.other_zone``).
        NoPrices: the product has no price in the period (``invoicing.no_prices``).
        UnknownCustomer: one of the refs is nobody's (``invoicing.unknown_customer``).
        UsageNotSettled: usage of theirs is behind an open transaction (``invoicing.usage_not_settled``).
    """
    if recorded.at < order.period.end_at:
        raise MonthNotOver(field="month", end=order.period.end_at.isoformat())
    await fix_zone(connection, recorded, order.product, order.zone)
    windows = _due_windows(await prices_in(connection, book.book_id, order.product, order.period), order.period)
    if not windows:
        raise NoPrices(field="product", product=order.product)
    # Every transaction ordered below *through* has ended, so what the invoice covers can be told for ever after.
    ((through, this_transaction),) = await _read_order(connection)
    customers = await _choose_customers(connection, book.book_id, order, this_transaction)
    customer_ids = [customer_id for customer_id, _ in customers]
    there = set(await _find_drafted(connection, book.book_id, customer_ids, order.product, order.period.start_at))
    unfinished = _unfinished(customer_ids, windows, there)
    await _require_settled(connection, book.book_id, order.period, unfinished, through, this_transaction)
    readings = await _read_meters(connection, book.book_id, unfinished, windows, through)
    chunk = _draft_chunk(book.name, order, customers, windows, readings, there)
    written = await _write(connection, recorded, order, chunk.drafts, through)
    more = len(chunk.customers) < len(customers) or (order.refs is None and len(customers) == order.limit)
    looked_at = {customer_id for customer_id, _ in chunk.customers}
    return Drafted(
        customers=len(looked_at),
        drafted=len(written),
        known=sum(customer_id in looked_at for customer_id, _ in there) + len(chunk.drafts) - len(written),
        failed=chunk.failed,
        totals=_totals(written, windows),
        next=str(chunk.customers[-1][0]) if more else None,
    )


async def _require_settled(
    connection: Connection, book_id: int, period: Period, customer_ids: list[int], through: int, this_transaction: int
) -> None:
    """
    Refuse to draft past usage that is committed and yet at or above the horizon.

    It is there when a transaction that began before it is still open, anywhere in the cluster. All that was
    acknowledged before this transaction began is ordered below it; what is recorded meanwhile is late usage.
    Whatever recorded usage left a message, so the usual answer, that there is none, is found without reading usage.
    """
    if await _has_unsettled(
        connection, book_id, through, this_transaction, customer_ids, period.start_at, period.end_at
    ):
        raise UsageNotSettled(month=f"{period.start_at.isoformat()} to {period.end_at.isoformat()}")


def _due_windows(windows: list[PriceWindow], period: Period) -> list[PriceWindow]:
    """Leave out flat charges that begin inside the period: they are due from the next one on."""
    return [one for one in windows if one.meter is not None or one.period.start_at == period.start_at]


async def _choose_customers(
    connection: Connection, book_id: int, order: DraftOrder, through: int
) -> list[tuple[int, str]]:
    if order.after and not await _customer_exists(connection, book_id, order.after):
        raise InvalidInput(field="after", rule="a cursor is what `next` of the chunk before gave")
    if order.refs is None:
        return await customers_with_usage(connection, book_id, order.period, through, order.after, order.limit)
    found = await _find_customers(connection, book_id, list(order.refs))
    known = {ref for _, ref in found}
    for place, ref in enumerate(order.refs):
        if ref not in known:
            raise UnknownCustomer(field=f"customers[{place}]", customer=ref)
    return [(customer_id, ref) for customer_id, ref in found if customer_id > order.after]


def _unfinished(customer_ids: list[int], windows: list[PriceWindow], there: set[tuple[int, int]]) -> list[int]:
    """Return the customers who could still get an invoice: one in each asset that is asked for."""
    assets = {window.asset_id for window in windows}
    return [one for one in customer_ids if any((one, asset) not in there for asset in assets)]


async def _read_meters(
    connection: Connection, book_id: int, customer_ids: list[int], windows: list[PriceWindow], through: int
) -> _Readings:
    """Read each meter once per window of time, for all customers at once."""
    readings: _Readings = {}
    for window in windows:
        if window.meter is None or (window.meter.code, window.period) in readings:
            continue
        query = _query(window.meter)
        readings[window.meter.code, window.period] = await aggregate(
            connection, book_id, customer_ids, query, window.period, through
        )
    return readings


def _query(meter: Meter) -> MeterQuery:
    return MeterQuery(meter.event_type, meter.aggregation, meter.quantity)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """What is to be written of a chunk, for the customers that it was cut to."""

    customers: list[tuple[int, str]]
    drafts: list[_Draft]
    failed: list[SetAside]


def _draft_chunk(
    book: str,
    order: DraftOrder,
    customers: list[tuple[int, str]],
    windows: list[PriceWindow],
    readings: _Readings,
    there: set[tuple[int, int]],
) -> _Chunk:
    """Draft customer by customer, setting those aside who cannot be; where totals would overflow, the chunk ends."""
    rater = _Rater()
    failed: list[SetAside] = []
    by_customer: list[list[_Draft]] = []
    for customer in customers:
        try:
            by_customer.append(_draft_customer(book, order, customer, windows, readings, there, rater))
        except (AmountTooLarge, InvalidQuantity, TotalTooLarge) as error:
            by_customer.append([])
            failed.append(SetAside(customer[1], error.code, error.message))
    fit = how_many_fit([{one.asset_id: one.total for one in drafts} for drafts in by_customer])
    taken = customers[:fit]
    refs = {ref for _, ref in taken}
    return _Chunk(
        taken,
        [one for drafts in by_customer[:fit] for one in drafts],
        [one for one in failed if one.customer in refs],
    )


def _draft_customer(
    book: str,
    order: DraftOrder,
    customer: tuple[int, str],
    windows: list[PriceWindow],
    readings: _Readings,
    there: set[tuple[int, int]],
    rater: _Rater,
) -> list[_Draft]:
    """Return the customer's invoices that are not there, one per asset; none for who used nothing that is metered."""
    customer_id, ref = customer
    if readings and not any(customer_id in reading for reading in readings.values()):
        return []
    by_asset: dict[int, list[tuple[PriceWindow, Aggregate, Line]]] = {}
    for place, window in enumerate(windows):
        used = _ONCE if window.meter is None else readings[window.meter.code, window.period].get(customer_id)
        if used is not None and (customer_id, window.asset_id) not in there:
            line = rater.line(place, window, used.quantity)
            by_asset.setdefault(window.asset_id, []).append((window, used, line))
    return [_draft_invoice(book, order, customer_id, ref, by_asset[asset_id]) for asset_id in sorted(by_asset)]


def _draft_invoice(
    book: str, order: DraftOrder, customer_id: int, ref: str, lines: list[tuple[PriceWindow, Aggregate, Line]]
) -> _Draft:
    first = lines[0][0]
    total = sum(line.amount for _, _, line in lines)
    if total > MAX_AMOUNT:
        raise TotalTooLarge(customer=ref, largest=MAX_AMOUNT, asset=first.asset.code)
    parts = ("invoice", book, ref, order.product, order.period.start_at.isoformat(), first.asset.code)
    return _Draft(ids.id_of_content(parts), customer_id, first.asset_id, total, lines)


async def _write(
    connection: Connection, recorded: Recorded, order: DraftOrder, drafts: list[_Draft], through: int
) -> list[_Draft]:
    """Write the drafts, and the lines of those that nobody else has written meanwhile; return these."""
    if not drafts:
        return []
    new = await _insert_invoices(
        connection,
        recorded.book_id,
        [one.invoice_id for one in drafts],
        [one.customer_id for one in drafts],
        [one.asset_id for one in drafts],
        [one.total for one in drafts],
        order.product,
        order.period.start_at,
        order.period.end_at,
        order.terms_days,
        through,
        recorded.message_place,
        recorded.at,
    )
    written = drafts if len(new) == len(drafts) else [one for one in drafts if one.invoice_id in set(new)]
    await _write_lines(connection, recorded.book_id, order.product, written)
    return written


async def _write_lines(connection: Connection, book_id: int, product: str, drafts: list[_Draft]) -> None:
    rows = [
        (one.invoice_id, position, window, used, line)
        for one in drafts
        for position, (window, used, line) in enumerate(one.lines)
    ]
    await _insert_lines(
        connection,
        book_id,
        product,
        [invoice_id for invoice_id, *_ in rows],
        [position for _, position, *_ in rows],
        [window.charge for _, _, window, _, _ in rows],
        [window.effective_at for _, _, window, _, _ in rows],
        [None if window.meter is None else window.meter.code for _, _, window, _, _ in rows],
        [window.period.start_at for _, _, window, _, _ in rows],
        [window.period.end_at for _, _, window, _, _ in rows],
        [used.events for *_, used, _ in rows],
        [used.quantity for *_, used, _ in rows],
        [line.amount for *_, line in rows],
        [_encode(line).decode() for *_, line in rows],
    )


def _totals(drafts: Iterable[_Draft], windows: list[PriceWindow]) -> dict[str, int]:
    """Add up by asset."""
    codes = {window.asset_id: window.asset.code for window in windows}
    totals: dict[str, int] = {}
    for one in drafts:
        code = codes[one.asset_id]
        totals[code] = totals.get(code, 0) + one.total
    return totals
