"""
Find changes: what usage that came late, was amended or taken back makes of lines that were billed before.

    late rows? ─ the lines in whose windows they lie ─ read and rated anew ─ less what was billed and adjusted before

A line is always held against all that was billed for it, so whatever one invoice could not give back the next one does.
Where a charge has no line in a window that was invoiced, since nothing of it had been used, it gets its line late.
"""

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from tallystick import canonical
from tallystick.catalog.model import Meter, PriceWindow
from tallystick.catalog.prices_in import prices_in
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import TallystickError
from tallystick.invoicing.add_unused import NOTHING_USED, is_due_unused, none_of
from tallystick.invoicing.model import printed_number
from tallystick.invoicing.read_transactions import read_transactions
from tallystick.invoicing.read_uses import read_uses
from tallystick.periods import Period
from tallystick.rating.measure import WHOLE
from tallystick.rating.model import Line
from tallystick.rating.rate import AmountTooLarge, InvalidQuantity, rate
from tallystick.usage.aggregate import Aggregate, MeterQuery, aggregate
from tallystick.wallets.give_back import NOTHING_BACK, GivenBack, free, give_back

_queries = queries_beside(__file__)
_find_late = _queries.tuples("find_late")
_find_carrying = _queries.tuples("find_carrying")
_find_late_customers = _queries.tuples("find_late_customers")
_find_billed = _queries.tuples("find_billed")
_find_months_away = _queries.values("find_months_away")
_lock_adjustments = _queries.run("lock_adjustments")
_count_reasons = _queries.tuples("count_reasons")

_MICROSECOND = dt.timedelta(microseconds=1)
_EARLIEST = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
LAST_CUSTOMER = 2**63 - 1

Owner = tuple[int, int]
"""A customer and an asset: one invoice of a product and period is theirs."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a window of a charge comes to now, against what was billed for it."""

    customer_id: int
    window: PriceWindow
    """The version of the price, and the window that was billed."""
    adjusts: tuple[uuid.UUID, int] | None
    """The line; None: there was none, since nothing had been used."""
    invoice: str
    period: Period
    """Of the invoice."""
    before: Aggregate
    billed: int
    now: Aggregate
    rated: Line | None
    covers_from: int
    reasons: tuple[int, int, int]
    """How many events came late, were amended, were taken back."""
    given_back: GivenBack = NOTHING_BACK
    """What becomes of the credits that paid for more than is used now."""

    @property
    def amount(self) -> int:
        """Return what is to be asked for, or given back, in minor units."""
        return (0 if self.rated is None else self.rated.amount) - self.billed


@dataclass(frozen=True, slots=True)
class Changes:
    """What has changed, by customer and asset, in order of time; and who cannot be rated any more."""

    of: dict[int, dict[int, list[Change]]] = field(default_factory=dict)
    failed: dict[int, TallystickError] = field(default_factory=dict)


class _Late(NamedTuple):
    """An invoice in whose period usage came late."""

    invoice_id: uuid.UUID
    period: Period
    through: int
    first_at: dt.datetime
    last_at: dt.datetime


class _Billed(NamedTuple):
    """A line with what adjusted it."""

    owner: Owner
    line: tuple[uuid.UUID, int]
    charge: str
    price_at: dt.datetime
    window: Period
    figures: Aggregate
    amount: int
    share: str | None
    covered: Decimal
    """Of the quantity, what credits paid for and was not given back; it stays paid."""
    invoice: str
    covers_from: int
    whole: Period
    """The billing period that it lies in: what came late is on the invoice of a later one."""


@dataclass(frozen=True, slots=True)
class _Found:
    """Where there may be something to adjust."""

    late: Mapping[Owner, Sequence[_Late]]
    carried: Mapping[Owner, set[tuple[uuid.UUID, int]]]

    @property
    def owners(self) -> set[Owner]:
        return {*self.late, *self.carried}


async def late_customers(
    connection: Connection, book_id: int, product: str, after: int, up_to: int, through: int
) -> list[tuple[int, str]]:
    """Return the customers above *after*, up to *up_to*, of whom usage came late, as (customer_id, ref), ascending."""
    found = await _find_late_customers(connection, book_id, product, after, up_to, through)
    return [(customer_id, ref) for customer_id, ref in found]


async def find_changes(
    connection: Connection,
    book_id: int,
    product: str,
    customer_ids: Sequence[int],
    through: int,
    *,
    at: dt.datetime,
) -> Changes:
    """
    Return what has changed since of all that these customers were billed of *product*, as of the place *through*.

    Credits that paid for more than is used now are given back, but for those that have expired *at* that moment.

    Who uses nothing of a charge has no line of it, unless its price asks for something all the same. Usually nothing has
    changed, and that is found without reading lines. Otherwise others who would adjust lines of the product wait until the
    transaction ends, so that nothing is adjusted twice. Windows in months that are detached or dropped are left alone.
    """
    asked = (connection, book_id, product, list(customer_ids), through)
    if not customer_ids or not (await _look(*asked)).owners:
        return Changes()
    await _lock_adjustments(connection, book_id, product)
    found = await _look(*asked)
    billed = await _read_billed(connection, book_id, product, sorted({owner[0] for owner in found.owners}))
    windows = await _windows(connection, book_id, product, found, billed)
    windows += await _windows_without_line(connection, book_id, product, found, billed)
    away = await months_away(connection, book_id) if windows else []
    windows = [one for one in windows if not any(overlap(one[0].window, month) for month in away)]
    readings = await _read(connection, book_id, windows, through)
    of_whom = sorted({one.owner[0] for one, _ in windows})
    transactions = await read_transactions(connection, book_id, of_whom, [window for _, window in windows], through)
    used = [(one, window, _now(readings, one, window)) for one, window in windows]
    uses = await read_uses(connection, book_id, [one.line for one, _, now in used if one.covered > now.quantity], at)
    in_use = _find_in_use(billed, used)
    changes = Changes()
    for one, window, now in used:
        customer_id, asset_id = one.owner
        each = transactions.get((meter_of(window).code, window.period), {}).get(customer_id)
        try:
            is_due = now != NOTHING_USED or _stands_unused(one, window, in_use)
            rated = _rate(window, now, one, each) if is_due else None
        except (AmountTooLarge, InvalidQuantity) as error:
            changes.failed[customer_id] = error
            continue
        back = give_back(free(uses.get(one.line, ()), one.covered - now.quantity))
        change = _change(one, window, found, now, rated, back)
        if change.amount or (now.events, now.quantity) != (one.figures.events, one.figures.quantity):
            counted = await _reasons(connection, book_id, change, through)
            changes.of.setdefault(customer_id, {}).setdefault(asset_id, []).append(counted)
    return changes


async def months_away(connection: Connection, book_id: int) -> list[Period]:
    """Return the months of which usage is detached or dropped, so that what is read of them is too little."""
    return [_month(first) for first in await _find_months_away(connection, book_id)]


async def _look(connection: Connection, book_id: int, product: str, customer_ids: list[int], through: int) -> _Found:
    late: dict[Owner, list[_Late]] = defaultdict(list)
    for customer_id, asset_id, invoice_id, starts, ends, of_it, first_at, last_at in await _find_late(
        connection, book_id, product, customer_ids, through
    ):
        late[customer_id, asset_id].append(_Late(invoice_id, Period(starts, ends), of_it, first_at, last_at))
    carried: dict[Owner, set[tuple[uuid.UUID, int]]] = defaultdict(set)
    for customer_id, asset_id, invoice_id, position in await _find_carrying(connection, book_id, product, customer_ids):
        carried[customer_id, asset_id].add((invoice_id, position))
    return _Found(late, carried)


async def _read_billed(
    connection: Connection, book_id: int, product: str, customer_ids: list[int]
) -> dict[Owner, list[_Billed]]:
    billed: dict[Owner, list[_Billed]] = defaultdict(list)
    for (customer_id, asset_id, invoice_id, position, charge, price_at, starts, ends, through, events, quantity, amount,
         share, covered, series, number, more_events, more_quantity, more_amount, more_through, begins, over) in await _find_billed(
        connection, book_id, product, customer_ids
    ):  # fmt: skip
        owner = (customer_id, asset_id)
        billed[owner].append(
            _Billed(
                owner,
                (invoice_id, position),
                charge,
                price_at,
                Period(starts, ends),
                Aggregate(events + (more_events or 0), quantity + (more_quantity or 0)),
                amount + (more_amount or 0),
                share,
                covered,
                str(invoice_id) if number is None else printed_number(series, number),
                max(through, more_through or 0),
                Period(begins, over),
            )
        )
    return billed


_Window = tuple[_Billed, PriceWindow]


async def _windows(
    connection: Connection, book_id: int, product: str, found: _Found, billed: Mapping[Owner, Sequence[_Billed]]
) -> list[_Window]:
    """Return the lines that may have changed, each with its version of the price."""
    windows = []
    versions: dict[dt.datetime, list[PriceWindow]] = {}
    for owner in sorted(found.owners):
        for one in billed.get(owner, ()):
            if one.price_at not in versions:
                instant = Period(one.price_at, one.price_at + _MICROSECOND)
                versions[one.price_at] = await prices_in(connection, book_id, product, instant)
            window = next(it for it in versions[one.price_at] if it.charge == one.charge)
            cut = _cut(window, one.window)
            # Whether it asks for something unused hangs on the other versions of its charge, too.
            span = one.whole if is_due_unused(cut, one.whole) else one.window
            if one.line in found.carried.get(owner, ()) or _touches(found.late.get(owner, ()), span, window):
                windows.append((one, cut))
    return windows


def _touches(late: Iterable[_Late], span: Period, window: PriceWindow) -> bool:
    """Say whether late usage may lie in *span*, or before it where what it sets holds on."""
    holds_on = meter_of(window).aggregation == "time_weighted"
    return any(one.first_at < span.end_at and (holds_on or one.last_at >= span.start_at) for one in late)


async def _windows_without_line(
    connection: Connection, book_id: int, product: str, found: _Found, billed: Mapping[Owner, Sequence[_Billed]]
) -> list[_Window]:
    """Return the windows of invoiced periods that usage came late for, where nothing had been used of their charges."""
    windows = []
    known: dict[tuple[Period, int], list[PriceWindow]] = {}
    for owner, several in sorted(found.late.items()):
        seen: set[tuple[str, Period]] = set()
        for late in several:
            as_of = (late.period, late.through)
            if as_of not in known:
                known[as_of] = await prices_in(connection, book_id, product, late.period, below=late.through)
            for window in known[as_of]:
                if window.meter is None or window.asset_id != owner[1] or (window.charge, window.period) in seen:
                    continue
                there = any(
                    one.charge == window.charge and overlap(one.window, window.period) for one in billed.get(owner, ())
                )
                if not there and _touches([late], window.period, window):
                    seen.add((window.charge, window.period))
                    windows.append((_no_line(owner, window, late), window))
    return windows


def _no_line(owner: Owner, window: PriceWindow, late: _Late) -> _Billed:
    nothing = (late.invoice_id, -1)
    return _Billed(
        owner,
        nothing,
        window.charge,
        window.effective_at,
        window.period,
        NOTHING_USED,
        0,
        None,
        Decimal(0),
        "",
        late.through,
        late.period,
    )


_Readings = Mapping[tuple[str, Period, Period], Mapping[int, Aggregate]]
"""What each meter read in each window of a whole period, by customer."""


async def _read(connection: Connection, book_id: int, windows: Sequence[_Window], through: int) -> _Readings:
    """Read each meter once per window of time, for all customers at once."""
    wanted: dict[tuple[str, Period, Period], tuple[Meter, set[int]]] = {}
    for one, window in windows:
        meter = meter_of(window)
        wanted.setdefault((meter.code, window.period, one.whole), (meter, set()))[1].add(one.owner[0])
    return {
        key: await aggregate(connection, book_id, sorted(customers), MeterQuery.of(meter, key[2]), key[1], through)
        for key, (meter, customers) in wanted.items()
    }


def _now(readings: _Readings, one: _Billed, window: PriceWindow) -> Aggregate:
    return readings[meter_of(window).code, window.period, one.whole].get(one.owner[0], NOTHING_USED)


_InUse = Mapping[tuple[Owner, str], Sequence[Period]]
"""When some of a charge was used, by customer and asset: its windows with usage in them."""


def _find_in_use(
    billed: Mapping[Owner, Sequence[_Billed]], used: Sequence[tuple[_Billed, PriceWindow, Aggregate]]
) -> _InUse:
    """Go by what was read anew, and of the other lines by what they say."""
    in_use: dict[tuple[Owner, str], list[Period]] = defaultdict(list)
    for one, window, now in used:
        if now != NOTHING_USED:
            in_use[one.owner, one.charge].append(window.period)
    read = {one.line for one, _, _ in used}
    for owner, lines in billed.items():
        for one in lines:
            if one.line not in read and one.figures != NOTHING_USED:
                in_use[owner, one.charge].append(one.window)
    return in_use


def _stands_unused(one: _Billed, window: PriceWindow, in_use: _InUse) -> bool:
    """Say whether a line asks for something although nothing is used of its charge in all of its period."""
    if one.line[1] < 0 or not is_due_unused(window, one.whole):
        return False
    return not any(overlap(span, one.whole) for span in in_use.get((one.owner, one.charge), ()))


def _rate(window: PriceWindow, now: Aggregate, one: _Billed, each: Sequence[Decimal] | None) -> Line:
    share = WHOLE if one.share is None else Fraction(one.share)
    quantity = max(now.quantity - one.covered, Decimal(0))
    unit = meter_of(window).name
    if each is None:
        each = none_of(now)
    return rate(window.price, quantity, window.asset, unit, share=share, events=now.events, transactions=each)


def _change(
    one: _Billed, window: PriceWindow, found: _Found, now: Aggregate, rated: Line | None, back: GivenBack
) -> Change:
    without_line = one.line[1] < 0
    period = next((late.period for late in found.late.get(one.owner, ()) if late.invoice_id == one.line[0]), one.window)
    return Change(
        customer_id=one.owner[0],
        window=window,
        adjusts=None if without_line else one.line,
        invoice=one.invoice,
        period=period,
        before=one.figures,
        billed=one.amount,
        now=now,
        rated=rated,
        covers_from=one.covers_from,
        reasons=(0, 0, 0),
        given_back=back,
    )


async def _reasons(connection: Connection, book_id: int, change: Change, through: int) -> Change:
    meter, span = meter_of(change.window), change.window.period
    ((late, amended, voided),) = await _count_reasons(
        connection,
        book_id,
        change.customer_id,
        _EARLIEST if meter.aggregation == "time_weighted" else span.start_at,
        span.end_at,
        change.covers_from,
        through,
        meter.event_type,
        meter.quantity,
        canonical.encode(meter.filters).decode(),
    )
    return Change(**{name: getattr(change, name) for name in Change.__slots__} | {"reasons": (late, amended, voided)})


def meter_of(window: PriceWindow) -> Meter:
    """Return the meter of a window whose usage came late."""
    if window.meter is None:
        raise ValueError(f"{window.charge} is metered, or has no usage to come late")
    return window.meter


def _cut(window: PriceWindow, span: Period) -> PriceWindow:
    return PriceWindow(
        window.charge, window.name, window.meter, window.asset_id, window.asset, window.price, window.effective_at, span
    )


def overlap(one: Period, other: Period) -> bool:
    """Say whether two spans of time have an instant in common."""
    return one.start_at < other.end_at and other.start_at < one.end_at


def _month(first: dt.date) -> Period:
    starts = dt.datetime(first.year, first.month, 1, tzinfo=dt.UTC)
    ends = dt.datetime(first.year + first.month // 12, first.month % 12 + 1, 1, tzinfo=dt.UTC)
    return Period(starts, ends)
