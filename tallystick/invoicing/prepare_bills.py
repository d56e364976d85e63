"""Prepare bills: find all that the bills of subscriptions are made of, for many of them at once."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import takewhile

from tallystick.catalog.model import Meter
from tallystick.catalog.plans.find_plan import versions_of
from tallystick.db.queries import Connection, queries_beside
from tallystick.invoicing.draft import UsageNotSettled
from tallystick.invoicing.find_changes import months_away
from tallystick.invoicing.read_uses import read_uses
from tallystick.periods import BillingPeriod, Period
from tallystick.rating.rate import needs
from tallystick.rating.read_price import read_price
from tallystick.subscriptions.billing import BookAsset, find_assets, find_billed, find_meters, looked_at_from
from tallystick.subscriptions.find import State
from tallystick.subscriptions.model import Span
from tallystick.subscriptions.reconcile import Billed
from tallystick.subscriptions.schedule import periods_from
from tallystick.subscriptions.wanted import Plans, Run, Usage, runs_of, usage_charges
from tallystick.usage.aggregate import Aggregate, MeterQuery, aggregate
from tallystick.usage.list_quantities import list_quantities
from tallystick.wallets.give_back import LineKey, LineUse

_queries = queries_beside(__file__)
_has_unsettled = _queries.value("has_unsettled")


@dataclass(slots=True)
class Due:
    """A subscription on a date that it is billed on."""

    state: State
    due_at: dt.datetime
    runs: list[tuple[BillingPeriod, list[Run]]] = field(default_factory=list)
    """The billing periods that are looked at, each in parts of one plan."""
    billed: list[Billed] = field(default_factory=list)
    """What it was asked for, for the same time."""

    def usage(self) -> Iterable[Usage]:
        """Return the charges for usage of the periods that are over."""
        for one, runs in self.runs:
            if one.period.end_at <= self.due_at:
                for run in runs:
                    yield from usage_charges(run, one)


Readings = Mapping[tuple[str, Period, Period], Mapping[int, Aggregate]]
"""What each meter read in each span of a billing period, by customer."""


@dataclass(frozen=True, slots=True)
class Priced:
    """What the lines of subscriptions are made with: versions, meters, assets, and what the meters read."""

    plans: Plans
    meters: Mapping[str, Meter]
    assets: Mapping[str, BookAsset]
    readings: Readings
    away: Sequence[Period]
    """The months of which usage cannot be read."""
    transactions: Mapping[tuple[str, Period], Mapping[int, Sequence[Decimal]]]
    """The single amounts behind a reading, where a price judges each."""
    uses: Mapping[LineKey, Sequence[LineUse]]
    """What credits pay of lines that were billed."""

    def reading(self, usage: Usage, customer_id: int) -> Aggregate | None:
        """Return what was used in a window; None: nothing was."""
        return self.readings[_window(usage)].get(customer_id)


async def prepare(
    connection: Connection, book_id: int, dues: Sequence[Due], at: dt.datetime, through: int, present: int | None
) -> Priced:
    """
    Find all that bills are made of *at* a moment: periods, versions, what was billed, and what the meters read.

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
    usage = [(due, one) for due in dues for one in due.usage()]
    meters = await find_meters(connection, book_id, {one.given.meter or "" for _, one in usage})
    if present is not None and usage:
        await _require_settled(connection, book_id, usage, through, present)
    readings = await _read_meters(connection, book_id, usage, meters, through)
    away = await months_away(connection, book_id) if usage else []
    transactions = await _read_transactions(connection, book_id, usage, meters, through)
    covered = [(one.invoice_id, one.position) for due in dues for one in due.billed if one.covered > 0]
    uses = await read_uses(connection, book_id, covered, at)
    return Priced(plans, meters, assets, readings, away, transactions, uses)


def _runs(
    spans: Sequence[Span], plans: Plans, from_: dt.datetime, due_at: dt.datetime
) -> list[tuple[BillingPeriod, list[Run]]]:
    """Return the billing periods from that which *from_* lies in to that which begins on the date, cut into runs."""
    begun = takewhile(lambda one: one.period.start_at <= due_at, periods_from(spans, from_))
    return [(one, runs_of(spans, plans, one)) for one in begun]


async def _require_settled(
    connection: Connection, book_id: int, usage: Sequence[tuple[Due, Usage]], through: int, present: int
) -> None:
    start_at = min(one.period.start_at for _, one in usage)
    end_at = max(one.period.end_at for _, one in usage)
    customers = sorted({due.state.customer_id for due, _ in usage})
    if await _has_unsettled(connection, book_id, through, present, customers, start_at, end_at):
        raise UsageNotSettled(month=f"{start_at.isoformat()} to {end_at.isoformat()}")


def _window(usage: Usage) -> tuple[str, Period, Period]:
    return usage.given.meter or "", usage.period, usage.whole


async def _read_meters(
    connection: Connection, book_id: int, usage: Sequence[tuple[Due, Usage]], meters: Mapping[str, Meter], through: int
) -> Readings:
    """Read each meter once per window, for all the customers that have it."""
    wanted: dict[tuple[str, Period, Period], set[int]] = {}
    for due, one in usage:
        wanted.setdefault(_window(one), set()).add(due.state.customer_id)
    return {
        (meter, period, whole): await aggregate(
            connection, book_id, sorted(customers), MeterQuery.of(meters[meter], whole), period, through
        )
        for (meter, period, whole), customers in wanted.items()
    }


async def _read_transactions(
    connection: Connection, book_id: int, usage: Sequence[tuple[Due, Usage]], meters: Mapping[str, Meter], through: int
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
