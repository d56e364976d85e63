"""Check the tree: places of batches in the log, tile roots, checkpoints and their signatures."""

from collections.abc import Sequence

import numpy as np

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import TallystickError
from tallystick.ledger.findings import Findings, name_batch
from tallystick.ledger.log import checkpoint as checkpoints
from tallystick.ledger.log.proofs import ranges_for_root
from tallystick.ledger.log.tree import HASH_SIZE, Frontier
from tallystick.ledger.read_log import KeptCheckpoint, fetch_tiles
from tallystick.ledger.verify.model import LAST, Book, Checked, Piece, StoredBatch

_queries = queries_beside(__file__)
_checkpoints_between = _queries.rows("checkpoints_between", KeptCheckpoint)
_find_tile_roots = _queries.tuples("find_tile_roots")

_ROOTS_AT_ONCE = 4_096


async def restore_tree(connection: Connection, book: Book, size: int) -> Frontier | None:
    """Return the tree of the first *size* leaves as the stored tiles have it; None where they give none."""
    if size == 0:
        return Frontier()
    try:
        tiles = await fetch_tiles(connection, book.book_id, ranges_for_root(size))
        return Frontier.restore(size, tiles.__getitem__)
    except (ValueError, KeyError):
        return None


async def check_tree(
    connection: Connection, book: Book, checked: Checked, batches: Sequence[StoredBatch], frontier: Frontier
) -> None:
    """Find each batch at its place, and grow the tree by them, past the tile roots and checkpoints that are due."""
    sealed = _check_places(checked, batches, frontier.size)
    hashes = [whole_hashes(batch.leaf_hashes) for batch in sealed]
    content = b"".join(hashes)
    ends = frontier.size + np.cumsum([len(one) // HASH_SIZE for one in hashes], dtype=np.int64)
    ids = [batch.batch_id for batch in sealed]
    start, newest = frontier.size, checked.piece.last
    end = LAST if checked.piece.last == LAST else int(ends[-1]) if len(ends) else start
    roots: list[tuple[int, int, bytes, int]] = []

    def grow(size: int) -> None:
        nonlocal roots
        done = frontier.size - start
        through = ids[int(np.searchsorted(ends, frontier.size, side="right"))] if size > frontier.size else newest
        for level, place, value in frontier.append(content[HASH_SIZE * done : HASH_SIZE * (size - start)]):
            roots.append((level, place, value, through))

    for kept in await _checkpoints_between(connection, book.book_id, start, end):
        at = int(np.searchsorted(ends, kept.size))
        if at == len(ends) or ends[at] != kept.size:
            where = ids[at] if at < len(ids) else newest
            add_checkpoint(checked.findings, kept.size, "no batch ends there", where)
            continue
        grow(kept.size)
        checked.checkpoints += 1
        _check_checkpoint(checked.findings, book, kept, frontier, ids[at])
    if len(ends):
        grow(int(ends[-1]))
    for first in range(0, len(roots), _ROOTS_AT_ONCE):
        await _check_tile_roots(connection, book, checked.findings, roots[first : first + _ROOTS_AT_ONCE])
    checked.frontier = frontier


def whole_hashes(hashes: bytes) -> bytes:
    """Cut off what is not a whole hash."""
    return hashes[: len(hashes) // HASH_SIZE * HASH_SIZE]


def _check_places(checked: Checked, batches: Sequence[StoredBatch], size: int) -> list[StoredBatch]:
    """Return the batches that are in the log."""
    piece: Piece = checked.piece
    unsealed, settled_at = piece.unsealed, piece.settled_at
    sealed: list[StoredBatch] = []
    for batch in batches:
        if batch.first_place is None:
            unsealed = True
            continue
        settled_at = batch.recorded_at if settled_at is None else max(settled_at, batch.recorded_at)
        wrong = []
        if unsealed:
            wrong.append("a batch before it in the order is not sealed")
        if batch.first_place != size:
            wrong.append(f"it must begin at place {size}")
        if batch.sealed != batch.transfers:
            wrong.append(f"it says {batch.sealed} transfers; the batch, {batch.transfers}")
        if batch.settled_at != settled_at:
            wrong.append(f"it must be settled at {settled_at.isoformat()}, the latest instant recorded up to it")
        for message in wrong:
            row = f"sealed_batch of {name_batch(batch.batch_id, batch.first_place, batch.transfers)}"
            checked.findings.add("sealed_batch", row, message, batch_id=batch.batch_id)
        size += len(batch.leaf_hashes) // HASH_SIZE
        sealed.append(batch)
    return sealed


def _check_checkpoint(findings: Findings, book: Book, kept: KeptCheckpoint, frontier: Frontier, batch_id: int) -> None:
    root = frontier.root()
    if kept.root != root:
        add_checkpoint(findings, kept.size, "its root is not that of the leaf hashes before it", batch_id)
    if kept.through != batch_id:
        message = f"its newest batch must be {batch_id}, not {kept.through}"
        add_checkpoint(findings, kept.size, message, batch_id)
    try:
        signed = checkpoints.verify(kept.note.encode(), book.verifiers(kept.size), book.origin)
    except TallystickError as error:
        add_checkpoint(findings, kept.size, f"its note: {error.message}", batch_id)
        return
    if (signed.size, signed.root) != (kept.size, root):
        message = "its note signs another size or root than the leaf hashes before it have"
        add_checkpoint(findings, kept.size, message, batch_id)


def add_checkpoint(findings: Findings, size: int, message: str, batch_id: int) -> None:
    """Note a checkpoint that does not fit."""
    findings.add("checkpoint", f"checkpoint of size {size}", message, batch_id=batch_id)


async def _check_tile_roots(
    connection: Connection, book: Book, findings: Findings, computed: Sequence[tuple[int, int, bytes, int]]
) -> None:
    levels, places = [one[0] for one in computed], [one[1] for one in computed]
    found = await _find_tile_roots(connection, book.book_id, levels, places)
    stored = {(level, place): value for level, place, value in found}
    for level, place, value, batch_id in computed:
        if stored.get((level, place)) != value:
            said = "it is not the root of the leaf hashes below it"
            message = said if (level, place) in stored else "it is missing"
            findings.add("tile_root", name_tile_root(level, place), message, batch_id=batch_id)


def name_tile_root(level: int, place: int) -> str:
    """Name a tile root by what it is over."""
    first, width = place << 8 * level, 1 << 8 * level
    return f"tile root {place} of level {level} (places {first} to {first + width - 1})"
