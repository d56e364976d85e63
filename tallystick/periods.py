"""Half-open spans of time, the months of a time zone, and the billing periods of a cycle."""

import calendar
import datetime as dt
import functools
import re
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal
from zoneinfo import ZoneInfo

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """From *start_at* up to, and without, *end_at*; both aware."""

    start_at: dt.datetime
    end_at: dt.datetime

    def __post_init__(self) -> None:
        """Refuse a period that is empty, runs backwards, or whose ends have no zone."""
        if self.start_at.tzinfo is None or self.end_at.tzinfo is None:
            raise ValueError("a period's ends need a time zone")
        if self.end_at <= self.start_at:
            raise ValueError("a period must end after it starts")

    def __contains__(self, instant: dt.datetime) -> bool:
        """Say whether *instant* lies inside."""
        return self.start_at <= instant < self.end_at

    def cut(self, instants: list[dt.datetime]) -> list["Period"]:
        """Divide at those of *instants* that lie strictly inside; the pieces add back to the whole."""
        inner = sorted({instant for instant in instants if self.start_at < instant < self.end_at})
        edges = [self.start_at, *inner, self.end_at]
        return [Period(start, end) for start, end in pairwise(edges)]


def month(text: str, zone: str = "UTC") -> Period:
    """
    Read ``2015-05`` as that month in *zone* (an IANA name), as instants in UTC.

    Raises:
        ValueError: *text* is not a month.
    """
    found = _MONTH.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a month; write it as 2015-05")
    year, number = int(found[1]), int(found[2])
    if year == 0:
        raise ValueError("the calendar starts with year 1")
    here = ZoneInfo(zone)
    start = dt.datetime(year, number, 1, tzinfo=here)
    end = dt.datetime(year + number // 12, number % 12 + 1, 1, tzinfo=here)
    return Period(start.astimezone(dt.UTC), end.astimezone(dt.UTC))


@functools.cache
def iana_zones() -> frozenset[str]:
    """Return the names that mean the same on every machine: neither what this one is set to, nor leap-second twins."""
    return frozenset(
        name
        for name in zoneinfo.available_timezones()
        if name not in {"localtime", "posixrules", "Factory"} and not name.startswith(("posix/", "right/"))
    )


Unit = Literal["day", "week", "month", "quarter", "year"]
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_DAYS = {"day": 1, "week": 7}


@dataclass(frozen=True, slots=True)
class Interval:
    """How long a billing period is: so many days, weeks, months, quarters or years."""

    unit: Unit
    count: int = 1

    def __post_init__(self) -> None:
        """Refuse an interval that leads nowhere."""
        if self.count < 1:
            raise ValueError("an interval is at least one long")

    @property
    def months(self) -> int:
        """Return how many months it is long; 0 where it is counted in days."""
        return _MONTHS.get(self.unit, 0) * self.count

    @property
    def days(self) -> int:
        """Return how many days it is long; 0 where it is counted in months."""
        return _DAYS.get(self.unit, 0) * self.count


@dataclass(frozen=True, slots=True)
class LocalDay:
    """
    A day of a calendar and a time on the clock, where the day may be one that the month has not.

    The 31st of a month of 30 days stands for its last day, and is the 31st again in the next month that has one.
    """

    year: int
    month: int
    day: int
    time: dt.time = dt.time()
    fold: int = 0
    """1: the second of the two instants that the clock shows at the end of summer time."""

    @classmethod
    def of(cls, instant: dt.datetime, zone: str) -> "LocalDay":
        """Return what calendar and clock of *zone* show at *instant*."""
        here = instant.astimezone(ZoneInfo(zone))
        return cls(here.year, here.month, here.day, here.time().replace(fold=0), here.fold)

    @property
    def date(self) -> dt.date:
        """Return the day, the month's last where the month has no such day."""
        return dt.date(self.year, self.month, min(self.day, calendar.monthrange(self.year, self.month)[1]))

    def instant(self, zone: str) -> dt.datetime:
        """
        Return when calendar and clock of *zone* show it, in UTC.

        What they never show, since the clock is put forward over it, is as long after the hour before as it would have
        been; what they show twice is the first of both, unless *fold* says otherwise (RFC 5545 §3.3.5).

        Raises:
            OverflowError: it is outside the years 1 to 9999.
        """
        local = dt.datetime.combine(self.date, self.time.replace(fold=self.fold), ZoneInfo(zone))
        return local.astimezone(dt.UTC)

    def plus_months(self, months: int) -> "LocalDay":
        """Return the same day of another month; the day is kept, also where the month has not so many."""
        year, month = divmod(self.year * 12 + self.month - 1 + months, 12)
        if not dt.MINYEAR <= year <= dt.MAXYEAR:
            raise OverflowError("the calendar has the years 1 to 9999")
        return replace(self, year=year, month=month + 1, fold=self.fold if not months else 0)

    def plus_days(self, days: int) -> "LocalDay":
        """Return a day so many days later."""
        if not days:
            return self
        moved = self.date + dt.timedelta(days=days)
        return LocalDay(moved.year, moved.month, moved.day, self.time)


@dataclass(frozen=True, slots=True)
class BillingPeriod:
    """A period of a cycle: as much of it as there is, and the whole that it is a part of."""

    period: Period
    whole: Period


@dataclass(frozen=True, slots=True)
class Cycle:
    """Billing periods of one length, one after the other, in both directions from the *anchor*."""

    interval: Interval
    zone: str
    anchor: LocalDay

    @classmethod
    def of_calendar(cls, interval: Interval, zone: str, instant: dt.datetime) -> "Cycle":
        """
        Return the cycle of the calendar of *zone*, whose periods begin at midnight.

        Weeks begin on Monday, quarters in January, April, July and October. Longer intervals are counted from year 1.
        """
        day = LocalDay.of(instant, zone).date
        if interval.days:
            first = dt.date.fromordinal((day.toordinal() - 1) // interval.days * interval.days + 1)
        else:
            year, month = divmod((day.year * 12 + day.month - 1) // interval.months * interval.months, 12)
            first = dt.date(max(year, 1), month + 1, 1)
        return cls(interval, zone, LocalDay(first.year, first.month, first.day))

    def boundary(self, place: int) -> dt.datetime:
        """
        Return where the period *place* begins; 0 is the one that begins at the anchor.

        Raises:
            OverflowError: it is outside the years 1 to 9999.
        """
        if self.interval.days:
            return self.anchor.plus_days(place * self.interval.days).instant(self.zone)
        return self.anchor.plus_months(place * self.interval.months).instant(self.zone)

    def place_of(self, instant: dt.datetime) -> int:
        """Return which period *instant* lies in."""
        here, first = LocalDay.of(instant, self.zone).date, self.anchor.date
        if self.interval.days:
            place = (here - first).days // self.interval.days
        else:
            place = ((here.year - first.year) * 12 + here.month - first.month) // self.interval.months
        while self.boundary(place) > instant:
            place -= 1
        while self.boundary(place + 1) <= instant:
            place += 1
        return place

    def tile(self, start_at: dt.datetime, end_at: dt.datetime | None = None) -> Iterator[BillingPeriod]:
        """
        Cover the time from *start_at* to *end_at* with periods; they touch, and only the first and last may be parts.

        Without an end they go on until the calendar's own.
        """
        place = self.place_of(start_at)
        begins, from_ = self.boundary(place), start_at
        while end_at is None or from_ < end_at:
            place += 1
            try:
                ends = self.boundary(place)
            except OverflowError:
                return
            if ends > from_:  # a day that a zone leaves out has no instants
                until = ends if end_at is None else min(ends, end_at)
                yield BillingPeriod(Period(from_, until), Period(begins, ends))
                from_ = ends
            begins = ends
