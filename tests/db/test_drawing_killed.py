"""A process is killed while it draws credits: wallet, ledger and invoices agree, and the next run completes what is left."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from tallystick.ids import uuid7
from tests.db.subscribed import Shop
from tests.db.test_subscriptions_paid import sell_requests, use

UNTIL = "2024-02-01T00:00:00+00:00"


@contextlib.asynccontextmanager
async def billing(database_url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Bill in a process of its own, which is killed in the end."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.db.drawing_process", database_url, UNTIL,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    try:
        yield child
    finally:
        await kill(child)


async def kill(child: asyncio.subprocess.Process) -> None:
    """End it without a word; a second time does nothing."""
    if child.returncode is None:
        os.kill(child.pid, signal.SIGKILL)
    assert await child.wait() == -signal.SIGKILL


async def hear(child: asyncio.subprocess.Process, wanted: str) -> None:
    """Let the process go on until it has committed a chunk of that kind."""
    assert child.stdin is not None
    assert child.stdout is not None
    while not (line := await child.stdout.readline()).startswith(wanted.encode()):
        assert line, "the process ended before it was killed"
        child.stdin.write(b"\n")


async def until_there(pool: asyncpg.Pool, sql: str) -> None:
    """Ask until it is so."""
    async with asyncio.timeout(30):
        while not await pool.fetchval(sql):  # noqa: ASYNC110 - nothing tells us when a lock is waited for
            await asyncio.sleep(0.01)


async def sell_to_ada(pool: asyncpg.Pool) -> tuple[Shop, list[str]]:
    """Let ada, who has units for two of three requests and 7.00, owe 5.00 in January and 6.00 by February."""
    shop = await sell_requests(pool)
    await shop.do("ledger.ensure_asset", asset="CALLS", exponent=0)
    await shop.do("wallets.bind_unit", asset="CALLS", meter="requests")
    grants = [str(uuid7()), str(uuid7())]
    for grant, asset, amount in zip(grants, ("CALLS", "USD"), (2, 700), strict=True):
        await shop.do("wallets.grant", id=grant, customer="ada", asset=asset, amount=amount)
    shop.goes("2024-01-20")
    await use(shop, "a", "b", "c")
    shop.goes(UNTIL)
    return shop, grants


async def left(shop: Shop, owner: asyncpg.Connection, grants: list[str]) -> list[int]:
    """Return what is left of each grant: its account, what was granted less its uses, and what the wallet says are one."""
    found = [await shop.do("wallets.find_grant", id=one) for one in grants]
    for one in found:
        used = await owner.fetchval(
            "SELECT coalesce(sum(amount), 0)::integer FROM credit_use WHERE grant_id = $1", one.id
        )
        account = await shop.do("ledger.balance", account=one.account)
        assert one.balance == account.balance == one.amount - used
    return [one.balance for one in found]


async def require_complete(shop: Shop, owner: asyncpg.Connection, grants: list[str]) -> None:
    """Run again, twice, and find each thing done once."""
    for _ in range(2):
        assert (await shop.bill()).failed == []
        assert sorted(await shop.amounts()) == [[100, 500], [500]]
        assert await left(shop, owner, grants) == [0, 0]
        for invoice in (await shop.do("invoicing.list")).items:
            paid = sum(one.amount for one in invoice.credits if one.line is None)
            account = await shop.do("ledger.balance", account=invoice.account)
            assert invoice.outstanding == invoice.total - paid == -account.balance
    assert await owner.fetchval("SELECT sum(amount) FROM credit_use WHERE position IS NULL") == 700
    assert await owner.fetchval("SELECT count(*) FROM transfer WHERE reason = 12") == 3


@pytest.mark.parametrize(
    ("behind", "drawn"), [("message", "units, at the draft"), ("invoice_issue", "money, at the issue")]
)
async def test_killed_between_draw_and_commit_nothing_is_drawn(
    pool: asyncpg.Pool, owner: asyncpg.Connection, database_url: str, behind: str, drawn: str
) -> None:
    """The process has posted what it drew and waits to write what comes behind it: all of that is undone."""
    shop, grants = await sell_to_ada(pool)
    before = [2, 700] if "units" in drawn else [0, 700]
    waits = f"SELECT count(*) = 1 FROM pg_locks WHERE relation = '{behind}'::regclass AND NOT granted"
    async with billing(database_url) as child:
        async with owner.transaction():
            if "money" in drawn:
                await hear(child, "drafting")
            await owner.execute(f"LOCK TABLE {behind} IN SHARE MODE")
            if "money" in drawn:
                assert child.stdin is not None
                child.stdin.write(b"\n")
            await until_there(pool, waits)
            waiting = await pool.fetchval(
                "SELECT pid FROM pg_locks WHERE relation = $1::regclass AND NOT granted", behind
            )
            await kill(child)
        await until_there(pool, f"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {waiting})")
    assert await left(shop, owner, grants) == before
    await require_complete(shop, owner, grants)


@pytest.mark.parametrize(("committed", "after"), [("drafting", [0, 700]), ("issuing", [0, 0])])
async def test_killed_between_commit_and_answer_it_is_drawn_once(
    pool: asyncpg.Pool, owner: asyncpg.Connection, database_url: str, committed: str, after: list[int]
) -> None:
    """Nobody was told that it was drawn; whoever runs again finds it drawn."""
    shop, grants = await sell_to_ada(pool)
    async with billing(database_url) as child:
        await hear(child, committed)
    assert await left(shop, owner, grants) == after
    await require_complete(shop, owner, grants)
