"""Prove: that a transfer is in the log, and that the log only ever grew."""

import uuid
from dataclasses import dataclass

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import Kind, TallystickError
from tallystick.ledger.errors import UnknownTransfer
from tallystick.ledger.log.proofs import (
    consistency_proof,
    inclusion_proof,
    ranges_for_consistency,
    ranges_for_inclusion,
)
from tallystick.ledger.log.tlog_proof import TlogProof
from tallystick.ledger.read_entries import read_entries
from tallystick.ledger.read_log import (
    KeptCheckpoint,
    NothingSealed,
    checkpoint_of_size,
    fetch_tiles,
    first_checkpoint_over,
    newest_checkpoint,
)

_queries = queries_beside(__file__)
_find_place = _queries.values("find_place")


class NotYetSealed(TallystickError):
    """The transfer is posted but not sealed yet, which takes about a second; try again."""

    code = "ledger.not_yet_sealed"
    kind = Kind.UNAVAILABLE


class UnknownCheckpoint(TallystickError):
    """No checkpoint of the log was signed at {size} leaves; take the size of one that was."""

    code = "ledger.unknown_checkpoint"
    kind = Kind.NOT_FOUND


@dataclass(frozen=True, slots=True)
class ProvedTransfer:
    """A transfer's leaf, and the proof that it is in the log."""

    leaf: bytes
    proof: TlogProof
    size: int
    """How many leaves the log had at the checkpoint of the proof."""


@dataclass(frozen=True, slots=True)
class ProvedGrowth:
    """Two checkpoints, and the hashes that show the newer to continue the older."""

    old: KeptCheckpoint
    new: KeptCheckpoint
    hashes: list[bytes]


async def prove_transfer(connection: Connection, book_id: int, transfer_id: uuid.UUID) -> ProvedTransfer:
    """
    Prove that a transfer is in the log, by the first checkpoint that covers it: the same proof every time.

    Raises:
        UnknownTransfer: there is none of this id (``ledger.unknown_transfer``).
        NotYetSealed: no checkpoint covers it yet (``ledger.not_yet_sealed``).
    """
    places = await _find_place(connection, book_id, transfer_id)
    if not places:
        raise UnknownTransfer(field="id", transfer=transfer_id)
    place = places[0]
    checkpoint = None if place is None else await first_checkpoint_over(connection, book_id, place)
    if checkpoint is None:
        raise NotYetSealed
    tiles = await fetch_tiles(connection, book_id, ranges_for_inclusion(place, checkpoint.size))
    hashes = inclusion_proof(place, checkpoint.size, tiles)
    leaf = (await read_entries(connection, book_id, place, 1))[0]
    return ProvedTransfer(leaf, TlogProof(place, tuple(hashes), checkpoint.note.encode()), checkpoint.size)


async def prove_growth(connection: Connection, book_id: int, old: int, new: int | None) -> ProvedGrowth:
    """
    Prove that the checkpoint at *new* leaves, the newest when None, continues the one at *old*.

    Raises:
        NothingSealed: the log is empty (``ledger.nothing_sealed``).
        UnknownCheckpoint: none was signed at one of these sizes, or *new* is the smaller (``ledger.unknown_checkpoint``).
    """
    newer = await newest_checkpoint(connection, book_id)
    if newer is None:
        raise NothingSealed
    if new is not None:
        newer = await _checkpoint(connection, book_id, new, "to")
    older = await _checkpoint(connection, book_id, old, "from")
    if older.size > newer.size:
        raise UnknownCheckpoint(field="to", size=f"{newer.size}, as a continuation of {older.size},")
    tiles = await fetch_tiles(connection, book_id, ranges_for_consistency(older.size, newer.size))
    return ProvedGrowth(older, newer, consistency_proof(older.size, newer.size, tiles))


async def _checkpoint(connection: Connection, book_id: int, size: int, field: str) -> KeptCheckpoint:
    found = await checkpoint_of_size(connection, book_id, size)
    if found is None:
        raise UnknownCheckpoint(field=field, size=size)
    return found
