"""
Draft: for each customer of a chunk, the lines that their usage makes at the prices in force, and their total.

Drafts are never changed, so usage that was acknowledged before must not be left out: while some of it is recorded
behind a transaction that is still open, nothing is drafted. A customer whose usage has no amount is set aside.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec
import numpy as np
import numpy.typing as npt

from tallystick import ids
from tallystick.catalog.model import PriceWindow
from tallystick.catalog.plans.find_plan import require_no_plan
from tallystick.catalog.prices_in import prices_in
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput, Kind, TallystickError
from tallystick.invoicing.add_unused import add_unused, is_due_unused, none_of
from tallystick.invoicing.adjust import settle
from tallystick.invoicing.billing_period import fix_zone
from tallystick.invoicing.find_changes import LAST_CUSTOMER, Changes, find_changes, late_customers
from tallystick.invoicing.model import Drafted, SetAside, how_many_fit
from tallystick.invoicing.read_transactions import Transactions, read_transactions
from tallystick.invoicing.tax_draft import UNTAXABLE, Answered, TaxedBelowZero, tax_draft
from tallystick.invoicing.write_drafts import Draft, DraftLine, write_drafts
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.books import Book
from tallystick.money import MAX_AMOUNT, Asset
from tallystick.periods import Period
from tallystick.rating.model import Line
from tallystick.rating.rate import AmountTooLarge, InvalidQuantity, needs, rate
from tallystick.taxes.apply import TaxTable, load_taxes
from tallystick.taxes.engine import TaxQuestion
from tallystick.taxes.keep_answers import AnswerMissing, KeptAnswers, enter_to_use, find_answers, missing
from tallystick.usage.aggregate import Aggregate, MeterQuery, aggregate_all, customers_with_usage
from tallystick.wallets.allocate import Wallets
from tallystick.wallets.draw import CoveredLine, cover_lines, enter_to_cover, find_wallets
from tallystick.wallets.draw import how_many_fit as how_many_draws_fit
from tallystick.wallets.explain import explain_covered
from tallystick.wallets.model import NOTHING

_queries = queries_beside(__file__)
_enter_to_draft = _queries.run("enter_to_draft")
_read_order = _queries.tuples("read_order")
_has_unsettled = _queries.value("has_unsettled")
_find_customers = _queries.tuples("find_customers")
_customer_exists = _queries.value("customer_exists")
_find_drafted = _queries.tuples("find_drafted")
_behind_prices = _queries.value("behind_prices")
_is_any_month_away = _queries.value("is_any_month_away")
_NO_BOUND = 2**63 - 1
"""Beyond every place in the order."""
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


class MonthAway(TallystickError):
    """Usage of {month} is detached or dropped, so that an invoice made now would leave it out; attach it first."""

    code = "invoicing.month_away"
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
    pinned: int | None = None
    """Only prices ordered below this place, as in the chunk before; None: all that there are."""
    answered: bool = False
    """A tax engine's kept answers say what the taxes are, not the rates of the book."""


_Readings = dict[tuple[str, Period], dict[int, Aggregate]]
"""What each meter read in each window, by customer."""


@dataclass(slots=True)
class _DueWindow:
    """A window with what was used in it; rates each quantity once, since many customers of a chunk use equally much."""

    window: PriceWindow
    readings: Mapping[int, Aggregate] | None
    """By customer; None: it is due once, whatever was used."""
    transactions: Mapping[int, Sequence[Decimal]]
    """By customer, where the price judges each."""
    takes_credits: bool
    """Where a price judges each transaction, a quantity less what is covered would be that of none."""
    meter: str | None
    due_unused: bool
    """It is asked for where nothing was used of its charge in all of the period."""
    rated: dict[Aggregate, Line] = field(default_factory=dict)

    @classmethod
    def of(cls, window: PriceWindow, period: Period, readings: _Readings, transactions: Transactions) -> "_DueWindow":
        """Pick out what the window of *period* is rated by."""
        if window.meter is None:
            return cls(window, None, {}, takes_credits=False, meter=None, due_unused=False)
        key = (window.meter.code, window.period)
        return cls(
            window,
            readings[key],
            transactions.get(key, {}),
            takes_credits=needs(window.price) != "transactions",
            meter=window.meter.code,
            due_unused=is_due_unused(window, period),
        )

    def used(self, customer_id: int) -> Aggregate | None:
        """Return what a customer used; None: nothing."""
        return _ONCE if self.readings is None else self.readings.get(customer_id)

    def line(self, used: Aggregate, customer_id: int) -> Line:
        """Return the line of what was *used*."""
        found = self.rated.get(used)
        if found is None or self.transactions:
            window = self.window
            unit = "periods" if window.meter is None else window.meter.name
            each = self.transactions.get(customer_id, none_of(used))
            found = rate(window.price, used.quantity, window.asset, unit, events=used.events, transactions=each)
            self.rated[used] = found
        return found


async def draft(
    connection: Connection,
    book: Book,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    order: DraftOrder,
) -> Drafted:
    """
    Write the invoices of a chunk of customers, leaving out those that are written already.

    A customer is invoiced who used what a meter of the product counts (any usage, where the product has flat
    charges alone). Of what they did not use, what its price asks for all the same is due. Every version of a charge is rated by itself, with its own tiers and free units, on what was
    used while it was in force; a flat charge is due once, at the version in force when the period starts. What usage
    that came late makes of lines of earlier invoices is adjusted on the new one; who used nothing since gets an
    invoice of adjustments alone, if they come to something.

    A customer whose quantities or amounts are beyond what there is gets no invoice and is named; the others do.

    Raises:
        InvalidInput: *after* is no customer (``invalid_input``).
        MonthNotOver: the period has not ended (``invoicing.month_not_over``).
        OtherZone: the product is invoiced by another zone's months (``invoicing.other_zone``).
        NoPrices: the product has no price in the period (``invoicing.no_prices``).
        MonthAway: a part of its usage is not attached (``invoicing.month_away``).
        UnknownCustomer: one of the refs is nobody's (``invoicing.unknown_customer``).
        UsageNotSettled: usage of theirs is behind an open transaction (``invoicing.usage_not_settled``).
        OrderLost: another transaction took of the same credits meanwhile.
    """
    if recorded.at < order.period.end_at:
        raise MonthNotOver(field="month", end=order.period.end_at.isoformat())
    # Before the transaction takes its place in the order: so whoever drafts of this product at a later place sees what was
    # drafted at an earlier one, nobody sees what a later one did, and done again one by one they come out the same.
    await _enter_to_draft(connection, book.book_id, order.product)
    await enter_to_cover(connection, book.book_id)
    if order.answered:
        await enter_to_use(connection, book.book_id)
    await require_no_plan(connection, book.book_id, order.product)
    await fix_zone(connection, recorded, order.product, order.zone)
    pinned = order.pinned or await _behind_prices(connection, book.book_id, order.product)
    found = await prices_in(connection, book.book_id, order.product, order.period, below=pinned)
    windows = _due_windows(found, order.period)
    if not windows:
        raise NoPrices(field="product", product=order.product)
    if await _is_any_month_away(connection, book.book_id, order.period.start_at, order.period.end_at):
        raise MonthAway(
            field="month", month=f"{order.period.start_at.isoformat()} to {order.period.end_at.isoformat()}"
        )
    # Every transaction ordered below *through* has ended, so what the invoice covers can be told for ever after.
    ((through, this_transaction),) = await _read_order(connection)
    held = [
        one.meter.event_type for one in windows if one.meter is not None and one.meter.aggregation == "time_weighted"
    ]
    customers = await _choose_customers(connection, book.book_id, order, this_transaction, held)
    customer_ids = [customer_id for customer_id, _ in customers]
    there = set(await _find_drafted(connection, book.book_id, customer_ids, order.product, order.period.start_at))
    unfinished = _unfinished(customer_ids, windows, there)
    await _require_settled(connection, book.book_id, order.period, unfinished, through, this_transaction)
    readings = await _read_meters(connection, book.book_id, unfinished, windows, order.period, through)
    changes = await find_changes(connection, book.book_id, order.product, unfinished, through, at=recorded.at)
    wallets = await find_wallets(connection, recorded, unfinished, units=True)
    taxes = await load_taxes(connection, book.book_id, unfinished)
    answers = None
    if order.answered:
        answers = await find_answers(connection, book.book_id, unfinished, order.period.end_at, this_transaction)
    transactions = await read_transactions(connection, book.book_id, unfinished, windows, through)
    due = [_DueWindow.of(one, order.period, readings, transactions) for one in windows]
    chunk = _draft_chunk(
        book.name, order, customers, _Due(due, bool(readings), changes, there, wallets, taxes, answers)
    )
    written = await write_drafts(connection, recorded, order.product, order.terms_days, through, chunk.drafts)
    await cover_lines(connection, book.ledger, recorded, message_hashes, _covered(written))
    more = len(chunk.customers) < len(customers) or (order.refs is None and len(customers) == order.limit)
    looked_at = {customer_id for customer_id, _ in chunk.customers}
    return Drafted(
        customers=len(looked_at),
        drafted=len(written),
        known=sum(customer_id in looked_at for customer_id, _ in there) + len(chunk.drafts) - len(written),
        failed=chunk.failed,
        totals=_totals(written, windows, changes),
        adjustments=sum(line.adjusts is not None for one in written for line in one.lines),
        next=f"{chunk.customers[-1][0]}.{pinned}" if more else None,
        questions=chunk.questions if order.answered else msgspec.UNSET,
    )


async def next_to_draft(connection: Connection, book_id: int, order: DraftOrder) -> tuple[int, str] | None:
    """Return the customer whom the next chunk begins with, as (customer_id, ref); None: nobody is left."""
    found = await prices_in(connection, book_id, order.product, order.period)
    held = [one.meter.event_type for one in found if one.meter is not None and one.meter.aggregation == "time_weighted"]
    customers = await _choose_customers(connection, book_id, order, _NO_BOUND, held)
    return customers[0] if customers else None


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
    connection: Connection, book_id: int, order: DraftOrder, through: int, held: Sequence[str]
) -> list[tuple[int, str]]:
    """
    Return whom to look at: who was named, or the next with usage in the period or late usage of earlier ones.

    Events of the *held* types count from before the period, too: what they set holds on until it is set anew.
    """
    if order.after and not await _customer_exists(connection, book_id, order.after):
        raise InvalidInput(field="after", rule="a cursor is what `next` of the chunk before gave")
    if order.refs is None:
        using = await customers_with_usage(
            connection, book_id, order.period, through, order.after, order.limit, held_types=held
        )
        up_to = using[-1][0] if len(using) == order.limit else LAST_CUSTOMER
        late = await late_customers(connection, book_id, order.product, order.after, up_to, through)
        return sorted({*using, *late})[: order.limit]
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
    connection: Connection,
    book_id: int,
    customer_ids: list[int],
    windows: list[PriceWindow],
    whole: Period,
    through: int,
) -> _Readings:
    """Read each meter once per window of time, for all customers at once."""
    wanted = {(one.meter.code, one.period): MeterQuery.of(one.meter, whole) for one in windows if one.meter is not None}
    meters = [(query, period) for (_, period), query in wanted.items()]
    found = await aggregate_all(connection, book_id, customer_ids, meters, through)
    return dict(zip(wanted, found, strict=True))


@dataclass(frozen=True, slots=True)
class _Due:
    """What the customers of a chunk may owe, and which invoices they have."""

    windows: list[_DueWindow]
    metered: bool
    """Only who used something is invoiced."""
    changes: Changes
    """Of lines of earlier invoices."""
    there: set[tuple[int, int]]
    wallets: Wallets
    """The units that their credits pay for."""
    taxes: TaxTable
    answers: KeptAnswers | None
    """Of a tax engine; None: the rates count."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """What is to be written of a chunk, for the customers that it was cut to."""

    customers: list[tuple[int, str]]
    drafts: list[Draft]
    failed: list[SetAside]
    questions: list[TaxQuestion]


def _draft_chunk(book: str, order: DraftOrder, customers: list[tuple[int, str]], due: _Due) -> _Chunk:
    """Draft customer by customer, setting those aside who cannot be; where totals would overflow, the chunk ends."""
    failed: list[SetAside] = []
    questions: list[TaxQuestion] = []
    by_customer: list[list[Draft]] = []
    for customer in customers:
        try:
            by_customer.append(_draft_customer(book, order, customer, due))
        except (AmountTooLarge, InvalidQuantity, TotalTooLarge, *UNTAXABLE) as error:
            by_customer.append([])
            failed.append(SetAside(customer[1], error.code, error.message))
            if isinstance(error, AnswerMissing):
                questions.extend(error.questions)
    fit = how_many_fit([{one.asset_id: one.total for one in drafts} for drafts in by_customer])
    fit = how_many_draws_fit(sum(len(line.credits) for line in _lines(drafts)) for drafts in by_customer[:fit])
    taken = customers[:fit]
    refs = {ref for _, ref in taken}
    return _Chunk(
        taken,
        [one for drafts in by_customer[:fit] for one in drafts],
        [one for one in failed if one.customer in refs],
        [one for one in questions if one.customer in refs],
    )


def _draft_customer(book: str, order: DraftOrder, customer: tuple[int, str], due: _Due) -> list[Draft]:
    """Return the customer's invoices that are not there, one per asset; none for who owes nothing."""
    customer_id = customer[0]
    if customer_id in due.changes.failed:
        raise due.changes.failed[customer_id]
    by_asset: dict[int, tuple[Asset, list[DraftLine]]] = {}
    used = [window.used(customer_id) for window in due.windows]
    if not due.metered or any(it.readings is not None and of_it for it, of_it in zip(due.windows, used, strict=True)):
        owed = add_unused([one.window.charge for one in due.windows], [one.due_unused for one in due.windows], used)
        for one, of_one in zip(due.windows, owed, strict=True):
            asset_id = one.window.asset_id
            if of_one is not None and (customer_id, asset_id) not in due.there:
                line = _line(due.wallets, order.product, one, of_one, customer_id)
                by_asset.setdefault(asset_id, (one.window.asset, []))[1].append(line)
    for asset_id, changes in due.changes.of.get(customer_id, {}).items():
        if (customer_id, asset_id) not in due.there and sum(change.amount for change in changes) > 0:
            by_asset.setdefault(asset_id, (changes[0].window.asset, []))
    drafts: list[Draft] = []
    questions: list[TaxQuestion] = []
    for asset_id in sorted(by_asset):
        try:
            drafts.append(_draft_invoice(book, order, customer, asset_id, *by_asset[asset_id], due))
        except AnswerMissing as error:
            questions.extend(error.questions)
    if questions:
        raise missing(questions, due.answers or KeptAnswers())
    return drafts


def _draft_invoice(
    book: str,
    order: DraftOrder,
    customer: tuple[int, str],
    asset_id: int,
    asset: Asset,
    lines: list[DraftLine],
    due: _Due,
) -> Draft:
    """Return the invoice with its adjustments and taxes; where what is given back was taxed higher, less is given back."""
    answered = None if due.answers is None else Answered(customer[1], asset, due.answers)
    parts = ("invoice", book, customer[1], order.product, order.period.start_at.isoformat(), asset.code)
    changes = due.changes.of.get(customer[0], {}).get(asset_id, ())
    room = sum(line.amount for line in lines)
    while True:
        adjusted = [*lines, *settle(changes, room)]
        total = sum(line.amount for line in adjusted)
        if total > MAX_AMOUNT:
            raise TotalTooLarge(customer=customer[1], largest=MAX_AMOUNT, asset=asset.code)
        untaxed = Draft(ids.id_of_content(parts), customer[0], asset_id, total, order.period, adjusted)
        try:
            return tax_draft(due.taxes, untaxed, order.product, order.period.end_at, answered)
        except TaxedBelowZero as error:
            room += error.total


def _line(wallets: Wallets, product: str, due: _DueWindow, used: Aggregate, customer_id: int) -> DraftLine:
    """Take what credits pay of what was used, before it is priced, and return the line."""
    window, covered = due.window, NOTHING
    if due.takes_credits and due.meter is not None:
        covered = wallets.cover(customer_id, product, window.charge, due.meter, used.quantity)
    if not covered.draws:
        line = due.line(used, customer_id)
        return DraftLine(
            window.charge, window.effective_at, due.meter, window.period, used.events, used.quantity, line.amount, line
        )
    line = due.line(used._replace(quantity=used.quantity - covered.quantity), customer_id)
    return DraftLine(
        window.charge, window.effective_at, due.meter, window.period, used.events, used.quantity, line.amount,
        explain_covered(line, covered), credits=covered.draws,
    )  # fmt: skip


def _lines(drafts: Iterable[Draft]) -> Iterator[DraftLine]:
    return (line for one in drafts for line in one.lines)


def _covered(drafts: Iterable[Draft]) -> list[CoveredLine]:
    """Return the lines that credits pay units of."""
    return [
        CoveredLine(one.invoice_id, position, line.credits)
        for one in drafts
        for position, line in enumerate(one.lines)
        if line.credits
    ]


def _totals(drafts: Iterable[Draft], windows: Iterable[PriceWindow], changes: Changes) -> dict[str, int]:
    """Add up by asset."""
    old = [change.window for by_asset in changes.of.values() for several in by_asset.values() for change in several]
    codes = {window.asset_id: window.asset.code for window in (*windows, *old)}
    totals: dict[str, int] = {}
    for one in drafts:
        code = codes[one.asset_id]
        totals[code] = totals.get(code, 0) + one.total
    return totals
