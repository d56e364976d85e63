"""Tiles: the coordinates in which a log's tree is stored and served (C2SP tlog-tiles)."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from tallystick.errors import Kind, TallystickError

HEIGHT = 8
"""How many levels of the tree one tile spans."""

FULL_WIDTH = 1 << HEIGHT
"""How many hashes a full tile holds."""

MAX_LEVEL = 63

_PATH = re.compile(r"tile/(0|[1-9][0-9]?)/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


class BadTile(TallystickError):
    """{path} does not name a tile of a log."""

    code = "log.bad_tile"
    kind = Kind.INVALID


class Tile(NamedTuple):
    """
    A run of neighbouring hashes: at level 0 of leaves, at level n of complete subtrees of 256**n leaves.

    The hash at place p of the tile is number ``number * 256 + p`` of its level.
    """

    level: int
    number: int
    width: int = FULL_WIDTH
    """How many hashes it holds, 1 to 256; fewer than 256 only at the right edge of the tree."""

    @property
    def first(self) -> int:
        """Return the number, within the level, of the tile's first hash."""
        return self.number * FULL_WIDTH

    @property
    def path(self) -> str:
        """Return the address below the log's prefix, as in ``tile/0/x001/234.p/5``."""
        digits = str(self.number)
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[place : place + 3] for place in range(0, len(digits), 3)]
        address = "/".join(["tile", str(self.level), *(f"x{group}" for group in groups[:-1]), groups[-1]])
        return address if self.width == FULL_WIDTH else f"{address}.p/{self.width}"


class Subtree(NamedTuple):
    """A complete subtree: the leaves from ``number << height`` up to ``(number + 1) << height``."""

    height: int
    number: int


def parse_path(path: str) -> Tile:
    """
    Read a tile's address, without the log's prefix; only the one canonical spelling is taken.

    Raises:
        BadTile: it is not one.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        raise BadTile(path=path)
    level, groups, width = match.groups()
    tile = Tile(int(level), int(re.sub("[x/]", "", groups)), FULL_WIDTH if width is None else int(width))
    if tile.level > MAX_LEVEL or tile.path != path:
        raise BadTile(path=path)
    return tile


def tile_at(level: int, number: int, size: int) -> Tile:
    """
    Return tile *number* of *level* as wide as a tree of *size* leaves fills it.

    Raises:
        ValueError: a tree of that size has no hash there.
    """
    width = min(FULL_WIDTH, (size >> HEIGHT * level) - number * FULL_WIDTH)
    if width <= 0:
        raise ValueError(f"a tree of {size} leaves has no tile {number} at level {level}")
    return Tile(level, number, width)


def tile_holding(subtree: Subtree, size: int) -> Tile:
    """Return the tile, in a tree of *size* leaves, from whose hashes the subtree's own follows."""
    level, above = divmod(subtree.height, HEIGHT)
    return tile_at(level, subtree.number << above >> HEIGHT, size)


def complete_subtrees(start: int, end: int) -> Iterator[Subtree]:
    """
    Cut the leaves from *start* up to *end* into complete subtrees, the largest first.

    *start* must be a multiple of the largest power of two that fits, as it is in every cut of RFC 6962 §2.1.
    """
    while start < end:
        height = (end - start).bit_length() - 1
        yield Subtree(height, start >> height)
        start += 1 << height
