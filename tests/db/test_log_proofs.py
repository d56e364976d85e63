"""Proofs and entries out of the store: what is sealed can be shown to anyone, whatever kind of transfer it is."""

import uuid
from pathlib import Path

import asyncpg
import pytest

from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.ledger.encode_leaf import decode_leaf
from tallystick.ledger.log import checkpoint as checkpoints
from tallystick.ledger.log import tlog_proof
from tallystick.ledger.log.note import Signer, decode_base64
from tallystick.ledger.log.proofs import verify_consistency
from tallystick.ledger.log.tiles import tile_at
from tallystick.ledger.log.tree import leaf_hash
from tallystick.ledger.model import Reason
from tallystick.ledger.read_entries import read_entries
from tallystick.ledger.read_log import fetch_tiles
from tallystick.ledger.seal import lead, seal
from tests.conftest import House

ORIGIN = "tests.example/main"
SIGNER = Signer.from_seed(ORIGIN, bytes(range(32)))


async def seal_book(house: House, book_id: int = 1) -> None:
    """Seal what is posted, in one round."""
    async with house.operations.pool.acquire() as connection, connection.transaction():
        sealer = await lead(connection, book_id, ORIGIN, [SIGNER])
        assert sealer is not None
        assert await seal(connection, sealer, house.operations.clock.now()) is not None
        await connection.execute("SELECT pg_advisory_unlock_all()")


async def post_every_kind(house: House) -> list[str]:
    """Post transfers of each kind, in batches of one and of several; return their ids in order."""
    for account in ("bank", "ada", "bob"):
        await house.do("ledger.open_account", account=account, asset="USD")
    ids = [str(uuid7()) for _ in range(9)]
    plain = {"debit": "bank", "credit": "ada", "amount": 100}
    await house.do("ledger.transfer", id=ids[0], **plain)
    await house.do("ledger.transfer", id=ids[1], reference="invoice 7, ü", reason="fee", **plain)
    await house.do(
        "ledger.transfers",
        transfers=[
            {"id": ids[2], "kind": "hold", **plain},
            {"id": ids[3], "kind": "hold", "expires_at": "2999-01-01T00:00:00Z", "reference": "r", **plain},
            {"id": ids[4], "kind": "sweep", **plain},
            {"id": ids[5], **plain},
        ],
    )
    await house.do("ledger.transfers", transfers=[{"id": ids[6], "kind": "capture", "hold": ids[2], "amount": 60}])
    await house.do("ledger.transfers", transfers=[{"id": ids[7], "kind": "release", "hold": ids[3]}])
    await house.do("ledger.transfers", transfers=[{"id": ids[8], "kind": "reversal", "reverses": ids[0]}])
    return ids


async def test_entries_of_every_kind_hash_to_their_leaves(house: House) -> None:
    """What is served as an entry is what was hashed when it was posted, read across batches and from within them."""
    ids = await post_every_kind(house)
    await seal_book(house)
    tile = tile_at(0, 0, len(ids))
    async with house.operations.pool.acquire() as connection:
        hashes = (await fetch_tiles(connection, 1, [tile]))[tile]
        entries = await read_entries(connection, 1, 0, 256)
        assert await read_entries(connection, 1, 3, 3) == entries[3:6]
        assert await read_entries(connection, 1, 9, 256) == []
    assert [str(uuid.UUID(bytes=decode_leaf(entry).transfer_id)) for entry in entries] == ids
    assert b"".join(leaf_hash(entry) for entry in entries) == hashes
    reasons = [decode_leaf(entry).reason for entry in entries]
    assert reasons[2:] == [
        Reason.HOLD, Reason.HOLD, Reason.SWEEP, Reason.TRANSFER, Reason.CAPTURE, Reason.RELEASE, Reason.REVERSAL,
    ]  # fmt: skip


async def test_a_transfer_is_proved_offline_and_the_same_way_for_ever(house: House) -> None:
    """Proof, leaf and the log's key are enough; later checkpoints change nothing of it."""
    ids = await post_every_kind(house)
    with pytest.raises(TallystickError) as unsealed:
        await house.do("ledger.prove_transfer", id=ids[6])
    assert (unsealed.value.code, unsealed.value.kind.retry_helps) == ("ledger.not_yet_sealed", True)
    await seal_book(house)
    first = [await house.do("ledger.prove_transfer", id=one) for one in ids]
    for place, proof in enumerate(first):
        shown = tlog_proof.verify(proof.proof.encode(), leaf_hash(bytes.fromhex(proof.leaf)), [SIGNER.verifier], ORIGIN)
        assert (shown.index, shown.size) == (proof.place, proof.size) == (place, len(ids))
        assert str(uuid.UUID(bytes=decode_leaf(bytes.fromhex(proof.leaf)).transfer_id)) == str(proof.id) == ids[place]
    await house.do("ledger.transfer", id=str(uuid7()), debit="bank", credit="ada", amount=1)
    await seal_book(house)
    assert [await house.do("ledger.prove_transfer", id=one) for one in ids] == first
    with pytest.raises(TallystickError) as unknown:
        await house.do("ledger.prove_transfer", id=str(uuid7()))
    assert unknown.value.code == "ledger.unknown_transfer"


async def test_any_checkpoint_is_proved_to_continue_any_earlier_one(house: House) -> None:
    """From and to are sizes that were signed; to is the newest when left out."""
    with pytest.raises(TallystickError) as empty:
        await house.do("ledger.prove_consistency", **{"from": 1})
    assert empty.value.code == "ledger.nothing_sealed"
    await post_every_kind(house)
    sizes = []
    for _ in range(4):
        await house.do("ledger.transfer", id=str(uuid7()), debit="bank", credit="ada", amount=1)
        await seal_book(house)
        sizes.append((await house.do("ledger.checkpoint")).size)
    for old in sizes:
        for new in (one for one in [*sizes, None] if one is None or one >= old):
            proof = await house.do("ledger.prove_consistency", **{"from": old, "to": new})
            older = checkpoints.verify(proof.older.note.encode(), [SIGNER.verifier], ORIGIN)
            newer = checkpoints.verify(proof.newer.note.encode(), [SIGNER.verifier], ORIGIN)
            assert (older.size, newer.size) == (old, new or sizes[-1])
            hashes = [decode_base64(one) for one in proof.hashes]
            verify_consistency(older.size, newer.size, older.root, newer.root, hashes)
    for from_, to, code in (
        (sizes[0] + 100, None, "ledger.unknown_checkpoint"),
        (1, None, "ledger.unknown_checkpoint"),
        (sizes[1], sizes[0], "ledger.unknown_checkpoint"),
        (0, None, "invalid_input"),
        (2**63, None, "invalid_input"),
    ):
        with pytest.raises(TallystickError) as refused:
            await house.do("ledger.prove_consistency", **{"from": from_, "to": to})
        assert refused.value.code == code


async def test_an_entry_comes_from_its_row_as_it_is_now(
    house: House, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    """A row that was changed behind the product's back shows in the entry, which its leaf then does not fit."""
    ids = await post_every_kind(house)
    await seal_book(house)
    for table, change in (
        ("transfer", "UPDATE transfer SET amount = amount + 1 WHERE batch_id = ANY ($1)"),
        ("transfer_reference", "UPDATE transfer_reference SET reference = 'x' WHERE batch_id = ANY ($1)"),
        ("sweep", "UPDATE sweep SET asked = asked + 1 WHERE batch_id = ANY ($1)"),
        ("hold", "UPDATE hold SET expires_at = expires_at - 1 WHERE batch_id = ANY ($1)"),
        ("message", "UPDATE message SET hash = sha256('x') WHERE transaction_id = ANY ($1)"),
    ):
        place = {"transfer": 0, "transfer_reference": 1, "sweep": 4, "hold": 2, "message": 5}[table]
        tile = tile_at(0, 0, len(ids))
        async with house.operations.pool.acquire() as connection:
            before = await read_entries(connection, 1, place, 1)
            await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER append_only")
            batches = await owner.fetch("SELECT batch_id FROM transfer WHERE transfer_id = $1", ids[place])
            await owner.execute(change, [row["batch_id"] for row in batches])
            hashes = (await fetch_tiles(connection, 1, [tile]))[tile]
            after = await read_entries(connection, 1, place, 1)
        assert leaf_hash(before[0]) == hashes[32 * place :][:32], table
        assert leaf_hash(after[0]) != hashes[32 * place :][:32], table
