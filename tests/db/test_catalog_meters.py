"""Meters: defined once, for good."""

from typing import Any

from tests.conftest import House
from tests.db.priced_usage import ask, meter_requests, refusal_of

REQUESTS = {"code": "requests", "name": "requests", "event_type": "http.request", "aggregation": "count"}

OTHER_CONTENT: list[tuple[dict[str, Any], str]] = [
    ({"name": "calls"}, "name"),
    ({"event_type": "sms"}, "event_type"),
    ({"aggregation": "sum", "quantity": "b"}, "aggregation"),
    ({"filters": {"region": ["eu"]}}, "filters"),
    ({"group_by": ["region"]}, "group_by"),
]

BAD_METERS: list[tuple[dict[str, Any], str]] = [
    ({"aggregation": "sum"}, "quantity"),
    ({"quantity": "bytes"}, "quantity"),
    ({"aggregation": "median"}, "aggregation"),
    ({"code": "Requests"}, "code"),
    ({"name": ""}, "name"),
    ({"event_type": ""}, "event_type"),
    ({"aggregation": "max"}, "quantity"),
    ({"aggregation": "latest"}, "quantity"),
    ({"aggregation": "unique"}, "dimension"),
    ({"aggregation": "unique", "dimension": "user", "quantity": "b"}, "quantity"),
    ({"aggregation": "unique", "dimension": "1st"}, "dimension"),
    ({"dimension": "user"}, "dimension"),
    ({"aggregation": "time_weighted", "quantity": "seats"}, "time_unit"),
    ({"aggregation": "time_weighted", "quantity": "seats", "time_unit": "week"}, "time_unit"),
    ({"time_unit": "day"}, "time_unit"),
    ({"filters": {"region": []}}, "filters.region"),
    ({"filters": {"region": ["eu", "us", "eu"]}}, "filters.region[2]"),
    ({"filters": {"region": [""]}}, "filters.region[0]"),
    ({"filters": {"region": ["x" * 256]}}, "filters.region[0]"),
    ({"filters": {"region": ["a\0b"]}}, "filters.region[0]"),
    ({"filters": {"region": [str(n) for n in range(101)]}}, "filters.region"),
    ({"filters": {"": ["eu"]}}, "filters"),
    ({"group_by": ["a b"]}, "group_by[0]"),
    ({"group_by": ["a", "a"]}, "group_by[1]"),
    ({"group_by": [f"d{n}" for n in range(17)]}, "group_by"),
]


async def test_a_meter_defined_again_the_same_is_the_same(house: House) -> None:
    """Whoever sets a system up twice gets the same answer twice, not a conflict."""
    first = await ask(house, "catalog.define_meter", **REQUESTS)
    assert await ask(house, "catalog.define_meter", **REQUESTS) == first
    assert (await ask(house, "catalog.list_meters")).items == [first]


async def test_a_meter_never_changes(house: House) -> None:
    """Invoices were counted by it, so other content under its code is a conflict that names what differs."""
    await ask(house, "catalog.define_meter", **REQUESTS)
    for change, field in OTHER_CONTENT:
        assert await refusal_of(house, "catalog.define_meter", **(REQUESTS | change)) == ("catalog.meter_exists", field)


async def test_a_meter_that_could_not_count_is_refused(house: House) -> None:
    """What is wrong is named by its field before anything is kept."""
    for change, field in BAD_METERS:
        assert await refusal_of(house, "catalog.define_meter", **(REQUESTS | change)) == ("invalid_input", field)


async def test_meters_come_in_pages(house: House) -> None:
    """Following the cursor visits each meter once, in order of code."""
    await meter_requests(house)
    first = await ask(house, "catalog.list_meters", limit=1)
    second = await ask(house, "catalog.list_meters", limit=1, after=first.next)
    assert [first.items[0].code, second.items[0].code, second.next] == ["bytes", "requests", None]
