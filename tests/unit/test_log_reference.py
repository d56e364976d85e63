"""The tree as RFC 6962 §2.1 writes it, word for word and slow: what the log's own code is held against."""

from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256

import pytest

from tallystick.ledger.log.tiles import Tile
from tallystick.ledger.log.tree import Frontier

PUBLISHED_ENTRIES = [
    bytes.fromhex(entry)
    for entry in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
PUBLISHED_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""Entries and the roots of the first 0 to 8 of them, as published with Certificate Transparency's own tests."""


def synthetic_leaves(count: int) -> list[bytes]:
    """Make leaf hashes of which no two are alike."""
    return [sha256(number.to_bytes(8, "big")).digest() for number in range(count)]


class Reference:
    """Roots and proofs over given leaf hashes by plain recursion; remembers the hash of every span."""

    def __init__(self, leaves: list[bytes]) -> None:
        """Stand over *leaves*."""
        self.leaves = leaves
        self.root = lru_cache(maxsize=None)(self._root)

    def _root(self, start: int, end: int) -> bytes:
        """Return MTH(D[start:end])."""
        if start == end:
            return sha256(b"").digest()
        if end - start == 1:
            return self.leaves[start]
        middle = start + largest_power_below(end - start)
        return sha256(b"\x01" + self.root(start, middle) + self.root(middle, end)).digest()

    def path(self, index: int, start: int, end: int) -> list[bytes]:
        """Return PATH(index, D[start:end])."""
        if end - start == 1:
            return []
        middle = start + largest_power_below(end - start)
        if start + index < middle:
            return [*self.path(index, start, middle), self.root(middle, end)]
        return [*self.path(index - (middle - start), middle, end), self.root(start, middle)]

    def consistency(self, old: int, start: int, end: int, *, known: bool = True) -> list[bytes]:
        """Return SUBPROOF(old, D[start:end], known), for 0 < old <= end - start."""
        if old == end - start:
            return [] if known else [self.root(start, end)]
        middle = start + largest_power_below(end - start)
        if start + old <= middle:
            return [*self.consistency(old, start, middle, known=known), self.root(middle, end)]
        return [*self.consistency(old - (middle - start), middle, end, known=False), self.root(start, middle)]


def largest_power_below(count: int) -> int:
    """Return the largest power of two below *count*, by counting up."""
    power = 1
    while power * 2 < count:
        power *= 2
    return power


class Stored:
    """What a sealer keeps: the leaf hashes, and the tile roots that the frontier handed out. Nothing else."""

    def __init__(self, leaves: list[bytes]) -> None:
        """Append *leaves* to an empty tree and keep what is to be kept."""
        self.frontier = Frontier()
        self.levels: dict[int, list[bytes]] = {0: leaves}
        for level, index, root in self.frontier.append(b"".join(leaves)):
            assert index == len(self.levels.setdefault(level, []))
            self.levels[level].append(root)

    def read(self, tile: Tile) -> bytes:
        """Return the hashes of one tile."""
        return b"".join(self.levels[tile.level][tile.first : tile.first + tile.width])

    def fetch(self, tiles: Iterable[Tile]) -> dict[Tile, bytes]:
        """Return the tiles asked for and no others."""
        return {tile: self.read(tile) for tile in tiles}


@pytest.mark.parametrize("size", range(9))
def test_the_reference_gives_the_published_roots(size: int) -> None:
    """What everything else is held against is itself held against what others published."""
    leaves = [sha256(b"\x00" + entry).digest() for entry in PUBLISHED_ENTRIES]
    assert Reference(leaves).root(0, size).hex() == PUBLISHED_ROOTS[size]
