"""Periods: half-open, cut without loss, and months as each zone has them."""

import datetime as dt
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.periods import Period, month

tried = settings(print_blob=True, deadline=None)

instants = st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2040, 1, 1), timezones=st.just(dt.UTC))  # noqa: DTZ001 - the zone is the next argument
periods = st.lists(instants, min_size=2, max_size=2, unique=True).map(lambda ends: Period(*sorted(ends)))
zones = st.sampled_from(
    ["UTC", "Asia/Tokyo", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu"]
)


def at(text: str) -> dt.datetime:
    """Read an instant in UTC."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def test_a_period_holds_its_start_and_not_its_end() -> None:
    """So two months that touch never share an instant."""
    may = month("2015-05")
    assert at("2015-05-01") in may
    assert at("2015-05-31 23:59:59.999999") in may
    assert at("2015-06-01") not in may


@pytest.mark.parametrize(
    ("text", "zone", "start", "end"),
    [
        ("2015-05", "UTC", "2015-05-01", "2015-06-01"),
        ("2015-12", "UTC", "2015-12-01", "2016-01-01"),
        ("2015-05", "Asia/Tokyo", "2015-04-30 15:00", "2015-05-31 15:00"),
        ("2015-03", "America/New_York", "2015-03-01 05:00", "2015-04-01 04:00"),
    ],
)
def test_a_month_is_that_of_the_zone(text: str, zone: str, start: str, end: str) -> None:
    """Tokyo's May begins in UTC's April, and New York's March is an hour short."""
    assert month(text, zone) == Period(at(start), at(end))


@pytest.mark.parametrize(
    "text", ["2015-13", "2015-00", "2015-5", "15-05", "2015-05 ", "2015-05\n", "0000-01", "\u0662015-05", ""]
)
def test_what_is_no_month_is_refused(text: str) -> None:
    """Only four digits, a hyphen and a month's number are one."""
    with pytest.raises(ValueError, match=r"month|calendar"):
        month(text)


@tried
@given(st.integers(2000, 2039), st.integers(1, 11), zones)
def test_months_follow_each_other_without_gap(year: int, number: int, zone: str) -> None:
    """Each month ends at the instant the next one starts, and starts at midnight of the zone on day 1."""
    first, second = month(f"{year}-{number:02}", zone), month(f"{year}-{number + 1:02}", zone)
    assert first.end_at == second.start_at
    assert first.start_at.astimezone(ZoneInfo(zone)).day == 1


@tried
@given(periods, st.lists(instants, max_size=8))
def test_the_pieces_of_a_cut_add_back_to_the_whole(period: Period, cuts: list[dt.datetime]) -> None:
    """They begin and end where the whole does, each starts where the last one ended, none is empty."""
    pieces = period.cut([*cuts, period.start_at, period.end_at])
    assert (pieces[0].start_at, pieces[-1].end_at) == (period.start_at, period.end_at)
    assert all(one.end_at == next_one.start_at for one, next_one in pairwise(pieces))
    assert len(pieces) == 1 + len({cut for cut in cuts if cut in period and cut != period.start_at})


def test_a_period_that_is_none_cannot_be_made() -> None:
    """Empty, backwards, or with an end whose zone nobody knows."""
    now = at("2015-05-01")
    for end in (now, now - dt.timedelta(seconds=1)):
        with pytest.raises(ValueError, match="end after it starts"):
            Period(now, end)
    with pytest.raises(ValueError, match="time zone"):
        Period(now, dt.datetime(2015, 6, 1))  # noqa: DTZ001 - what is refused
