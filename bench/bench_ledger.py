"""
The ledger: batches posted and sealed, beside a bare COPY of the same rows into the same tables.

Two processes post batches of 8,192 transfers over 10,000 unlimited accounts while a third process seals. For the
comparison as many processes copy rows that were encoded before, with their hashes and sums. Both are done in turns.
Then the same with other mixes: one hot pair, limits, holds, duplicates, ids in no order.
"""

import datetime as dt
import struct
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.ledger_race import (
    BATCH,
    MESSAGE,
    NOW,
    PROCESSES,
    Mix,
    Task,
    make_batch,
    post_batches,
    race,
    seal_all,
)
from bench.table import Report, Result
from tallystick.db.connect import open_pool
from tallystick.db.embedded import EmbeddedServer, serving
from tallystick.ledger import encode_changes
from tallystick.ledger.encode_leaf import ToSeal, hash_leaves
from tallystick.ledger.model import Batch, microseconds
from tallystick.ledger.sum_changes import sum_changes, touch
from tallystick.ledger.write_batch import COPIED, TRANSFER

_MIXES = {
    "ledger_hot_pair": Mix(accounts=2),
    "ledger_limited": Mix(batches=36, limited=True),
    "ledger_holds": Mix(batches=36, holds=True),
    "ledger_duplicates": Mix(batches=36, duplicates=0.1),
    "ledger_random_ids": Mix(random_ids=True),
}
_COMPARED = ("ledger_copy", "ledger_post", "ledger_post_seal")
IDS = (*_COMPARED, *_MIXES)
TURNS = 3
_PLAIN = Mix()


async def run(ids: set[str], report: Report) -> None:
    """Measure those of *ids* that are the ledger's."""
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as directory:
        async with serving(Path(directory)) as server:
            if ids & set(_COMPARED) or "ledger_hot_pair" in ids:
                await _compare(server, ids, report)
            for name, mix in _MIXES.items():
                if name in ids and name != "ledger_hot_pair":
                    ends = await race(server, name, [*[post_batches] * PROCESSES, seal_all], mix)
                    report(_result(name, mix, [max(ends.seconds)]))


async def _compare(server: EmbeddedServer, ids: set[str], report: Report) -> None:
    """Copy, post over many accounts, and post between two, in turns, so that all meet the same machine."""
    copied: list[float] = []
    posted: list[float] = []
    sealed: list[float] = []
    hot: list[float] = []
    for turn in range(TURNS):
        if ids & set(_COMPARED):
            copied.append(max((await race(server, f"copy_{turn}", [copy_rows] * PROCESSES, _PLAIN)).seconds))
        ends = (await race(server, f"post_{turn}", [*[post_batches] * PROCESSES, seal_all], _PLAIN)).seconds
        posted.append(max(ends[:-1]))
        sealed.append(max(ends))
        if "ledger_hot_pair" in ids:
            mix = _MIXES["ledger_hot_pair"]
            hot.append(max((await race(server, f"hot_{turn}", [*[post_batches] * PROCESSES, seal_all], mix)).seconds))
    for name, seconds in (("ledger_copy", copied), ("ledger_post", posted), ("ledger_post_seal", sealed)):
        if name in ids:
            ratio = None if name == "ledger_copy" else sum(copied) / sum(seconds)
            report(_result(name, _PLAIN, seconds, ratio))
    if hot:
        report(_result("ledger_hot_pair", _PLAIN, hot, sum(sealed) / sum(hot)))


def _result(name: str, mix: Mix, seconds: Sequence[float], ratio: float | None = None) -> Result:
    rate = mix.sent * len(seconds) / sum(seconds)
    beside: dict[str, float | int | str] = {} if ratio is None else {"ratio": ratio}
    return Result(name, rate, "transfers/s", beside | {"processes": PROCESSES, "batch": BATCH, "transfers": mix.sent})


async def copy_rows(task: Task, barrier: Barrier) -> list[float]:
    """Copy the rows of the same batches, encoded before."""
    chance, begin = np.random.default_rng(task.number), time.time_ns() // 1_000_000
    batches = [make_batch(task, chance, begin, at) for at in range(task.mix.batches)]
    encoded = [_encode(task, batch, 1 + task.number + PROCESSES * at) for at, batch in enumerate(batches)]
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
    return []


async def _source(data: bytes):  # type: ignore[no-untyped-def]  # noqa: ANN202 - an asynchronous generator of bytes
    yield data


_COLUMNS = {
    "transfer": list(TRANSFER.columns),
    "net_change": list(encode_changes.COLUMNS),
    "batch": ["book_id", "batch_id", "transfers", "recorded_at", "leaf_hashes", "pages"],
}


def _encode(task: Task, batch: Batch, batch_id: int) -> dict[str, bytes]:
    """Encode what a batch becomes in each table."""
    columns: dict[str, npt.ArrayLike] = {name: batch.rows[name] for name in COPIED}
    columns |= {"batch_id": batch_id, "book_id": task.book_id, "position": np.arange(BATCH)}
    changes = sum_changes(batch.rows, touch(batch.rows))
    leaves = hash_leaves(ToSeal(task.book_id, batch, None, microseconds(NOW), np.frombuffer(MESSAGE, "V32")))
    since_2000 = microseconds(NOW) - microseconds(dt.datetime(2000, 1, 1, tzinfo=dt.UTC))
    fields = [
        struct.pack(">i", task.book_id), struct.pack(">q", batch_id), struct.pack(">i", BATCH),
        struct.pack(">q", since_2000), leaves, changes.pages.tobytes(),
    ]  # fmt: skip
    row = struct.pack(">h", len(fields)) + b"".join(struct.pack(">i", len(one)) + one for one in fields)
    return {
        "transfer": TRANSFER.encode(BATCH, columns),
        "net_change": encode_changes.encode_changes(task.book_id, batch_id, changes),
        "batch": b"PGCOPY\n\xff\r\n\0" + bytes(8) + row + b"\xff\xff",
    }
