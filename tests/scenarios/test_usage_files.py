"""Files of records: Parquet and Avro go in as columns, and are judged like everything else."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import fastavro
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tallystick.errors import TallystickError
from tallystick.operations.import_usage import ImportReport, import_usage
from tallystick.security.model import OPERATOR
from tests.conftest import House

AT = dt.datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=dt.UTC)
UTC_MICROSECONDS = pa.timestamp("us", "UTC")


def table(count: int = 10, **columns: Any) -> pa.Table:  # noqa: ANN401 - any column
    """Return events as a table, with *columns* in place of the usual ones, or beside them."""
    usual = {
        "id": [f"event-{number}" for number in range(count)],
        "customer": [f"customer {number % 3}" for number in range(count)],
        "at": pa.array([AT + dt.timedelta(seconds=number) for number in range(count)], UTC_MICROSECONDS),
        "bytes": list(range(count)),
    }
    return pa.table({**usual, **columns})


async def import_table(house: House, given: pa.Table, path: Path, source: str = "files") -> ImportReport:
    """Write *given* to *path* and import it."""
    pq.write_table(given, path)
    return await import_usage(house.operations, OPERATOR, "main", path, source=source)


async def stored(owner: asyncpg.Connection) -> list[tuple[Any, ...]]:
    """Return what is stored of each event."""
    rows = await owner.fetch(
        "SELECT event_id, ref, occurred_at, type, source, quantities::text, dimensions::text "
        "FROM usage_event JOIN customer USING (book_id, customer_id) ORDER BY event_id"
    )
    return [(*row[:5], msgspec.json.decode(row[5]), row[6] and msgspec.json.decode(row[6])) for row in rows]


async def test_a_parquet_file_goes_in_and_again_adds_nothing(
    house: House, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    """Each row is an event; other columns of numbers are its quantities, in their exact and only form."""
    hours = pa.array([Decimal("0.50"), Decimal("12.00"), None], pa.decimal128(20, 2))
    given = table(3, hours=hours, type=["api.call", None, "api.call"])
    first = await import_table(house, given, tmp_path / "usage.parquet")
    again = await import_table(house, given, tmp_path / "usage.parquet")
    assert (first.lines, first.accepted, first.customers) == (3, 3, 3)
    assert first.quantities == {"bytes": 3, "hours": Decimal("12.50")}
    assert (again.accepted, again.known) == (0, 3)
    assert await stored(owner) == [
        ("event-0", "customer 0", AT, "api.call", "files", {"bytes": 0, "hours": "0.5"}, None),
        ("event-1", "customer 1", AT + dt.timedelta(seconds=1), "http.request", "files", {"bytes": 1, "hours": 12}, None),
        ("event-2", "customer 2", AT + dt.timedelta(seconds=2), "api.call", "files", {"bytes": 2}, None),
    ]  # fmt: skip


async def test_an_event_of_a_parquet_file_is_known_however_it_comes_again(house: House, tmp_path: Path) -> None:
    """What went in as a column and what comes as JSON are one event."""
    hours = pa.array([Decimal("0.50")], pa.decimal128(20, 2))
    await import_table(house, table(1, hours=hours), tmp_path / "usage.parquet", source="gateway")
    sent = {"id": "event-0", "customer": "customer 0", "at": AT.isoformat(), "quantities": {"hours": "0.5", "bytes": 0}}
    again = await house.do("usage.record", source="gateway", events=[sent])
    other = await house.do("usage.record", source="gateway", events=[{**sent, "quantities": {"bytes": 0}}])
    assert (again.known, other.items[0].status, other.items[0].field) == (1, "conflict", "quantities")


async def test_a_bad_row_costs_itself_alone(house: House, owner: asyncpg.Connection, tmp_path: Path) -> None:
    """It is named with its number and the rule that it breaks; the rows around it are stored."""
    given = table(
        8,
        id=["a", None, "c", "d" * 256, "e", "f", "g\0", "h"],
        customer=["x", "x", "", "x", "x", "x", "x", "x"],
        at=pa.array([AT] * 4 + [dt.datetime(1969, 12, 31, tzinfo=dt.UTC)] + [AT] * 3, UTC_MICROSECONDS),
        bytes=[0, 1, 2, 3, 4, -5, 6, 7],
    )
    report = await import_table(house, given, tmp_path / "usage.parquet")
    assert [event_id for event_id, *_ in await stored(owner)] == ["a", "h"]
    assert [(one.line, one.reason) for one in report.malformed_lines] == [
        (2, "id is missing"),
        (3, "customer must have from 1 to 255 characters"),
        (4, "id must have from 1 to 255 characters"),
        (5, "at must lie in the years 1970 to 9999"),
        (6, "quantities.bytes must not be negative"),
        (7, "id must not contain a NUL"),
    ]


async def test_an_instant_with_digits_that_would_be_lost_is_refused(house: House, tmp_path: Path) -> None:
    """A nanosecond cannot be kept, so it is not cut off in silence."""
    nanoseconds = pa.array([1_700_000_000_000_000_000, 1_700_000_000_000_000_001], pa.timestamp("ns", "UTC"))
    report = await import_table(house, table(2, at=nanoseconds), tmp_path / "usage.parquet")
    assert (report.accepted, [one.line for one in report.malformed_lines]) == (1, [2])
    assert "microseconds" in report.malformed_lines[0].reason


async def test_a_value_that_no_column_of_usage_can_have_costs_its_row_alone(
    house: House, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    """Text that is not UTF-8, a status beyond all numbers, an empty type: each is named, and the row beside it stored."""
    no_text = pa.StringArray.from_buffers(
        4, pa.array([0, 2, 3, 4, 5], pa.int32()).buffers()[1], pa.py_buffer(b"\xff\xfexyz")
    )
    given = table(
        4,
        customer=no_text,
        status=pa.array([200, 2**64 - 1, 200, 200], pa.uint64()),
        type=["t", "t", "", "t"],
        bytes=pa.array([1, 2, 3, 2**64 - 1], pa.uint64()),
    )
    report = await import_table(house, given, tmp_path / "usage.parquet")
    assert [(one.line, one.reason) for one in report.malformed_lines] == [
        (1, "customer must be UTF-8"),
        (2, "status must be from 0 to 999"),
        (3, "type must have from 1 to 255 characters"),
    ]
    assert [row[5] for row in await stored(owner)] == [{"bytes": 2**64 - 1}]


async def test_an_instant_that_cannot_be_converted_does_not_come_out_as_another(house: House, tmp_path: Path) -> None:
    """Milliseconds beyond what microseconds can count would begin again somewhere."""
    moments = pa.array([1_700_000_000_000, 2**62 + 12_345, -(2**62)], pa.int64()).cast(pa.timestamp("ms", "UTC"))
    report = await import_table(house, table(3, at=moments), tmp_path / "usage.parquet")
    assert report.accepted == 1
    assert {one.reason for one in report.malformed_lines} == {"at must lie in the years 1970 to 9999"}


async def test_a_decimal_is_the_same_whatever_its_column_makes_of_it(
    house: House, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    """Zeros that only the column's scale adds are none of its digits, and no number is written with an exponent."""
    numbers = pa.array([Decimal("0.0000001"), Decimal("1234567890123.5"), Decimal(0)], pa.decimal128(38, 18))
    report = await import_table(house, table(3, bytes=numbers), tmp_path / "usage.parquet")
    assert report.accepted == 3
    assert [row[5]["bytes"] for row in await stored(owner)] == ["0.0000001", "1234567890123.5", 0]
    sent = {"id": "event-0", "customer": "customer 0", "at": AT.isoformat(), "quantities": {"bytes": "0.0000001"}}
    again = await house.do("usage.record", source="files", events=[sent])
    assert again.known == 1


@pytest.mark.parametrize(
    ("given", "column"),
    [
        (table(1, bytes=[0.5]), "bytes"),
        (table(1, at=pa.array([AT.replace(tzinfo=None)], pa.timestamp("us"))), "at"),
        (table(1).drop_columns(["customer"]), "customer"),
        (table(1, status=["200"]), "status"),
        (table(1, id=[7]), "id"),
        (table(1).append_column("no name", pa.array([1])), "no name"),
        (table(1, when=pa.array([AT], UTC_MICROSECONDS)), "when"),
    ],
    ids=["a float", "no zone", "no customer", "a status in text", "an id that is a number", "a name", "a time"],
)
async def test_columns_that_cannot_be_exact_are_named_before_anything_is_stored(
    house: House, tmp_path: Path, given: pa.Table, column: str
) -> None:
    """A file with such a column is refused as a whole, and says which it is."""
    with pytest.raises(TallystickError) as refused:
        await import_table(house, given, tmp_path / "usage.parquet")
    assert (refused.value.code, column in refused.value.message) == ("usage.column_unfit", True)


@pytest.mark.parametrize("damage", ["cut", "garbage"])
async def test_a_damaged_file_of_records_is_refused(house: House, tmp_path: Path, damage: str) -> None:
    """What begins like Parquet and is none is told as damaged."""
    path = tmp_path / "usage.parquet"
    pq.write_table(table(), path)
    path.write_bytes(path.read_bytes()[:-20] if damage == "cut" else b"PAR1" + b"\xff" * 5000)
    with pytest.raises(TallystickError) as refused:
        await import_usage(house.operations, OPERATOR, "main", path)
    assert refused.value.code == "usage.damaged_file"


SCHEMA = fastavro.parse_schema(
    {
        "type": "record",
        "name": "Event",
        "fields": [
            {"name": "id", "type": ["null", "string"]},
            {"name": "customer", "type": "string"},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
            {"name": "quantities", "type": {"type": "map", "values": ["long", "string"]}},
        ],
    }
)


async def test_an_avro_file_goes_in_event_by_event(house: House, owner: asyncpg.Connection, tmp_path: Path) -> None:
    """Its records are events by their fields' names; a bad one is named, and the file may come again."""
    path = tmp_path / "usage.avro"
    records = [
        {"id": "1", "customer": "a", "at": AT, "quantities": {"bytes": 7, "hours": "0.50"}},
        {"id": None, "customer": "a", "at": AT, "quantities": {}},
        {"id": "3", "customer": "b", "at": AT, "quantities": {"bytes": -1}},
    ]
    with path.open("wb") as file:
        fastavro.writer(file, SCHEMA, records)
    first = await import_usage(house.operations, OPERATOR, "main", path)
    again = await import_usage(house.operations, OPERATOR, "main", path)
    assert (first.accepted, again.known) == (1, 1)
    assert first.quantities == {"bytes": 7, "hours": Decimal("0.5")}
    assert [one.reason for one in first.malformed_lines] == ["id is missing", "quantities.bytes must not be negative"]
    assert [(one[0], one[5]) for one in await stored(owner)] == [("1", {"bytes": 7, "hours": "0.5"})]


async def test_an_instant_that_is_none_costs_its_record_alone(house: House, tmp_path: Path) -> None:
    """The records behind it are stored as those before it."""
    instant = [{"type": "long", "logicalType": "timestamp-millis"}, "null"]
    schema = {
        "type": "record",
        "name": "Usage",
        "fields": [{"name": "id", "type": "string"}, {"name": "customer", "type": "string"}, {"name": "at", "type": instant}],
    }  # fmt: skip
    moments = [1_767_225_600_000, 10**18, -1, None, 1_767_225_600_001]
    with (tmp_path / "usage.avro").open("wb") as file:
        fastavro.writer(
            file, schema, [{"id": f"{place}", "customer": "a", "at": at} for place, at in enumerate(moments)]
        )
    report = await import_usage(house.operations, OPERATOR, "main", tmp_path / "usage.avro")
    assert report.accepted == 2
    assert [(one.line, one.reason) for one in report.malformed_lines] == [
        (2, "at must lie in the years 1970 to 9999"),
        (3, "at must lie in the years 1970 to 9999"),
        (4, "at is missing"),
    ]


async def test_damage_in_the_middle_of_an_avro_file_is_not_taken_for_its_end(house: House, tmp_path: Path) -> None:
    """What stands before it is stored, and it is said that the rest could not be read."""
    instant = {"type": "long", "logicalType": "timestamp-micros"}
    schema = {
        "type": "record",
        "name": "Usage",
        "fields": [{"name": "id", "type": "string"}, {"name": "customer", "type": "string"}, {"name": "at", "type": instant}],
    }  # fmt: skip
    path = tmp_path / "usage.avro"
    with path.open("wb") as file:
        records = [{"id": f"id-{number}", "customer": "a", "at": AT} for number in range(9)]
        fastavro.writer(file, schema, records, sync_interval=1)
    path.write_bytes(path.read_bytes().replace(b"id-5", b"\xff\xff\xff\xff"))
    with pytest.raises(TallystickError) as refused:
        await import_usage(house.operations, OPERATOR, "main", path)
    assert refused.value.code == "usage.damaged_file"
    summary = await house.do("usage.summary", start_at="2026-01-01T00:00:00Z", end_at="2027-01-01T00:00:00Z")
    assert summary.events == 5


async def test_an_avro_file_that_is_cut_short_is_stored_up_to_there(house: House, tmp_path: Path) -> None:
    """The records of the blocks before the damage are in; the import says that there was some."""
    path = tmp_path / "usage.avro"
    records = [{"id": str(one), "customer": "a", "at": AT, "quantities": {}} for one in range(200)]
    with path.open("wb") as file:
        fastavro.writer(file, SCHEMA, records, sync_interval=500)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(TallystickError) as refused:
        await import_usage(house.operations, OPERATOR, "main", path)
    assert refused.value.code == "usage.damaged_file"
    summary = await house.do("usage.summary", start_at="2026-01-01T00:00:00Z", end_at="2027-01-01T00:00:00Z")
    assert 100 < summary.events < 200
