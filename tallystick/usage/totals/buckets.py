"""Buckets: a period cut into the hours, days or months of a time zone, as instants, and into what totals can answer."""

import datetime as dt
import zoneinfo
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from tallystick.errors import InvalidInput, Kind, TallystickError
from tallystick.periods import Period, iana_zones

Per = Literal["none", "hour", "day", "month"]
"""How a period is cut; ``none`` leaves it whole."""
MOST_BUCKETS = 10_000
_HOUR = dt.timedelta(hours=1)
_DAY = dt.timedelta(days=1)
_USUAL = {"hour": dt.timedelta(hours=1), "day": dt.timedelta(days=1), "month": dt.timedelta(days=30)}
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FIRST, _LAST = dt.datetime(1, 1, 3, tzinfo=dt.UTC), dt.datetime(9999, 1, 1, tzinfo=dt.UTC)


class TooManyBuckets(TallystickError):
    """The period has more than {most} of these; ask for a shorter one, or cut it into longer pieces."""

    code = "usage.too_many_buckets"
    kind = Kind.INVALID


def cut(period: Period, per: Per, zone: str) -> list[dt.datetime]:
    """
    Return the instants, in UTC, at which the buckets of *period* begin, and at last its end.

    The period's ends cut the first and the last bucket short. Where a zone's clock changes, a day has 23 or 25 hours,
    and an hour that is passed twice is two buckets.

    Raises:
        InvalidInput: there is no such zone, or the period leaves the calendar (``invalid_input``).
        TooManyBuckets: there would be more than ``MOST_BUCKETS`` (``usage.too_many_buckets``).
    """
    if zone not in iana_zones():
        raise InvalidInput(field="zone", rule="a zone is an IANA name such as UTC or Europe/Vienna")
    if period.start_at < _FIRST or period.end_at > _LAST:
        raise InvalidInput(field="start_at", rule="a period lies in the years 1 to 9998")
    if per == "none":
        return [period.start_at, period.end_at]
    if (period.end_at - period.start_at) // _USUAL[per] > 2 * MOST_BUCKETS:  # too many by far need not be counted
        raise TooManyBuckets(field="per", most=MOST_BUCKETS)
    begin = {"hour": _hours, "day": _days, "month": _months}[per]
    edges = [period.start_at]
    for edge in begin(period.start_at, zoneinfo.ZoneInfo(zone)):
        if edge >= period.end_at:
            break
        if edge > edges[-1]:
            edges.append(edge)
    if len(edges) > MOST_BUCKETS:
        raise TooManyBuckets(field="per", most=MOST_BUCKETS)
    return [*edges, period.end_at]


@dataclass(frozen=True, slots=True)
class Pieces:
    """What the buckets are made of."""

    whole: list[dt.datetime]
    """In turn, where whole hours or days of UTC begin to count and cease to: from a bucket's first to its last."""
    ends: list[Period]
    """What lies before the first whole one of a bucket and behind its last one."""


def take_apart(edges: Sequence[dt.datetime], grain: dt.timedelta) -> Pieces:
    """Say which whole hours or days of UTC, as *grain* has it, lie within a bucket each, and what is left of the buckets."""
    whole: list[dt.datetime] = []
    ends: list[Period] = []
    for start, end in pairwise(edges):
        first, behind = start + (_EPOCH - start) % grain, end - (end - _EPOCH) % grain
        if first >= behind:
            ends.append(Period(start, end))
            continue
        whole += [first, behind]
        if start < first:
            ends.append(Period(start, first))
        if behind < end:
            ends.append(Period(behind, end))
    return Pieces(whole, ends)


def _hours(start: dt.datetime, zone: zoneinfo.ZoneInfo) -> Iterator[dt.datetime]:
    """Yield the instants behind *start* at which the clock shows a full hour; a clock that is set begins anew."""
    at = start
    while True:
        here = at.astimezone(zone)
        rest = _HOUR - dt.timedelta(minutes=here.minute, seconds=here.second, microseconds=here.microsecond)
        at += rest
        yield at


def _days(start: dt.datetime, zone: zoneinfo.ZoneInfo) -> Iterator[dt.datetime]:
    """Yield the instants behind *start* at which a day of the zone begins; where midnight is skipped, with the next hour."""
    day = start.astimezone(zone).date()
    while True:
        day += _DAY
        yield dt.datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(dt.UTC)


def _months(start: dt.datetime, zone: zoneinfo.ZoneInfo) -> Iterator[dt.datetime]:
    """Yield the instants behind *start* at which a month of the zone begins."""
    here = start.astimezone(zone)
    number = here.year * 12 + here.month
    while True:
        yield dt.datetime(number // 12, number % 12 + 1, 1, tzinfo=zone).astimezone(dt.UTC)
        number += 1
