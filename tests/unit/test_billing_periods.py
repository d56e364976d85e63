"""Billing periods: they cover time once, keep their day, and know calendars, leap years and clocks that are changed."""

import datetime as dt
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.periods import Cycle, Interval, LocalDay, Unit

tried = settings(print_blob=True, deadline=None)

instants = st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2060, 1, 1), timezones=st.just(dt.UTC))  # noqa: DTZ001 - the zone is the next argument
zones = st.sampled_from(
    ["UTC", "Asia/Tokyo", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "Europe/Dublin"]
)
units: st.SearchStrategy[Unit] = st.sampled_from(["day", "week", "month", "quarter", "year"])
intervals = st.builds(Interval, units, st.integers(1, 5))


def at(text: str, zone: str = "UTC") -> dt.datetime:
    """Read what calendar and clock of *zone* show."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC)


def anniversary(start_at: dt.datetime, zone: str, interval: Interval) -> Cycle:
    """Return the cycle that counts from *start_at*."""
    return Cycle(interval, zone, LocalDay.of(start_at, zone))


def starts(cycle: Cycle, start_at: dt.datetime, count: int) -> list[str]:
    """Return when the first periods begin, as the zone's calendar and clock show it."""
    here = ZoneInfo(cycle.zone)
    return [
        one.period.start_at.astimezone(here).strftime("%Y-%m-%d %H:%M") for one in islice(cycle.tile(start_at), count)
    ]


@tried
@given(start_at=instants, zone=zones, interval=intervals, by_calendar=st.booleans())
def test_periods_cover_time_without_gap_or_overlap(
    start_at: dt.datetime, zone: str, interval: Interval, *, by_calendar: bool
) -> None:
    """Each begins where the one before ended, none is empty, and each lies in its whole."""
    made = Cycle.of_calendar(interval, zone, start_at) if by_calendar else anniversary(start_at, zone, interval)
    found = list(islice(made.tile(start_at), 30))
    assert found[0].period.start_at == start_at
    assert all(one.period.end_at == other.period.start_at for one, other in pairwise(found))
    assert all(one.period == one.whole for one in found[1:])
    assert found[0].whole.start_at <= start_at < found[0].whole.end_at
    assert by_calendar or found[0].period == found[0].whole


@tried
@given(instants, instants, zones, intervals)
def test_an_instant_lies_in_the_period_that_is_found_for_it(
    start_at: dt.datetime, instant: dt.datetime, zone: str, interval: Interval
) -> None:
    """Also where it lies before the anchor."""
    cycle = anniversary(start_at, zone, interval)
    place = cycle.place_of(instant)
    assert cycle.boundary(place) <= instant < cycle.boundary(place + 1)


@tried
@given(instants, instants, zones, intervals)
def test_a_stretch_is_covered_to_its_end(one: dt.datetime, other: dt.datetime, zone: str, interval: Interval) -> None:
    """The last period is cut where the stretch ends."""
    start_at, end_at = sorted([one, other])
    end_at = min(end_at, start_at + dt.timedelta(days=400))
    found = list(anniversary(start_at, zone, interval).tile(start_at, end_at))
    assert (not found) == (start_at == end_at)
    if found:
        assert (found[0].period.start_at, found[-1].period.end_at) == (start_at, end_at)


@pytest.mark.parametrize(
    ("start", "interval", "expected"),
    [
        ("2023-01-31", Interval("month"), ["01-31", "02-28", "03-31", "04-30", "05-31"]),
        ("2024-01-31", Interval("month"), ["01-31", "02-29", "03-31", "04-30", "05-31"]),
        ("2024-01-30", Interval("month"), ["01-30", "02-29", "03-30", "04-30", "05-30"]),
        ("2023-01-29", Interval("month"), ["01-29", "02-28", "03-29"]),
        ("2023-11-30", Interval("quarter"), ["11-30", "02-29", "05-30", "08-30"]),
        ("2024-08-31", Interval("month", 6), ["08-31", "02-28", "08-31"]),
        ("2024-02-26", Interval("week"), ["02-26", "03-04", "03-11"]),
        ("2024-02-28", Interval("day"), ["02-28", "02-29", "03-01"]),
    ],
)
def test_the_day_is_kept_over_shorter_months(start: str, interval: Interval, expected: list[str]) -> None:
    """The 31st is the last day of February, and the 31st again in March."""
    cycle = anniversary(at(start), "UTC", interval)
    assert [one[5:10] for one in starts(cycle, at(start), len(expected))] == expected


def test_a_year_from_a_leap_day_ends_on_the_28th() -> None:
    """And four years later on the 29th again."""
    begin = at("2024-02-29")
    found = starts(anniversary(begin, "UTC", Interval("year")), begin, 5)
    assert [one[:10] for one in found] == ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]


@pytest.mark.parametrize(
    ("unit", "first", "second"),
    [
        ("day", "2024-05-15", "2024-05-16"),
        ("week", "2024-05-13", "2024-05-20"),
        ("month", "2024-05-01", "2024-06-01"),
        ("quarter", "2024-04-01", "2024-07-01"),
        ("year", "2024-01-01", "2025-01-01"),
    ],
)
def test_calendar_periods_begin_where_the_calendars_do(unit: Unit, first: str, second: str) -> None:
    """So the first one is a part, of a whole that began before."""
    start_at = at("2024-05-15 10:00", "Europe/Vienna")
    cycle = Cycle.of_calendar(Interval(unit), "Europe/Vienna", start_at)
    begun = next(cycle.tile(start_at))
    assert begun.period.start_at == start_at
    assert begun.whole.start_at == at(first, "Europe/Vienna")
    assert begun.period.end_at == begun.whole.end_at == at(second, "Europe/Vienna")


def test_a_time_that_the_clock_leaves_out_is_an_hour_later() -> None:
    """New York has no half past two on 10 March 2024; the days before and after have one."""
    start_at = at("2024-03-09 02:30", "America/New_York")
    cycle = anniversary(start_at, "America/New_York", Interval("day"))
    assert starts(cycle, start_at, 3) == ["2024-03-09 02:30", "2024-03-10 03:30", "2024-03-11 02:30"]


def test_a_time_that_the_clock_shows_twice_is_the_first_of_both() -> None:
    """But who begins at the second begins then."""
    zone = "America/New_York"
    start_at = at("2024-11-02 01:30", zone)
    twice = next(islice(anniversary(start_at, zone, Interval("day")).tile(start_at), 1, None))
    assert twice.period.start_at == dt.datetime(2024, 11, 3, 5, 30, tzinfo=dt.UTC)
    second = dt.datetime(2024, 11, 3, 6, 30, tzinfo=dt.UTC)
    assert next(anniversary(second, zone, Interval("day")).tile(second)).whole.start_at == second


def test_a_day_that_a_zone_leaves_out_is_no_period() -> None:
    """Samoa went from 29 to 31 December 2011."""
    start_at = at("2011-12-28", "Pacific/Apia")
    cycle = anniversary(start_at, "Pacific/Apia", Interval("day"))
    assert [one[:10] for one in starts(cycle, start_at, 4)] == ["2011-12-28", "2011-12-29", "2011-12-31", "2012-01-01"]


def test_periods_end_with_the_calendar() -> None:
    """The year 9999 has no next."""
    start_at = dt.datetime(9998, 6, 1, tzinfo=dt.UTC)
    assert len(list(anniversary(start_at, "UTC", Interval("year")).tile(start_at))) == 1


def test_an_interval_leads_somewhere() -> None:
    """None of no length, or backwards."""
    for count in (0, -1):
        with pytest.raises(ValueError, match="at least one"):
            Interval("month", count)
