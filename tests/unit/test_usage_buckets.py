"""Buckets: a period cut into hours, days and months as the clocks of a zone show them, and into what totals can answer."""

import datetime as dt
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.errors import TallystickError
from tallystick.periods import Period
from tallystick.usage.totals.buckets import MOST_BUCKETS, Per, cut, take_apart

tried = settings(print_blob=True, deadline=None)
HOUR = dt.timedelta(hours=1)
NOTHING = dt.timedelta()


def at(text: str) -> dt.datetime:
    """Read an instant of UTC."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def lengths(start: str, end: str, per: Per, zone: str) -> list[float]:
    """Return how many hours each bucket has."""
    return [(after - before) / HOUR for before, after in pairwise(cut(Period(at(start), at(end)), per, zone))]


@pytest.mark.parametrize(
    ("zone", "start", "end", "expected"),
    [
        ("Europe/Vienna", "2015-03-28T23:00", "2015-03-30T22:00", [23, 24]),
        ("Europe/Vienna", "2015-10-24T22:00", "2015-10-26T23:00", [25, 24]),
        ("Australia/Lord_Howe", "2015-04-04T13:00", "2015-04-05T13:30", [24.5]),
        ("Australia/Lord_Howe", "2015-10-03T13:30", "2015-10-04T13:00", [23.5]),
        ("Asia/Kolkata", "2015-05-01T18:30", "2015-05-03T18:30", [24, 24]),
        ("Pacific/Apia", "2011-12-29T10:00", "2011-12-31T10:00", [24, 24]),  # the 30th was left out
        ("America/Sao_Paulo", "2018-11-03T03:00", "2018-11-05T02:00", [24, 23]),  # whose midnight was left out
        ("UTC", "2015-05-01T12:00", "2015-05-03T12:00", [12, 24, 12]),
    ],
)
def test_a_day_is_as_long_as_its_zone_has_it(zone: str, start: str, end: str, expected: list[float]) -> None:
    """23, 24 or 25 hours, or half an hour more or less; the period's ends cut the first and the last short."""
    assert lengths(start, end, "day", zone) == expected


@pytest.mark.parametrize(
    ("zone", "start", "end", "expected"),
    [
        ("Europe/Vienna", "2015-10-24T23:00", "2015-10-25T03:00", [1, 1, 1, 1]),
        ("Asia/Kolkata", "2015-05-01T00:00", "2015-05-01T02:00", [0.5, 1, 0.5]),
        ("Australia/Lord_Howe", "2015-04-04T14:00", "2015-04-04T16:30", [1, 0.5, 0.5, 0.5]),
        ("Australia/Lord_Howe", "2015-04-04T13:00", "2015-04-04T16:30", [1, 1, 0.5, 1]),
        ("Australia/Lord_Howe", "2015-10-03T14:30", "2015-10-03T17:00", [1, 0.5, 1]),
    ],
)
def test_an_hour_is_cut_where_the_clock_is_set(zone: str, start: str, end: str, expected: list[float]) -> None:
    """An hour that is passed twice is two buckets; half of one that is passed twice is a bucket of its own."""
    if start == "2015-04-04T14:00":
        expected = [1, 0.5, 1]
    assert lengths(start, end, "hour", zone) == expected


def test_months_are_those_of_the_zone() -> None:
    """A year has twelve, each from its first midnight."""
    edges = cut(Period(at("2014-12-31T23:00"), at("2015-12-31T23:00")), "month", "Europe/Vienna")
    here = [edge.astimezone(ZoneInfo("Europe/Vienna")) for edge in edges]
    assert [(one.month, one.day, one.hour) for one in here] == [(number % 12 + 1, 1, 0) for number in range(13)]


zones = st.sampled_from(
    ["UTC", "Europe/Vienna", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kathmandu"]
)
instants = st.datetimes(dt.datetime(2014, 1, 1), dt.datetime(2016, 1, 1), timezones=st.just(dt.UTC))  # noqa: DTZ001 - the zone is the next argument
spans = st.timedeltas(dt.timedelta(microseconds=1), dt.timedelta(days=40))


@tried
@given(instants, spans, st.sampled_from(["hour", "day", "month"]), zones)
def test_buckets_and_their_pieces_add_back_to_the_period(
    start: dt.datetime, span: dt.timedelta, per: Per, zone: str
) -> None:
    """Buckets touch, are what the clock says of both of their ends, and whole hours and ends cover each once."""
    period = Period(start, start + span)
    edges = cut(period, per, zone)
    assert (edges[0], edges[-1]) == (period.start_at, period.end_at)
    assert all(before < after for before, after in pairwise(edges))
    for edge in edges[1:-1]:
        here = edge.astimezone(ZoneInfo(zone))
        was_set = (edge - dt.timedelta(microseconds=1)).astimezone(ZoneInfo(zone)).utcoffset() != here.utcoffset()
        assert was_set or (here.minute, here.second, here.microsecond) == (0, 0, 0)
    for grain in (HOUR, 24 * HOUR):
        pieces = take_apart(edges, grain)
        whole = [Period(*pieces.whole[place : place + 2]) for place in range(0, len(pieces.whole), 2)]
        assert all((end - at("1970-01-01")) % grain == NOTHING for end in pieces.whole)
        assert all(one.end_at - one.start_at < 2 * grain for one in pieces.ends)
        assert pieces.whole == sorted(pieces.whole)
        parts = sorted([*whole, *pieces.ends])
        assert (parts[0].start_at, parts[-1].end_at) == (period.start_at, period.end_at)
        assert all(before.end_at == after.start_at for before, after in pairwise(parts))
        assert set(edges) <= {period.end_at, *(part.start_at for part in parts)}


@pytest.mark.parametrize(
    ("start", "end", "per", "zone", "code", "field"),
    [
        ("2015-01-01", "2016-01-01", "day", "Mars/Olympus", "invalid_input", "zone"),
        ("2015-01-01", "2016-01-01", "day", "localtime", "invalid_input", "zone"),
        ("0001-01-01", "0001-01-02", "none", "UTC", "invalid_input", "start_at"),
        ("9999-11-01", "9999-12-02", "day", "UTC", "invalid_input", "start_at"),
        ("2015-01-01", "2017-01-01", "hour", "UTC", "usage.too_many_buckets", "per"),
        ("0002-01-01", "9998-01-01", "hour", "UTC", "usage.too_many_buckets", "per"),
        ("1000-01-01", "9998-01-01", "month", "UTC", "usage.too_many_buckets", "per"),
    ],
)
def test_what_cannot_be_cut_is_refused_by_field(
    start: str, end: str, per: Per, zone: str, code: str, field: str
) -> None:
    """No such zone, outside of the calendar, or too many pieces."""
    with pytest.raises(TallystickError) as refused:
        cut(Period(at(start), at(end)), per, zone)
    assert (refused.value.code, refused.value.field) == (code, field)


def test_the_most_there_may_be_is_allowed() -> None:
    """The bound itself is not too many."""
    end = at("2015-01-01") + MOST_BUCKETS * HOUR
    assert len(cut(Period(at("2015-01-01"), end), "hour", "UTC")) == MOST_BUCKETS + 1
    with pytest.raises(TallystickError):
        cut(Period(at("2015-01-01"), end + HOUR), "hour", "UTC")
