"""A database of version 0009 with accounts, transfers, a log and snapshots is brought up to 0010 with nothing lost."""

import datetime as dt
import random
import shutil
import struct
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tallystick.db import migrate as migrating
from tallystick.db.connect import open_pool
from tallystick.db.embedded import EmbeddedServer
from tallystick.db.migrate import migrate, shipped_migrations
from tallystick.ledger.accounts import NewAccount
from tallystick.ledger.model import Status
from tests.conftest import url_of
from tests.db.posting import NOW, Ledgerful, open_ledger

ACCOUNTS = 40
BATCHES = 90
SNAPSHOT_AFTER = 60
WHEN_RECORDED = -(2**63)
Sums = dict[int, list[int]]


@pytest.fixture
async def old_url(server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """Return the address of a database of version 0009."""
    for one in shipped_migrations():
        if one.name < "0010":
            shutil.copy(migrating.MIGRATIONS / f"{one.name}.sql", tmp_path)
    connection = await asyncpg.connect(url_of(server, "postgres"))
    await connection.execute("CREATE DATABASE old")
    with monkeypatch.context() as patched:
        patched.setattr(migrating, "MIGRATIONS", tmp_path)
        assert (await migrate(url_of(server, "old")))[-1].startswith("0009")
    yield url_of(server, "old")
    await connection.execute("DROP DATABASE old WITH (FORCE)")
    await connection.close()


async def _write_old(connection: asyncpg.Connection, chance: random.Random) -> tuple[Sums, Sums]:
    """
    Write facts as version 0009 did; return debits and credits by account, and the batches that touch each.

    The clock went back at times, so that instants do not run in the order of the batches.
    """
    sums: Sums = defaultdict(lambda: [0, 0])
    touched: Sums = defaultdict(list)
    await connection.execute("INSERT INTO book (name, opened_at) VALUES ('main', $1)", NOW)
    await connection.execute("INSERT INTO asset VALUES (1, 1, 'USD', 2)")
    await connection.executemany(
        "INSERT INTO account VALUES (1, nextval('account_number'), 1, $1, $2, NULL, 1, 0, $3)",
        [(f"account/{number}", 0 if number % 7 == 0 else None, NOW) for number in range(1, ACCOUNTS + 1)],
    )
    await connection.execute("INSERT INTO account_closing VALUES (1, 40, 2, 0, $1)", NOW)
    place = 0
    for batch_id in range(1, BATCHES + 1):
        at = NOW + dt.timedelta(seconds=batch_id - chance.choice([0, 0, 100]))
        rows: list[tuple[Any, ...]] = [
            (batch_id, *chance.sample(range(1, ACCOUNTS), 2), chance.randint(1, 2**40), WHEN_RECORDED,
             uuid.UUID(bytes=chance.randbytes(16)), position)
            for position in range(chance.randint(1, 60))
        ]  # fmt: skip
        net: Sums = defaultdict(lambda: [0, 0])
        for _, debit, credit, amount, *_ in rows:
            for of in (sums, net):
                of[debit][0] += amount
                of[credit][1] += amount
        for account in net:
            touched[account].append(batch_id)
        await _insert_batch(connection, batch_id, at, rows, net)
        if batch_id < BATCHES:  # the last one waits to be sealed
            await connection.execute("INSERT INTO sealed_batch VALUES (1, $1, $2, $3)", batch_id, place, len(rows))
        place += len(rows)
        if batch_id == SNAPSHOT_AFTER:
            await connection.executemany(
                "INSERT INTO balance_snapshot VALUES (1, $1, $2, $3, $4)",
                [(account, batch_id, *both) for account, both in sums.items()],
            )
    return sums, touched


async def _insert_batch(
    connection: asyncpg.Connection, batch_id: int, at: dt.datetime, rows: list[tuple[Any, ...]], net: Sums
) -> None:
    await connection.executemany(
        "INSERT INTO transfer (batch_id, debit_account_id, credit_account_id, amount, effective_at, transfer_id, position, "
        "book_id, asset_id, message_place, reason) VALUES ($1, $2, $3, $4, $5, $6, $7, 1, 1, 0, 1)", rows,
    )  # fmt: skip
    changed = sorted(net.items())
    await connection.executemany(
        "INSERT INTO net_change VALUES ($1, $2, $3, $4, 1)", [(account, batch_id, *both) for account, both in changed]
    )
    columns = [
        b"".join(struct.pack("<q", value) for value in values)
        for values in zip(*((account, *both) for account, both in changed), strict=True)
    ]
    hashes = b"".join(sha256(struct.pack(">qq", batch_id, position)).digest() for position in range(len(rows)))
    await connection.execute("INSERT INTO batch VALUES (1, $1, $2, $3, $4, $5, $6, $7)", batch_id, len(rows), at, hashes,
                             *columns)  # fmt: skip


async def test_a_ledger_of_version_0009_goes_on_in_version_0010(old_url: str) -> None:
    """Balances, the batches that touch each account, and where in them: all as it was, and it is posted to as before."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - what to run again when it fails
    owner = await asyncpg.connect(old_url, server_settings={"search_path": "tallystick"})
    sums, touched = await _write_old(owner, random.Random(seed))
    assert (await migrate(old_url))[0].startswith("0010")
    pool = await open_pool(old_url, size=3)
    ledger = await open_ledger(pool)
    ledger.accounts = {f"account/{number}": number for number in range(1, ACCOUNTS + 1)}
    await _require_balances(ledger, sums)
    await _require_positions(owner, touched)
    settled = await owner.fetch("SELECT settled_at FROM sealed_batch ORDER BY batch_id")
    assert [row[0] for row in settled] == sorted(row[0] for row in settled)
    assert len(settled) == BATCHES - 1
    assert await ledger.move(("account/1", "account/2", 5), ("account/1", "account/40", 5)) == [
        Status.POSTED, Status.CREDIT_ACCOUNT_CLOSED,
    ]  # fmt: skip
    sums[1][0] += 5
    sums[2][1] += 5
    await _require_balances(ledger, sums)
    await _require_next_account(ledger)
    await pool.close()
    await owner.close()


async def _require_balances(ledger: Ledgerful, sums: Sums) -> None:
    for number in range(1, ACCOUNTS + 1):
        found = await ledger.find(f"account/{number}")
        assert [found.debits, found.credits, found.held, found.incoming] == [*sums[number], 0, 0]


async def _require_positions(owner: asyncpg.Connection, touched: Sums) -> None:
    """Find that the positions of each page's row, read as its column's comment says, are the transfers of its accounts."""
    there: dict[int, list[int]] = defaultdict(list)
    for page, batch_id, slots, positions in await owner.fetch(
        "SELECT page, batch_id, slots, positions FROM net_change"
    ):
        words = struct.unpack(f">{len(positions) // 2}H", positions)
        begins = [at for at, word in enumerate(words) if word & 0x8000]
        cuts = [words[start:end] for start, end in zip(begins, [*begins[1:], len(words)], strict=True)]
        for slot, cut in zip(slots, cuts, strict=True):
            account = page * 16 + slot
            there[account].append(batch_id)
            rows = await owner.fetch(
                "SELECT position FROM transfer WHERE batch_id = $1 AND $2 IN (debit_account_id, credit_account_id) "
                "ORDER BY position", batch_id, account,
            )  # fmt: skip
            assert [row[0] for row in rows] == [word & 0x7FFF for word in cut]
    assert {account: sorted(batches) for account, batches in there.items()} == dict(touched)


async def _require_next_account(ledger: Ledgerful) -> None:
    """Find that the next account opened takes the number behind the last, and that it is at nothing."""
    await ledger.open(NewAccount("new", "USD"))
    assert ledger.accounts["new"] == ACCOUNTS + 1
    assert await ledger.balance("new") == 0
