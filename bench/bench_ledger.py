"""
The ledger: batches posted and sealed, beside a bare COPY of the same rows into the same tables.

Two processes post batches of 8,192 transfers over 10,000 unlimited accounts, each batch in a durable transaction
of its own, while a third process seals. What a caller would bring along (ids, accounts, amounts) is made before;
whatever the ledger makes of it is made in the measured time. For the comparison as many processes copy
rows that were encoded before, with their hashes and sums. Both are done in turns, each in a fresh database.
"""

import asyncio
import datetime as dt
import multiprocessing
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import asyncpg
import numpy as np
import numpy.typing as npt
import uvloop

from bench.table import Report, Result
from tallystick.db.connect import open_pool
from tallystick.db.embedded import EmbeddedServer, serving
from tallystick.db.migrate import migrate
from tallystick.ledger.accounts import NewAccount, Recorded, ensure_asset, open_accounts
from tallystick.ledger.books import open_book
from tallystick.ledger.encode_leaf import PREFIXED_BYTES, encode_leaves
from tallystick.ledger.log.note import Signer
from tallystick.ledger.log.tree import leaf_hashes
from tallystick.ledger.model import Reason, Transfers, microseconds, transfers
from tallystick.ledger.post import COPIED, NET_CHANGE, TRANSFER, Ledger, post
from tallystick.ledger.seal import MOST_BATCHES, PAUSE, lead, seal
from tallystick.ledger.sum_changes import sum_changes, touch

IDS = ("ledger_copy", "ledger_post", "ledger_post_seal", "ledger_hot_pair")

PROCESSES = 2
BATCH = 8_192
BATCHES = 72
"""By each process in each turn: about 1.2 million transfers a turn."""
TURNS = 3
ACCOUNTS = 10_000
_NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
_MESSAGE = bytes(range(32))
_SIGNER = Signer.from_seed("bench.example", bytes(32))
_MILLISECONDS = 80
"""So long a caller took to make the ids of a batch: version 7 of RFC 9562, in order but for those of one millisecond."""
_TOTAL = PROCESSES * BATCHES * BATCH


@dataclass(frozen=True, slots=True)
class Task:
    """What one process is to do, in which book and over which accounts."""

    url: str
    book_id: int
    asset_id: int
    accounts: list[int]
    number: int
    """Which of the processes it is; also its seed."""
    hot: int | None = None
    """So many of the accounts are used; None for all."""


async def run(ids: set[str], report: Report) -> None:
    """Measure those of *ids* that are the ledger's."""
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as directory:
        async with serving(Path(directory)) as server:
            await _run_on(server, ids, report)


async def _run_on(server: EmbeddedServer, ids: set[str], report: Report) -> None:
    copied: list[float] = []  # seconds
    posted: list[float] = []
    sealed: list[float] = []
    for turn in range(TURNS) if ids & {"ledger_copy", "ledger_post", "ledger_post_seal"} else ():
        copied.append((await _race(server, f"copy_{turn}", [copy_rows] * PROCESSES))[-1])
        ends = await _race(server, f"post_{turn}", [*[post_batches] * PROCESSES, seal_all])
        posted.append(max(ends[:-1]))
        sealed.append(ends[-1])
    figures = {"ledger_copy": copied, "ledger_post": posted, "ledger_post_seal": sealed}
    for name, seconds in figures.items():
        if name in ids:
            report(_result(name, seconds, copied))
    if "ledger_hot_pair" in ids:
        ends = await _race(server, "hot", [*[post_batches] * PROCESSES, seal_all], hot=2)
        report(_result("ledger_hot_pair", [ends[-1]], []))


def _result(name: str, seconds: Sequence[float], reference: Sequence[float]) -> Result:
    rate = _TOTAL * len(seconds) / sum(seconds)
    extra: dict[str, float | int | str] = {"processes": PROCESSES, "batch": BATCH, "transfers": _TOTAL}
    if reference and name != "ledger_copy":
        extra = {"ratio": sum(reference) / sum(seconds), **extra}
    return Result(name, rate, "transfers/s", extra)


Work = Callable[[Task, Barrier], Coroutine[object, object, None]]


async def _race(server: EmbeddedServer, name: str, works: Sequence[Work], *, hot: int | None = None) -> list[float]:
    """Run each of *works* in a process of its own on a fresh database; return after how many seconds each ended."""
    task = await _prepare(server, name)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(works) + 1)
    ends: Queue[tuple[int, float]] = context.Queue()
    processes = [
        context.Process(
            target=_work,
            args=(work, Task(task.url, task.book_id, task.asset_id, task.accounts, at, hot), barrier, ends),
        )
        for at, work in enumerate(works)
    ]
    for process in processes:
        process.start()
    try:
        await asyncio.to_thread(barrier.wait, 300)
        begin = time.monotonic()
        found = dict([await asyncio.to_thread(ends.get, timeout=300) for _ in works])
    finally:
        for process in processes:
            process.join(5)
            process.kill()
    seconds = [found[at] - begin for at in range(len(works))]
    print(f"  {name}: {_TOTAL / max(seconds):,.0f} transfers/s", file=sys.stderr)
    await _drop(server, name)
    return seconds if works[-1] is seal_all else [max(seconds)]


def _work(work: Work, task: Task, barrier: Barrier, ends: "Queue[tuple[int, float]]") -> None:
    try:
        uvloop.run(work(task, barrier))
    except BaseException:
        barrier.abort()
        raise
    ends.put((task.number, time.monotonic()))


async def post_batches(task: Task, barrier: Barrier) -> None:
    """Post batches, one transaction each."""
    batches = _batches(task)
    pool = await open_pool(task.url, size=1)
    ledger = Ledger(task.book_id)
    hashes = np.frombuffer(_MESSAGE, "V32")
    recorded = Recorded(task.book_id, 0, _NOW)
    async with pool.acquire() as connection:
        await connection.fetchval("SELECT 1")
        barrier.wait()
        for batch in batches:
            async with connection.transaction():
                _require(not (await post(connection, ledger, batch, recorded, hashes)).any())
    await pool.close()


async def seal_all(task: Task, barrier: Barrier) -> None:
    """Seal until every transfer of the turn is in the log."""
    pool = await open_pool(task.url, size=1)
    async with pool.acquire() as connection:
        sealer = await lead(connection, task.book_id, "bench.example/ledger", _SIGNER)
        _require(sealer is not None)
        barrier.wait()
        while sealer is not None and sealer.frontier.size < _TOTAL:
            async with connection.transaction():
                done = await seal(connection, sealer, _NOW)
            if done is not None:
                sealer = done[1]
            if done is None or done[0].batches < MOST_BATCHES:
                await asyncio.sleep(PAUSE)
    await pool.close()


async def copy_rows(task: Task, barrier: Barrier) -> None:
    """Copy the rows of the same batches, encoded before."""
    encoded = [_encode(task, batch, 1 + task.number + PROCESSES * at) for at, batch in enumerate(_batches(task))]
    pool = await open_pool(task.url, size=1)
    async with pool.acquire() as connection:
        await connection.fetchval("SELECT 1")
        barrier.wait()
        for tables in encoded:
            async with connection.transaction():
                for table, rows in tables.items():
                    await connection.copy_to_table(
                        table, schema_name="tallystick", format="binary", source=_source(rows),
                        columns=_COLUMNS[table],
                    )  # fmt: skip
    await pool.close()


def _require(done: bool) -> None:  # noqa: FBT001 - a condition is what it takes
    if not done:
        raise RuntimeError("the benchmark measured something else than it should")


async def _source(data: bytes):  # type: ignore[no-untyped-def]  # noqa: ANN202 - an asynchronous generator of bytes
    yield data


_COLUMNS = {
    "transfer": list(TRANSFER.columns),
    "net_change": list(NET_CHANGE.columns),
    "batch": ["book_id", "batch_id", "transfers", "recorded_at", "leaf_hashes", "accounts", "debits", "credits"],
}


def _batches(task: Task) -> list[Transfers]:
    """Make what a caller would bring along."""
    chance = np.random.default_rng(task.number)
    begin = time.time_ns() // 1_000_000
    return [_batch(task, chance, begin + at * _MILLISECONDS) for at in range(BATCHES)]


def _batch(task: Task, chance: np.random.Generator, begin: int) -> Transfers:
    accounts = np.array(task.accounts[: task.hot], np.int64)
    debit = chance.integers(0, len(accounts), BATCH)
    credit = (debit + chance.integers(1, len(accounts), BATCH)) % len(accounts)
    batch = transfers(BATCH)
    ids = np.zeros(BATCH, np.dtype([("time", ">u8"), ("random", ">u8")]))
    when = begin + np.arange(BATCH) * _MILLISECONDS // BATCH
    ids["time"] = (when << 16) + 0x7000 + chance.integers(0, 0x1000, BATCH)
    ids["random"] = chance.integers(2**63, 2**63 + 2**62, BATCH, dtype=np.uint64)
    batch["transfer_id"] = ids.view("V16")
    batch["debit_account_id"], batch["credit_account_id"] = accounts[debit], accounts[credit]
    batch["amount"] = chance.integers(1, 100_000, BATCH)
    batch["asset_id"] = task.asset_id
    batch["reason"] = Reason.TRANSFER
    return batch


def _encode(task: Task, batch: Transfers, batch_id: int) -> dict[str, bytes]:
    """Encode what a batch becomes in each table."""
    columns: dict[str, npt.ArrayLike] = {name: batch[name] for name in COPIED}
    columns |= {"batch_id": batch_id, "book_id": task.book_id, "position": np.arange(BATCH)}
    changes = sum_changes(batch, touch(batch))
    change_columns: dict[str, npt.ArrayLike] = {
        "account_id": changes.accounts, "batch_id": batch_id, "debits": changes.debits, "credits": changes.credits,
        "book_id": task.book_id,
    }  # fmt: skip
    leaves = encode_leaves(task.book_id, batch, microseconds(_NOW), np.frombuffer(_MESSAGE, "V32"))
    since_2000 = microseconds(_NOW) - microseconds(dt.datetime(2000, 1, 1, tzinfo=dt.UTC))
    fields = [
        struct.pack(">i", task.book_id), struct.pack(">q", batch_id), struct.pack(">i", BATCH),
        struct.pack(">q", since_2000), leaf_hashes(leaves, PREFIXED_BYTES), changes.accounts.tobytes(),
        changes.debits.tobytes(), changes.credits.tobytes(),
    ]  # fmt: skip
    row = struct.pack(">h", len(fields)) + b"".join(struct.pack(">i", len(one)) + one for one in fields)
    return {
        "transfer": TRANSFER.encode(BATCH, columns),
        "net_change": NET_CHANGE.encode(len(changes.accounts), change_columns),
        "batch": b"PGCOPY\n\xff\r\n\0" + bytes(8) + row + b"\xff\xff",
    }


async def _prepare(server: EmbeddedServer, name: str) -> Task:
    """Make a database with a book and its accounts, all of it on disk."""
    await _on(server.url, f"CREATE DATABASE {name}")
    url = server.url.replace("/tallystick?", f"/{name}?")
    await migrate(url)
    pool = await open_pool(url, size=1)
    async with pool.acquire() as connection, connection.transaction():
        book = await open_book(connection, "bench", _NOW)
        asset = await ensure_asset(connection, book.book_id, "USD", 2)
        wanted = [NewAccount(f"account/{number}", "USD") for number in range(ACCOUNTS)]
        opened = await open_accounts(connection, Recorded(book.book_id, 0, _NOW), wanted)
    await pool.close()
    await _on(url, "ANALYZE")  # as autovacuum would have done by the time of a first batch
    await _on(server.url, "CHECKPOINT")
    return Task(url, book.book_id, asset.asset_id, [account.account_id for account in opened], 0)


async def _drop(server: EmbeddedServer, name: str) -> None:
    await _on(server.url, f"DROP DATABASE {name} WITH (FORCE)")


async def _on(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
