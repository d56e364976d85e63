"""Proration of a plan's charges: parts of a billing period add back to the whole, whatever the unit and the zone."""

import datetime as dt
import uuid
from decimal import localcontext
from fractions import Fraction
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
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


def test_what_is_for_each_of_a_quantity_says_what_is_taken_off() -> None:
    """A discount and a minimum are of all seats together, and the sentence comes out."""
    cycle, one = month_of("UTC")
    plan = version(0, "day")
    price = {"model": "flat", "amount": "10", "discounts": [{"amount": "2"}]}
    seats = msgspec.structs.replace(plan.phases[0].charges[0], price=price)
    plan = PlanVersion(
        plan.plan, plan.effective_at, plan.content, [msgspec.structs.replace(plan.phases[0], charges=[seats])]
    )
    (line,) = lines_of(spans_of(cycle, [], [3]), plan, one)
    assert line.amount == 2800
    assert line.explanation == "3 \N{MULTIPLICATION SIGN} 10 USD: flat fee of 30 USD, less 2 USD = 28.00 USD"


def test_what_is_for_each_of_a_quantity_is_exact_to_the_last_digit() -> None:
    """A billion times a hair over half a cent is rounded once, and nothing depends on the caller's decimal context."""
    cycle, one = month_of("UTC")
    plan = version(0, "day")
    each = msgspec.structs.replace(
        plan.phases[0].charges[0], price={"model": "flat", "amount": "0.0050000000000000001"}
    )
    plan = PlanVersion(
        plan.plan, plan.effective_at, plan.content, [msgspec.structs.replace(plan.phases[0], charges=[each])]
    )
    for quantity, amount in ((1, 1), (1_000_000_001, 500_000_001)):
        with localcontext(prec=5):
            (line,) = lines_of(spans_of(cycle, [], [quantity]), plan, one)
        assert line.amount == amount


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


@pytest.mark.parametrize(
    ("zone", "days", "of"), [("America/New_York", 14, 29), ("UTC", 15, 29), ("Pacific/Auckland", 15, 29)]
)
def test_days_are_those_of_the_zone(zone: str, days: int, of: int) -> None:
    """At three in the morning of 15 February in London it is still the 14th in New York, and the 15th all over Auckland."""
    here = ZoneInfo(zone)
    start, end = (dt.datetime(2024, *day, tzinfo=here).astimezone(dt.UTC) for day in ((1, 31), (2, 29)))
    one = BillingPeriod(Period(start, end), Period(start, end))
    part = Period(start, dt.datetime(2024, 2, 15, 3, tzinfo=dt.UTC))
    assert share_of(part, one, "day", zone) == Fraction(days, of)


def test_a_day_of_23_hours_is_a_day_by_the_day_and_less_by_the_second() -> None:
    """March in New York has 31 days and is an hour short of them."""
    here = ZoneInfo("America/New_York")
    ends = [dt.datetime(2024, *day, tzinfo=here).astimezone(dt.UTC) for day in ((3, 1), (3, 11), (4, 1))]
    one = BillingPeriod(Period(ends[0], ends[2]), Period(ends[0], ends[2]))
    part = Period(ends[0], ends[1])
    assert share_of(part, one, "day", "America/New_York") == Fraction(10, 31)
    assert share_of(part, one, "second", "America/New_York") == Fraction(239, 743)


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
