"""Proration of a plan's charges: parts of a billing period add back to the whole, whatever the unit and the zone."""

import datetime as dt
import uuid
from fractions import Fraction
from itertools import islice, pairwise
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.catalog.plans.model import PlanContent, PlanVersion, ProrationUnit
from tallystick.money import Asset
from tallystick.periods import BillingPeriod, Cycle, Interval, LocalDay, Period
from tallystick.subscriptions.model import Span
from tallystick.subscriptions.reconcile import Billed, reconcile
from tallystick.subscriptions.wanted import Wanted, flat_lines, runs_of, share_of

tried = settings(print_blob=True, deadline=None)

USD = Asset("USD", 2)
START = dt.datetime(2024, 1, 31, tzinfo=dt.UTC)
units: st.SearchStrategy[ProrationUnit] = st.sampled_from(["second", "day"])
zones = st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
cents = st.integers(0, 10**9)
cuts = st.lists(st.integers(1, 60 * 24 * 28), max_size=6, unique=True)
"""Minutes behind the start at which something changes."""


def version(amount: int, unit: ProrationUnit) -> PlanVersion:
    """Make a plan of so many cents a seat, and a fee of the same that is not by seat."""
    price = {"model": "flat", "amount": f"{amount // 100}.{amount % 100:02}"}
    charges: list[dict[str, Any]] = [
        {"code": "seats", "name": "Seats", "price": price, "per_quantity": True},
        {"code": "base", "name": "Base", "price": price},
    ]
    phases = [{"name": "regular", "charges": charges}]
    content = {"name": "P", "asset": "USD", "interval": {"unit": "month"}, "proration": unit, "phases": phases}
    read = msgspec.convert(content, PlanContent)
    return PlanVersion("pro", dt.datetime(2024, 1, 1, tzinfo=dt.UTC), read, read.phases)


def month_of(zone: str) -> tuple[Cycle, BillingPeriod]:
    """Return the cycle from the start in *zone*, and its first period."""
    cycle = Cycle(Interval("month"), zone, LocalDay.of(START, zone))
    return cycle, next(cycle.tile(START))


def spans_of(cycle: Cycle, minutes: list[int], quantities: list[int]) -> list[Span]:
    """Cut time from the start on at those minutes, each part with its quantity."""
    edges = [START, *(START + dt.timedelta(minutes=minute) for minute in sorted(minutes)), None]
    return [
        Span(start, end, "pro", None, "regular", quantity, paused=False, cycle=cycle)
        for (start, end), quantity in zip(pairwise(edges), quantities, strict=True)
        if start is not None
    ]


def lines_of(spans: list[Span], plan: PlanVersion, one: BillingPeriod) -> list[Wanted]:
    """Return what the period comes to."""
    return [line for run in runs_of(spans, {"pro": [plan]}, one) for line in flat_lines(run, one, USD, ended=True)]


@tried
@given(cents, units, zones, cuts)
def test_parts_at_one_price_add_back_to_the_whole(
    amount: int, unit: ProrationUnit, zone: str, minutes: list[int]
) -> None:
    """However often the quantity changes, what does not depend on it comes to exactly its price."""
    cycle, one = month_of(zone)
    spans = spans_of(cycle, minutes, [1 + place % 3 for place in range(len(minutes) + 1)])
    found = [line for line in lines_of(spans, version(amount, unit), one) if line.charge == "base"]
    assert sum(line.amount for line in found) == amount


@tried
@given(cents, units, zones, cuts)
def test_parts_of_one_quantity_add_back_too(amount: int, unit: ProrationUnit, zone: str, minutes: list[int]) -> None:
    """Paused and resumed for no time at all, a seat costs what a seat costs."""
    cycle, one = month_of(zone)
    spans = spans_of(cycle, minutes, [3] * (len(minutes) + 1))
    found = [line for line in lines_of(spans, version(amount, unit), one) if line.charge == "seats"]
    assert sum(line.amount for line in found) == 3 * amount


@tried
@given(cents, units, zones, cuts, st.data())
def test_parts_of_many_quantities_are_off_by_less_than_a_cent_each(
    amount: int, unit: ProrationUnit, zone: str, minutes: list[int], data: st.DataObject
) -> None:
    """Each quantity is rounded once over all of its parts."""
    count = len(minutes) + 1
    quantities = data.draw(st.lists(st.integers(0, 9), min_size=count, max_size=count))
    cycle, one = month_of(zone)
    spans = spans_of(cycle, minutes, quantities)
    found = [line for line in lines_of(spans, version(amount, unit), one) if line.charge == "seats"]
    exact = Fraction(0)
    for span in spans:
        part = span.cut(one.period.start_at, one.period.end_at)
        if part is not None and part.end_at is not None:
            exact += amount * span.quantity * share_of(Period(part.start_at, part.end_at), one, unit, zone)
    assert abs(sum(line.amount for line in found) - exact) <= Fraction(len(set(quantities)), 2)


@tried
@given(units, zones, cuts)
def test_shares_of_a_period_are_one_together(unit: ProrationUnit, zone: str, minutes: list[int]) -> None:
    """Also over a day of 23 or 25 hours."""
    cycle, _ = month_of(zone)
    for one in islice(cycle.tile(START), 12):
        instants = [one.period.start_at + dt.timedelta(minutes=minute) for minute in minutes]
        assert sum(share_of(part, one, unit, zone) for part in one.period.cut(instants)) == 1


def billed(lines: list[Wanted], invoice: int) -> list[Billed]:
    """Return lines as they stand on an invoice."""
    return [
        Billed(uuid.UUID(int=invoice), place, line.plan, line.charge, line.price_at, None, line.period, 0, line.quantity,
               line.amount, None, line.explanation)
        for place, line in enumerate(lines)
    ]  # fmt: skip


@tried
@given(cents, units, cuts, cuts)
def test_what_is_reconciled_once_is_not_asked_for_again(
    amount: int, unit: ProrationUnit, before: list[int], behind: list[int]
) -> None:
    """What was billed and what corrects it come to what is wanted, but for what is carried."""
    cycle, one = month_of("UTC")
    plan = version(amount, unit)
    asked = billed(lines_of(spans_of(cycle, before, [place % 4 for place in range(len(before) + 1)]), plan, one), 1)
    wanted = lines_of(spans_of(cycle, behind, [(place + 1) % 3 for place in range(len(behind) + 1)]), plan, one)
    made = reconcile(wanted, asked, USD)
    total = sum(line.amount for line in wanted)
    assert sum(line.amount for line in asked) + made.total == total + made.carried
    assert made.total >= 0
    assert reconcile(wanted, billed(wanted, 2), USD).total == 0
