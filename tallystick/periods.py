"""Half-open spans of time, and the months of a time zone."""

import datetime as dt
import re
from dataclasses import dataclass
from itertools import pairwise
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
