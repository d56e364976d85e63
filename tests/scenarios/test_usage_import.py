"""Importing usage files: exactly once, whatever is sent again, cut off, grown or killed."""

import asyncio
import datetime as dt
import gzip
import sys
from decimal import Decimal
from pathlib import Path

import asyncpg
import pyarrow as pa
import pytest
import pytest_asyncio
from pyarrow import parquet

from tallystick.cli.usage_import import answer_file
from tallystick.errors import InvalidInput, TallystickError
from tallystick.operations.import_usage import ImportReport, LineAnswer, import_usage
from tallystick.security.model import OPERATOR
from tallystick.usage.accept import Status
from tallystick.usage.billable import BillableRule, compile_rule, judge
from tallystick.usage.decode import read_events
from tallystick.usage.sample import write_sample
from tests.conftest import DATA, House
from tests.usage_rows import rows_of

LOG = DATA / "apache_logs"
AT = dt.datetime(2015, 5, 17, 10, 5, 3, tzinfo=dt.UTC)
IMPORT = """
import asyncio, sys
from tallystick.clock import SystemClock
from tallystick.db.connect import open_pool
from tallystick.operations.import_usage import import_usage
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR

def tell(done, size):
    print(done, flush=True)
    if len(sys.argv) > 3:
        sys.stdin.read()

async def main():
    pool = await open_pool(sys.argv[1], size=3)
    await import_usage(Operations(pool, SystemClock(), TABLE), OPERATOR, "main", sys.argv[2], progress=tell)
    await pool.close()

asyncio.run(main())
"""
"""Imports a file in a process of its own; a third argument makes it wait after its first chunk."""


@pytest_asyncio.fixture
async def lines(tmp_path: Path) -> list[str]:
    """Return a sample log of 12,000 lines, three chunks."""
    write_sample(tmp_path / "sample.log", 12_000)
    return (tmp_path / "sample.log").read_text().splitlines(keepends=True)


async def import_(house: House, path: Path) -> ImportReport:
    """Import *path* into the house's book."""
    return await import_usage(house.operations, OPERATOR, "main", path)


def expected(path: Path) -> tuple[int, int]:
    """Return what ``stored`` must say once *path* is in, found without a database."""
    rule = compile_rule(BillableRule())
    billable = {
        event.id: event
        for chunk in read_events(path)
        for event in rows_of(chunk)
        if judge(event.status, event.resource, rule) is None
    }
    return len(billable), sum(int(event.quantities["bytes"]) for event in billable.values())


def holds(report: ImportReport) -> bool:
    """Say whether every line is accounted for."""
    parts = report.accepted + report.known + report.not_billable.total() + report.refused
    return report.lines == parts + report.malformed + report.skipped


async def stored(owner: asyncpg.Connection) -> tuple[int, int]:
    """Return how many events are stored, and how many bytes they add up to."""
    row = await owner.fetchrow("SELECT count(*), sum((quantities ->> 'bytes')::numeric)::bigint FROM usage_event")
    assert row is not None
    return row[0], row[1]


async def importing(url: str, path: Path, *more: str) -> asyncio.subprocess.Process:
    """Start an import in a process of its own."""
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", IMPORT, url, str(path), *more, stdin=pipe, stdout=pipe
    )


@pytest.mark.skipif(not LOG.exists(), reason="the real log is not here")
async def test_a_real_log_gives_what_is_known_of_it(house: House, owner: asyncpg.Connection) -> None:
    """Nobody here wrote this log; its figures were counted by other means. A second time adds nothing."""
    steps: list[tuple[int, int]] = []
    report = await import_usage(
        house.operations, OPERATOR, "main", LOG, progress=lambda done, size: steps.append((done, size))
    )
    assert (report.lines, report.malformed) == (10_000, 1)
    assert [one.line for one in report.malformed_lines] == [8899]
    assert (report.accepted, report.customers, report.quantities) == (9170, 1681, {"bytes": 2_746_963_047})
    assert report.not_billable == {"status_not_billable": 829}
    assert holds(report)
    assert steps[-1] == (LOG.stat().st_size, LOG.stat().st_size)
    assert steps == sorted(steps)
    again = await import_(house, LOG)
    assert (again.accepted, again.known, again.customers, again.quantities) == (0, 9170, 0, {})
    assert holds(again)
    assert await stored(owner) == (9170, 2_746_963_047)


async def test_half_a_log_then_all_of_it_counts_each_line_once(
    house: House, owner: asyncpg.Connection, lines: list[str], tmp_path: Path
) -> None:
    """A log that has grown, under another name too, adds only what is new."""
    half, whole = tmp_path / "half.log", tmp_path / "whole.log"
    half.write_text("".join(lines[:7000]))
    whole.write_text("".join(lines))
    first = await import_(house, half)
    half.write_text("".join(lines[:9000]))
    grown = await import_(house, half)
    all_of_it = await import_(house, whole)
    assert (grown.known, all_of_it.known) == (first.accepted, first.accepted + grown.accepted)
    assert min(first.accepted, grown.accepted, all_of_it.accepted) > 0
    assert all(holds(report) for report in (first, grown, all_of_it))
    events, total = await stored(owner)
    assert events == first.accepted + grown.accepted + all_of_it.accepted
    assert total == sum(report.quantities["bytes"] for report in (first, grown, all_of_it))


async def test_an_import_that_is_killed_is_finished_by_the_next(
    house: House, owner: asyncpg.Connection, database_url: str, lines: list[str], tmp_path: Path
) -> None:
    """``kill -9`` after the first chunk: what it stored is known to the next run, which adds the rest."""
    path = tmp_path / "sample.log"
    process = await importing(database_url, path, "wait")
    assert process.stdout is not None
    assert await process.stdout.readline()
    process.kill()
    await process.wait()
    before, _ = await stored(owner)
    assert 0 < before < len(lines)
    report = await import_(house, path)
    assert holds(report)
    assert report.known >= before
    assert (await import_(house, path)).accepted == 0
    assert await stored(owner) == expected(path)


async def test_an_import_that_is_interrupted_is_finished_by_the_next(
    house: House, owner: asyncpg.Connection, lines: list[str], tmp_path: Path
) -> None:
    """Ctrl-C between chunks leaves whole chunks behind, and the next run adds the rest."""
    path = tmp_path / "sample.log"

    def interrupt(_: int, __: int) -> None:
        task.cancel()

    task = asyncio.create_task(import_usage(house.operations, OPERATOR, "main", path, progress=interrupt))
    with pytest.raises(asyncio.CancelledError):
        await task
    before, _ = await stored(owner)
    assert 0 < before < len(lines)
    assert (await import_(house, path)).known >= before
    assert await stored(owner) == expected(path)


async def test_four_processes_that_import_overlapping_parts_count_each_line_once(
    house: House, owner: asyncpg.Connection, database_url: str, lines: list[str], tmp_path: Path
) -> None:
    """They meet on the same events at the same time, and each event is stored by one of them."""
    for place, count in enumerate((12_000, 6000, 9000, 12_000)):
        (tmp_path / f"{place}.log").write_text("".join(lines[:count]))
    processes = [await importing(database_url, tmp_path / f"{place}.log") for place in range(4)]
    for process in processes:
        await process.communicate()
    assert [process.returncode for process in processes] == [0] * 4
    assert await stored(owner) == expected(tmp_path / "sample.log")
    assert (await import_(house, tmp_path / "sample.log")).accepted == 0


async def test_what_cannot_be_stored_is_named_and_the_rest_is_stored(
    house: House, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    """A line in conflict, one from next century and one that is no JSON stand in the report; the others are in."""
    path = tmp_path / "usage.jsonl"
    path.write_text(
        '{"id": "1", "customer": "a", "at": "2015-05-17T10:05:03Z", "quantities": {"hours": "0.5"}}\n'
        '{"id": "1", "customer": "b", "at": "2015-05-17T10:05:03Z"}\n'
        '{"id": "2", "customer": "a", "at": "2115-05-17T10:05:03Z"}\n'
        "\n"
        '{"id": "3", "customer"\n'
        '{"id": "4", "customer": "a", "at": "2015-05-17T10:05:03Z", "quantities": {"hours": 2}}\n'
        '{"id": "4", "customer": "a", "at": "2015-05-17T10:05:03Z", "quantities": {"hours": 2}}\n'
    )
    report = await import_(house, path)
    assert holds(report)
    assert (report.accepted, report.known, report.refused, report.skipped) == (2, 1, 2, 1)
    assert [(one.id, one.status) for one in report.refused_events] == [("1", Status.CONFLICT), ("2", Status.INVALID)]
    assert [one.line for one in report.malformed_lines] == [5]
    assert report.quantities == {"hours": Decimal("2.5")}
    assert await owner.fetchval("SELECT count(*) FROM usage_event") == 2


async def test_a_damaged_file_is_stored_up_to_the_damage(
    house: House, owner: asyncpg.Connection, lines: list[str], tmp_path: Path
) -> None:
    """The error names the damage, and what was read before it is not lost."""
    path = tmp_path / "sample.log.gz"
    path.write_bytes(gzip.compress("".join(lines).encode())[:-1000])
    with pytest.raises(TallystickError) as refused:
        await import_(house, path)
    assert refused.value.code == "usage.damaged_file"
    before, _ = await stored(owner)
    assert before > 0
    assert (await import_(house, tmp_path / "sample.log")).known == before
    assert await stored(owner) == expected(tmp_path / "sample.log")


async def test_a_file_that_cannot_be_read_is_refused_and_nothing_is_stored(
    house: House, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    """Absent, empty, or no text at all."""
    (tmp_path / "empty.log").touch()
    (tmp_path / "binary.log").write_bytes(bytes(range(256)) * 10)
    for name, code in (
        ("absent.log", "usage.unreadable_file"),
        ("empty.log", "usage.empty_file"),
        ("binary.log", "usage.not_a_text_file"),
    ):
        with pytest.raises(TallystickError) as refused:
            await import_(house, tmp_path / name)
        assert refused.value.code == code
    assert await owner.fetchval("SELECT count(*) FROM message WHERE operation LIKE 'usage.%'") == 0


@pytest.mark.parametrize(
    ("name", "begun", "rest", "total"),
    [
        ("usage.csv", "customer,at,bytes\nalice,2015-05-17T10:05:03Z,12", "345\n", 12345),
        (
            "access.log",
            '192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 10 "-" "curl" 0.1',
            "23\n",
            10,
        ),
        ("usage.jsonl", '{"customer": "alice", "at": "2015-05-17T10:05:03Z", "quantities": {"bytes": 5}}', " \n", 5),
    ],
)
async def test_a_line_still_being_written_is_not_billed_twice(
    house: House, owner: asyncpg.Connection, tmp_path: Path, name: str, begun: str, rest: str, total: int
) -> None:
    """A writer that flushes by the block pauses in the middle of a line; the line is one event, with its whole number."""
    path = tmp_path / name
    path.write_text(begun)
    await import_(house, path)
    with path.open("a") as file:
        file.write(rest)
    assert (await import_(house, path)).unfinished_line is None
    assert await stored(owner) == (1, total)


@pytest.mark.parametrize("source", ["", "s" * 300, "\udcff"])
async def test_the_source_of_an_import_is_held_to_its_rules(house: House, tmp_path: Path, source: str) -> None:
    """What REST refuses by field is refused of a file's source too."""
    path = tmp_path / "usage.jsonl"
    path.write_text('{"customer": "alice", "at": "2015-05-17T10:05:03Z"}\n')
    with pytest.raises(TallystickError) as refused:
        await import_usage(house.operations, OPERATOR, "main", path, source=source)
    assert (refused.value.code, refused.value.field) == ("invalid_input", "source")


async def test_every_line_that_was_not_accepted_is_answered_by_its_number(house: House, tmp_path: Path) -> None:
    """Whatever stands before it: a header, blank lines, lines that are none, or rows of a table."""
    path = tmp_path / "usage.csv"
    path.write_text(
        "id,customer,at,status\n\n"
        "a,ada,2015-05-17T10:05:03Z,200\nb,ada,May,200\n\na,ada,2015-05-17T10:05:03Z,200\n"
        "c,ada,2015-05-17T10:05:03Z,404\nd,,2015-05-17T10:05:03Z,200\na,eve,2015-05-17T10:05:03Z,200\ne,ada"
    )
    answers: list[LineAnswer] = []
    report = await import_usage(house.operations, OPERATOR, "main", path, told=answers.extend)
    assert [(one.line, one.status, one.id) for one in answers] == [
        (4, "invalid", None), (6, "known", "a"), (7, "not_billable", "c"), (8, "invalid", None), (9, "conflict", "a"),
        (10, "unfinished", None),
    ]  # fmt: skip
    assert (answers[2].reason, answers[3].reason) == (
        "status_not_billable", "customer must have from 1 to 255 characters",
    )  # fmt: skip
    assert len(answers) + report.accepted + report.skipped == report.lines + 1

    at = pa.array([AT] * 4, pa.timestamp("us", "UTC"))
    parquet.write_table(
        pa.table({"id": ["f", "", "a", "g"], "customer": ["ada", "ada", "eve", "ada"], "at": at}), tmp_path / "table"
    )
    answers.clear()
    await import_usage(house.operations, OPERATOR, "main", tmp_path / "table", told=answers.extend)
    assert [(one.line, one.status) for one in answers] == [(2, "invalid"), (3, "conflict")]


def test_answers_are_written_a_line_each_or_the_file_is_refused(tmp_path: Path) -> None:
    """What stood in the file before is gone; where there can be none, it is said before anything is imported."""
    path = tmp_path / "answers"
    path.write_text("old")
    with answer_file(path, tmp_path / "usage.csv") as tell:
        assert tell is not None
        tell([LineAnswer(2, Status.KNOWN, "a"), LineAnswer(3, Status.INVALID, reason="at is missing")])
        tell([LineAnswer(4, "unfinished")])
    assert path.read_text().splitlines() == [
        '{"line":2,"status":"known","id":"a"}',
        '{"line":3,"status":"invalid","reason":"at is missing"}',
        '{"line":4,"status":"unfinished"}',
    ]
    for wrong in (tmp_path / "none" / "answers", path):
        with pytest.raises(InvalidInput), answer_file(wrong, path):
            pass
    assert path.read_text(), "the file that is read was not emptied"
