"""Read the log: checkpoints, and the tiles that proofs are made of."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import Kind, TallystickError
from tallystick.ledger.log.note import append_lines
from tallystick.ledger.log.tiles import Tile

_queries = queries_beside(__file__)


@dataclass(frozen=True, slots=True)
class KeptCheckpoint:
    """A signed checkpoint; ``through`` is the newest batch that it covers."""

    size: int
    root: bytes
    through: int
    note: str
    signed_at: dt.datetime


class CheckpointNote(msgspec.Struct, frozen=True):
    """A checkpoint as it is published: a signed note (C2SP tlog-checkpoint) and the size it covers."""

    size: int
    note: str
    signed_at: dt.datetime


class NothingSealed(TallystickError):
    """The book's log is empty: nothing has been sealed yet."""

    code = "ledger.nothing_sealed"
    kind = Kind.NOT_FOUND


_newest_checkpoint = _queries.row("newest_checkpoint", KeptCheckpoint)
_first_checkpoint_over = _queries.row("first_checkpoint_over", KeptCheckpoint)
_checkpoint_of_size = _queries.row("checkpoint_of_size", KeptCheckpoint)
_newest_cosigned = _queries.row("newest_cosigned", KeptCheckpoint)
_lines_of_witnesses = _queries.values("lines_of_witnesses")
list_checkpoints = _queries.rows("list_checkpoints", KeptCheckpoint)
_read_leaf_ranges = _queries.tuples("read_leaf_ranges")
_read_tile_roots = _queries.tuples("read_tile_roots")


async def newest_checkpoint(connection: Connection, book_id: int) -> KeptCheckpoint | None:
    """Return the newest checkpoint; None while nothing is sealed."""
    return await _newest_checkpoint(connection, book_id)


async def read_newest_checkpoint(connection: Connection, book_id: int) -> CheckpointNote:
    """
    Return the newest checkpoint for publication, with the lines of the witnesses that have cosigned it by now.

    Raises:
        NothingSealed: there is none (``ledger.nothing_sealed``).
    """
    newest = await newest_checkpoint(connection, book_id)
    if newest is None:
        raise NothingSealed
    lines = await _lines_of_witnesses(connection, book_id, newest.size)
    return CheckpointNote(newest.size, "".join([newest.note, *lines]), newest.signed_at)


async def first_checkpoint_over(connection: Connection, book_id: int, place: int) -> KeptCheckpoint | None:
    """Return the oldest checkpoint that covers *place*, the same one for ever; None while none does."""
    return await _first_checkpoint_over(connection, book_id, place)


async def checkpoint_of_size(connection: Connection, book_id: int, size: int) -> KeptCheckpoint | None:
    """Return the checkpoint that was signed at *size* leaves; None when none was."""
    return await _checkpoint_of_size(connection, book_id, size)


async def read_published_checkpoint(connection: Connection, book_id: int, *, cosigned: bool = False) -> bytes:
    """
    Return the newest checkpoint as it is published: with the lines of the witnesses that have cosigned it by now.

    With *cosigned*, the newest that one of them has.

    Raises:
        NothingSealed: there is none (``ledger.nothing_sealed``).
    """
    find = _newest_cosigned if cosigned else _newest_checkpoint
    found = await find(connection, book_id)
    if found is None:
        raise NothingSealed
    lines = await _lines_of_witnesses(connection, book_id, found.size)
    return append_lines(found.note.encode(), lines)


async def fetch_tiles(connection: Connection, book_id: int, tiles: Iterable[Tile]) -> dict[Tile, bytes]:
    """Return the hashes of each tile, one after the other: leaves from their batches, the rest from the tile roots."""
    wanted = list(tiles)
    leaves = [tile for tile in wanted if tile.level == 0]
    above = [tile for tile in wanted if tile.level > 0]
    found: dict[Tile, list[bytes]] = {tile: [] for tile in wanted}
    if leaves:
        bounds = [tile.first for tile in leaves], [tile.width for tile in leaves]
        for ordinal, part in await _read_leaf_ranges(connection, book_id, *bounds):
            found[leaves[ordinal - 1]].append(part)
    if above:
        levels = [tile.level for tile in above]
        bounds = [tile.first for tile in above], [tile.width for tile in above]
        for ordinal, part in await _read_tile_roots(connection, book_id, levels, *bounds):
            found[above[ordinal - 1]].append(part)
    return {tile: b"".join(parts) for tile, parts in found.items()}
