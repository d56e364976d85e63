"""A subscription's billing periods, and the dates that it is billed on."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tallystick.periods import BillingPeriod, Cycle
from tallystick.subscriptions.model import Span


@dataclass(frozen=True, slots=True)
class Leg:
    """A stretch of time whose billing periods are of one cycle."""

    start_at: dt.datetime
    end_at: dt.datetime | None
    cycle: Cycle


def legs(spans: Sequence[Span]) -> list[Leg]:
    """Put together the neighbours that have a cycle in common; at the end of a leg a period ends, however long it is."""
    found: list[Leg] = []
    for span in spans:
        if found and found[-1].cycle == span.cycle and found[-1].end_at == span.start_at:
            found[-1] = Leg(found[-1].start_at, span.end_at, span.cycle)
        else:
            found.append(Leg(span.start_at, span.end_at, span.cycle))
    return found


def periods_from(spans: Sequence[Span], instant: dt.datetime) -> Iterator[BillingPeriod]:
    """Return the billing period that *instant* lies in, and all behind it."""
    for leg in legs(spans):
        if leg.end_at is not None and leg.end_at <= instant:
            continue
        start_at = leg.start_at
        if instant > start_at:
            start_at = max(start_at, leg.cycle.boundary(leg.cycle.place_of(instant)))
        yield from leg.cycle.tile(start_at, leg.end_at)


def end_of(spans: Sequence[Span], start_at: dt.datetime) -> dt.datetime | None:
    """Return when a subscription ends; one without any span ended as it started."""
    return spans[-1].end_at if spans else start_at


def next_due(spans: Sequence[Span], after: dt.datetime | None) -> dt.datetime | None:
    """
    Return the first date behind *after* that a subscription is billed on; None: there is none.

    It is billed when a period begins, and when the last one ends.
    """
    if not spans:
        return None
    if after is None:
        return spans[0].start_at
    for one in periods_from(spans, after):
        if one.period.start_at > after:
            return one.period.start_at
    end_at = spans[-1].end_at
    return end_at if end_at is not None and end_at > after else None
