"""Verify in processes: several processes find over one snapshot what one finds alone."""

import asyncio
import os
import signal

import asyncpg
import pytest

from tallystick.cli import verify_in_processes as processes
from tallystick.cli.verify import describe
from tallystick.clock import SystemClock
from tallystick.ledger.findings import Verification
from tallystick.operations.run import Operations
from tests.db.posting import ORIGIN, SIGNER, Ledgerful
from tests.db.test_verify import THE_ROW, ledger, said, tamper

__all__ = ["ledger"]


async def verify_beside(ledger: Ledgerful, url: str, heard: list[int] | None = None) -> Verification:
    """Verify in this process and another."""
    wanted = processes.Wanted(ledger.book.book_id, [SIGNER.verifier], ORIGIN)
    operations = Operations(ledger.pool, SystemClock(), {})
    told = [] if heard is None else heard
    return await processes.verify_in_processes(
        operations, url, wanted, processes=2, progress=lambda done, _: told.append(done)
    )


async def test_two_processes_find_what_one_finds(
    ledger: Ledgerful, owner: asyncpg.Connection, database_url: str
) -> None:
    """Nothing where nothing was changed, and otherwise the same rows in the same order."""
    heard: list[int] = []
    assert said(await verify_beside(ledger, database_url, heard)) == ""
    assert heard == sorted(heard)
    assert heard[-1] == 601
    await tamper(
        owner,
        f"UPDATE transfer SET amount = amount + 1 WHERE {THE_ROW}",
        "UPDATE tile_root SET hash = sha256('x') WHERE place = 0",
        "UPDATE checkpoint SET root = sha256('x') WHERE size = 600",
    )
    alone = await ledger.verify()
    assert await verify_beside(ledger, database_url) == alone
    kinds = ["transfer", "net_change", "tile_root", "balance_snapshot", "checkpoint", "balance_snapshot"]
    assert [one.kind for one in alone.findings] == kinds, said(alone)


async def test_what_is_posted_meanwhile_is_not_looked_at(ledger: Ledgerful, database_url: str) -> None:
    """Every process sees the ledger as it was when the verification began."""

    async def post_on() -> None:
        while True:
            await ledger.move(("ada", "bob", 1))

    posting = asyncio.create_task(post_on())
    try:
        for _ in range(2):
            assert said(await verify_beside(ledger, database_url)) == ""
    finally:
        posting.cancel()
        await asyncio.gather(posting, return_exceptions=True)


async def test_a_process_that_is_killed_is_told(
    ledger: Ledgerful, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who verifies hears that a process was lost, instead of waiting for it."""
    start = processes._Helper._start

    def start_and_kill(helper: processes._Helper) -> object:
        pipe = start(helper)
        assert helper._process is not None
        assert helper._process.pid is not None
        os.kill(helper._process.pid, signal.SIGKILL)
        return pipe

    monkeypatch.setattr(processes._Helper, "_start", start_and_kill)
    with pytest.raises(processes.HelperLost, match="ended in the middle"):
        await verify_beside(ledger, database_url)


async def test_whoever_reads_it_sees_the_first_bad_row_first(ledger: Ledgerful, owner: asyncpg.Connection) -> None:
    """What the command line says begins with the verdict and the row where it began."""
    lines = list(describe("main", await ledger.verify()))
    assert lines[0] == "[green]✓[/green] main: 601 transfers in 13 batches, all as they were written"
    await tamper(owner, f"UPDATE transfer SET amount = amount + 1 WHERE {THE_ROW}")
    lines = list(describe("main", await ledger.verify()))
    assert "not all is as it was written" in lines[0]
    assert "position 3, place 153" in lines[1]
    assert "net change" in lines[3]
