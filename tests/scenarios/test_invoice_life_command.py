"""`tallystick invoice request` and what follows, as child processes; killed anywhere, numbers have no gap."""

import asyncio
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from tests.conftest import House
from tests.db.requested import wanted


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    """Point the command line at this test's database."""
    return {**os.environ, "TALLYSTICK_POSTGRES_URL": database_url, "TALLYSTICK_DATA": str(tmp_path)}


async def begin(environment: dict[str, str], *words: str) -> asyncio.subprocess.Process:
    """Begin a command of `tallystick invoice`."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tallystick.cli", "invoice", *words, env=environment, cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


async def run(environment: dict[str, str], *words: str) -> tuple[int | None, str]:
    """Run a command to its end."""
    child = await begin(environment, *words)
    said, _ = await asyncio.wait_for(child.communicate(), 120)
    assert b"Traceback" not in said, said.decode()
    return child.returncode, said.decode()


def write(path: Path, given: dict[str, Any] | Sequence[Any]) -> str:
    """Write requests into a file."""
    path.write_bytes(msgspec.json.encode(given))
    return str(path)


async def test_an_invoice_is_asked_for_credited_and_written_off(
    house: House, environment: dict[str, str], tmp_path: Path
) -> None:
    """Every step is one line; a dry run keeps nothing, and the same file again makes nothing twice."""
    file = write(tmp_path / "one.json", wanted())
    assert (await run(environment, "request", file, "--dry-run"))[1].startswith("INV-000001 loan-1 for ada: 1000")
    assert (await house.do("invoicing.list")).items == []
    for ending in ("", ", known before"):
        code, said = await run(environment, "request", file)
        assert (code, said.split("  ")[0]) == (0, f"INV-000001 loan-1 for ada: 1000 minor units of USD{ending}")
    (invoice,) = (await house.do("invoicing.list")).items
    one = str(invoice.id)
    credit = ("credit", one, "--reason", "late", "--reference", "c", "--line", "0", "--amount", "100")
    assert (await run(environment, *credit)) == (0, "CN-000001 for INV-000001: USD 1.00\n")
    assert (await run(environment, "write-off", one, "--reason", "gone")) == (
        0,
        "INV-000001 is written off: USD 9.00\n",
    )
    code, said = await run(environment, "void", one, "--reason", "x")
    assert (code, "invoicing.ended" in said) == (1, True), said
    code, said = await run(environment, "history", one)
    assert [
        word
        for word in ("requested", "issued INV-000001", "credit note CN-000001", "written off gone")
        if word not in said
    ] == []
    code, said = await run(environment, "list", "--state", "written_off")
    assert (code, "INV-000001" in said) == (0, True), said
    assert await run(environment, "overdue") == (0, "0 fall due today, 0 are newly overdue\n")


async def test_requests_that_cannot_be_are_named(house: House, environment: dict[str, str], tmp_path: Path) -> None:
    """The others are made, and the exit code is 3; what is no JSON, or no file, is one line."""
    many = [wanted("a"), wanted("b", asset="EUR"), wanted("c")]
    code, said = await run(environment, "request", write(tmp_path / "many.json", many))
    assert (code, "[1].asset: " in said, said.count("INV-")) == (3, True, 2), said
    (tmp_path / "bad.json").write_text('{"amount": 1')
    assert (await run(environment, "request", str(tmp_path / "bad.json")))[0] == 2
    assert (await run(environment, "request", str(tmp_path / "none.json")))[0] == 2
    code, said = await run(
        environment, "request", write(tmp_path / "float.json", wanted(lines=[{"description": "x", "amount": 1.5}]))
    )
    assert (code, "lines[0].amount" in said) == (1, True), said


async def test_killed_anywhere_and_run_again_each_request_has_one_invoice(
    house: House, environment: dict[str, str], tmp_path: Path, owner: asyncpg.Connection
) -> None:
    """Numbers go from 1 to n without a gap, whenever the process was killed before."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - whoever sees it fail must be able to do it again
    chance = random.Random(seed)
    many = [wanted(f"r{place}", customer=f"c{place % 50}") for place in range(2_000)]
    file = write(tmp_path / "many.json", many)
    for _ in range(2):
        child = await begin(environment, "request", file)
        with_luck = chance.choice([0.8, 1.2, 1.6, 2.5])
        try:
            await asyncio.wait_for(child.wait(), with_luck)
        except TimeoutError:
            child.kill()
        await child.communicate()
    assert (await run(environment, "request", file))[0] == 0
    numbers = [row["number"] for row in await owner.fetch("SELECT number FROM invoice_issue ORDER BY number")]
    assert numbers == list(range(1, len(many) + 1))
    assert await owner.fetchval("SELECT count(DISTINCT reference) FROM invoice_request") == len(many)
    assert (await house.do("ledger.balance", account="revenue/loans/USD")).balance == 1_000 * len(many)
