"""The embedded server: one directory, one owner, and nothing acknowledged is lost however it ends."""

import asyncio
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tallystick.clock import SystemClock
from tallystick.db.connect import open_pool
from tallystick.db.embedded import (
    DirectoryInUse,
    DirectoryOutOfReach,
    EmbeddedServer,
    NoServerBinaries,
    serving,
    shipped_binaries,
)
from tallystick.db.migrate import migrate
from tallystick.errors import Kind, TallystickError
from tallystick.ids import uuid7
from tallystick.ledger.books import open_book
from tallystick.ledger.model import Status
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tests.conftest import House
from tests.db.posting import open_ledger


@pytest.fixture
def room() -> Iterator[Path]:
    """Give a directory that the server's own user can enter, unlike pytest's."""
    with tempfile.TemporaryDirectory(prefix="tallystick-embedded-") as directory:
        path = Path(directory)
        path.chmod(0o711)
        yield path


@pytest.fixture
def mount(room: Path) -> Iterator[Path]:
    """Give a small file system of its own; skip where mounting is not permitted."""
    there = room / "small"
    there.mkdir(mode=0o711)
    asked = ["mount", "-t", "tmpfs", "-o", "size=120m,mode=0711", "tmpfs", str(there)]
    mounted = subprocess.run(asked, capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"mounting a tmpfs is not permitted here: {mounted.stderr.decode().strip()}")
    yield there
    subprocess.run(["umount", "--lazy", there], check=True)


def make_larger(mounted: Path) -> None:
    """Give the small file system room again."""
    subprocess.run(["mount", "-o", "remount,size=600m", mounted], check=True)


async def one(url: str) -> int:
    """Ask the server for 1."""
    connection = await asyncpg.connect(url)
    try:
        answer: int = await connection.fetchval("SELECT 1")
        return answer
    finally:
        await connection.close()


async def test_it_starts_serves_one_owner_and_stops(room: Path) -> None:
    """It is made, found by a second process, refused to a second owner, gone after its owner, and there again."""
    async with serving(room) as server:
        assert server.owner
        assert await one(server.url) == 1
        with pytest.raises(DirectoryInUse) as refused:
            await EmbeddedServer(room, shipped_binaries()).start(attach=False)
        assert f"process {os.getpid()}" in refused.value.message
        async with serving(room) as attached:
            assert not attached.owner
            assert await one(attached.url) == 1
        assert await one(server.url) == 1, "who only attached must leave it running"
        process_id = server.process_id()
        connection = await asyncpg.connect(server.url)
        await connection.execute("CREATE TABLE kept (x int)")
        await connection.close()
    assert process_id is not None
    assert server.process_id() is None
    assert not Path(f"/proc/{process_id}").exists()
    async with serving(room) as again:
        connection = await asyncpg.connect(again.url)
        assert await connection.fetchval("SELECT count(*) FROM kept") == 0
        await connection.close()


async def test_what_was_acknowledged_survives_the_death_of_the_owner(room: Path) -> None:
    """Killed in the middle of posting, and started again: each transfer that was acknowledged is in the ledger, once."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.db.posting_process", str(room), stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert process.stdout is not None
    acknowledged = [(await process.stdout.readline()).decode().strip() for _ in range(200)]
    process.kill()
    acknowledged += (await process.stdout.read()).decode().splitlines()
    await process.wait()
    whole = {uuid.UUID(line) for line in acknowledged if len(line) == 36}
    assert len(whole) >= 200
    async with serving(room) as server:
        connection = await asyncpg.connect(server.url, server_settings={"search_path": "tallystick"})
        posted = {row[0] for row in await connection.fetch("SELECT transfer_id FROM transfer")}
        await connection.close()
        assert {one.bytes for one in whole} <= {one.bytes for one in posted}
        pool = await open_pool(server.url, size=2)
        ledger = await open_ledger(pool)
        assert await ledger.balance("ada") == len(posted)
        await ledger.seal()
        assert (await ledger.verify()).ok
        await pool.close()


async def test_a_path_too_long_for_a_socket_serves_as_well(room: Path) -> None:
    """Where the directory's name is longer than a socket's may be, the socket lies elsewhere."""
    deep = room / ("long" * 20) / ("longer" * 20)
    deep.parent.mkdir(mode=0o711)
    async with serving(deep) as server:
        assert not server.socket_directory.is_relative_to(deep)
        assert await one(server.url) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")
async def test_a_directory_that_the_servers_user_cannot_enter_is_named(room: Path) -> None:
    """Below a directory that is closed to others the server cannot start, and the error says which user and where."""
    closed = room / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(DirectoryOutOfReach) as refused:
        await EmbeddedServer(closed / "data", shipped_binaries()).start()
    assert str(closed / "data") in refused.value.message


async def test_missing_binaries_are_named(room: Path) -> None:
    """Without PostgreSQL the error says where it was looked for."""
    with pytest.raises(NoServerBinaries) as refused:
        await EmbeddedServer(room / "data", room / "nothing").start()
    assert str(room / "nothing") in refused.value.message


async def test_a_cluster_half_made_is_made_anew(room: Path) -> None:
    """What an interrupted first start left lying about does not keep the second from starting."""
    (room / "postgres.making").mkdir()
    (room / "postgres.making" / "PG_VERSION").write_text("18\n")
    async with serving(room) as server:
        assert await one(server.url) == 1


async def test_a_full_disk_is_told_and_loses_nothing(mount: Path) -> None:
    """With no room left a batch is refused whole and clearly; with room again, posting goes on where it was."""
    server = EmbeddedServer(mount / "data", shipped_binaries())
    await server.start()
    posted: list[str] = []
    try:
        await migrate(server.url)
        pool = await open_pool(server.url, size=3)
        async with pool.acquire() as connection:
            await open_book(connection, "main", SystemClock().now())
        house = House(Operations(pool, SystemClock(), TABLE))
        await house.do("ledger.ensure_asset", asset="USD", exponent=2)
        for account in ("bank", "ada"):
            await house.do("ledger.open_account", account=account, asset="USD")
        refused = await _post_until_refused(house, posted)
        assert refused.kind is Kind.UNAVAILABLE
        assert refused.code in {"store.full", "store.unreachable"}
        await pool.close()
        make_larger(mount)
        await server.stop()
        await server.start()
        pool = await open_pool(server.url, size=3)
        house = House(Operations(pool, SystemClock(), TABLE))
        ledger = await open_ledger(pool)
        assert await ledger.balance("ada") == len(posted)
        await house.do("ledger.transfer", id=str(uuid7()), debit="bank", credit="ada", amount=1)
        assert await ledger.balance("ada") == len(posted) + 1
        await ledger.seal()
        assert (await ledger.verify()).ok
        await pool.close()
    finally:
        await server.stop()


async def _post_until_refused(house: House, posted: list[str]) -> TallystickError:
    """Post batches until one is refused as a whole, and return the refusal."""
    while True:
        batch = [{"id": str(uuid7()), "debit": "bank", "credit": "ada", "amount": 1} for _ in range(1000)]
        try:
            answer = await house.do("ledger.transfers", transfers=batch)
        except TallystickError as error:
            return error
        assert {item.status for item in answer.items} == {Status.POSTED.code}
        posted += [str(transfer["id"]) for transfer in batch]
