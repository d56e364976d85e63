"""Entry bundles (C2SP tlog-tiles): the log's entries themselves, up to 256 behind one address, beside the tiles of level 0."""

import re
import struct
from collections.abc import Iterable
from typing import NamedTuple

from tallystick.errors import Kind, TallystickError
from tallystick.ledger.log.tiles import FULL_WIDTH, BadTile, Tile, parse_path

MAX_ENTRY = 2**16 - 1
"""How many bytes an entry may have: its length is written in 16 bits."""
_LENGTH = struct.Struct(">H")
_PREFIX = "tile/entries/"
_LEVEL_0 = "tile/0/"


class BadBundle(TallystickError):
    """The entry bundle is malformed: {reason}."""

    code = "log.bad_bundle"
    kind = Kind.INVALID


class Bundle(NamedTuple):
    """A run of neighbouring entries: those whose hashes the tile of level 0 with this number and width holds."""

    number: int
    width: int = FULL_WIDTH

    @property
    def tile(self) -> Tile:
        """Return the tile that holds the hashes of these entries."""
        return Tile(0, self.number, self.width)

    @property
    def path(self) -> str:
        """Return the address below the log's prefix, as in ``tile/entries/x001/234.p/5``."""
        return self.tile.path.replace(_LEVEL_0, _PREFIX, 1)


def is_bundle(path: str) -> bool:
    """Say whether *path* is meant to name an entry bundle, well or badly."""
    return path.startswith(_PREFIX)


def parse_bundle_path(path: str) -> Bundle:
    """
    Read a bundle's address, without the log's prefix; only the one canonical spelling is taken.

    Raises:
        BadTile: it is not one (``log.bad_tile``).
    """
    if not is_bundle(path):
        raise BadTile(path=path)
    try:
        tile = parse_path(re.sub(f"^{_PREFIX}", _LEVEL_0, path))
    except BadTile as error:
        raise BadTile(path=path) from error
    return Bundle(tile.number, tile.width)


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """
    Write entries one behind the other, each behind its length in 16 bits.

    Raises:
        ValueError: an entry is longer than 65,535 bytes.
    """
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > MAX_ENTRY:
            raise ValueError(f"an entry of {len(entry)} bytes is too long for a bundle")
        parts += _LENGTH.pack(len(entry)), entry
    return b"".join(parts)


def decode_bundle(content: bytes, width: int) -> list[bytes]:
    """
    Take a bundle of *width* entries apart.

    Raises:
        BadBundle: it holds another number of entries, or ends in the middle of one (``log.bad_bundle``).
    """
    entries: list[bytes] = []
    place = 0
    while place < len(content):
        start = place + _LENGTH.size
        if start > len(content):
            raise BadBundle(reason="it ends within a length")
        place = start + _LENGTH.unpack_from(content, place)[0]
        if place > len(content):
            raise BadBundle(reason="it ends within an entry")
        entries.append(content[start:place])
    if len(entries) != width:
        raise BadBundle(reason=f"it holds {len(entries)} entries instead of {width}")
    return entries
