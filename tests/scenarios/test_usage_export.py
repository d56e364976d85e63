"""`tallystick usage totals`, `check-totals` and `export` as processes, and the files that come out."""

import csv
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from tallystick.cli.usage_queries import read_span
from tallystick.errors import InvalidInput
from tallystick.operations import export_usage as exporting
from tallystick.operations.usage_queries import EventsInput, TotalsInput
from tallystick.security.model import OPERATOR
from tallystick.usage.export.model import Format
from tests.conftest import House
from tests.scenarios.serving_up import Said, tallystick

Usage = Callable[..., Awaitable[Said]]
MAY = ("--from", "2015-05")


@pytest.fixture
async def usage(house: House, database_url: str, tmp_path: Path) -> Usage:
    """Return the command, in a house with a meter and some usage."""
    await house.do(
        "catalog.define_meter", code="bytes", name="bytes", event_type="http.request", aggregation="sum", quantity="bytes",
        group_by=["region"],
    )  # fmt: skip
    events = [
        {"id": f"e{n}", "customer": customer, "at": f"2015-05-{day:02}T22:30:00Z", "quantities": {"bytes": size},
         "dimensions": {"region": region}}
        for n, (customer, day, size, region) in enumerate(
            [("ada", 1, 5, "eu"), ("ada", 2, "0.5", "us"), ("=cmd()", 2, 10**25, "eu"), ("ada", 3, 1, "eu")])
    ]  # fmt: skip
    recorded = await house.do("usage.record", source="gate", events=events)
    assert recorded.accepted == len(events), recorded

    async def run(*arguments: str) -> Said:
        return await tallystick("usage", *arguments, data=tmp_path / "data", TALLYSTICK_POSTGRES_URL=database_url)

    return run


async def test_totals_are_shown_per_day_of_a_zone(usage: Usage) -> None:
    """A day of Vienna begins at 22:00 UTC in summer; what is shown can be narrowed and told apart."""
    said = await usage(
        "totals", *MAY, "--meter", "bytes", "--per", "day", "--zone", "Europe/Vienna", "--customer", "ada"
    )
    assert (said.status, said.err) == (0, "")
    assert [line.split() for line in said.out.splitlines()] == [
        ["from", "until", "events", "quantity"],
        ["2015-05-02", "00:00:00+02:00", "2015-05-03", "00:00:00+02:00", "1", "5"],
        ["2015-05-03", "00:00:00+02:00", "2015-05-04", "00:00:00+02:00", "1", "0.5"],
        ["2015-05-04", "00:00:00+02:00", "2015-05-05", "00:00:00+02:00", "1", "1"],
    ]
    said = await usage("totals", *MAY, "--meter", "bytes", "--group-by", "region", "--where", "region:us")
    assert [line.split()[-3:] for line in said.out.splitlines()] == [
        ["region", "events", "quantity"],
        ["us", "1", "0.5"],
    ]


async def test_what_the_command_is_asked_wrongly_is_told_by_option(usage: Usage, tmp_path: Path) -> None:
    """One line, exit code 1, and no file."""
    for arguments, told in (
        (("totals", *MAY, "--meter", "calls"), "catalog.unknown_meter"),
        (
            ("export", *MAY, "--meter", "bytes", "--where", "planet:mars", "--out", str(tmp_path / "out.csv")),
            "where[0]",
        ),
    ):
        said = await usage(*arguments)
        assert said.status == 1, arguments
        assert told in said.err, said.err
    assert [path.name for path in tmp_path.iterdir() if path.name != "data"] == []


@pytest.mark.parametrize(
    ("since", "until", "zone", "field"),
    [
        ("2015-13", None, "UTC", "--from"),
        ("0000-01", None, "UTC", "--from"),
        ("yesterday", None, "UTC", "--from"),
        ("2015-05-01T00:00:00", "2015-06", "UTC", "--from"),
        ("2015-05", "2015-04", "UTC", "--until"),
        ("2015-05-01T00:00:00Z", None, "UTC", "--until"),
        ("2015-05-01T00:00:00Z", "2015-05-01T00:00:00Z", "UTC", "--until"),
        ("2015-05", None, "Mars", "--zone"),
        ("2015-05", None, "../../etc/passwd", "--zone"),
    ],
)
def test_a_period_that_is_none_is_told_by_option(since: str, until: str | None, zone: str, field: str) -> None:
    """Months of a zone or instants with their zone, and the end behind the start."""
    with pytest.raises(InvalidInput) as refused:
        read_span(since, until, zone)
    assert refused.value.field == field


def test_a_period_is_months_of_a_zone_or_instants() -> None:
    """A month alone is that month, two are all between them."""
    found = read_span("2015-05", None, "Europe/Vienna")
    assert [one.isoformat() for one in (found.start_at, found.end_at)] == [
        "2015-04-30T22:00:00+00:00", "2015-05-31T22:00:00+00:00",
    ]  # fmt: skip
    assert read_span("2015-05", "2015-06", "UTC").end_at.isoformat() == "2015-07-01T00:00:00+00:00"
    assert read_span("2015-05-01T00:00:00Z", "2015-05-02T00:00:00+02:00", "UTC").end_at.hour == 0


async def test_totals_that_were_tampered_with_are_named(usage: Usage, owner: asyncpg.Connection) -> None:
    """Whoever changes a total behind the product's back is found out, bucket and numbers."""
    said = await usage("check-totals")
    assert (said.status, said.out) == (0, "1 months: the totals are what the events add up to\n")
    await owner.execute(
        "UPDATE usage_total SET sum = sum + 1 WHERE quantity = 'bytes' AND customer_id <> 0 AND sum = 0.5"
    )
    said = await usage("check-totals")
    assert said.status == 1
    assert "the day of ada from 2015-05-02T00:00:00+00:00" in said.err
    assert "sum 1.5" in said.err
    assert "sum 0.5" in said.err


EXPECTED = [
    ("ada", "eu", 2, "6"),
    ("ada", "us", 1, "0.5"),
    ("=cmd()", "eu", 1, str(10**25)),
]


async def test_totals_come_out_in_every_format(usage: Usage, tmp_path: Path) -> None:
    """Exact decimals as text, instants in UTC, a column for each dimension."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for ending in ("parquet", "arrow", "csv"):
        path = tmp_path / f"out.{ending}"
        said = await usage(
            "export", *MAY, "--meter", "bytes", "--group-by", "customer", "--group-by", "region", "--out", str(path)
        )
        assert (said.status, said.out) == (0, f"3 rows in {path}\n"), said.err
        found[ending] = [
            (row["customer"], row["dimension.region"], int(row["events"]), row["quantity"]) for row in rows_of(path)
        ]
        said = await usage("export", *MAY, "--meter", "bytes", "--out", str(path))
        assert "there already" in said.err
    assert all(sorted(rows) == sorted(EXPECTED) for rows in found.values()), found
    schema = pq.read_schema(tmp_path / "out.parquet")
    assert str(schema.field("start_at").type) == "timestamp[us, tz=UTC]"
    assert str(schema.field("quantity").type) == "string"


async def test_events_come_out_as_they_are_in_force(usage: Usage, house: House, tmp_path: Path) -> None:
    """By customer and time, with their quantities and dimensions, and without what was taken back."""
    path = tmp_path / "events.parquet"
    said = await usage("export", *MAY, "--events", "--out", str(path), "--customer", "ada")
    assert said.status == 0, said.err
    rows = rows_of(path)
    assert [(row["id"], row["source"], dict(row["quantities"])) for row in rows] == [
        ("e0", "gate", {"bytes": "5"}), ("e1", "gate", {"bytes": "0.5"}), ("e3", "gate", {"bytes": "1"}),
    ]  # fmt: skip
    path = tmp_path / "events.csv"
    said = await usage("export", *MAY, "--events", "--type", "http.request", "--where", "region:eu", "--out", str(path))
    assert said.status == 0, said.err
    rows = rows_of(path)
    assert sorted(row["id"] for row in rows) == ["e0", "e2", "e3"]
    (odd,) = [row for row in rows if row["id"] == "e2"]
    assert odd["at"] == "2015-05-02T22:30:00.000000Z"
    assert json.loads(odd["quantities"]) == {"bytes": str(10**25)}
    assert odd["customer"] == "=cmd()"


async def test_an_export_turns_pages_and_shows_how_far_it_is(
    house: House, usage: Usage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However small its pages, all of it is written once."""
    assert usage is not None
    monkeypatch.setattr(exporting, "ROWS_AT_ONCE", 1)
    start_at, end_at = "2015-05-01T00:00:00+00:00", "2015-06-01T00:00:00+00:00"
    requests: list[tuple[EventsInput | TotalsInput, int]] = [
        (EventsInput(**period(start_at, end_at)), 4),
        (TotalsInput(type="http.request", group_by=["customer", "region"], per="day", **period(start_at, end_at)), 4),
    ]
    for request, expected in requests:
        told: list[tuple[int, int | None]] = []
        path = tmp_path / "out.arrow"
        written = await exporting.export_usage(
            house.operations, OPERATOR, "main", path, Format.ARROW, request,
            progress=lambda done, total: told.append((done, total)),  # noqa: B023 - called within this turn
        )  # fmt: skip
        assert written == expected == len(rows_of(path))
        assert [done for done, _ in told] == sorted({done for done, _ in told})
        assert told[-1][0] == expected


async def test_an_export_that_fails_leaves_no_file(
    house: House, usage: Usage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a file could be taken for a whole one."""
    assert usage is not None
    monkeypatch.setattr(exporting, "ROWS_AT_ONCE", 1)
    request = EventsInput(**period("2015-05-01T00:00:00+00:00", "2015-06-01T00:00:00+00:00"))

    def fail(done: int, _: int | None) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await exporting.export_usage(house.operations, OPERATOR, "main", tmp_path / "x.csv", Format.CSV, request, fail)
    assert list(tmp_path.glob("*x.csv*")) == []


def period(start_at: str, end_at: str) -> Any:  # noqa: ANN401 - fields of two kinds of input
    """Return the fields of a period."""
    return {"start_at": pa.scalar(start_at).cast(pa.timestamp("us", "UTC")).as_py(),
            "end_at": pa.scalar(end_at).cast(pa.timestamp("us", "UTC")).as_py()}  # fmt: skip


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Read a file as other programs would."""
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    table = pq.read_table(path) if path.suffix == ".parquet" else pyarrow.ipc.open_file(path).read_all()
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows
