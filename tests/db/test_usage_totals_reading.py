"""Reading totals: levels by bucket, pages, what may be asked, and that the newest rows are found without reading a month."""

import asyncio
import json
from decimal import Decimal
from itertools import pairwise
from typing import Any

import asyncpg
import pytest

from tallystick.errors import TallystickError
from tallystick.ledger.books import open_book
from tallystick.operations.work_totals import fold_behind, work_totals
from tests.conftest import House
from tests.db.stored_usage import Row, StoredUsage

MAY: dict[str, Any] = {"start_at": "2015-05-01T00:00:00Z", "end_at": "2015-06-01T00:00:00Z"}


@pytest.fixture
def usage(house: House, owner: asyncpg.Connection) -> StoredUsage:
    """Return the usage of the book, to be written row by row."""
    assert house.operations.pool is not None
    return StoredUsage(owner)


async def test_a_level_is_carried_from_bucket_to_bucket(house: House, usage: StoredUsage) -> None:
    """Per day of a zone whose clock changes: a level of 2 held all day is as many hours as the day has, twice."""
    await house.do(
        "catalog.define_meter", code="seats", name="seats", event_type="seats", aggregation="time_weighted",
        quantity="seats", dimension="seat", time_unit="hour", group_by=["seat"],
    )  # fmt: skip
    await usage.put(
        Row("a", "2015-03-01T00:00:00Z", {"seats": 2}, {"seat": "x"}, "seats"),
        Row("a", "2015-03-29T22:00:00Z", {"seats": 0}, {"seat": "x"}, "seats"),
        Row("b", "2015-03-28T11:00:00Z", {"seats": "0.5"}, {"seat": "y"}, "seats"),
    )
    asked = {
        "start_at": "2015-03-27T23:00:00Z", "end_at": "2015-03-31T22:00:00Z", "meter": "seats", "per": "day",
        "zone": "Europe/Vienna",
    }  # fmt: skip
    found = (await house.do("usage.totals", customer="a", **asked)).items
    assert [(one.quantity, one.events) for one in found] == [("48", 0), ("46", 0), ("0", 1)]
    assert all(before.end_at == after.start_at for before, after in pairwise(found))
    found = (await house.do("usage.totals", group_by=["customer"], **asked)).items
    assert [one.quantity for one in found if one.customer == "b"] == ["6", "11.5", "12", "12"]
    together = (await house.do("usage.totals", **asked)).items
    assert [one.quantity for one in together] == ["54", "57.5", "12", "12"]


async def test_pages_hold_each_reading_once(house: House, usage: StoredUsage) -> None:
    """Whatever they are told apart by, in order, also of many customers of whom few used anything."""
    await house.do(
        "catalog.define_meter", code="calls", name="calls", event_type="http.request", aggregation="count",
        group_by=["region"],
    )  # fmt: skip
    await usage.put(
        *(
            Row(
                f"customer {number % 40}",
                f"2015-05-{1 + number % 9:02}T00:00:00Z",
                {},
                {"region": "eu" if number % 3 else "us"},
            )
            for number in range(120)
        ),
        *(Row(f"elsewhere {number}", "2014-05-01T00:00:00Z") for number in range(30)),
    )
    for told_apart in ([], ["region"], ["customer"], ["customer", "region"]):
        whole, _ = await turn_pages(house, told_apart, 1000)
        assert sum(int(one.quantity) for one in whole) == 120
        for limit in (1, 7):
            found, pages = await turn_pages(house, told_apart, limit)
            assert found == whole
            assert pages >= len(whole) // limit


async def turn_pages(house: House, told_apart: list[str], limit: int) -> tuple[list[Any], int]:
    """Return all readings, and of how many pages they are."""
    found: list[Any] = []
    after, pages = "", 0
    while True:
        page = await house.do(
            "usage.totals", meter="calls", per="day", group_by=told_apart, limit=limit, after=after, **MAY
        )
        assert len(page.items) <= limit
        found += page.items
        pages += 1
        if page.next is None:
            return found, pages
        after = page.next


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"meter": "calls", "end_at": "2015-04-01T00:00:00Z"}, "invalid_input", "end_at"),
    ({"meter": "calls", "end_at": MAY["start_at"]}, "invalid_input", "end_at"),
    ({"meter": "calls", "zone": "Mars/Olympus"}, "invalid_input", "zone"),
    ({"meter": "calls", "zone": "../../etc/localtime"}, "invalid_input", "zone"),
    ({"meter": "nothing"}, "catalog.unknown_meter", "meter"),
    ({}, "invalid_input", "meter"),
    ({"meter": "calls", "type": "http.request"}, "invalid_input", "meter"),
    ({"meter": "calls", "quantity": "bytes"}, "invalid_input", "quantity"),
    ({"meter": "calls", "group_by": ["planet"]}, "invalid_input", "group_by[0]"),
    ({"meter": "calls", "group_by": ["user"]}, "invalid_input", "group_by[0]"),
    ({"meter": "calls", "group_by": ["region", "region"]}, "invalid_input", "group_by[1]"),
    ({"meter": "calls", "where": ["planet:mars"]}, "invalid_input", "where[0]"),
    ({"meter": "calls", "where": ["region:eu", "region"]}, "invalid_input", "where[1]"),
    ({"meter": "calls", "where": ["region:"]}, "invalid_input", "where[0]"),
    ({"meter": "calls", "per": "week"}, "invalid_input", "per"),
    ({"meter": "calls", "per": "hour", "end_at": "2019-01-01T00:00:00Z"}, "usage.too_many_buckets", "per"),
    ({"meter": "calls", "start_at": "0001-01-01T00:00:00+14:00"}, "invalid_input", "start_at"),
    ({"meter": "calls", "limit": 0}, "invalid_input", "limit"),
    *(
        ({"meter": "calls", "per": "day", "after": after}, "invalid_input", "after")
        for after in (
            "x",
            "é",
            "W10",
            "[]",
            "WzAsMSxbXV0",
            "WzEsMTQzMDQzODQwMDAwMDAwMCxbIngiXV0",
            "WzksbnVsbCxbMV1d",
            "A" * 30_000,
        )
    ),
]


async def test_a_question_that_makes_no_sense_is_refused_by_field(house: House) -> None:
    """Named before anything is read, and the connection stays usable."""
    await house.do(
        "catalog.define_meter", code="calls", name="calls", event_type="http.request", aggregation="count",
        group_by=["region"],
    )  # fmt: skip
    await house.do(
        "catalog.define_meter", code="users", name="users", event_type="http.request", aggregation="unique",
        dimension="user",
    )  # fmt: skip
    for change, code, field in BAD:
        with pytest.raises(TallystickError) as refused:
            await house.do("usage.totals", **(MAY | change))
        assert (refused.value.code, refused.value.field) == (code, field), change
        assert (await house.do("usage.totals", meter="calls", **MAY)).items == []


async def test_the_worker_folds_what_comes_in_while_others_fold(house: House, usage: StoredUsage) -> None:
    """Two folders at once, events and corrections coming in, old ones among them: nothing is added twice or missed."""
    workers = [asyncio.create_task(work_totals(house.operations)) for _ in range(2)]
    keys = []
    for number in range(15):
        keys += await usage.put(*(Row("a", f"2015-{1 + number % 12:02}-10T00:00:00Z", {"n": number}) for _ in range(5)))
        if number % 4 == 3:
            await usage.void(keys.pop(0))
        await asyncio.sleep(0)
    await asyncio.gather(*(fold_behind(house.operations, 1, most_rows=4) for _ in range(3)))
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    await fold_behind(house.operations, 1)
    assert (await house.do("usage.check_totals")).difference is None
    (total,) = (
        await house.do(
            "usage.totals",
            type="http.request",
            quantity="n",
            start_at="2015-01-01T00:00:00Z",
            end_at="2016-01-01T00:00:00Z",
        )
    ).items
    expected = [Decimal(row.quantities["n"]) for row in usage.rows.values()]
    assert (total.events, Decimal(total.quantity)) == (len(expected), sum(expected))
    kept = await usage.connection.fetchval(
        "SELECT sum(events) FROM usage_total WHERE quantity = 'n' AND customer_id <> 0"
    )
    assert kept == len(expected)


async def test_books_are_folded_each_by_itself(house: House, usage: StoredUsage) -> None:
    """What one book is behind is nothing to another."""
    async with house.operations.pool.acquire() as connection:
        await open_book(connection, "other", house.operations.clock.now())
    await usage.put(Row("a", "2015-05-10T00:00:00Z"))
    assert await fold_behind(house.operations, 2) == 0
    assert await usage.connection.fetchval("SELECT count(*) FROM usage_total") == 0
    assert await fold_behind(house.operations, 1) == 1
    assert await usage.connection.fetchval("SELECT count(*) FROM usage_total WHERE book_id = 1") == 2


async def test_an_open_transaction_is_waited_for(house: House, usage: StoredUsage) -> None:
    """What it will have stored lies below what others stored meanwhile: the fold stops before it."""
    async with house.operations.pool.acquire() as other, other.transaction():
        await other.execute("SELECT transaction_order()")
        await usage.put(Row("a", "2015-05-10T00:00:00Z"))
        assert await fold_behind(house.operations, 1) == 0
        (total,) = (await house.do("usage.totals", type="http.request", **MAY)).items
        assert total.quantity == "1"
    assert await fold_behind(house.operations, 1) == 1


async def test_the_newest_rows_are_found_without_reading_the_month(house: House, usage: StoredUsage) -> None:
    """Behind 100,000 folded events of a customer's month, three that are not folded yet cost a few pages."""
    await usage.put(Row("a", "2015-05-01T00:00:00Z"))
    await usage.connection.execute(
        "INSERT INTO usage_event SELECT customer_id, occurred_at + number * interval '20 seconds', transaction_order(), "
        "gen_random_uuid(), 1, 0, 1, type, source, 'n', '{}', NULL FROM usage_event, generate_series(1, 100000) AS number"
    )
    await fold_behind(house.operations, 1)
    await usage.put(*(Row("a", "2015-05-20T00:00:00Z") for _ in range(3)))
    through = await usage.connection.fetchval("SELECT through FROM usage_totals_through")
    pages = await usage.connection.fetchval("SELECT relpages FROM pg_class WHERE relname = 'usage_event_1_201505'")
    plan = json.loads(
        await usage.connection.fetchval(
            "EXPLAIN (ANALYZE, BUFFERS, FORMAT json) SELECT * FROM "
            "usage_tail(1, $1, 9223372036854775807, '2015-05-01Z', '2015-06-01Z', ARRAY[1])",
            through,
        )
    )[0]["Plan"]
    read = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    assert plan["Actual Rows"] == 3
    assert pages > 1_000
    assert read < 150, f"{read} pages were looked at for 3 rows, of {pages}"
    (total,) = (await house.do("usage.totals", type="http.request", customer="a", **MAY)).items
    in_may = await usage.connection.fetchval("SELECT count(*) FROM usage_event WHERE occurred_at < '2015-06-01Z'")
    assert total.events == in_may


async def test_a_month_that_has_left_keeps_its_totals(house: House, usage: StoredUsage) -> None:
    """Its events are away, what they added up to is not, and the comparison says that it left them out."""
    await usage.put(Row("a", "2015-05-10T00:00:00Z", {"n": 5}), Row("a", "2015-07-10T00:00:00Z", {"n": 1}))
    await fold_behind(house.operations, 1)
    await usage.connection.execute("ALTER TABLE usage_event_1 DETACH PARTITION usage_event_1_201505")
    await usage.connection.execute(
        "INSERT INTO usage_month_event (book_id, month, piece, step, rows, transaction_id, message_place, at) "
        "VALUES (1, '2015-05-01', 1, 'detached', 1, transaction_order(), 0, now())"
    )
    (total,) = (await house.do("usage.totals", type="http.request", quantity="n", **MAY)).items
    assert total.quantity == "5"
    checked = await house.do("usage.check_totals")
    assert (checked.months, checked.left, checked.difference) == (1, 1, None)
