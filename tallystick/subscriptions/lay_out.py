"""Lay out: the spans of a subscription to a plan, phase after phase."""

import datetime as dt
from dataclasses import dataclass, replace
from itertools import islice

from tallystick.catalog.plans.model import PhaseLength, PlanVersion
from tallystick.errors import Kind, TallystickError
from tallystick.periods import Cycle, LocalDay
from tallystick.subscriptions.model import Span


class BeyondCalendar(TallystickError):
    """The phases of the plan {plan} would end outside the years 1 to 9999."""

    code = "subscriptions.beyond_calendar"
    kind = Kind.INVALID


@dataclass(frozen=True, slots=True)
class Terms:
    """What of a subscription holds in all of its phases."""

    quantity: int
    zone: str
    anchor_day: int | None
    """The day of the month that periods begin on; None: that of the start, or the calendar's first."""
    pinned: bool


def lay_out(version: PlanVersion, start_at: dt.datetime, end_at: dt.datetime | None, terms: Terms) -> list[Span]:
    """
    Return a span for each phase from *start_at* on.

    A phase begins periods of its own, so a trial's end is the beginning of one. Where its length is counted in months
    or periods the day is kept, also over months that have not so many: a start on the 31st stays on the 31st.

    Raises:
        BeyondCalendar: a phase would last until after the year 9999 (``subscriptions.beyond_calendar``).
    """
    spans: list[Span] = []
    day, instant = LocalDay.of(start_at, terms.zone), start_at
    for phase in version.phases:
        cycle = cycle_from(version, day, instant, terms)
        following, until = None, end_at
        if phase.length is not None:
            try:
                following, until = _behind(phase.length, cycle, day, instant)
            except OverflowError as error:
                raise BeyondCalendar(field="plan", plan=version.plan) from error
        if following is not None and until is not None and until <= instant:
            day, instant = following, until  # all of it lies in a day that the zone leaves out
            continue
        last = end_at is not None and (until is None or end_at <= until)
        spans.append(
            Span(
                instant,
                end_at if last else until,
                version.plan,
                version.effective_at if terms.pinned else None,
                phase.name,
                terms.quantity,
                paused=False,
                cycle=cycle,
            )
        )
        if last or following is None or until is None:
            break
        day, instant = following, until
    return spans


def cycle_from(version: PlanVersion, day: LocalDay, instant: dt.datetime, terms: Terms) -> Cycle:
    """Return the cycle of billing periods that begins at *instant*, on *day* of the zone."""
    if version.content.billing == "calendar":
        return Cycle.of_calendar(version.interval, terms.zone, instant)
    if terms.anchor_day is None:
        return Cycle(version.interval, terms.zone, day)
    return Cycle(version.interval, terms.zone, replace(day, day=terms.anchor_day, time=dt.time(), fold=0))


def _behind(length: PhaseLength, cycle: Cycle, day: LocalDay, instant: dt.datetime) -> tuple[LocalDay, dt.datetime]:
    """Return the day, and the instant, that the phase behind begins at."""
    if length.days is not None:
        following = day.plus_days(length.days)
        return following, following.instant(cycle.zone)
    if length.months is not None:
        following = day.plus_months(length.months)
        return following, following.instant(cycle.zone)
    periods = length.periods or 1
    last = next(islice(cycle.tile(instant), periods - 1, None), None)
    if last is None:
        raise OverflowError("the calendar ends before the phase does")
    until = last.period.end_at
    if cycle.anchor == day and cycle.interval.months:
        return day.plus_months(periods * cycle.interval.months), until
    return LocalDay.of(until, cycle.zone), until
