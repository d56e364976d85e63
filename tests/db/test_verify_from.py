"""Verify from a checkpoint that one holds: the log must continue it, and only what is behind it is recomputed."""

import asyncpg
import pytest

from tallystick.errors import TallystickError
from tallystick.ledger.findings import Verification
from tallystick.ledger.log.note import Signer
from tallystick.ledger.verify import verify
from tests.db.posting import ORIGIN, SIGNER, Ledgerful
from tests.db.test_verify import BATCHES, EACH, THE_ROW, ledger, said, tamper

__all__ = ["ledger"]
MIDDLE, END = 350, BATCHES * EACH
AT_300 = "(SELECT batch_id FROM sealed_batch WHERE first_place = 300)"


async def note_of(owner: asyncpg.Connection, size: int) -> bytes:
    """Return the checkpoint that somebody was given when the log had *size* leaves."""
    note: str = await owner.fetchval("SELECT note FROM checkpoint WHERE size = $1", size)
    return note.encode()


async def verify_from(ledger: Ledgerful, held: bytes, *signers: Signer) -> Verification:
    """Verify from a checkpoint that is held."""
    async with (
        ledger.pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        verifiers = [signer.verifier for signer in signers or (SIGNER,)]
        return await verify(connection, ledger.book.book_id, verifiers, ORIGIN, held=held)


async def test_only_what_is_behind_the_checkpoint_is_recomputed(ledger: Ledgerful, owner: asyncpg.Connection) -> None:
    """An untouched log verifies from any of its checkpoints, with the sums of accounts taken up there."""
    whole = await ledger.verify()
    found = await verify_from(ledger, await note_of(owner, MIDDLE))
    assert said(found) == ""
    assert (found.since, found.transfers, found.size) == (MIDDLE, whole.transfers - MIDDLE, END)
    found = await verify_from(ledger, await note_of(owner, END))
    assert (found.ok, found.since, found.transfers) == (True, END, 1)


async def test_a_row_behind_it_is_named_and_one_before_it_is_not_looked_at(
    ledger: Ledgerful, owner: asyncpg.Connection
) -> None:
    """What is behind the checkpoint is recomputed in full; what is before it, the checkpoint vouches for by its root."""
    held = await note_of(owner, MIDDLE)
    await tamper(owner, f"UPDATE transfer SET amount = amount + 1 WHERE {THE_ROW}")
    assert (await verify_from(ledger, held)).ok
    await tamper(owner, "UPDATE balance_snapshot SET sums[3] = sums[3] + 1 "
                        "WHERE batch_id = (SELECT max(batch_id) FROM balance_snapshot)")  # fmt: skip
    await tamper(owner, "UPDATE transfer SET amount = amount + 1 WHERE position = 7 AND batch_id = "
                        "(SELECT batch_id FROM sealed_batch WHERE first_place = 400)")  # fmt: skip
    found = await verify_from(ledger, held)
    assert "position 7, place 407" in found.findings[0].row, said(found)
    assert "balance_snapshot" in {one.kind for one in found.findings}


@pytest.mark.parametrize(
    "change",
    [
        f"UPDATE batch SET leaf_hashes = overlay(leaf_hashes PLACING sha256('x') FROM 1 FOR 32) WHERE batch_id = {AT_300}",
        "UPDATE tile_root SET hash = sha256('x') WHERE place = 0",
    ],
)
async def test_a_log_that_was_rewritten_before_it_is_found(
    ledger: Ledgerful, owner: asyncpg.Connection, change: str
) -> None:
    """A log that does not give the root that was signed is verified from its beginning, to name what was changed."""
    held = await note_of(owner, MIDDLE)
    await tamper(owner, change)
    found = await verify_from(ledger, held)
    assert "does not continue the checkpoint that is held" in found.findings[0].message
    assert (found.since, found.size) == (0, END)
    assert len(found.findings) > 1


async def test_a_log_that_was_signed_anew_is_found(ledger: Ledgerful, owner: asyncpg.Connection) -> None:
    """Who has the key can sign another history; it still cannot go on from the checkpoint that somebody else holds."""
    held = (await note_of(owner, MIDDLE)).replace(b"\n350\n", b"\n351\n")
    with pytest.raises(TallystickError, match="signature does not hold"):
        await verify_from(ledger, held)
    with pytest.raises(TallystickError, match="no known key"):
        await verify_from(ledger, await note_of(owner, MIDDLE), Signer.from_seed("tests.example", bytes(32)))
    with pytest.raises(TallystickError, match="malformed"):
        await verify_from(ledger, b"nothing")


async def test_a_log_that_was_cut_off_is_found(ledger: Ledgerful, owner: asyncpg.Connection) -> None:
    """Who takes the end of the log away, with all that belongs to it, is found by whoever holds a later checkpoint."""
    held = await note_of(owner, END)
    await owner.execute("SET session_replication_role = replica")
    for table in ("transfer", "net_change", "batch", "sealed_batch", "balance_snapshot"):
        await owner.execute(
            f"DELETE FROM {table} WHERE batch_id > (SELECT through FROM checkpoint ORDER BY size LIMIT 1)"
        )
    await owner.execute("DELETE FROM tile_root WHERE place = 1")
    await owner.execute("DELETE FROM checkpoint WHERE size > 350")
    assert (await ledger.verify()).ok
    found = await verify_from(ledger, held)
    assert [one.message for one in found.findings] == [
        "the log ends at 350, before the checkpoint that is held: it was cut off"
    ]


async def test_a_key_counts_only_for_the_checkpoints_that_it_signed(
    ledger: Ledgerful, owner: asyncpg.Connection
) -> None:
    """A key that came to its end signs nothing behind it, though it is still trusted for what is before."""
    columns = "INSERT INTO log_key (book_id, number, verifier, after_size, overlap_until, made_at) "
    await owner.execute(f"{columns} SELECT book_id, 1, $1, 0, NULL, now() FROM book", str(SIGNER.verifier))
    assert (await ledger.verify()).ok
    await owner.execute(
        "INSERT INTO log_key_end (book_id, number, last_size, ended_at) SELECT book_id, 1, 350, now() FROM book"
    )
    found = await ledger.verify()
    assert [one.row for one in found.findings] == [f"checkpoint of size {END}"], said(found)
