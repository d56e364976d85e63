"""The Merkle tree of RFC 6962 §2.1 over SHA-256: hashes of leaves and nodes, and a builder that only appends."""

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256

import numpy as np

from tallystick.ledger.log.hash_rows import HashArray, hash_rows
from tallystick.ledger.log.tiles import HEIGHT, Subtree, Tile, complete_subtrees, tile_holding

HASH_SIZE = 32
LEAF_PREFIX = b"\x00"
NODE_PREFIX = b"\x01"
EMPTY_ROOT = sha256(b"").digest()
"""The root of a tree without leaves."""

Fetch = Callable[[Tile], bytes]
"""Gives the hashes of one tile, one after the other."""


def leaf_hash(data: bytes) -> bytes:
    """Hash one entry as a leaf."""
    return sha256(LEAF_PREFIX + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two neighbours into the node above them."""
    return sha256(NODE_PREFIX + left + right).digest()


def leaf_hashes(rows: bytes | memoryview, width: int) -> bytes:
    """
    Hash many entries of one width as leaves; the result is their hashes, 32 bytes each, one after the other.

    Each row is *width* bytes and already begins with the prefix of a leaf, the byte 0x00: writing it with the
    row saves a copy of every row here. So the row without its first byte is what `leaf_hash` would be given.

    Raises:
        ValueError: *rows* is not a whole number of rows, or a row begins with another byte.
    """
    if len(rows) % width:
        raise ValueError("the bytes are no multiple of the width of a row")
    entries = np.frombuffer(rows, np.uint8).reshape(-1, width)
    if entries[:, 0].any():
        raise ValueError("every row must begin with the prefix of a leaf, 0x00")
    return hash_rows(entries).tobytes()


class Frontier:
    """The right edge of a growing tree: all that is needed to append leaves and to know the root."""

    def __init__(self) -> None:
        """Begin an empty tree."""
        self.size = 0
        self._edge: dict[int, bytes] = {}
        """By height, each complete subtree that waits for a right neighbour: one for each 1 bit of the size."""

    @classmethod
    def restore(cls, size: int, fetch: Fetch) -> "Frontier":
        """
        Rebuild the edge of a tree of *size* leaves from its stored tiles.

        *fetch* is asked for the tiles of ``proofs.ranges_for_root(size)`` and for no others.
        """
        frontier = cls()
        frontier.size = size
        for subtree in complete_subtrees(0, size):
            frontier._edge[subtree.height] = subtree_hash(subtree, size, fetch)
        return frontier

    def copy(self) -> "Frontier":
        """Return an independent twin, to append to what may yet be rolled back."""
        twin = Frontier()
        twin.size, twin._edge = self.size, dict(self._edge)
        return twin

    def append(self, hashes: bytes) -> list[tuple[int, int, bytes]]:
        """
        Add leaves, given as their hashes, 32 bytes each, one after the other.

        Returns the tile roots that this completed, as (level, index, hash): the root of a complete subtree of
        256**level leaves, the index-th of its level, level 1 or higher; by level, then index.

        Raises:
            ValueError: *hashes* is not a whole number of hashes; nothing was added.
        """
        if not hashes:
            return []
        if len(hashes) % HASH_SIZE:
            raise ValueError("the bytes are no multiple of the size of a hash")
        nodes = np.frombuffer(hashes, np.uint8).reshape(-1, HASH_SIZE)
        tile_roots: list[tuple[int, int, bytes]] = []
        first, height = self.size, 0
        self.size += len(nodes)
        while len(nodes):
            if height and height % HEIGHT == 0:
                tile_roots.extend((height // HEIGHT, first + place, node.tobytes()) for place, node in enumerate(nodes))
            if (left := self._edge.pop(height, None)) is not None:
                nodes = np.concatenate([np.frombuffer(left, np.uint8)[np.newaxis], nodes])
            if len(nodes) % 2:
                self._edge[height] = nodes[-1].tobytes()
            nodes = _parents(nodes[: len(nodes) // 2 * 2])
            first, height = first // 2, height + 1
        return tile_roots

    def root(self) -> bytes:
        """Return the hash of the whole tree as it stands."""
        if not self._edge:
            return EMPTY_ROOT
        return join_subtrees([self._edge[height] for height in sorted(self._edge, reverse=True)])


def _parents(nodes: HashArray) -> HashArray:
    """Hash an even number of neighbours in pairs."""
    pairs = np.empty((len(nodes) // 2, 1 + 2 * HASH_SIZE), np.uint8)
    pairs[:, 0] = NODE_PREFIX[0]
    pairs[:, 1:] = nodes.reshape(-1, 2 * HASH_SIZE)
    return hash_rows(pairs)


def join_subtrees(hashes: list[bytes]) -> bytes:
    """Hash complete subtrees that stand side by side, the largest first, into the one node above them."""
    *rest, joined = hashes
    for left in reversed(rest):
        joined = node_hash(left, joined)
    return joined


def subtree_hash(subtree: Subtree, size: int, fetch: Fetch) -> bytes:
    """
    Return the hash of a complete subtree, given the one tile of a tree of *size* leaves that holds it.

    Raises:
        ValueError: the tile fetched is not as wide as asked.
    """
    tile = tile_holding(subtree, size)
    content = fetch(tile)
    if len(content) != tile.width * HASH_SIZE:
        raise ValueError(f"{tile.path} must be {tile.width * HASH_SIZE} bytes and is {len(content)}")
    above = subtree.height % HEIGHT
    return _levels_within(content)[above][subtree.number - (tile.first >> above)]


@lru_cache(maxsize=512)
def _levels_within(content: bytes) -> list[list[bytes]]:
    """
    Hash a tile upwards, as far as its pairs are complete: the hashes of each height above its own, its own first.

    Remembered, since neighbouring proofs share nearly all of their tiles and this is nearly all of their cost.
    """
    levels = [[content[place : place + HASH_SIZE] for place in range(0, len(content), HASH_SIZE)]]
    while len(levels[-1]) > 1:
        below = iter(levels[-1])
        levels.append([node_hash(left, right) for left, right in zip(below, below, strict=False)])
    return levels
