"""Totals: whatever came in, was taken back or was interrupted, they equal the sum of the single events."""

import datetime as dt
import random
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from tallystick.operations.work_totals import fold_behind
from tallystick.usage.totals.fold import fold
from tests.conftest import House
from tests.db.stored_usage import Row, StoredUsage

ZONES = ["UTC", "Europe/Vienna", "Asia/Kolkata", "Australia/Lord_Howe"]


@pytest.fixture
def usage(house: House, owner: asyncpg.Connection) -> StoredUsage:
    """Return the usage of the book, to be written row by row."""
    assert house.operations.pool is not None
    return StoredUsage(owner)


async def totals(house: House, **fields: Any) -> list[Any]:  # noqa: ANN401 - whatever the operation takes
    """Return all readings, page by page."""
    given = {"start_at": "2015-05-01T00:00:00Z", "end_at": "2015-06-01T00:00:00Z", "limit": 7} | fields
    found, after = [], ""
    while True:
        page = await house.do("usage.totals", after=after, **given)
        found += page.items
        if page.next is None:
            return found
        after = page.next


async def define(house: House) -> None:
    """Define the meters that are read."""
    for code, aggregation, more in (
        ("calls", "count", {}),
        ("bytes", "sum", {"quantity": "bytes"}),
        ("peak", "max", {"quantity": "bytes"}),
        ("last", "latest", {"quantity": "bytes"}),
        ("users", "unique", {"dimension": "user"}),
        ("held", "time_weighted", {"quantity": "bytes", "dimension": "user", "time_unit": "hour"}),
    ):
        await house.do(
            "catalog.define_meter", code=code, name=code, event_type="http.request", aggregation=aggregation,
            group_by=["region", "user"], **more,
        )  # fmt: skip


async def test_a_month_is_one_reading(house: House, usage: StoredUsage) -> None:
    """Folded or not, the answer is the same, and empty where there was no usage."""
    await define(house)
    await usage.put(
        Row("a", "2015-05-01T00:00:00Z", {"bytes": 2}, {"region": "eu"}),
        Row("a", "2015-05-31T23:59:59.999999Z", {"bytes": "0.5"}, {"region": "us"}),
        Row("b", "2015-05-10T00:00:00Z", {"bytes": 10}),
        Row("b", "2015-06-01T00:00:00Z", {"bytes": 100}),
    )
    for folded in (0, 4):
        assert await fold_behind(house.operations, 1) == folded if folded else True
        (total,) = await totals(house, meter="bytes")
        assert (total.events, total.quantity, total.customer) == (3, "12.5", None)
        (total,) = await totals(house, meter="bytes", customer="a")
        assert (total.events, total.quantity) == (2, "2.5")
        assert (total.start_at.isoformat(), total.end_at.isoformat()) == (
            "2015-05-01T00:00:00+00:00", "2015-06-01T00:00:00+00:00",
        )  # fmt: skip
        (total,) = await totals(house, type="http.request")
        assert total.quantity == "3"
        (total,) = await totals(house, type="http.request", quantity="bytes", where=["region:eu"])
        assert total.quantity == "2"
        assert await totals(house, meter="calls", customer="nobody") == []
        found = await totals(house, meter="calls", group_by=["customer", "region"])
        assert [(one.customer, one.dimensions["region"], one.quantity) for one in found] == [
            ("a", "eu", "1"), ("a", "us", "1"), ("b", None, "1"),
        ]  # fmt: skip


class Broken(Exception):
    """The folder dies here."""


async def fold_and_die(house: House, most_rows: int) -> None:
    """Fold a stretch and die before it is committed."""

    async def dying(connection: Any) -> None:  # noqa: ANN401 - lent by the pool
        await fold(connection, 1, house.operations.clock.now(), 0, most_rows)
        raise Broken

    with pytest.raises(Broken):
        await house.operations.work(dying)


def made_up(chance: random.Random) -> Row:
    """Make up an event around the days on which clocks change."""
    day = chance.choice(["2015-03-29", "2015-04-04", "2015-10-03", "2015-10-24", "2015-10-25", "2015-11-01"])
    at = dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC) + dt.timedelta(minutes=chance.randrange(1440))
    if not chance.randrange(4):
        at += dt.timedelta(microseconds=chance.randrange(60_000_000))
    dimensions = {}
    if chance.randrange(3):
        dimensions["region"] = chance.choice(["eu", "us"])
    if chance.randrange(3):
        dimensions["user"] = chance.choice(["ann", "bob", "eve"])
    sizes: list[int | str] = [0, 5, "0.25", 10**20]
    quantities = {"bytes": chance.choice(sizes)} if chance.randrange(5) else {}
    type_ = "http.request" if chance.randrange(9) else "sms"
    return Row(chance.choice("abc"), at.isoformat(), quantities, dimensions, type_)


async def change_something(chance: random.Random, usage: StoredUsage) -> None:
    """Store a few events, or correct one."""
    if chance.randrange(3) or not usage.rows:
        await usage.put(*(made_up(chance) for _ in range(chance.randrange(1, 20))))
        return
    key = chance.choice(list(usage.rows))
    if chance.randrange(2):
        await usage.void(key)
        return
    old, new = usage.rows[key], made_up(chance)
    await usage.amend(key, Row(old.customer, old.at, new.quantities, new.dimensions, new.type))


Label = tuple[object, ...]


def label(per: str, zone: str, at: dt.datetime) -> Label:
    """Say in which hour, day or month of the zone an instant lies, as its clock and its calendar show it."""
    here = at.astimezone(ZoneInfo(zone))
    if per == "none":
        return ()
    parts: Label = (here.year, here.month)
    if per != "month":
        parts = (*parts, here.day)
    return (*parts, here.hour, here.utcoffset()) if per == "hour" else parts


def expected(usage: StoredUsage, code: str, per: str, zone: str) -> dict[Label, tuple[int, Decimal]]:
    """Add up what is in force by customer, region and label, in a way that has nothing in common with the product's."""
    gathered: dict[Label, list[tuple[dt.datetime, Any, Row]]] = {}
    for key, row in usage.rows.items():
        if row.type == "http.request" and (
            code == "calls" or ("user" in row.dimensions if code == "users" else row.quantities)
        ):
            at = dt.datetime.fromisoformat(row.at)
            place: Label = (row.customer, row.dimensions.get("region"), label(per, zone, at))
            gathered.setdefault(place, []).append((at, key, row))
    found = {}
    for place, rows in gathered.items():
        numbers = [Decimal(row.quantities.get("bytes", 0)) for _, _, row in sorted(rows, key=lambda one: one[:2])]
        value = {
            "calls": Decimal(len(rows)),
            "bytes": sum(numbers, Decimal(0)),
            "peak": max(numbers),
            "last": numbers[-1],
            "users": Decimal(len({row.dimensions.get("user") for _, _, row in rows})),
        }[code]
        found[place] = (len(rows), value)
    return found


async def compare(house: House, usage: StoredUsage, code: str, per: str, zone: str) -> None:
    """Hold all readings of a meter against what is expected."""
    answered = await totals(
        house, meter=code, per=per, zone=zone, group_by=["region", "customer"], limit=chance_limit(per),
        start_at="2015-03-01T00:00:00Z", end_at="2015-12-01T00:00:00Z",
    )  # fmt: skip
    found = {
        (one.customer, one.dimensions["region"], label(per, zone, one.start_at)): (one.events, Decimal(one.quantity))
        for one in answered
    }
    assert len(found) == len(answered)
    assert found == expected(usage, code, per, zone)


def chance_limit(per: str) -> int:
    """Turn small pages, where they are not too many."""
    return 1000 if per == "hour" else 13


@pytest.mark.parametrize("seed", [1, 2])
async def test_totals_always_equal_the_raw_sum(house: House, usage: StoredUsage, seed: int) -> None:
    """After random batches, corrections and deaths of the folder, by hour, day and month in zones whose clocks change."""
    chance = random.Random(seed)
    await define(house)
    for _ in range(10):
        for _ in range(chance.randrange(1, 6)):
            await change_something(chance, usage)
        most_rows = chance.choice([1, 3, 10, 1000])
        if not chance.randrange(3):
            await fold_and_die(house, most_rows)
        if chance.randrange(2):
            await house.operations.work(
                lambda connection: fold(connection, 1, house.operations.clock.now(), 0, most_rows)  # noqa: B023 - awaited
            )
        code = chance.choice(["calls", "bytes", "peak", "last", "users"])
        await compare(house, usage, code, chance.choice(["none", "hour", "day", "month"]), chance.choice(ZONES))
        assert (await house.do("usage.check_totals")).difference is None
    await fold_behind(house.operations, 1, most_rows=10)
    for code in ("calls", "bytes", "peak", "last", "users"):
        for per in ("none", "hour", "day", "month"):
            await compare(house, usage, code, per, chance.choice(ZONES))
    assert (await house.do("usage.check_totals")).difference is None
