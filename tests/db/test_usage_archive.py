"""Months of usage leave the store and come back, row for row, and say so."""

import asyncio
import datetime as dt
import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tallystick.clock import FixedClock
from tallystick.errors import TallystickError
from tallystick.operations.export_usage import export_usage
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.operations.usage_archive import detach_folded, export_month, restore_month, retain
from tallystick.operations.usage_queries import EventsInput
from tallystick.security.model import OPERATOR
from tallystick.usage.archive.make_ahead import make_months_ahead
from tallystick.usage.export.model import Format
from tests.conftest import House
from tests.db.priced_usage import ask, meter_requests, price, refusal_of

MAY = {"month": "2015-05"}
ODD = 'a "quoted", text\nof two lines'


async def record(house: House, *events: tuple[str, str]) -> None:
    """Record events of ada by id and instant."""
    given = [{"id": one, "customer": "ada", "at": at, "quantities": {"bytes": "0.5"}} for one, at in events]
    assert (await ask(house, "usage.record", source="s", events=given)).accepted == len(given)


async def states(house: House) -> list[tuple[str, int | None, str, int]]:
    """Return month, piece, state and rows of what there is."""
    return [(one.month, one.piece, one.state, one.rows) for one in (await ask(house, "usage.months")).items]


async def all_rows(owner: asyncpg.Connection) -> list[str]:
    """Return every row of usage that is attached, as text."""
    rows = await owner.fetch("SELECT event::text FROM usage_event AS event ORDER BY transaction_id, event_key, sign")
    return [row[0] for row in rows]


async def test_a_month_that_was_exported_and_dropped_comes_back_row_for_row(
    house: House, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    """Totals, lines and lineage are the same as before; meanwhile a repeat is known, and late usage is taken."""
    await meter_requests(house)
    await price(house, "1")
    await record(
        house, ("a", "2015-05-01T00:00:00Z"), (ODD, "2015-05-31T23:59:59.999999Z"), ("j", "2015-06-01T00:00:00Z")
    )
    await ask(house, "usage.amend", source="s", reason="r", events=[{"id": "a", "quantities": {"bytes": 7}}])
    await ask(house, "invoicing.draft", **MAY)
    (invoice,) = (await ask(house, "invoicing.list")).items
    lineage = {"id": str(invoice.id), "line": 0}
    before = (await all_rows(owner), await ask(house, "invoicing.lineage", **lineage))

    await ask(house, "usage.detach_month", **MAY)
    assert await states(house) == [("2015-05", 1, "detached", 4), ("2015-06", None, "attached", 1)]
    assert len(await all_rows(owner)) == 1
    again = {"id": "a", "customer": "ada", "at": "2015-05-01T00:00:00Z", "quantities": {"bytes": "0.5"}}
    assert (await ask(house, "usage.record", source="s", events=[again])).known == 1
    (manifest,) = await export_month(house.operations, OPERATOR, "main", "2015-05", tmp_path)
    assert manifest.rows == 4
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "usage-main-2015-05-1.json",
        "usage-main-2015-05-1.parquet",
    ]
    assert await refusal_of(house, "usage.drop_month", **MAY) == ("usage.month_not_issued", "month")
    await ask(house, "invoicing.issue", **MAY)
    await ask(house, "usage.drop_month", **MAY)
    assert await states(house) == [("2015-05", 1, "dropped", 4), ("2015-06", None, "attached", 1)]
    assert await refusal_of(house, "usage.attach_month", **MAY) == ("usage.unknown_month", "month")
    assert (await ask(house, "usage.record", source="s", events=[again])).known == 1
    await record(house, ("late", "2015-05-20T00:00:00Z"))

    await restore_month(house.operations, OPERATOR, "main", tmp_path / "usage-main-2015-05-1.json")
    await ask(house, "usage.attach_month", **MAY)
    assert await states(house) == [("2015-05", None, "attached", 5), ("2015-06", None, "attached", 1)]
    rows = await all_rows(owner)
    assert [row for row in rows if "late" not in row] == before[0]
    assert await ask(house, "invoicing.lineage", **lineage) == before[1]
    steps = [row[0] for row in await owner.fetch("SELECT step FROM usage_month_event ORDER BY transaction_id")]
    assert steps == ["detached", "exported", "dropped", "restored", "attached"]


async def test_a_month_that_came_late_in_pieces_is_put_together_again(house: House, owner: asyncpg.Connection) -> None:
    """What comes late begins the month anew; it may be detached too, and all of it is attached at once."""
    for piece in range(1, 4):
        await record(house, (f"e{piece}", "2015-05-01T00:00:00Z"))
        if piece < 3:
            await ask(house, "usage.detach_month", **MAY)
    assert await states(house) == [
        ("2015-05", None, "attached", 1), ("2015-05", 1, "detached", 1), ("2015-05", 2, "detached", 1)
    ]  # fmt: skip
    await ask(house, "usage.attach_month", **MAY)
    assert await states(house) == [("2015-05", None, "attached", 3)]
    assert len(await all_rows(owner)) == 3
    await record(house, ("e4", "2015-05-02T00:00:00Z"))
    assert len(await all_rows(owner)) == 4


async def test_a_file_that_was_changed_is_not_restored(house: House, tmp_path: Path) -> None:
    """By its hash; and with the hash made to fit, by the rows."""
    await record(house, ("a", "2015-05-01T00:00:00Z"), ("b", "2015-05-02T00:00:00Z"))
    await record(house, ("c", "2015-04-02T00:00:00Z"), ("d", "2015-04-02T00:00:00Z"))
    for month in ("2015-04", "2015-05"):
        await ask(house, "usage.detach_month", month=month)
        await export_month(house.operations, OPERATOR, "main", month, tmp_path)
        await ask(house, "usage.drop_month", month=month)
    april, may = (json.loads((tmp_path / f"usage-main-2015-0{month}-1.json").read_text()) for month in (4, 5))
    forged = tmp_path / "forged.json"
    for change in ({"file": april["file"]}, {"file": april["file"], "sha256": april["sha256"]}, {"file": "none"}):
        forged.write_text(json.dumps(may | change))
        with pytest.raises(TallystickError) as refused:
            await restore_month(house.operations, OPERATOR, "main", forged)
        assert refused.value.code == "usage.file_differs"
    forged.write_text("{")
    with pytest.raises(TallystickError) as refused:
        await restore_month(house.operations, OPERATOR, "main", forged)
    assert refused.value.code == "usage.file_differs"
    await restore_month(house.operations, OPERATOR, "main", tmp_path / "usage-main-2015-05-1.json")
    with pytest.raises(TallystickError) as refused:
        await restore_month(house.operations, OPERATOR, "main", tmp_path / "usage-main-2015-05-1.json")
    assert refused.value.code == "usage.unknown_month"


async def test_steps_that_cannot_be_taken_are_refused_by_name(house: House) -> None:
    """What is not there, not over, not exported, or read by later periods stays where it is."""
    await record(house, ("a", "2015-05-01T00:00:00Z"))
    for operation in ("usage.detach_month", "usage.attach_month", "usage.drop_month"):
        for month in ("2015-13", "May", "", "1969-12", "2015-5", "20150-05"):
            assert await refusal_of(house, operation, month=month) == ("invalid_input", "month"), month
        if operation != "usage.detach_month":
            assert await refusal_of(house, operation, **MAY) == ("usage.unknown_month", "month")
    assert await refusal_of(house, "usage.detach_month", month="2015-04") == ("usage.unknown_month", "month")
    assert await refusal_of(house, "usage.detach_month", month="9998-12") == ("usage.month_not_over", "month")
    await ask(house, "usage.detach_month", **MAY)
    assert await refusal_of(house, "usage.drop_month", **MAY) == ("usage.month_not_exported", "month")
    corrected = await ask(house, "usage.void", source="s", reason="r", events=[{"id": "a"}])
    assert (corrected.items[0].status, corrected.items[0].field) == ("invalid", "id")
    await ask(house, "usage.drop_month", **MAY, even_unexported=True)
    await house.do(
        "catalog.define_meter", code="seats", name="seats", event_type="seat", aggregation="time_weighted",
        quantity="seats", time_unit="day",
    )  # fmt: skip
    seat = {"id": "s", "customer": "ada", "at": "2015-06-02T00:00:00Z", "type": "seat", "quantities": {"seats": 2}}
    await ask(house, "usage.record", source="s", events=[seat])
    assert await refusal_of(house, "usage.detach_month", month="2015-06") == ("usage.month_holds_levels", "month")


async def test_usage_comes_in_while_its_month_is_detached(house: House, owner: asyncpg.Connection) -> None:
    """Nobody who records is refused: what was known of the month's partition is found out anew."""
    await record(house, ("first", "2015-05-01T00:00:00Z"))

    async def report(n: int) -> None:
        for place in range(5):
            await record(house, (f"{n}-{place}", "2015-05-01T00:00:00Z"))

    await asyncio.gather(*(report(n) for n in range(4)), detach_folded(house.operations, OPERATOR, "main", "2015-05"))
    await ask(house, "usage.attach_month", **MAY)
    assert len(await all_rows(owner)) == 21


async def test_a_long_reader_keeps_a_month_from_moving_and_nobody_else_for_long(
    house: House, owner: asyncpg.Connection
) -> None:
    """Whoever would wait too long gives up and says so, and may try again."""
    await record(house, ("a", "2015-05-01T00:00:00Z"))
    async with owner.transaction():
        await owner.fetch("SELECT * FROM usage_event")
        assert await refusal_of(house, "usage.detach_month", **MAY) == ("usage.month_busy", None)
    await ask(house, "usage.detach_month", **MAY)


async def test_the_policy_is_applied_as_it_says(house: House, pool: asyncpg.Pool, tmp_path: Path) -> None:
    """Months are detached and exported, older ones dropped; a dry run only tells, and without a policy all stays."""
    clock = FixedClock(dt.datetime(2015, 7, 15, tzinfo=dt.UTC))
    then = House(Operations(pool, clock, TABLE))
    await record(then, *[(f"e{month}", f"2015-0{month}-01T00:00:00Z") for month in range(3, 8)])
    assert await retain(then.operations, OPERATOR, "main", tmp_path) == []
    wrong: list[dict[str, Any]] = [
        {"attached_months": 3, "kept_months": 2}, {"attached_months": None, "kept_months": 2},
        {"attached_months": 0, "kept_months": None}, {"attached_months": 3, "kept_months": 10**9},
    ]  # fmt: skip
    for fields in wrong:
        assert (await refusal_of(then, "usage.set_retention", **fields))[0] == "invalid_input"
    await ask(then, "usage.set_retention", attached_months=1, kept_months=3)
    planned = await retain(then.operations, OPERATOR, "main", tmp_path, dry_run=True)
    assert [(one.month, one.step) for one in planned] == [
        ("2015-03", "detach"), ("2015-03", "export"), ("2015-03", "drop"),
        ("2015-04", "detach"), ("2015-04", "export"), ("2015-05", "detach"), ("2015-05", "export"),
    ]  # fmt: skip
    assert {state for _, _, state, _ in await states(then)} == {"attached"}
    assert await retain(then.operations, OPERATOR, "main", tmp_path) == planned
    assert await states(then) == [
        ("2015-03", 1, "dropped", 1), ("2015-04", 1, "exported", 1), ("2015-05", 1, "exported", 1),
        ("2015-06", None, "attached", 1), ("2015-07", None, "attached", 1),
    ]  # fmt: skip
    assert await retain(then.operations, OPERATOR, "main", tmp_path) == []


async def test_partitions_are_there_before_they_are_needed(house: House, owner: asyncpg.Connection) -> None:
    """Of every book that has usage the present month and the two behind it; nobody who records waits for them."""
    await record(house, ("a", "2015-05-01T00:00:00Z"))
    async with house.operations.pool.acquire() as connection:
        assert await make_months_ahead(connection, dt.datetime(2015, 12, 31, tzinfo=dt.UTC)) == 1
        assert await make_months_ahead(connection, dt.datetime(2015, 12, 31, tzinfo=dt.UTC)) == 1
    names = await owner.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^usage_event_1_' ORDER BY 1"
    )
    assert [row[0][-6:] for row in names] == ["201505", "201512", "201601", "201602"]


async def test_whoever_works_through_the_role_can_drop_no_partition(house: House, pool: asyncpg.Pool) -> None:
    """Months are moved by functions that look first; the role itself owns none of them."""
    await record(house, ("a", "2015-05-01T00:00:00Z"))
    async with pool.acquire() as connection:
        for statement in ("DROP TABLE usage_event_1_201505", "ALTER TABLE usage_event_1 DETACH PARTITION usage_event_1_201505",
                          "TRUNCATE usage_event_1_201505", "SELECT make_usage_piece(1, '2015-05-01', 1)"):  # fmt: skip
            with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ObjectInUseError)):
                await connection.execute(statement)


async def test_a_month_that_is_detached_by_hand_stays_in_the_totals(house: House) -> None:
    """What was not folded yet is folded first; the comparison holds, leaves the month out, and takes it in again."""
    await record(house, ("a", "2015-05-01T00:00:00Z"), ("b", "2015-06-01T00:00:00Z"))
    await detach_folded(house.operations, OPERATOR, "main", "2015-05")
    span = {"start_at": "2015-05-01T00:00:00Z", "end_at": "2015-06-01T00:00:00Z"}
    (total,) = (await ask(house, "usage.totals", type="http.request", **span)).items
    checked = await ask(house, "usage.check_totals")
    assert (total.events, checked.months, checked.left, checked.difference) == (1, 1, 1, None)
    await ask(house, "usage.attach_month", **MAY)
    checked = await ask(house, "usage.check_totals")
    assert (checked.months, checked.left, checked.difference) == (2, 0, None)


async def test_a_month_that_cannot_go_says_why_and_the_others_go(
    house: House, pool: asyncpg.Pool, tmp_path: Path
) -> None:
    """What readings of later months rest upon stays, also where the policy would have it gone; a dry run knows it."""
    await ask(
        house, "catalog.define_meter", code="seats", name="seats", event_type="seat", aggregation="time_weighted",
        quantity="seats", time_unit="day",
    )  # fmt: skip
    then = House(Operations(pool, FixedClock(dt.datetime(2015, 7, 15, tzinfo=dt.UTC)), TABLE))
    held = {"id": "s", "customer": "acme", "type": "seat", "at": "2015-03-05T00:00:00Z", "quantities": {"seats": 1}}
    await ask(then, "usage.record", source="test", events=[held])
    await record(then, ("e4", "2015-04-01T00:00:00Z"))
    await ask(then, "usage.set_retention", attached_months=1, kept_months=None)
    for dry_run in (True, False):
        steps = await retain(then.operations, OPERATOR, "main", tmp_path, dry_run=dry_run)
        assert [(one.month, one.step, one.refused is None) for one in steps] == [
            ("2015-03", "detach", False), ("2015-04", "detach", True), ("2015-04", "export", True),
        ]  # fmt: skip


async def test_a_month_is_detached_with_its_totals_or_not_at_all(house: House, owner: asyncpg.Connection) -> None:
    """What nobody folded yet is folded by the one who detaches; while another folds, the month stays and can be tried again."""
    await meter_requests(house)
    await record(house, ("a", "2015-05-01T00:00:00Z"), ("b", "2015-05-31T00:00:00Z"))
    asked = {"meter": "bytes", "start_at": "2015-05-01T00:00:00Z", "end_at": "2015-06-01T00:00:00Z"}
    async with owner.transaction():
        assert await owner.fetchval(
            "SELECT pg_try_advisory_xact_lock(hashtextextended('tallystick.usage_totals', 1))"
        )  # as who folds
        assert await refusal_of(house, "usage.detach_month", **MAY) == ("usage.month_not_folded", "month")
        assert await states(house) == [("2015-05", None, "attached", 2)]
    await ask(house, "usage.detach_month", **MAY)
    (total,) = (await ask(house, "usage.totals", **asked)).items
    assert (total.events, total.quantity) == (2, "1")

    await record(house, ("late", "2015-05-02T00:00:00Z"))
    await ask(house, "usage.detach_month", **MAY)
    (total,) = (await ask(house, "usage.totals", **asked)).items
    assert (total.events, total.quantity) == (3, "1.5")


async def test_what_single_events_tell_is_not_told_without_them(house: House, tmp_path: Path) -> None:
    """Whole hours and days are read from totals, which stay; the rest is refused by month, and whole once it is back."""
    for code, aggregation, quantity in (("sum", "sum", "bytes"), ("last", "latest", "bytes")):
        await ask(
            house, "catalog.define_meter", code=code, name=code, event_type="http.request", aggregation=aggregation,
            quantity=quantity,
        )  # fmt: skip
    await meter_requests(house)
    await price(house, "1")
    await record(house, ("a", "2015-05-10T10:30:00Z"), ("b", "2015-05-31T23:30:00Z"), ("c", "2015-06-10T00:00:00Z"))
    may = {"start_at": "2015-05-01T00:00:00Z", "end_at": "2015-06-01T00:00:00Z"}
    june_in_rome = {"start_at": "2015-05-31T22:00:00Z", "end_at": "2015-06-30T22:00:00Z"}
    questions: list[tuple[str, dict[str, Any]]] = [
        ("usage.totals", {"meter": "last", **may}),
        ("usage.totals", {"meter": "sum", "customer": "ada", "per": "day", "zone": "Europe/Rome", **may}),
        ("usage.totals", {"meter": "sum", "group_by": ["customer"], **june_in_rome}),
        ("usage.totals", {"meter": "sum", "start_at": "2015-05-10T10:15:00Z", "end_at": "2015-05-10T10:45:00Z"}),
        ("rating.preview", {"customer": "ada", **may}),
        ("usage.summary", may),
    ]
    before = [await ask(house, name, **given) for name, given in questions]
    assert [len(one.items) for one in before[:4]] == [1, 2, 1, 1]
    await detach_folded(house.operations, OPERATOR, "main", "2015-05")
    for name, given in questions:
        assert await refusal_of(house, name, **given) == ("usage.events_away", None), given
    with pytest.raises(TallystickError) as refused:
        await export_usage(house.operations, OPERATOR, "main", tmp_path / "all.csv", Format.CSV, EventsInput())
    assert refused.value.code == "usage.events_away"
    page = await ask(house, "usage.list_events")
    assert ([one.id for one in page.items], page.months_away) == (["c"], ["2015-05"])
    for still in (
        {"meter": "sum", "per": "day", "zone": "Europe/Rome", **may},
        {"meter": "sum", "customer": "ada", **may},
        {"meter": "sum", "customer": "eve", **june_in_rome},
        {"meter": "last", "start_at": "2015-06-01T00:00:00Z", "end_at": "2015-07-01T00:00:00Z"},
        {"type": "seat", "start_at": "2015-05-10T10:15:00Z", "end_at": "2015-06-10T10:45:00Z"},
    ):
        await ask(house, "usage.totals", **still)
    await ask(house, "usage.attach_month", **MAY)
    assert [await ask(house, name, **given) for name, given in questions] == before
