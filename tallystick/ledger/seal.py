"""Seal: give the posted batches their places in the log, and sign what stands there."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.log import checkpoint as checkpoints
from tallystick.ledger.log.checkpoint import Checkpoint
from tallystick.ledger.log.note import Signer
from tallystick.ledger.log.proofs import ranges_for_root
from tallystick.ledger.log.tree import Frontier
from tallystick.ledger.read_log import fetch_tiles, newest_checkpoint
from tallystick.ledger.reading.merge_dated import merge_dated

_queries = queries_beside(__file__)
_find_unsealed = _queries.tuples("find_unsealed")
_insert_sealed = _queries.run("insert_sealed")
_insert_tile_roots = _queries.run("insert_tile_roots")
_insert_checkpoint = _queries.run("insert_checkpoint")
_insert_snapshots = _queries.run("insert_snapshots")
_count_changes = _queries.tuples("count_changes")
_find_settled = _queries.value("find_settled")
_try_lead = _queries.value("try_lead")

CHANGES_PER_SNAPSHOT = 64
"""After so many net changes of a page its balances are kept; a balance is one snapshot and about so many rows."""
PAUSE = 0.1
"""Seconds between two rounds: each costs a durable commit and a signature, which many batches share."""
MOST_BATCHES = 256
"""How many batches one round seals at most."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """What one round sealed."""

    batches: int
    transfers: int
    size: int
    """How many transfers the log holds now."""


@dataclass(slots=True)
class Sealer:
    """
    The leader of one book's log, with the right edge of the tree in memory.

    Its state is right only while it leads and no round has failed: after a failure make a new one by `lead`.
    """

    book_id: int
    origin: str
    signers: Sequence[Signer]
    """The keys that sign, the newest first: more than one while a new key takes over."""
    frontier: Frontier
    through: int
    """The newest batch that is sealed."""
    settled_at: dt.datetime | None = None
    """The latest instant that a sealed batch was recorded at; None while nothing is sealed."""
    since_snapshot: dict[int, int] = field(default_factory=dict)
    """By page, how many net changes are sealed since its newest snapshot; looked up when first touched."""


async def lead(connection: Connection, book_id: int, origin: str, signers: Sequence[Signer]) -> Sealer | None:
    """
    Become the one sealer of the book for as long as *connection* lives; None when another leads.

    Takes up the tree where the newest checkpoint left it.
    """
    if not await _try_lead(connection, book_id):
        return None
    newest = await newest_checkpoint(connection, book_id)
    if newest is None:
        return Sealer(book_id, origin, signers, Frontier(), through=0)
    tiles = await fetch_tiles(connection, book_id, ranges_for_root(newest.size))
    frontier = Frontier.restore(newest.size, tiles.__getitem__)
    settled_at = await _find_settled(connection, book_id, newest.through)
    return Sealer(book_id, origin, signers, frontier, newest.through, settled_at)


async def seal(connection: Connection, sealer: Sealer, at: dt.datetime) -> tuple[Sealed, Sealer] | None:
    """
    Seal the batches that no earlier one can join any more, in order; None when there are none.

    Returns the sealer as it will be once the transaction has committed; drop it if that fails.
    """
    rows = await _find_unsealed(connection, sealer.book_id, sealer.through, MOST_BATCHES)
    if not rows:
        return None
    batch_ids = [row[0] for row in rows]
    counts = np.array([row[1] for row in rows], np.int64)
    frontier = sealer.frontier.copy()
    first_places = frontier.size + np.cumsum(counts) - counts
    tile_roots = frontier.append(b"".join(row[2] for row in rows))
    through = batch_ids[-1]
    settled = list(accumulate((row[4] for row in rows), max, initial=sealer.settled_at or rows[0][4]))[1:]
    await _insert_sealed(connection, sealer.book_id, batch_ids, first_places.tolist(), counts.tolist(), settled)
    if tile_roots:
        await _insert_tile_roots(connection, sealer.book_id, *map(list, zip(*tile_roots, strict=True)))
    since_snapshot = await _keep_snapshots(connection, sealer, [row[3] for row in rows], through)
    await merge_dated(connection, sealer.book_id, sealer.through, through)
    signed = checkpoints.sign(Checkpoint(sealer.origin, frontier.size, frontier.root()), sealer.signers)
    await _insert_checkpoint(connection, sealer.book_id, frontier.size, frontier.root(), through, signed.decode(), at)
    after = Sealer(sealer.book_id, sealer.origin, sealer.signers, frontier, through, settled[-1], since_snapshot)
    return Sealed(len(rows), int(counts.sum()), frontier.size), after


async def _keep_snapshots(
    connection: Connection, sealer: Sealer, pages_of_batches: list[bytes], through: int
) -> dict[int, int]:
    """Keep the balances of the pages that changed often enough since their last snapshot."""
    changed = np.frombuffer(b"".join(pages_of_batches), np.int64)
    pages, changes = np.unique(changed, return_counts=True)
    known = sealer.since_snapshot
    unknown = [page for page in pages.tolist() if page not in known]
    if unknown:
        known.update(await _count_changes(connection, sealer.book_id, unknown, sealer.through, CHANGES_PER_SNAPSHOT))
    due = _count_up(known, pages, changes)
    if due:
        await _insert_snapshots(connection, sealer.book_id, due, through)
    return known


def _count_up(known: dict[int, int], pages: npt.NDArray[np.int64], changes: npt.NDArray[np.intp]) -> list[int]:
    """Count the changes in and return the pages that reached the number of a snapshot, which start again."""
    due: list[int] = []
    for page, count in zip(pages.tolist(), changes.tolist(), strict=True):
        total = known.get(page, 0) + count
        if total >= CHANGES_PER_SNAPSHOT:
            due.append(page)
            total = 0
        known[page] = total
    return due
