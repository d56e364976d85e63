"""What meters read: every aggregation, exactly, with filters, corrections and the order of transactions."""

import datetime as dt
import random
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from tallystick.catalog.declared import declared_dimensions
from tallystick.periods import Period, month
from tallystick.usage.aggregate import (
    Aggregate,
    MeterQuery,
    aggregate,
    aggregate_all,
    customers_with_usage,
    divide_by_unit,
)
from tests.conftest import House
from tests.db.stored_usage import Row, StoredUsage

MAY = month("2015-05")
EVER = 2**62
SUM = MeterQuery("http.request", "sum", "bytes")
MAX = MeterQuery("http.request", "max", "bytes")
LATEST = MeterQuery("http.request", "latest", "bytes")
USERS = MeterQuery("http.request", "unique", dimension="user")


@pytest.fixture
def usage(house: House, owner: asyncpg.Connection) -> StoredUsage:
    """Return the usage of the book, to be written row by row."""
    assert house.operations.pool is not None
    return StoredUsage(owner)


async def read(
    usage: StoredUsage, meter: MeterQuery, *, through: int = EVER, period: Period = MAY
) -> dict[str, tuple[int, object]]:
    """Read a meter for everyone, by name."""
    known = await usage.customer_ids()
    found = await aggregate(usage.connection, 1, list(known.values()), meter, period, through)
    return {name: (found[one].events, found[one].quantity) for name, one in known.items() if one in found}


async def test_each_aggregation_reads_what_it_says(usage: StoredUsage) -> None:
    """Of one customer's events: their number, sum, largest, last and distinct users; what lacks the quantity is not in it."""
    await usage.put(
        Row("a", "2015-05-03T00:00:00Z", {"bytes": 7}, {"user": "ann"}),
        Row("a", "2015-05-02T00:00:00Z", {"bytes": "9.5"}, {"user": "bob"}),
        Row("a", "2015-05-04T00:00:00Z", {"bytes": 8}, {"user": "ann"}),
        Row("a", "2015-05-05T00:00:00Z", {"calls": 1}),
        Row("a", "2015-06-01T00:00:00Z", {"bytes": 100}, {"user": "eve"}),
        Row("b", "2015-05-05T00:00:00Z", {"calls": 1}),
        Row("c", "2015-05-05T00:00:00Z", {"bytes": 5}, {"user": "eve"}, type="sms"),
    )
    assert await read(usage, MeterQuery("http.request", "count")) == {"a": (4, 4), "b": (1, 1)}
    assert await read(usage, SUM) == {"a": (3, Decimal("24.5"))}
    assert await read(usage, MAX) == {"a": (3, Decimal("9.5"))}
    assert await read(usage, LATEST) == {"a": (3, 8)}
    assert await read(usage, USERS) == {"a": (3, 2)}


async def test_the_last_of_two_at_one_instant_is_told_by_key(usage: StoredUsage) -> None:
    """Whoever asks again gets the same answer, whatever order the rows lie in."""
    at = "2015-05-03T00:00:00Z"
    keys = await usage.put(*(Row("a", at, {"bytes": number}) for number in range(9)))
    last = max(keys)
    assert await read(usage, LATEST) == {"a": (9, usage.rows[last].quantities["bytes"])}


async def test_what_is_taken_back_is_in_no_reading(usage: StoredUsage) -> None:
    """A void takes an event out of every aggregation, an amendment puts other numbers in its place."""
    first, second, third = await usage.put(
        Row("a", "2015-05-03T00:00:00Z", {"bytes": 7}, {"user": "ann"}),
        Row("a", "2015-05-04T00:00:00Z", {"bytes": 9}, {"user": "bob"}),
        Row("b", "2015-05-05T00:00:00Z", {"bytes": 1}, {"user": "eve"}),
    )
    before = await usage.horizon()
    await usage.amend(second, Row("a", "2015-05-04T00:00:00Z", {"bytes": 3}, {"user": "ann"}))
    await usage.void(third)
    assert await read(usage, MeterQuery("http.request", "count")) == {"a": (2, 2)}
    assert await read(usage, SUM) == {"a": (2, 10)}
    assert await read(usage, MAX) == {"a": (2, 7)}
    assert await read(usage, LATEST) == {"a": (2, 3)}
    assert await read(usage, USERS) == {"a": (2, 1)}
    await usage.amend(second, Row("a", "2015-05-04T00:00:00Z", {"bytes": 11}))
    await usage.void(first)
    assert await read(usage, MAX) == {"a": (1, 11)}
    assert await read(usage, USERS) == {}
    assert await read(usage, MAX, through=before) == {"a": (2, 9), "b": (1, 1)}
    assert await read(usage, SUM, through=before) == {"a": (2, 16), "b": (1, 1)}
    assert await read(usage, USERS, through=before) == {"a": (2, 2), "b": (1, 1)}


async def test_filters_let_through_what_has_one_of_the_values_of_each(usage: StoredUsage) -> None:
    """Dimensions are told apart exactly, and what lacks a filtered one is not counted."""
    await usage.put(
        Row("a", "2015-05-01T00:00:00Z", {"bytes": 1}, {"region": "eu", "plan": "pro"}),
        Row("a", "2015-05-01T00:00:00Z", {"bytes": 2}, {"region": "us", "plan": "pro"}),
        Row("a", "2015-05-01T00:00:00Z", {"bytes": 4}, {"region": "us", "plan": "free"}),
        Row("a", "2015-05-01T00:00:00Z", {"bytes": 8}, {"region": "asia", "plan": "pro"}),
        Row("a", "2015-05-01T00:00:00Z", {"bytes": 16}, {"region": "eu"}),
        Row("a", "2015-05-01T00:00:00Z", {"bytes": 32}),
    )
    both = {"region": ["eu", "us"], "plan": ["pro"]}
    expected = {"count": (2, 2), "sum": (2, 3), "max": (2, 2)}
    for aggregation, answer in expected.items():
        quantity = None if aggregation == "count" else "bytes"
        meter = MeterQuery("http.request", aggregation, quantity, filters=both)  # type: ignore[arg-type]  # its keys
        assert await read(usage, meter) == {"a": answer}
    assert await read(usage, MeterQuery("http.request", "unique", dimension="region", filters=both)) == {"a": (2, 2)}
    assert await read(usage, MeterQuery("http.request", "count", filters={"region": ["mars"]})) == {}


SEATS = MeterQuery("seats", "time_weighted", "seats", time_unit="day")


async def test_a_seat_held_for_ten_days_reads_ten_days(usage: StoredUsage) -> None:
    """A level holds from its event until the next one, into the period and out of it."""
    await usage.put(
        Row("ten days", "2015-05-11T00:00:00Z", {"seats": 1}, type="seats"),
        Row("ten days", "2015-05-21T00:00:00Z", {"seats": 0}, type="seats"),
        Row("from before", "2015-04-01T00:00:00Z", {"seats": 5}, type="seats"),
        Row("from before", "2015-04-02T00:00:00Z", {"seats": 2}, type="seats"),
        Row("from before", "2015-06-02T00:00:00Z", {"seats": 9}, type="seats"),
        Row("gone before", "2015-04-01T00:00:00Z", {"seats": 5}, type="seats"),
        Row("gone before", "2015-04-30T00:00:00Z", {"seats": 0}, type="seats"),
        Row("to come", "2015-06-01T00:00:00Z", {"seats": 5}, type="seats"),
        Row("changing", "2015-05-01T00:00:00Z", {"seats": 3}, type="seats"),
        Row("changing", "2015-05-01T12:00:00Z", {"seats": "1.5"}, type="seats"),
        Row("changing", "2015-05-02T00:00:00Z", {"seats": 0}, type="seats"),
    )
    assert await read(usage, SEATS) == {
        "ten days": (2, 10),
        "from before": (0, 62),
        "changing": (3, Decimal("2.25")),
    }
    whole = MeterQuery("seats", "time_weighted", "seats", time_unit="period")
    assert (await read(usage, whole))["from before"] == (0, 2)
    assert (await read(usage, whole))["ten days"] == (2, Decimal("0.322580645161"))
    hours = MeterQuery("seats", "time_weighted", "seats", time_unit="hour")
    assert (await read(usage, hours))["changing"] == (3, 54)


async def test_each_value_of_the_dimension_has_a_level_of_its_own(usage: StoredUsage) -> None:
    """Two licences are two levels; without the dimension, the last event sets the one there is."""
    await usage.put(
        Row("a", "2015-05-01T00:00:00Z", {"seats": 1}, {"seat": "x"}, type="seats"),
        Row("a", "2015-05-02T00:00:00Z", {"seats": 1}, {"seat": "y"}, type="seats"),
        Row("a", "2015-05-03T00:00:00Z", {"seats": 0}, {"seat": "x"}, type="seats"),
        Row("a", "2015-05-04T00:00:00Z", {"seats": 0}, {"seat": "y"}, type="seats"),
    )
    by_seat = MeterQuery("seats", "time_weighted", "seats", "seat", time_unit="day")
    assert await read(usage, by_seat) == {"a": (4, 4)}
    assert await read(usage, SEATS) == {"a": (4, 2)}


async def test_a_level_taken_back_never_held(usage: StoredUsage) -> None:
    """The level before it goes on instead, as if nothing had been said."""
    _, second = await usage.put(
        Row("a", "2015-05-01T00:00:00Z", {"seats": 1}, type="seats"),
        Row("a", "2015-05-02T00:00:00Z", {"seats": 100}, type="seats"),
    )
    await usage.void(second)
    assert await read(usage, SEATS) == {"a": (1, 31)}


async def test_who_holds_something_is_found_without_an_event_in_the_period(usage: StoredUsage) -> None:
    """Who has usage in a period is listed, and for levels also who set one before; what was taken back is not usage."""
    _, voided = await usage.put(
        Row("holds", "2015-04-01T00:00:00Z", {"seats": 1}, type="seats"), Row("voided", "2015-05-01T00:00:00Z")
    )
    await usage.put(Row("in it", "2015-05-01T00:00:00Z"), Row("calls before", "2015-04-01T00:00:00Z"))
    await usage.void(voided)

    async def listed(**held: Any) -> list[str]:  # noqa: ANN401 - what the function takes
        return [name for _, name in await customers_with_usage(usage.connection, 1, MAY, EVER, 0, 9, **held)]

    assert await listed() == ["in it"]
    assert sorted(await listed(held_types=["seats"])) == ["holds", "in it"]


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ("1", "0.000000000012"),
        ("43200000000", "0.500000000000"),
        ("0.0432", "0.000000000000"),  # exactly half of the last decimal: to the even one
        ("0.1296", "0.000000000002"),
        ("0.0433", "0.000000000001"),
        ("86400000000" + "0" * 30, "1" + "0" * 30 + ".000000000000"),
    ],
)
def test_time_is_divided_once_and_rounded_half_to_even(held: str, expected: str) -> None:
    """Twelve decimals, however large the level is."""
    assert format(divide_by_unit(Decimal(held), "day", MAY), "f") == expected


def test_a_meter_that_makes_no_sense_cannot_be_asked() -> None:
    """What an aggregation needs is named, and nothing else is."""
    senseless: list[tuple[Any, ...]] = [
        ("max",),
        ("unique",),
        ("unique", "bytes", "user"),
        ("latest",),
        ("time_weighted", "seats"),
        ("sum", "bytes", None, {}, "day"),
    ]
    for fields in senseless:
        with pytest.raises(ValueError, match="name"):
            MeterQuery("http.request", *fields)


async def test_dimensions_are_declared_by_meters(house: House, owner: asyncpg.Connection) -> None:
    """Those that a meter filters by, groups by, counts or holds apart, by type of event."""
    define = {"name": "x", "event_type": "http.request"}
    await house.do("catalog.define_meter", code="a", aggregation="count", group_by=["region"], **define)
    await house.do("catalog.define_meter", code="b", aggregation="unique", dimension="user", **define)
    await house.do("catalog.define_meter", code="c", aggregation="count", filters={"plan": ["x"]}, **define)
    await house.do("catalog.define_meter", code="d", name="x", event_type="sms", aggregation="count")
    await house.do(
        "catalog.define_meter", code="e", name="x", event_type="seats", aggregation="time_weighted", quantity="seats",
        dimension="seat", time_unit="day",
    )  # fmt: skip
    assert await declared_dimensions(owner, 1) == {
        "http.request": frozenset({"region", "user", "plan"}),
        "seats": frozenset({"seat"}),
    }
    assert await declared_dimensions(owner, 2) == {}


async def test_a_meter_keeps_all_that_it_is_defined_by(house: House) -> None:
    """Filters in any order are the same filters, and the answer says them in one."""
    given: dict[str, Any] = {
        "code": "calls", "name": "calls", "event_type": "call", "aggregation": "max", "quantity": "seconds",
        "filters": {"region": ["us", "eu"], "plan": ["pro"]}, "group_by": ["region", "zone"],
    }  # fmt: skip
    defined = await house.do("catalog.define_meter", **given)
    assert defined.filters == {"plan": ["pro"], "region": ["eu", "us"]}
    assert defined.group_by == ["region", "zone"]
    again = await house.do("catalog.define_meter", **(given | {"filters": {"plan": ["pro"], "region": ["eu", "us"]}}))
    assert again == defined
    assert (await house.do("catalog.list_meters")).items == [defined]


def test_aggregates_compare_by_value() -> None:
    """A reading is a number, however it is written."""
    assert Aggregate(1, Decimal("1.0")) == Aggregate(1, Decimal(1))
    assert MAY.end_at - MAY.start_at == dt.timedelta(days=31)


@pytest.mark.parametrize("seed", [1, 2])
async def test_meters_read_together_read_what_each_reads_alone(usage: StoredUsage, seed: int) -> None:
    """However many count and add up the same events, with what was taken back, amended or lacks a quantity."""
    chance = random.Random(seed)
    names = ["a", "b", "c", "d", "e"]

    def row() -> Row:
        some: dict[str, int | str] = {
            name: chance.randrange(100) if chance.randrange(2) else f"0.{chance.randrange(1, 99)}"
            for name in chance.sample(names, chance.randrange(4))
        }
        user = {"user": chance.choice("xyz")} if chance.randrange(2) else {}
        return Row(chance.choice("pqr"), f"2015-0{chance.choice('56')}-02T00:00:00Z", some, user)

    keys = await usage.put(*(row() for _ in range(60)))
    for key in chance.sample(keys, 15):
        if chance.randrange(2):
            await usage.void(key)
        else:
            await usage.amend(key, Row(usage.rows[key].customer, usage.rows[key].at, row().quantities))
    through = await usage.horizon()
    await usage.put(*(row() for _ in range(9)))
    meters = [MeterQuery("http.request", "count"), USERS, MAX]
    meters += [MeterQuery("http.request", "sum", name) for name in names]
    meters += [MeterQuery("http.request", "sum", name, filters={"user": ["x", "y"]}) for name in names[:2]]
    asked = [(meter, period) for period in (MAY, month("2015-06")) for meter in [*meters, meters[0]]]
    customers = list((await usage.customer_ids()).values())
    alone = [await aggregate(usage.connection, 1, customers, *one, through) for one in asked]
    assert await aggregate_all(usage.connection, 1, customers, asked, through) == alone
    assert sum(map(len, alone)) > 40
