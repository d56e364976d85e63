"""`tallystick rebuild` as a process: what it says, and with which code it ends."""

from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.conftest import House
from tests.db.test_rebuild import moved, open_accounts, seal_book
from tests.scenarios.serving_up import Said, tallystick


class Command:
    """`tallystick rebuild` on a database of the test's own."""

    def __init__(self, url: str, directory: Path) -> None:
        """Work in *directory*."""
        self.url, self.directory = url, directory

    async def __call__(self, *arguments: str) -> Said:
        """Run it."""
        return await tallystick("rebuild", *arguments, data=self.directory / "data", TALLYSTICK_POSTGRES_URL=self.url)


@pytest.fixture
async def command(house: House, database_url: str, tmp_path: Path) -> Command:
    """Return the command on a book with two transfers, of which one is sealed."""
    await open_accounts(house)
    await house.do("ledger.transfer", "rent", **moved("bank", "ada", 700))
    await seal_book(house)
    await house.do("ledger.transfer", "food", **moved("bank", "ada", 30))
    return Command(database_url, tmp_path)


async def test_a_book_that_comes_out_the_same_ends_with_0(command: Command, owner: asyncpg.Connection) -> None:
    """It says how much was done again and which root came out, the one that the newest checkpoint was signed with."""
    twins = "SELECT array_agg(datname ORDER BY datname) FROM pg_database WHERE datname LIKE 'rebuild%'"
    before = await owner.fetchval(twins)
    said = await command("--check")
    assert (said.status, said.err) == (0, "")
    messages = await owner.fetchval("SELECT count(*) FROM message")
    root = await owner.fetchval("SELECT replace(encode(root, 'base64'), E'\\n', '') FROM checkpoint")
    assert f"✓ main: {messages} messages, 2 transfers: the log comes out the same, root {root}" in said.out
    assert "1 transfers behind the newest" in said.out
    assert await owner.fetchval(twins) == before


async def test_the_first_difference_ends_with_1(command: Command, owner: asyncpg.Connection) -> None:
    """The message is named, and what differs."""
    await owner.execute("SET session_replication_role = replica")
    await owner.execute("UPDATE message SET answer = '{}' WHERE key = 'rent'")
    said = await command("--check")
    assert said.status == 1
    assert "✗ main" in said.out
    assert "first: message rent: it was answered {}" in said.out


async def test_a_twin_that_is_kept_is_named_and_can_be_worked_with(
    command: Command, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    """What --keep leaves is a store like any other: verified, and not rebuilt into a second time."""
    said = await command("--check", "--keep")
    assert said.status == 0, said.err
    url = said.out.split("the rebuilt book is kept in ", 1)[1].split()[0]
    name = urlsplit(url).path.removeprefix("/")
    try:
        assert await owner.fetchval("SELECT count(*) FROM pg_database WHERE datname = $1", name) == 1
        verified = await tallystick("verify", data=tmp_path / "elsewhere", TALLYSTICK_POSTGRES_URL=url)
        assert verified.status == 0, verified.out
        again = await command("--into", url)
        assert "rebuild.not_empty" in again.refusal()
    finally:
        await owner.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("arguments", [(), ("--check", "--into", "postgresql:///x")])
async def test_where_to_is_said_once(command: Command, arguments: tuple[str, ...]) -> None:
    """Either a database of its own or the one that is named."""
    said = await command(*arguments)
    assert said.status == 2
    assert "either --check or --into URL" in said.err
