"""
Races on the ledger: processes that post batches at once, each batch in a durable transaction, while another seals.

What a caller would bring along (ids, accounts, amounts) is made before the start; whatever the ledger makes of it is
made in the measured time. Each race runs in a fresh database.
"""

import asyncio
import datetime as dt
import multiprocessing
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

import asyncpg
import numpy as np
import uvloop

from tallystick.db.connect import open_pool
from tallystick.db.embedded import EmbeddedServer
from tallystick.db.migrate import migrate
from tallystick.ledger.accounts import NewAccount, Recorded, ensure_asset, open_accounts
from tallystick.ledger.books import open_book
from tallystick.ledger.log.note import Signer
from tallystick.ledger.model import Batch, Reason, Status, Transfers, transfers
from tallystick.ledger.post import Ledger, post
from tallystick.ledger.seal import MOST_BATCHES, PAUSE, lead, seal

PROCESSES = 2
BATCH = 8_192
ACCOUNTS = 10_000
NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
MESSAGE = bytes(range(32))
ORIGIN = "bench.example/ledger"
SIGNER = Signer.from_seed("bench.example", bytes(32))
CREDIT_LINE = 10**12
_MILLISECONDS = 80
"""So long a caller took to make the ids of a batch: version 7 of RFC 9562, in order but for those of one millisecond."""


@dataclass(frozen=True, slots=True)
class Mix:
    """What is posted."""

    batches: int = 72
    """By each process."""
    accounts: int = ACCOUNTS
    limited: bool = False
    """Every account has a credit line, so each is locked and its balance judged."""
    random_ids: bool = False
    duplicates: float = 0.0
    """The part of each batch that was sent before by the same process."""
    holds: bool = False
    """Every second batch captures what the one before it held."""

    @property
    def sent(self) -> int:
        """Count what all processes send."""
        return PROCESSES * self.batches * BATCH

    @property
    def posted(self) -> int:
        """Count what is new of that."""
        return self.sent - PROCESSES * (self.batches - 1) * self.repeats

    @property
    def repeats(self) -> int:
        """Count what each batch but the first repeats."""
        return int(BATCH * self.duplicates)


@dataclass(frozen=True, slots=True)
class Task:
    """What one process is to do, in which book and over which accounts."""

    url: str
    book_id: int
    asset_id: int
    accounts: list[int]
    mix: Mix
    number: int = 0
    """Which of the processes it is; also its seed."""


@dataclass(slots=True)
class Ends:
    """When each process ended, in seconds from the start, and when each of its batches was done."""

    seconds: list[float]
    batches: list[list[float]] = field(default_factory=list)


Work = Callable[[Task, Barrier], Coroutine[object, object, "list[float]"]]


async def race(server: EmbeddedServer, name: str, works: Sequence[Work], mix: Mix, *, keep: bool = False) -> Ends:
    """Run each of *works* in a process of its own on a fresh database, which is dropped but for *keep*."""
    task = await prepare(server, name, mix)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(works) + 1)
    ends: Queue[tuple[int, float, list[float]]] = context.Queue()
    processes = [
        context.Process(target=_work, args=(work, replace(task, number=at), barrier, ends))
        for at, work in enumerate(works)
    ]
    for process in processes:
        process.start()
    try:
        await asyncio.to_thread(barrier.wait, 300)
        begin = time.monotonic()
        told = [await asyncio.to_thread(ends.get, timeout=1200) for _ in works]
    finally:
        for process in processes:
            process.join(5)
            process.kill()
    found = {at: (end - begin, [one - begin for one in batches]) for at, end, batches in told}
    result = Ends([found[at][0] for at in range(len(works))], [found[at][1] for at in range(len(works))])
    print(f"  {name}: {mix.sent / max(result.seconds):,.0f} transfers/s", file=sys.stderr)
    if not keep:
        await on(server.url, f"DROP DATABASE {name} WITH (FORCE)")
    return result


def _work(work: Work, task: Task, barrier: Barrier, ends: "Queue[tuple[int, float, list[float]]]") -> None:
    try:
        batches = uvloop.run(work(task, barrier))
    except BaseException:
        barrier.abort()
        raise
    ends.put((task.number, time.monotonic(), batches))


async def post_batches(task: Task, barrier: Barrier) -> list[float]:
    """Post batches, one transaction each; return when each was done."""
    pool = await open_pool(task.url, size=1)
    ledger = Ledger(task.book_id)
    hashes = np.frombuffer(MESSAGE, "V32")
    recorded = Recorded(task.book_id, 0, NOW)
    done: list[float] = []
    chance, begin = np.random.default_rng(task.number), time.time_ns() // 1_000_000
    ready = [make_batch(task, chance, begin, at) for at in range(min(task.mix.batches, 100))]
    mix_in_repeats(task.mix, ready)
    async with pool.acquire() as connection:
        await connection.fetchval("SELECT 1")
        barrier.wait()
        for at in range(task.mix.batches):
            batch = ready[at] if at < len(ready) else make_batch(task, chance, begin, at)
            async with connection.transaction():
                outcomes = await post(connection, ledger, batch, recorded, hashes)
            require(bool((outcomes.statuses <= Status.KNOWN).all()))
            done.append(time.monotonic())
    await pool.close()
    return done


async def seal_all(task: Task, barrier: Barrier) -> list[float]:
    """Seal until every transfer of the race is in the log."""
    pool = await open_pool(task.url, size=1)
    async with pool.acquire() as connection:
        sealer = await lead(connection, task.book_id, ORIGIN, [SIGNER])
        require(sealer is not None)
        barrier.wait()
        while sealer is not None and sealer.frontier.size < task.mix.posted:
            async with connection.transaction():
                done = await seal(connection, sealer, NOW)
            if done is not None:
                sealer = done[1]
            if done is None or done[0].batches < MOST_BATCHES:
                await asyncio.sleep(PAUSE)
    await pool.close()
    return []


def require(done: bool) -> None:  # noqa: FBT001 - a condition is what it takes
    """
    Find that what was measured is what should be.

    Raises:
        RuntimeError: it is not.
    """
    if not done:
        raise RuntimeError("the benchmark measured something else than it should")


def make_batch(task: Task, chance: np.random.Generator, begin: int, at: int) -> Batch:
    """Make batch number *at* of a process: what a caller would bring along."""
    captures = task.mix.holds and at % 2 == 1
    rows = transfers(BATCH)
    rows["transfer_id"] = _ids(task.mix, chance, begin + at * _MILLISECONDS)
    rows["amount"] = 0 if captures else chance.integers(1, 100_000, BATCH)
    rows["asset_id"] = task.asset_id
    rows["reason"] = Reason.CAPTURE if captures else Reason.HOLD if task.mix.holds else Reason.TRANSFER
    accounts = np.array(task.accounts[: task.mix.accounts], np.int64)
    debit = chance.integers(0, len(accounts), BATCH)
    rows["debit_account_id"] = accounts[debit]
    rows["credit_account_id"] = accounts[(debit + chance.integers(1, len(accounts), BATCH)) % len(accounts)]
    return Batch(rows)


def mix_in_repeats(mix: Mix, ready: list[Batch]) -> None:
    """Let captures name the holds before them, and batches repeat what was sent before, as the mix says."""
    for at in range(1, len(ready)):
        if mix.holds and at % 2 == 1:
            ready[at] = Batch(ready[at].rows, ready[at - 1].rows["transfer_id"])
        if mix.repeats:
            ready[at].rows[-mix.repeats :] = ready[at - 1].rows[: mix.repeats]


def _ids(mix: Mix, chance: np.random.Generator, begin: int) -> "Transfers":
    ids = np.zeros(BATCH, np.dtype([("time", ">u8"), ("random", ">u8")]))
    if mix.random_ids:
        ids["time"] = chance.integers(0, 2**48, BATCH).astype(np.uint64) << np.uint64(16) | np.uint64(0x4000)
    else:
        when = begin + np.arange(BATCH) * _MILLISECONDS // BATCH
        ids["time"] = (when << 16) + 0x7000 + chance.integers(0, 0x1000, BATCH)
    ids["random"] = chance.integers(2**63, 2**63 + 2**62, BATCH, dtype=np.uint64)
    return ids.view("V16")


async def prepare(server: EmbeddedServer, name: str, mix: Mix) -> Task:
    """Make a database with a book and its accounts, all of it on disk."""
    await on(server.url, f"CREATE DATABASE {name}")
    url = server.url.replace("/tallystick?", f"/{name}?")
    await migrate(url)
    pool = await open_pool(url, size=1)
    lowest = -CREDIT_LINE if mix.limited else None
    async with pool.acquire() as connection, connection.transaction():
        book = await open_book(connection, "bench", NOW)
        asset = await ensure_asset(connection, book.book_id, "USD", 2)
        wanted = [NewAccount(f"account/{number}", "USD", min_balance=lowest) for number in range(ACCOUNTS)]
        opened = await open_accounts(connection, Recorded(book.book_id, 0, NOW), wanted)
    await pool.close()
    await on(url, "ANALYZE")  # as autovacuum would have done by the time of a first batch
    await on(server.url, "CHECKPOINT")
    return Task(url, book.book_id, asset.asset_id, [account.account_id for account in opened], mix)


async def on(url: str, statement: str) -> None:
    """Run a statement as the schema's owner."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
