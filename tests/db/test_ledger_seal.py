"""Seal: every posted batch gets one place in the log, in order, whatever happens to whoever seals."""

import asyncio
import datetime as dt
import itertools

import asyncpg
import numpy as np
import pytest

from tallystick.db.connect import open_pool
from tallystick.ledger import seal as sealing
from tallystick.ledger.encode_leaf import encode_leaves
from tallystick.ledger.log import checkpoint as checkpoints
from tallystick.ledger.log.proofs import (
    consistency_proof,
    inclusion_proof,
    ranges_for_consistency,
    ranges_for_inclusion,
    verify_consistency,
    verify_inclusion,
)
from tallystick.ledger.log.tree import leaf_hash
from tallystick.ledger.model import Status
from tallystick.ledger.read_log import fetch_tiles, list_checkpoints, newest_checkpoint
from tallystick.ledger.seal import lead, seal
from tests.db.posting import NOW, ORIGIN, SIGNER, Ledgerful, open_ledger, seal_all


@pytest.fixture
async def ledger(pool: asyncpg.Pool) -> Ledgerful:
    """Give a book with three accounts."""
    return await open_ledger(pool, "bank", "ada", "bob")


async def require_log_in_order(ledger: Ledgerful, owner: asyncpg.Connection, batches: int) -> None:
    """Find each batch in the log once, in order of its id, without a gap."""
    rows = await owner.fetch("SELECT batch_id, first_place, transfers FROM sealed_batch ORDER BY first_place")
    posted = await owner.fetch("SELECT batch_id FROM batch ORDER BY batch_id")
    assert [row["batch_id"] for row in rows] == [row["batch_id"] for row in posted]
    assert len(rows) == batches
    counts = [row["transfers"] for row in rows]
    assert [row["first_place"] for row in rows] == [sum(counts[:at]) for at in range(len(counts))]
    assert (await ledger.verify()).ok


async def test_batches_posted_while_sealing_are_sealed_once_and_in_order(
    ledger: Ledgerful, pool: asyncpg.Pool, owner: asyncpg.Connection
) -> None:
    """Posting and sealing at the same time miss nothing and seal nothing twice."""
    posting = True

    async def post_some(count: int) -> None:
        for number in range(count):
            await ledger.move(*[("bank", ("ada", "bob")[number % 2], 1)] * (1 + number % 3))

    async def seal_meanwhile() -> int:
        batches = 0
        async with pool.acquire() as connection:
            sealer = await lead(connection, ledger.book.book_id, ORIGIN, [SIGNER])
            assert sealer is not None
            while True:
                last_round = not posting
                async with connection.transaction():
                    done = await seal(connection, sealer, NOW)
                if done is not None:
                    batches, sealer = batches + done[0].batches, done[1]
                elif last_round:
                    return batches
                await asyncio.sleep(0)

    sealing_meanwhile = asyncio.create_task(seal_meanwhile())
    await asyncio.gather(*(post_some(30) for _ in range(4)))
    posting = False
    assert await sealing_meanwhile == 120
    await require_log_in_order(ledger, owner, 120)


async def test_a_batch_is_not_sealed_before_an_earlier_one_that_is_still_open(
    ledger: Ledgerful, pool: asyncpg.Pool, owner: asyncpg.Connection
) -> None:
    """As long as a transaction with an earlier place is open, the later ones wait, since it may still come in."""
    async with pool.acquire() as connection:
        early = connection.transaction()
        await early.start()
        await connection.execute("SELECT transaction_order()")
        await ledger.move(("bank", "ada", 1))
        assert await ledger.seal() == 0
        await early.rollback()
    assert await ledger.seal() == 1
    await require_log_in_order(ledger, owner, 1)


async def test_only_one_seals_a_book_and_another_follows_when_it_is_gone(ledger: Ledgerful, database_url: str) -> None:
    """The second sealer is turned away until the first one's connection ends; other books are not affected."""
    pool = await open_pool(database_url, size=3)
    other = await open_ledger(pool, "bank", "ada", name="other")
    first, second = await pool.acquire(), await pool.acquire()
    assert await lead(first, ledger.book.book_id, ORIGIN, [SIGNER]) is not None
    assert await lead(second, ledger.book.book_id, ORIGIN, [SIGNER]) is None
    assert await lead(second, other.book.book_id, ORIGIN, [SIGNER]) is not None
    first.terminate()
    async with asyncio.timeout(5):
        while await lead(second, ledger.book.book_id, ORIGIN, [SIGNER]) is None:  # each try is a round trip
            pass
    await pool.release(second)
    pool.terminate()


async def test_a_sealer_killed_in_the_middle_leaves_nothing_half_done(
    ledger: Ledgerful, pool: asyncpg.Pool, database_url: str, owner: asyncpg.Connection
) -> None:
    """A round that was under way when its sealer died is as if never begun, and the next sealer goes on from there."""
    await ledger.move(("bank", "ada", 1))
    assert await ledger.seal() == 1
    await ledger.move(("bank", "ada", 2))
    dying = await open_pool(database_url, size=1)
    connection = await dying.acquire()
    sealer = await lead(connection, ledger.book.book_id, ORIGIN, [SIGNER])
    assert sealer is not None
    await connection.execute("BEGIN")
    assert await seal(connection, sealer, NOW) is not None
    process_id = connection.get_server_pid()
    await owner.execute("SELECT pg_terminate_backend($1, 5000)", process_id)
    dying.terminate()
    async with pool.acquire() as looking:
        newest = await newest_checkpoint(looking, ledger.book.book_id)
    assert newest is not None
    assert newest.size == 1
    assert await ledger.seal() == 1
    await require_log_in_order(ledger, owner, 2)


async def test_a_sealer_whose_round_failed_can_be_made_anew_and_go_on(
    ledger: Ledgerful, pool: asyncpg.Pool, owner: asyncpg.Connection
) -> None:
    """A round that was rolled back is sealed again, the same."""
    await ledger.move(("bank", "ada", 1), ("bank", "bob", 1))
    async with pool.acquire() as connection:
        sealer = await lead(connection, ledger.book.book_id, ORIGIN, [SIGNER])
        assert sealer is not None
        transaction = connection.transaction()
        await transaction.start()
        failed = await seal(connection, sealer, NOW)
        await transaction.rollback()
        assert sealer.frontier.size == 0
        assert failed is not None
        sealer = await lead(connection, ledger.book.book_id, ORIGIN, [SIGNER])
        assert sealer is not None
        assert await seal_all(connection, sealer) == 1
    await require_log_in_order(ledger, owner, 1)


async def test_many_batches_take_many_rounds(
    ledger: Ledgerful, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is too much for one round is sealed in several, each with a checkpoint of its own."""
    monkeypatch.setattr(sealing, "MOST_BATCHES", 4)
    for _ in range(10):
        await ledger.move(("bank", "ada", 1))
    assert await ledger.seal() == 10
    assert [row["size"] for row in await owner.fetch("SELECT size FROM checkpoint ORDER BY size")] == [4, 8, 10]
    await require_log_in_order(ledger, owner, 10)


async def test_every_checkpoint_continues_the_one_before_and_proves_every_leaf(
    ledger: Ledgerful, pool: asyncpg.Pool, owner: asyncpg.Connection
) -> None:
    """A log that is sealed in uneven rounds over several tiles proves each step, and each transfer in the last."""
    for round_number in range(6):
        for number in range(1 + round_number % 2):
            await ledger.move(*[("bank", "ada", 1 + number)] * (97 + 13 * round_number))
        await ledger.seal()
    book_id = ledger.book.book_id
    async with pool.acquire() as connection:
        kept = await list_checkpoints(connection, book_id)
        assert len(kept) == 6
        for one in kept:
            signed = checkpoints.verify(one.note.encode(), [SIGNER.verifier], ORIGIN)
            assert (signed.size, signed.root) == (one.size, one.root)
        for old, new in itertools.pairwise(kept):
            tiles = await fetch_tiles(connection, book_id, ranges_for_consistency(old.size, new.size))
            proof = consistency_proof(old.size, new.size, tiles)
            verify_consistency(old.size, new.size, old.root, new.root, proof)
        newest = kept[-1]
        hashes = b"".join(row[0] for row in await owner.fetch("SELECT leaf_hashes FROM batch ORDER BY batch_id"))
        for place in (0, 96, 97, 255, 256, 511, newest.size - 1):
            tiles = await fetch_tiles(connection, book_id, ranges_for_inclusion(place, newest.size))
            proof = inclusion_proof(place, newest.size, tiles)
            verify_inclusion(hashes[32 * place : 32 * place + 32], place, newest.size, proof, newest.root)


async def test_a_balance_with_snapshots_is_the_sum_of_all_changes(
    ledger: Ledgerful, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After more net changes than a snapshot waits for, balances still are the plain sums, sealed or not."""
    monkeypatch.setattr(sealing, "CHANGES_PER_SNAPSHOT", 8)
    for number in range(60):
        await ledger.move(("bank", ("ada", "bob")[number % 3 == 0], number + 1))
        if number % 7 == 0:
            await ledger.seal()
    rows = await owner.fetch(
        "SELECT code, coalesce(sum(amount * CASE account_id WHEN credit_account_id THEN 1 ELSE -1 END), 0)::bigint "
        "AS balance FROM account LEFT JOIN transfer ON account_id IN (debit_account_id, credit_account_id) GROUP BY code"
    )
    assert {code: await ledger.balance(code) for code, _ in rows} == {row["code"]: row["balance"] for row in rows}
    assert await owner.fetchval("SELECT count(*) FROM balance_snapshot") == 4
    assert (await ledger.verify()).ok


async def test_a_balance_reads_few_rows_however_long_the_history(ledger: Ledgerful, owner: asyncpg.Connection) -> None:
    """Once sealed, no page has more net changes behind its newest snapshot than a snapshot waits for."""
    for _ in range(2 * sealing.CHANGES_PER_SNAPSHOT + 5):
        await ledger.move(("bank", "ada", 1))
        await ledger.seal()
    longest = await owner.fetchval(
        "SELECT max(since) FROM (SELECT count(*) AS since FROM net_change WHERE batch_id > coalesce((SELECT "
        "max(batch_id) FROM balance_snapshot AS kept WHERE kept.page = net_change.page), 0) "
        "GROUP BY page) AS counts"
    )
    assert longest < sealing.CHANGES_PER_SNAPSHOT


async def test_the_leaf_in_the_log_is_what_the_rows_say(ledger: Ledgerful, owner: asyncpg.Connection) -> None:
    """Whoever knows a transfer and its message can compute the leaf that the log holds."""
    assert await ledger.move(("bank", "ada", 5)) == [Status.POSTED]
    (row,) = await owner.fetch("SELECT * FROM transfer")
    stored = await owner.fetchval("SELECT leaf_hashes FROM batch")
    message_hash = await owner.fetchval("SELECT hash FROM message WHERE transaction_id = $1", row["batch_id"])
    batch = ledger.batch([(row["transfer_id"], "bank", "ada", 5)])
    batch["asset_id"] = row["asset_id"]
    microseconds = (NOW - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
    leaf = encode_leaves(ledger.book.book_id, batch, microseconds, np.frombuffer(message_hash, "V32"))
    assert stored == leaf_hash(leaf[1:])
