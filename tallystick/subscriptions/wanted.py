"""What the billing periods of a subscription should come to: charge by charge, span by span. Pure."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from zoneinfo import ZoneInfo

import msgspec

from tallystick.catalog.plans.model import PlanCharge, PlanVersion, ProrationUnit
from tallystick.money import Asset, Money
from tallystick.periods import BillingPeriod, Period
from tallystick.rating.exact import EXACT, plain
from tallystick.rating.model import Flat, Line
from tallystick.rating.prorate import prorate
from tallystick.rating.rate import rate
from tallystick.rating.read_price import read_price
from tallystick.subscriptions.model import Span
from tallystick.wallets.model import UnitDraw

Plans = Mapping[str, Sequence[PlanVersion]]
"""All versions of each plan, in order of time."""


@dataclass(frozen=True, slots=True)
class Run:
    """A part of a billing period in which plan, version and phase are the same."""

    version: PlanVersion
    phase: str
    spans: list[Span]
    """Cut to the period."""

    @property
    def period(self) -> Period:
        """Return the time it covers."""
        return Period(self.spans[0].start_at, _end(self.spans[-1]))


@dataclass(frozen=True, slots=True)
class Wanted:
    """One line that there should be."""

    plan: str
    charge: str
    price_at: dt.datetime
    meter: str | None
    period: Period
    """The span it is for."""
    quantity: Decimal
    events: int
    amount: int
    detail: Mapping[str, object]
    explanation: str
    billing_start: dt.datetime
    """When its billing period begins."""
    draws: Sequence[UnitDraw] = ()
    """What pays for a part of the quantity, which is not in the amount."""


@dataclass(frozen=True, slots=True)
class Usage:
    """A charge for what a meter reads in a window: still without its reading."""

    version: PlanVersion
    charge: str
    given: PlanCharge
    period: Period
    billing_start: dt.datetime
    whole: Period
    """The whole billing period that the window is a part of; of one that is cut short, as it would be."""


def runs_of(spans: Sequence[Span], plans: Plans, one: BillingPeriod) -> list[Run]:
    """
    Cut a billing period into runs.

    Which version of a plan is in force is decided when the period begins, or the plan in it: a version from later on
    counts from the next period.
    """
    inside = [part for span in spans if (part := span.cut(one.period.start_at, one.period.end_at)) is not None]
    runs = []
    for (plan, pinned, phase), alike in groupby(inside, key=lambda span: (span.plan, span.version_at, span.phase)):
        parts = list(alike)
        version = _version(plans[plan], pinned or parts[0].start_at)
        runs.append(Run(version, phase, parts))
    return runs


def _version(versions: Sequence[PlanVersion], at: dt.datetime) -> PlanVersion:
    """Return the version in force: there was one when the plan was subscribed to."""
    return [version for version in versions if version.effective_at <= at][-1]


def flat_lines(run: Run, one: BillingPeriod, asset: Asset, *, ended: bool) -> Iterator[Wanted]:
    """
    Return what the flat charges of a run come to: those due in advance, and when the period has *ended* the others.

    Each is divided by the time it was in force for, and its parts add back to the whole.
    """
    for charge in run.version.phase(run.phase).charges:
        if charge.meter is not None or (charge.when == "arrears" and not ended):
            continue
        yield from _flat(run, one, asset, charge)


def usage_charges(run: Run, one: BillingPeriod) -> list[Usage]:
    """Return the charges for usage: each rates all that was used in the run, also while it was paused."""
    code = run.version.charge_code
    return [
        Usage(run.version, code(run.phase, charge.code), charge, run.period, one.period.start_at, one.whole)
        for charge in run.version.phase(run.phase).charges
        if charge.meter is not None
    ]


def limit_share(run: Run, one: BillingPeriod) -> Fraction:
    """Return the part of the whole period that a minimum and a maximum are for: that in which it was not paused."""
    shares = [_share(run, span, one) for span in run.spans if not span.paused]
    return sum(shares, Fraction(0))


def _flat(run: Run, one: BillingPeriod, asset: Asset, charge: PlanCharge) -> Iterator[Wanted]:
    active = [span for span in run.spans if not span.paused and (span.quantity or not charge.per_quantity)]
    by_quantity: dict[int, list[Period]] = {}
    for span in active:
        quantity = span.quantity if charge.per_quantity else 1
        parts = by_quantity.setdefault(quantity, [])
        if parts and parts[-1].end_at == span.start_at:
            parts[-1] = Period(parts[-1].start_at, _end(span))
        else:
            parts.append(Period(span.start_at, _end(span)))
    for quantity, parts in by_quantity.items():
        line = _whole(charge, quantity, asset)
        shares = [share_of(part, one, run.version.content.proration, _zone(run)) for part in parts]
        for part, share, amount in zip(parts, shares, prorate(line.amount, shares), strict=True):
            if not share:
                continue
            explanation = _explain(charge, quantity, line, asset, _Part(part, one, share, amount, run))
            yield Wanted(
                run.version.plan,
                run.version.charge_code(run.phase, charge.code),
                run.version.effective_at,
                None,
                part,
                Decimal(quantity),
                0,
                amount,
                msgspec.to_builtins(line)
                | {"amount": amount, "share": f"{share.numerator}/{share.denominator}", "explanation": explanation},
                explanation,
                one.period.start_at,
            )


def _whole(charge: PlanCharge, quantity: int, asset: Asset) -> Line:
    """Rate a flat charge for a whole period and all of the quantity."""
    price = read_price(charge.price)
    if not isinstance(price, Flat):
        raise TypeError("only a flat price names no meter")
    if charge.per_quantity:
        price = msgspec.structs.replace(price, amount=EXACT.multiply(price.amount, Decimal(quantity)))
    return rate(price, Decimal(1), asset, "periods")


def share_of(part: Period, one: BillingPeriod, unit: ProrationUnit, zone: str) -> Fraction:
    """
    Return which part of the whole billing period *part* is, counted in *unit*.

    Days are those of the zone's calendar, and the day of a change belongs to what begins on it. Without proration all
    belongs to what the period begins with.
    """
    if unit == "none":
        return Fraction(part.start_at == one.period.start_at)
    return Fraction(_measure(part, unit, zone), _measure(one.whole, unit, zone))


def _measure(period: Period, unit: ProrationUnit, zone: str) -> int:
    if unit == "day":
        here = ZoneInfo(zone)
        return (period.end_at.astimezone(here).date() - period.start_at.astimezone(here).date()).days
    return (period.end_at - period.start_at) // dt.timedelta.resolution


def _share(run: Run, span: Span, one: BillingPeriod) -> Fraction:
    return share_of(Period(span.start_at, _end(span)), one, run.version.content.proration, _zone(run))


def _zone(run: Run) -> str:
    return run.spans[0].cycle.zone


def _end(span: Span) -> dt.datetime:
    """Return when a span that was cut to a period ends."""
    if span.end_at is None:
        raise ValueError("a span inside of a period has an end")
    return span.end_at


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a billing period, with what it comes to."""

    period: Period
    one: BillingPeriod
    share: Fraction
    amount: int
    run: Run


def _explain(charge: PlanCharge, quantity: int, line: Line, asset: Asset, part: _Part) -> str:
    """Say how an amount came about, as in ``5 x 10 USD = 50.00 USD, for 14 of 31 days 22.58 USD``."""
    whole = line.explanation
    if charge.per_quantity:
        times = f"{quantity:,} \N{MULTIPLICATION SIGN} {plain(Decimal(charge.price['amount']))} {asset.code}"
        is_plain = read_price(charge.price).is_plain
        whole = f"{times} = {major(line.amount, asset)}" if is_plain else f"{times}: {line.explanation}"
    if part.share == 1:
        return whole
    unit, zone = part.run.version.content.proration, _zone(part.run)
    counted, of = _measure(part.period, unit, zone), _measure(part.one.whole, unit, zone)
    if unit == "second":
        counted, of = counted // 1_000_000, of // 1_000_000
    return f"{whole}, for {counted:,} of {of:,} {unit}s {major(part.amount, asset)}"


def major(amount: int, asset: Asset) -> str:
    """Write minor units as people do, as in ``22.58 USD``."""
    return f"{Money(amount, asset).major:,.{asset.exponent}f} {asset.code}"
