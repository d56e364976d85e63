"""Keep billed: of usage in months that are detached or dropped, what was asked for stays as it is. Pure."""

import datetime as dt
from collections.abc import Iterable, Sequence
from decimal import Decimal

from tallystick.invoicing.draft import MonthAway
from tallystick.invoicing.find_changes import overlap
from tallystick.periods import Period
from tallystick.subscriptions.reconcile import Billed
from tallystick.subscriptions.wanted import Usage, Wanted

Window = tuple[str, str, dt.datetime, Period]
"""A plan, a charge of it, its version, and the span whose usage it is for."""


def window_of(one: Usage | Billed) -> Window:
    """Return what usage is asked for by, and for which span."""
    if isinstance(one, Usage):
        return one.version.plan, one.charge, one.version.effective_at, one.period
    return one.plan, one.charge, one.price_at, one.period


def keep_billed(
    usage: Iterable[Usage], billed: Sequence[Billed], until: dt.datetime | None, away: Sequence[Period]
) -> dict[Window, Wanted | None]:
    """
    Return for each window of *usage* that is *away* the line that it was billed with; None where nothing was.

    *until* is the date that was billed last.

    Raises:
        MonthAway: such a window was not billed yet, or not as it is now (``invoicing.month_away``).
    """
    found: dict[Window, Wanted | None] = {}
    metered = [one for one in billed if one.meter is not None and _is_away(one.period, away)]
    for one in usage:
        if _is_away(one.period, away):
            if until is None or until < one.period.end_at:
                raise _month_away(one.period)
            window = window_of(one)
            found[window] = _as_billed(one, [line for line in metered if window_of(line) == window])
    for line in metered:
        if window_of(line) not in found:
            raise _month_away(line.period)
    return found


def _as_billed(usage: Usage, lines: Sequence[Billed]) -> Wanted | None:
    if not lines:
        return None
    return Wanted(
        usage.version.plan,
        usage.charge,
        usage.version.effective_at,
        usage.given.meter,
        usage.period,
        sum((one.quantity for one in lines), Decimal(0)),
        sum(one.events for one in lines),
        sum(one.amount for one in lines),
        {},
        lines[0].explanation,
        usage.billing_start,
    )


def _is_away(period: Period, away: Sequence[Period]) -> bool:
    return any(overlap(period, month) for month in away)


def _month_away(period: Period) -> MonthAway:
    return MonthAway(month=f"{period.start_at.isoformat()} to {period.end_at.isoformat()}")
