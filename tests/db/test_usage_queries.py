"""Asking usage: what meters read, what a period adds up to, and the events page by page."""

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from tallystick.errors import TallystickError
from tallystick.periods import Period, month
from tallystick.usage.aggregate import Aggregate, MeterQuery, aggregate, customers_with_usage
from tests.conftest import House

MAY = month("2015-05")
REQUESTS = MeterQuery("http.request", "count")
BYTES = MeterQuery("http.request", "sum", "bytes")
EVER = 2**62


async def record(house: House, *events: tuple[str, str, dict[str, Any]]) -> None:
    """Record events given as customer, instant and quantities."""
    given = [
        {"id": f"{customer} {at} {place}", "customer": customer, "at": at, "quantities": quantities}
        for place, (customer, at, quantities) in enumerate(events)
    ]
    await house.do("usage.record", source="test", events=given)


async def ids(connection: asyncpg.Connection) -> dict[str, int]:
    """Return the id of each customer by name."""
    return {row[0]: row[1] for row in await connection.fetch("SELECT ref, customer_id FROM customer")}


async def test_meters_read_many_customers_at_once(house: House, owner: asyncpg.Connection) -> None:
    """Counts and exact sums by customer, of the period's events alone: its start is in it and its end is not."""
    await record(
        house,
        ("a", "2015-05-01T00:00:00Z", {"bytes": 2}),
        ("a", "2015-05-31T23:59:59.999999Z", {"bytes": "0.1"}),
        ("a", "2015-06-01T00:00:00Z", {"bytes": 1000}),
        ("a", "2015-04-30T23:59:59.999999Z", {"bytes": 1000}),
        ("b", "2015-05-10T00:00:00Z", {"bytes": 10**29}),
        ("b", "2015-05-10T00:00:00Z", {"bytes": "0.00000000000000000000000000001"}),
        ("c", "2015-05-10T00:00:00Z", {"calls": 3}),
        ("d", "2015-07-10T00:00:00Z", {"bytes": 3}),
    )
    known = await ids(owner)
    everyone = list(known.values())
    assert await aggregate(owner, 1, everyone, REQUESTS, MAY, EVER) == {
        known["a"]: Aggregate(2, Decimal(2)),
        known["b"]: Aggregate(2, Decimal(2)),
        known["c"]: Aggregate(1, Decimal(1)),
    }
    assert await aggregate(owner, 1, everyone, BYTES, MAY, EVER) == {
        known["a"]: Aggregate(2, Decimal("2.1")),
        known["b"]: Aggregate(2, Decimal("100000000000000000000000000000.00000000000000000000000000001")),
    }
    assert await aggregate(owner, 1, [known["a"]], MeterQuery("sms", "count"), MAY, EVER) == {}
    assert await aggregate(owner, 1, [], REQUESTS, MAY, EVER) == {}
    assert await aggregate(owner, 2, everyone, REQUESTS, MAY, EVER) == {}


async def test_customers_with_usage_come_page_by_page(house: House, owner: asyncpg.Connection) -> None:
    """Ascending by id, only those with events in the period."""
    await record(house, *((name, "2015-05-10T00:00:00Z", {}) for name in "abc"), ("d", "2015-06-10T00:00:00Z", {}))
    known = await ids(owner)
    first = await customers_with_usage(owner, 1, MAY, EVER, 0, 2)
    second = await customers_with_usage(owner, 1, MAY, EVER, first[-1][0], 2)
    assert [*first, *second] == [(known[name], name) for name in "abc"]


async def test_a_page_of_customers_costs_the_same_however_many_follow(house: House, owner: asyncpg.Connection) -> None:
    """Right after an import, when nothing is known of how much there is, no more is read than the page shows."""
    await record(house, ("a", "2015-05-10T00:00:00Z", {}))
    await owner.execute(
        "INSERT INTO customer (book_id, customer_id, ref, transaction_id, created_at) "
        "SELECT 1, nextval('customer_number'), 'c' || number, transaction_order(), now() "
        "FROM generate_series(1, 5000) AS number"
    )
    await owner.execute(
        "INSERT INTO usage_event SELECT customer.customer_id, occurred_at, transaction_order(), gen_random_uuid(), 1, 0, 1, "
        "type, source, 'n', '{}', NULL FROM usage_event, customer, generate_series(1, 3) WHERE ref <> 'a'"
    )
    plan = json.loads(
        await owner.fetchval(
            "EXPLAIN (ANALYZE, BUFFERS, FORMAT json) SELECT * FROM customers_with_usage("
            "1, '2015-05-01Z', '2015-06-01Z', $1, 0, $1, '{}', 20)",
            EVER,
        )
    )[0]["Plan"]
    assert plan["Actual Rows"] == 20
    read = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    assert read < 1_000, f"{read} pages were looked at for 20 customers"


async def test_what_is_recorded_later_does_not_change_an_older_answer(house: House, owner: asyncpg.Connection) -> None:
    """An invoice covers the usage up to a place in the order; late events are for the next one."""
    await record(house, ("a", "2015-05-10T00:00:00Z", {"bytes": 1}))
    through = await owner.fetchval("SELECT settled_horizon()")
    await record(house, ("a", "2015-05-11T00:00:00Z", {"bytes": 5}), ("late", "2015-05-11T00:00:00Z", {}))
    known = await ids(owner)
    assert await customers_with_usage(owner, 1, MAY, through, 0, 9) == [(known["a"], "a")]
    for meter in (REQUESTS, BYTES):
        assert await aggregate(owner, 1, list(known.values()), meter, MAY, through) == {
            known["a"]: Aggregate(1, Decimal(1))
        }


def test_a_meter_that_makes_no_sense_cannot_be_asked() -> None:
    """A sum needs a quantity and a count has none."""
    for aggregation, quantity in (("sum", None), ("count", "bytes")):
        with pytest.raises(ValueError, match="a sum names its quantity"):
            MeterQuery("http.request", aggregation, quantity)  # type: ignore[arg-type]  # what a caller might send


async def test_a_summary_counts_events_and_customers_and_adds_up_a_quantity(house: House) -> None:
    """Of a half-open period, of everyone or of one customer; who is unknown used nothing."""
    await record(
        house,
        ("a", "2015-05-10T00:00:00Z", {"bytes": 1}),
        ("a", "2015-05-11T00:00:00Z", {"bytes": "0.5"}),
        ("b", "2015-05-12T00:00:00Z", {}),
        ("b", "2015-06-01T00:00:00Z", {"bytes": 100}),
    )

    async def summary(**fields: object) -> tuple[int, int, str]:
        found: Any = await house.do("usage.summary", start_at=MAY.start_at, end_at=MAY.end_at, **fields)
        return found.events, found.customers, found.quantity

    assert await summary(quantity="bytes") == (3, 2, "1.5")
    assert await summary(customer="a", quantity="bytes") == (2, 1, "1.5")
    assert await summary(customer="b") == (1, 1, "0")
    assert await summary(customer="nobody", quantity="bytes") == (0, 0, "0")
    with pytest.raises(TallystickError) as refused:
        await house.do("usage.summary", start_at=MAY.end_at, end_at=MAY.start_at)
    assert refused.value.field == "end_at"


async def test_events_are_listed_in_order_of_time_page_by_page(house: House) -> None:
    """Every event stands on one page, also those of one instant, and only this customer's."""
    instants = [dt.datetime(2015, 5, 10, tzinfo=dt.UTC) + dt.timedelta(seconds=place // 4) for place in range(10)]
    await record(house, *(("a", at.isoformat(), {"place": at.second}) for at in instants), ("b", MAY_10, {}))
    found, after = [], ""
    while True:
        page: Any = await house.do("usage.list_events", customer="a", limit=3, after=after)
        found += page.items
        if page.next is None:
            break
        after = page.next
    assert [one.at for one in found] == instants
    assert [one.quantities["place"] for one in found] == [at.second for at in instants]
    assert len({one.id for one in found}) == len(instants)
    assert {one.source for one in found} == {"test"}
    period = Period(instants[4], instants[8])
    page = await house.do("usage.list_events", customer="a", start_at=period.start_at, end_at=period.end_at)
    assert [one.at for one in page.items] == instants[4:8]


async def test_a_made_up_cursor_is_refused(house: House) -> None:
    """A cursor is what a page gave, nothing else."""
    for cursor in ("x", "1", "1.x", f"{10**30}.{'0' * 32}", "9" * 5000):
        with pytest.raises(TallystickError) as refused:
            await house.do("usage.list_events", customer="a", after=cursor)
        assert (refused.value.code, refused.value.field) == ("invalid_input", "after")


MAY_10 = "2015-05-10T00:00:00Z"
