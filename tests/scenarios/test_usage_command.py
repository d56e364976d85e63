"""`tallystick usage import` as a process: what it says and with which code it ends, and what a store that fails costs."""

import asyncio
import os
import signal
from pathlib import Path

import asyncpg
import pytest

from tallystick.usage.billable import BillableRule, compile_rule, judge
from tallystick.usage.decode import read_events
from tallystick.usage.sample import write_sample
from tests.conftest import House
from tests.scenarios.serving_up import KEY, PERIOD, Caller, Said, calling, own_directory, tallystick, up
from tests.scenarios.test_up import fill, resize, small_disk
from tests.usage_rows import rows_of

GOOD = '{"id": "1", "customer": "alice", "at": "2015-05-17T10:05:03Z", "quantities": {"bytes": 7}}\n'
CLEAR = {"store.full", "store.unreachable"}


class Importing:
    """The command on a database of the test's own."""

    def __init__(self, url: str, directory: Path) -> None:
        """Work in *directory*."""
        self.url, self.directory = url, directory

    async def __call__(self, name: str, content: bytes | str | None, *more: str) -> Said:
        """Import a file of this content; None: there is no such file."""
        file = self.directory / name
        if content is not None:
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        return await tallystick(
            "usage", "import", str(file), *more, data=self.directory / "data", TALLYSTICK_POSTGRES_URL=self.url
        )


@pytest.fixture
def importing(house: House, database_url: str, tmp_path: Path) -> Importing:
    """Return the command on the house's database."""
    return Importing(database_url, tmp_path)


def billable(path: Path) -> int:
    """Count what is billed of a file, without a database."""
    rule = compile_rule(BillableRule())
    found = {
        event.id
        for chunk in read_events(path)
        for event in rows_of(chunk)
        if judge(event.status, event.resource, rule) is None
    }
    return len(found)


async def test_what_is_good_ends_with_0_and_a_second_time_adds_nothing(importing: Importing) -> None:
    """Exit code 0: every line is accounted for."""
    first, again = await importing("a.jsonl", GOOD), await importing("a.jsonl", GOOD)
    assert (first.status, again.status) == (0, 0)
    assert "1 accepted, of 1 customers" in first.out
    assert "0 accepted" in again.out
    assert "1 already known" in again.out


async def test_bad_lines_end_with_3_and_are_shown_as_they_are(importing: Importing) -> None:
    """Exit code 3: the good lines are in, and the bad ones are named, brackets and all."""
    log = (
        '192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 10 "-" "curl"\n'
        '192.0.2.1 - - 17/May "GET /a HTTP/1.1" 200 10 "-" "curl"\n'
    )
    said = await importing("access.log", log)
    assert said.status == 3
    assert "1 accepted" in said.out
    assert "line 2: no time in [brackets] after address" in said.out


async def test_columns_are_named_by_the_caller(importing: Importing) -> None:
    """`--column` maps a file's own names; one that is not in the header, or no field, is an error with its place."""
    text = "client,when,size\nada,2015-05-17T10:05:03Z,12\n"
    mapping = ("-c", "customer=client", "-c", "at=when", "--column", "quantities.bytes=size")
    good = await importing("usage.csv", text, *mapping)
    assert (good.status, "12 bytes" in good.out) == (0, True)
    for more, code in (
        (("-c", "customer=client", "-c", "at=nowhen"), "usage.invalid_mapping"),
        (("-c", "customer=client"), "invalid_input"),
        (("-c", "customer=client", "-c", "at=when", "-c", "colour=size"), "invalid_input"),
        (("-c", "customer"), "invalid_input"),
    ):
        refused = await importing("usage.csv", text, *more)
        assert refused.status == 1
        assert refused.refusal().endswith(code), refused.refusal()


async def test_a_last_line_without_a_break_is_left_until_somebody_says_that_it_is_whole(importing: Importing) -> None:
    """The report names the line and the option; with the option the line counts."""
    text = "customer,at,bytes\nada,2015-05-17T10:05:03Z,1\nada,2015-05-17T10:05:03Z,12"
    left, whole = await importing("a.csv", text), await importing("a.csv", text, "--complete")
    assert (left.status, whole.status) == (0, 0)
    assert "line 3 has no line break" in left.out
    assert "--complete" in left.out
    assert "1 accepted" in left.out
    assert "1 accepted" in whole.out
    assert "no line break" not in whole.out


async def test_files_that_are_no_usage_end_with_1(importing: Importing, owner: asyncpg.Connection) -> None:
    """Empty, binary, missing, a directory, of no format: one line says which, and nothing is stored."""
    (importing.directory / "folder").mkdir()
    said = await asyncio.gather(
        importing("empty", b""),
        importing("binary", bytes(range(256))),
        importing("missing", None),
        importing("folder", None),
        importing("prose", b"hello\n"),
    )
    assert [one.status for one in said] == [1] * 5
    assert [one.refusal().rpartition(" ")[2] for one in said] == [
        "usage.empty_file",
        "usage.not_a_text_file",
        "usage.unreadable_file",
        "usage.unreadable_file",
        "usage.unknown_format",
    ]
    assert await owner.fetchval("SELECT count(*) FROM usage_event") == 0


@pytest.mark.parametrize("source", ["", "s" * 300, os.fsdecode(b"\xff")])
async def test_a_source_that_is_none_ends_with_1(importing: Importing, source: str) -> None:
    """As over REST: from 1 to 255 characters, in UTF-8."""
    said = await importing("a.jsonl", GOOD, "--source", source)
    assert said.status == 1
    assert said.refusal().endswith("(source) invalid_input")


async def test_a_database_killed_in_the_middle_costs_nothing_but_another_run() -> None:
    """The import ends with a clear error; what it stored is whole, and the next run adds exactly the rest."""
    with own_directory() as directory:
        log = directory / "access.log"
        write_sample(log, 50_000)
        async with up(directory / "data") as running:
            key = KEY.findall(await running.hear(KEY.pattern))[0]
            async with calling(running, key) as caller:
                command = asyncio.create_task(tallystick("usage", "import", str(log), data=running.data))
                summary = await caller.await_("/usage/summary", lambda found: found["events"] > 0, **PERIOD)
                assert summary["events"] < 40_000, "it was in the middle"
                os.kill(running.children()["postgres"], signal.SIGKILL)
                failed = await command
                assert failed.status == 1, failed
                assert failed.refusal().endswith("store.unreachable")
                await holds_exactly(caller, log, running.data)


async def test_a_full_disk_costs_nothing_but_room_and_another_run() -> None:
    """The import ends with a clear error; with more room the next run completes it exactly."""
    with own_directory() as directory, small_disk(directory, "200m") as disk:
        log = directory / "access.log"
        write_sample(log, 20_000)
        async with up(disk / "data") as running:
            key = KEY.findall(await running.hear(KEY.pattern))[0]
            async with calling(running, key) as caller:
                fill(disk / "ballast")
                failed = await tallystick("usage", "import", str(log), data=running.data)
                assert failed.status == 1, failed
                assert failed.refusal().rpartition(" ")[2] in CLEAR
                resize(disk, "400m")
                await holds_exactly(caller, log, running.data)


async def holds_exactly(caller: Caller, log: Path, data: Path) -> None:
    """Await that the store answers again, finish the import, and hold it to have each billable line once."""
    await caller.await_("/usage/summary", lambda _: True, **PERIOD)
    finished = await tallystick("usage", "import", str(log), data=data)
    assert finished.status in {0, 3}, finished  # the sample has cut lines
    assert (await caller.see("/usage/summary", **PERIOD))["events"] == billable(log)
