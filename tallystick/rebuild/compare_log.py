"""Compare the logs: leaf by leaf, and the root at each checkpoint that was signed."""

from collections.abc import AsyncIterator

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.log.tree import HASH_SIZE, Frontier
from tallystick.rebuild.model import Difference, Root

_queries = queries_beside(__file__)
_read_batches = _queries.text("read_batches")
_read_checkpoints = _queries.text("read_checkpoints")
_find_leaf = _queries.tuples("find_leaf")
_any_key_of = _queries.value("any_key_of")
_AT_ONCE = 500
_Batch = tuple[int, bytes]


async def compare_logs(source: Connection, twin: Connection, book_id: int, bound: int) -> Root:
    """
    Hold the twin's leaves below *bound* against the book's, and their roots against all of its checkpoints.

    Both connections are inside of a transaction, since they read by cursor.

    Raises:
        Difference: a batch or a leaf is another, or a root is not the one that was signed.
    """
    frontier, checkpoints = Frontier(), _Checkpoints(source, book_id, bound)
    waiting = await checkpoints.next()
    ours, theirs = _batches(twin, book_id, bound), _batches(source, book_id, bound)
    size, root, count = 0, frontier.root(), 0
    while True:
        mine, given = await anext(ours, None), await anext(theirs, None)
        if mine is None and given is None:
            break
        await _require_same(source, book_id, mine, given)
        batch_id, leaf_hashes = mine if mine is not None else (0, b"")
        frontier.append(leaf_hashes)
        while waiting is not None and waiting[2] <= batch_id:
            size, root, count = frontier.size, frontier.root(), count + 1
            if (size, root) != tuple(waiting[:2]):
                raise Difference(
                    where=f"checkpoint of {waiting[0]:,} leaves",
                    what=f"it has the root {waiting[1].hex()}, and of {size:,} leaves comes {root.hex()}",
                )
            waiting = await checkpoints.next()
    if waiting is not None:
        raise Difference(where=f"checkpoint of {waiting[0]:,} leaves", what="there are no batches up to it")
    if not count:
        size, root = frontier.size, frontier.root()
    return Root(frontier.size, size, root, count)


class _Checkpoints:
    """The checkpoints of the book, one after the other."""

    def __init__(self, connection: Connection, book_id: int, bound: int) -> None:
        self._rows = connection.cursor(_read_checkpoints, book_id, bound, prefetch=_AT_ONCE).__aiter__()

    async def next(self) -> tuple[int, bytes, int] | None:
        """Return the next; None behind the last."""
        row = await anext(self._rows, None)
        return None if row is None else (row[0], row[1], row[2])


async def _batches(connection: Connection, book_id: int, bound: int) -> AsyncIterator[_Batch]:
    async for batch_id, leaf_hashes in connection.cursor(_read_batches, book_id, bound, prefetch=_AT_ONCE):
        yield batch_id, leaf_hashes


async def _require_same(source: Connection, book_id: int, mine: _Batch | None, given: _Batch | None) -> None:
    if mine == given:
        return
    if mine is None or given is None or mine[0] != given[0]:
        batch_id = min(one[0] for one in (mine, given) if one is not None)
        stored = given is not None and given[0] == batch_id
        key = await _any_key_of(source, book_id, batch_id)
        what = "its transfers are stored, and no message makes them" if stored else "its transfers are not stored"
        raise Difference(where=f"batch {batch_id}" if key is None else f"message {key} in batch {batch_id}", what=what)
    position = _first_other(mine[1], given[1])
    for transfer_id, key in await _find_leaf(source, book_id, given[0], position):
        raise Difference(where=f"message {key}", what=f"the leaf of its transfer {transfer_id} comes out otherwise")
    raise Difference(where=f"batch {given[0]}", what=f"from position {position} on its leaves come out otherwise")


def _first_other(mine: bytes, given: bytes) -> int:
    ends = range(HASH_SIZE, max(len(mine), len(given)) + HASH_SIZE, HASH_SIZE)
    return next(place for place, end in enumerate(ends) if mine[end - HASH_SIZE : end] != given[end - HASH_SIZE : end])
