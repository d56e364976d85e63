"""
Draft subscriptions: what each is to be asked for on each date that it is billed on, as the difference to what it was.

Every bill looks at whole billing periods: what they should come to by the newest revision, the prices and the usage, less
what stands on invoices for them. So what is new, what was changed after it was paid in advance, and usage that came late
all come about in one way; and nothing is asked for twice.
"""

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from itertools import takewhile
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from tallystick import ids
from tallystick.catalog.model import Meter
from tallystick.catalog.plans.find_plan import versions_of
from tallystick.catalog.plans.model import MAXIMUM, MINIMUM, PlanVersion
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import Kind, TallystickError
from tallystick.invoicing.adjust import months_away
from tallystick.invoicing.billing_period import fix_zone
from tallystick.invoicing.draft import MonthAway, TotalTooLarge, UsageNotSettled
from tallystick.invoicing.keep_billed import Window, keep_billed, window_of
from tallystick.invoicing.tax_draft import UNTAXABLE, TaxedBelowZero, tax_draft
from tallystick.invoicing.write_drafts import Draft, DraftLine, write_drafts
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.books import Book
from tallystick.money import MAX_AMOUNT, Asset, Money
from tallystick.periods import BillingPeriod, Period
from tallystick.rating.check_number import InvalidPrice
from tallystick.rating.exact import EXACT
from tallystick.rating.rate import AmountTooLarge, InvalidQuantity, InvalidShare, needs, rate
from tallystick.rating.read_price import read_price
from tallystick.subscriptions.billing import (
    BookAsset,
    find_assets,
    find_billed,
    find_meters,
    keep_bills,
    looked_at_from,
    read_order,
    take,
    take_due,
    wake_ended,
)
from tallystick.subscriptions.find import State, find_states
from tallystick.subscriptions.model import Bill, Span
from tallystick.subscriptions.reconcile import Adjustment, Billed, Reconciled, line_of, reconcile
from tallystick.subscriptions.revise import set_due
from tallystick.subscriptions.schedule import next_due, periods_from
from tallystick.subscriptions.wanted import (
    Plans,
    Run,
    Usage,
    Wanted,
    flat_lines,
    limit_share,
    major,
    runs_of,
    usage_charges,
)
from tallystick.taxes.apply import TaxTable, load_taxes
from tallystick.usage.aggregate import Aggregate, MeterQuery, aggregate
from tallystick.usage.list_quantities import list_quantities
from tallystick.wallets.allocate import Wallets
from tallystick.wallets.draw import MOST_DRAWS, CoveredLine, cover_lines, enter_to_spend, find_wallets
from tallystick.wallets.explain import explain_covered
from tallystick.wallets.model import NOTHING, Covered

_queries = queries_beside(__file__)
_has_unsettled = _queries.value("has_unsettled")
LATE_FOR = dt.timedelta(days=100)
"""For how long usage that comes late is looked for by itself of a subscription that has ended; later, of those named."""
_MOST_DATES = 60
"""On how many dates one call bills each subscription; what is left is for the next."""
UNBILLABLE = (AmountTooLarge, InvalidQuantity, InvalidShare, InvalidPrice, TotalTooLarge, MonthAway, *UNTAXABLE)
"""What is wrong with one subscription alone."""


class UntilAhead(TallystickError):
    """Subscriptions are billed until {now} at the latest, which is the present; what comes later is not known yet."""

    code = "subscriptions.until_ahead"
    kind = Kind.REFUSED


@dataclass(frozen=True, slots=True)
class SubscriptionsOrder:
    """Which subscriptions to bill, until when and on which terms."""

    until: dt.datetime
    terms_days: int
    subscriptions: Sequence[str] | None
    """These; None: the next *limit* that are due."""
    after: str
    """Only those whose ids sort behind this one."""
    limit: int


class SubscriptionSetAside(msgspec.Struct, frozen=True):
    """A subscription that could not be billed, and why; the next run tries again."""

    subscription: str
    code: str
    message: str


class SubscriptionsDrafted(msgspec.Struct, frozen=True):
    """What became of one chunk of subscriptions."""

    subscriptions: int
    """How many were due."""
    drafted: int
    """How many invoices were made."""
    nothing_due: int
    """On how many dates there was nothing to ask for."""
    failed: list[SubscriptionSetAside]
    totals: dict[str, int]
    """What the new invoices come to, in minor units by asset."""
    unfinished: bool
    """Some are due on more dates, or draw on more credits, than one call bills; call again."""
    next: str | None
    """The cursor of the chunk behind, null on the last."""


@dataclass(slots=True)
class Due:
    """A subscription on a date that it is billed on."""

    state: State
    due_at: dt.datetime
    runs: list[tuple[BillingPeriod, list[Run]]] = field(default_factory=list)
    """The billing periods that are looked at, each in parts of one plan."""
    billed: list[Billed] = field(default_factory=list)
    """What it was asked for, for the same time."""


@dataclass(frozen=True, slots=True)
class Priced:
    """What the lines of subscriptions are made with: versions, meters, assets, and what the meters read."""

    plans: Plans
    meters: Mapping[str, Meter]
    assets: Mapping[str, BookAsset]
    readings: Mapping[tuple[str, Period], Mapping[int, Aggregate]]
    away: Sequence[Period]
    """The months of which usage cannot be read."""
    transactions: Mapping[tuple[str, Period], Mapping[int, Sequence[Decimal]]]
    """The single amounts behind a reading, where a price judges each."""


async def draft_subscriptions(
    connection: Connection,
    book: Book,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    order: SubscriptionsOrder,
) -> SubscriptionsDrafted:
    """
    Write the invoices of the next subscriptions on every date until the order's that they are due on.

    One that has ended is billed once more where usage of before came in since.

    A subscription whose amounts are beyond what there is gets none and is named; the others do. Credits in units pay for
    usage before it is priced.

    Raises:
        UntilAhead: the order is for a time that is still to come (``subscriptions.until_ahead``).
        UsageNotSettled: usage of theirs is behind an open transaction (``invoicing.usage_not_settled``).
        OtherZone: the plan is invoiced by another zone's days (``invoicing.other_zone``).
        OrderLost: another transaction took of the same credits meanwhile.
    """
    await enter_to_spend(connection, book.book_id)
    if order.until > recorded.at:
        raise UntilAhead(field="until", now=recorded.at.isoformat())
    if not order.after:
        since = recorded.at - LATE_FOR
        await wake_ended(connection, book.book_id, order.until, since, order.subscriptions)
    if order.subscriptions is None:
        taken = await take_due(connection, book.book_id, order.until, order.after, order.limit)
    else:
        taken = await take(connection, book.book_id, order.subscriptions)
    # Once for all dates: done again, the message is told one place alone below which all had ended.
    through, present = await read_order(connection)
    failed: list[SubscriptionSetAside] = []
    written: list[tuple[str, int]] = []
    nothing, waiting = 0, taken
    customers = {state.customer_id for state in await find_states(connection, book.book_id, taken)}
    wallets = await find_wallets(connection, recorded, sorted(customers), units=True)
    covered: list[CoveredLine] = []
    put_off = False
    for _ in range(_MOST_DATES):
        states = [
            state for state in await find_states(connection, book.book_id, waiting) if _is_due(state, order.until)
        ]
        if not states:
            break
        room = MOST_DRAWS - sum(len(one.draws) for one in covered)
        done = await _draft_once(connection, book, recorded, states, order, _Given(wallets, room, through, present))
        failed += done.failed
        written += done.written
        covered += done.covered
        nothing += done.nothing
        put_off = put_off or done.put_off
        waiting = done.billed
    else:
        states = [
            state for state in await find_states(connection, book.book_id, waiting) if _is_due(state, order.until)
        ]
    await cover_lines(connection, book.ledger, recorded, message_hashes, covered)
    totals: dict[str, int] = {}
    for asset, total in written:
        totals[asset] = totals.get(asset, 0) + total
    more = order.subscriptions is None and len(taken) == order.limit
    return SubscriptionsDrafted(
        subscriptions=len(taken),
        drafted=len(written),
        nothing_due=nothing,
        failed=failed,
        totals=totals,
        unfinished=bool(states) or put_off,
        next=taken[-1] if more else None,
    )


def _is_due(state: State, until: dt.datetime) -> bool:
    return state.due_at is not None and state.due_at <= until


class _Given(NamedTuple):
    """What all dates of one call have in common."""

    wallets: Wallets
    room: int
    """How many draws on the wallets fit in."""
    through: int
    """Below which transaction all have ended."""
    present: int


@dataclass(slots=True)
class _Once:
    """What became of subscriptions on one date of each."""

    failed: list[SubscriptionSetAside] = field(default_factory=list)
    written: list[tuple[str, int]] = field(default_factory=list)
    covered: list[CoveredLine] = field(default_factory=list)
    nothing: int = 0
    put_off: bool = False
    """Somebody is left for the next call, which has room for what they draw."""
    billed: list[str] = field(default_factory=list)


async def _draft_once(
    connection: Connection,
    book: Book,
    recorded: Recorded,
    states: Sequence[State],
    order: SubscriptionsOrder,
    given: _Given,
) -> _Once:
    """Bill each of the subscriptions on the one date that comes next."""
    wallets, room, through, present = given
    dues = [Due(state, state.due_at) for state in states if state.due_at is not None]
    priced = await prepare(connection, book.book_id, dues, through, present)
    taxes = await load_taxes(connection, book.book_id, sorted({due.state.customer_id for due in dues}))
    once = _Once()
    drafts: dict[str, list[Draft]] = {}
    bills: list[tuple[str, Bill]] = []
    zones: dict[str, str] = {}
    for due in dues:
        version = plan_on(due, priced.plans)
        before = dict(wallets.taken)
        try:
            reconciled, draft = taxed(book.name, due, priced, taxes, wallets)
        except UNBILLABLE as error:
            once.failed.append(SubscriptionSetAside(due.state.id, error.code, error.message))
            wallets.taken = before
            continue
        draws = 0 if draft is None else sum(len(line.credits) for line in draft.lines)
        if draws > room and room < MOST_DRAWS:
            once.put_off, wallets.taken = True, before
            continue
        room -= draws
        if draft is None or version is None:
            once.nothing += 1
        else:
            drafts.setdefault(version.plan, []).append(draft)
            zones[version.plan] = version.content.zone
            once.written.append((version.content.asset, draft.total))
        invoice_id = None if draft is None else draft.invoice_id
        revision = due.state.newest.revision
        bill = Bill(due.due_at, revision, invoice_id, reconciled.carried, reconciled.carried_from, through)
        bills.append((due.state.id, bill))
        once.billed.append(due.state.id)
    for plan in sorted(drafts):
        await fix_zone(connection, recorded, plan, zones[plan])
        new = await write_drafts(connection, recorded, plan, order.terms_days, through, drafts[plan])
        once.covered += [
            CoveredLine(one.invoice_id, position, line.credits)
            for one in new
            for position, line in enumerate(one.lines)
            if line.credits
        ]
    await keep_bills(connection, recorded, bills, through)
    billed = set(once.billed)
    await set_due(
        connection,
        recorded.book_id,
        {due.state.id: next_due(due.state.spans, due.due_at) for due in dues if due.state.id in billed},
    )
    return once


def taxed(book: str, due: Due, priced: Priced, taxes: TaxTable, wallets: Wallets) -> tuple[Reconciled, Draft | None]:
    """
    Return what a subscription is to be asked for, and its invoice with the taxes; None where there is nothing on it.

    Where what is taken back was taxed higher than what is asked for, less is taken back: the rest is carried.
    """
    version = plan_on(due, priced.plans)
    least, before = 0, wallets.taken
    while True:
        wallets.taken = dict(before)
        reconciled = bill_of(due, priced, wallets, least)
        if version is None:
            return reconciled, None
        draft = make_draft(book, due, reconciled, priced.assets[version.content.asset])
        if draft is None:
            return reconciled, None
        try:
            return reconciled, tax_draft(taxes, draft, version.plan, due.due_at)
        except TaxedBelowZero as error:
            least -= error.total


async def prepare(
    connection: Connection, book_id: int, dues: Sequence[Due], through: int, present: int | None
) -> Priced:
    """
    Find all that bills are made of: periods, versions, what was billed, and what the meters read.

    Usage counts that transactions ordered below *through* recorded; *present* is the transaction under way, None where
    usage that is not settled shall simply be left out.

    Raises:
        UsageNotSettled: usage of theirs is behind an open transaction (``invoicing.usage_not_settled``).
    """
    from_ = await looked_at_from(connection, book_id, [due.state for due in dues], through)
    billed = await find_billed(connection, book_id, from_)
    named = {span.plan for due in dues for span in due.state.spans}
    named |= {line.plan for lines in billed.values() for line in lines}
    plans = await versions_of(connection, book_id, named)
    for due in dues:
        due.runs = _runs(due.state.spans, plans, from_[due.state.id], due.due_at)
        due.billed = billed[due.state.id]
    assets = await find_assets(connection, book_id, {versions[-1].content.asset for versions in plans.values()})
    usage = [(due, one) for due in dues for one in _usage_of(due)]
    meters = await find_meters(connection, book_id, {one.given.meter or "" for _, one in usage})
    if present is not None and usage:
        await _require_settled(connection, book_id, usage, through, present)
    readings = await _read_meters(connection, book_id, usage, meters, through)
    away = await months_away(connection, book_id) if usage else []
    transactions = await _read_transactions(connection, book_id, usage, meters, through)
    return Priced(plans, meters, assets, readings, away, transactions)


def _runs(
    spans: Sequence[Span], plans: Plans, from_: dt.datetime, due_at: dt.datetime
) -> list[tuple[BillingPeriod, list[Run]]]:
    """Return the billing periods from that which *from_* lies in to that which begins on the date, cut into runs."""
    begun = takewhile(lambda one: one.period.start_at <= due_at, periods_from(spans, from_))
    return [(one, runs_of(spans, plans, one)) for one in begun]


def _usage_of(due: Due) -> Iterable[Usage]:
    """Return the charges for usage of the periods that are over."""
    for one, runs in due.runs:
        if one.period.end_at <= due.due_at:
            for run in runs:
                yield from usage_charges(run, one)


async def _require_settled(
    connection: Connection, book_id: int, usage: Sequence[tuple[Due, Usage]], through: int, present: int
) -> None:
    start_at = min(one.period.start_at for _, one in usage)
    end_at = max(one.period.end_at for _, one in usage)
    customers = sorted({due.state.customer_id for due, _ in usage})
    if await _has_unsettled(connection, book_id, through, present, customers, start_at, end_at):
        raise UsageNotSettled(month=f"{start_at.isoformat()} to {end_at.isoformat()}")


async def _read_meters(
    connection: Connection,
    book_id: int,
    usage: Sequence[tuple[Due, Usage]],
    meters: Mapping[str, Meter],
    through: int,
) -> dict[tuple[str, Period], dict[int, Aggregate]]:
    """Read each meter once per window, for all the customers that have it."""
    wanted: dict[tuple[str, Period], set[int]] = {}
    for due, one in usage:
        wanted.setdefault((one.given.meter or "", one.period), set()).add(due.state.customer_id)
    return {
        (meter, period): await aggregate(
            connection, book_id, sorted(customers), MeterQuery.of(meters[meter]), period, through
        )
        for (meter, period), customers in wanted.items()
    }


async def _read_transactions(
    connection: Connection,
    book_id: int,
    usage: Sequence[tuple[Due, Usage]],
    meters: Mapping[str, Meter],
    through: int,
) -> dict[tuple[str, Period], dict[int, list[Decimal]]]:
    """Return the single amounts that prices must be told which judge each; usually there is no such price."""
    wanted: dict[tuple[str, Period], set[int]] = {}
    for due, one in usage:
        if needs(read_price(one.given.price)) == "transactions":
            wanted.setdefault((one.given.meter or "", one.period), set()).add(due.state.customer_id)
    return {
        (meter, period): await list_quantities(
            connection, book_id, sorted(customers), MeterQuery.of(meters[meter]), period, through
        )
        for (meter, period), customers in wanted.items()
    }


def bill_of(due: Due, priced: Priced, wallets: Wallets, least: int = 0) -> Reconciled:
    """
    Return what a subscription is to be asked for on its date; what *wallets* cover of it is taken of them.

    No more is given back than leaves *least*.
    """
    version = plan_on(due, priced.plans)
    if version is None:
        return Reconciled([], [])
    asset = priced.assets[version.content.asset].asset
    bill = due.state.bill
    kept = keep_billed(_usage_of(due), due.billed, None if bill is None else bill.due_at, priced.away)
    wanted: list[Wanted] = []
    credits_ = _Credits(wallets, due)
    for one, runs in due.runs:
        ended = one.period.end_at <= due.due_at
        for run in runs:
            wanted += _lines_of(credits_, one, run, priced, kept, asset, ended=ended)
    return reconcile(wanted, due.billed, asset, least)


def plan_on(due: Due, plans: Plans) -> PlanVersion | None:
    """
    Return the plan that is billed on a date, in its newest version: the one in force, or the last one there was.

    None: it never was on any that it was asked for anything by.
    """
    named = [span.plan for span in due.state.spans if span.start_at <= due.due_at] or [one.plan for one in due.billed]
    return plans[named[-1]][-1] if named else None


@dataclass(slots=True)
class _Credits:
    """What credits pay of the usage of a subscription: what they paid when it was billed, or what there is of them now."""

    wallets: Wallets
    due: Due
    claimed: dict[tuple[uuid.UUID, int], Decimal] = field(default_factory=dict)
    """Of the units that were paid for lines, how many are accounted for."""

    def cover(self, wanted: Wanted) -> Covered:
        """
        Return how much of *wanted* is paid for, with the draws where it is paid only now.

        What was paid for a line stays paid, and no more is paid for it later.
        """
        billed = line_of(wanted, self.due.billed)
        if billed is None:
            return self.wallets.cover(
                self.due.state.customer_id, wanted.plan, wanted.charge, wanted.meter or "", wanted.quantity
            )
        key = billed.invoice_id, billed.position
        quantity = min(billed.covered - self.claimed.get(key, Decimal(0)), wanted.quantity)
        self.claimed[key] = self.claimed.get(key, Decimal(0)) + quantity
        return Covered(quantity, ())


def _lines_of(
    credits_: _Credits,
    one: BillingPeriod,
    run: Run,
    priced: Priced,
    kept: Mapping[Window, Wanted | None],
    asset: Asset,
    *,
    ended: bool,
) -> list[Wanted]:
    lines = list(flat_lines(run, one, asset, ended=ended))
    if ended:
        for usage in usage_charges(run, one):
            read = priced.readings[usage.given.meter or "", usage.period].get(credits_.due.state.customer_id)
            if (window := window_of(usage)) in kept:
                lines += [line] if (line := kept[window]) else []
            elif read is not None:
                lines.append(_usage_line(credits_, usage, read, priced, asset))
        lines += _limits(run, one, lines, asset)
    return lines


def _usage_line(credits_: _Credits, usage: Usage, read: Aggregate, priced: Priced, asset: Asset) -> Wanted:
    meter = priced.meters[usage.given.meter or ""]
    price = read_price(usage.given.price)
    each = priced.transactions.get((meter.code, usage.period), {}).get(credits_.due.state.customer_id)
    unpriced = Wanted(
        usage.version.plan,
        usage.charge,
        usage.version.effective_at,
        meter.code,
        usage.period,
        read.quantity,
        read.events,
        0,
        {},
        "",
        usage.billing_start,
    )
    # Where a price judges each transaction, a quantity less what is covered would be that of none.
    covered = NOTHING if needs(price) == "transactions" else credits_.cover(unpriced)
    rest = EXACT.subtract(read.quantity, covered.quantity) if covered.quantity else read.quantity
    line = rate(price, rest, asset, meter.name, events=read.events, transactions=each)
    detail = msgspec.to_builtins(explain_covered(line, covered))
    return replace(
        unpriced,
        amount=line.amount,
        detail=detail,
        explanation=str(detail["explanation"]),
        credits=covered.draws,
    )


def _limits(run: Run, one: BillingPeriod, lines: Sequence[Wanted], asset: Asset) -> Iterable[Wanted]:
    """Return the line that lifts a period to its minimum, or takes back what is above its maximum."""
    phase = run.version.phase(run.phase)
    share = limit_share(run, one)
    asked = sum(line.amount for line in lines)
    for code, limit in ((MINIMUM, phase.minimum), (MAXIMUM, phase.maximum)):
        if limit is None:
            continue
        bound = Money.from_fraction(Fraction(limit) * share, asset).minor
        amount = max(bound - asked, 0) if code == MINIMUM else min(bound - asked, 0)
        if not amount:
            continue
        explanation = f"{code} of {major(bound, asset)}, with {major(asked, asset)} asked for otherwise"
        detail = {"model": "flat", "unit": "periods", "amount": amount, "explanation": explanation}
        charge = run.version.charge_code(run.phase, code)
        yield Wanted(
            run.version.plan, charge, run.version.effective_at, None, run.period, Decimal(1), 0, amount, detail,
            explanation, one.period.start_at,
        )  # fmt: skip


def make_draft(book: str, due: Due, reconciled: Reconciled, asset: BookAsset) -> Draft | None:
    """Return the invoice of a subscription on a date; None where there is nothing on it."""
    if not reconciled.new and not reconciled.adjustments:
        return None
    if reconciled.total > MAX_AMOUNT:
        raise TotalTooLarge(customer=due.state.customer, largest=MAX_AMOUNT, asset=asset.asset.code)
    covered = [one.period for one in reconciled.new] or [one.period for one in reconciled.adjustments]
    period = Period(min(one.start_at for one in covered), max(one.end_at for one in covered))
    invoice_id = ids.id_of_content(("subscription", book, due.state.id, due.due_at.isoformat(), asset.asset.code))
    lines = [_adjusting(one) for one in reconciled.adjustments]
    largest = max(range(len(reconciled.new)), key=lambda place: reconciled.new[place].amount, default=0)
    lines += [_asking(one, (invoice_id, len(lines) + largest)) for one in reconciled.new]
    return Draft(invoice_id, due.state.customer_id, asset.asset_id, reconciled.total, period, lines)


def _adjusting(one: Adjustment) -> DraftLine:
    billed = one.billed
    quantity = one.quantity if one.events or one.quantity else billed.quantity
    detail: dict[str, object] = {
        "model": "adjustment",
        "unit": "periods",
        "amount": one.amount,
        "adjusts": f"{billed.invoice_id}/{billed.position}",
        "explanation": one.explanation,
    }
    if billed.meter is not None:
        detail["covers_from"] = one.covers_from
    return DraftLine(
        billed.charge,
        billed.price_at,
        billed.meter,
        one.period,
        one.events,
        quantity,
        one.amount,
        detail,
        (billed.invoice_id, billed.position),
        product=billed.plan,
    )


def _asking(one: Wanted, largest: tuple[uuid.UUID, int]) -> DraftLine:
    """Return a line that asks; a maximum takes back, and names the line that most of it is of."""
    return DraftLine(
        one.charge,
        one.price_at,
        one.meter,
        one.period,
        one.events,
        one.quantity,
        one.amount,
        one.detail,
        largest if one.amount < 0 else None,
        product=one.plan,
        credits=one.credits,
    )
