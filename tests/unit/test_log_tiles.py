"""Tile coordinates and addresses."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.ledger.log.tiles import BadTile, Subtree, Tile, complete_subtrees, parse_path, tile_at

ADDRESSES = {
    Tile(0, 0): "tile/0/000",
    Tile(0, 1_234): "tile/0/x001/234",
    Tile(0, 1_234, 5): "tile/0/x001/234.p/5",
    Tile(1, 1_234_067): "tile/1/x001/x234/067",
    Tile(2, 999, 255): "tile/2/999.p/255",
    Tile(63, 1_000): "tile/63/x001/000",
}

NOT_ADDRESSES = [
    "",
    "tile/0/0",
    "tile/0/00",
    "tile/0/0000",
    "tile/00/000",
    "tile/64/000",
    "tile/-1/000",
    "tile/0/x000/001",
    "tile/0/001/234",
    "tile/0/x001",
    "tile/0/x001/x234",
    "tile/0/000.p/0",
    "tile/0/000.p/05",
    "tile/0/000.p/256",
    "tile/0/000.p/",
    "tile/0/000.p",
    "/tile/0/000",
    "tile/0/000/",
    "tile/0/000\n",
    "tile/0/٠٠٠",
    "tile/entries/000",
]


@pytest.mark.parametrize(("tile", "path"), ADDRESSES.items())
def test_addresses_as_the_specification_has_them(tile: Tile, path: str) -> None:
    """Numbers go in groups of three, an x before all but the last."""
    assert tile.path == path
    assert parse_path(path) == tile


@pytest.mark.parametrize("path", NOT_ADDRESSES)
def test_any_other_spelling_is_no_address(path: str) -> None:
    """One tile has one address, so a cache keeps it once."""
    with pytest.raises(BadTile) as caught:
        parse_path(path)
    assert caught.value.code == "log.bad_tile"


@given(st.integers(0, 63), st.integers(0, 2**63 - 1), st.integers(1, 256))
@settings(print_blob=True)
def test_every_tile_is_found_at_its_address(level: int, number: int, width: int) -> None:
    """Writing an address and reading it comes back to the tile."""
    assert parse_path(Tile(level, number, width).path) == Tile(level, number, width)


def test_the_widths_of_the_specifications_example() -> None:
    """A tree of 70,000 leaves ends in partial tiles of 112, 17 and 1 hashes, a full one stands before."""
    assert tile_at(0, 272, 70_000) == Tile(0, 272, 256)
    assert tile_at(0, 273, 70_000) == Tile(0, 273, 112)
    assert tile_at(1, 1, 70_000) == Tile(1, 1, 17)
    assert tile_at(2, 0, 70_000) == Tile(2, 0, 1)
    for level, number in ((0, 274), (1, 2), (2, 1), (3, 0)):
        with pytest.raises(ValueError, match="no tile"):
            tile_at(level, number, 70_000)


def test_full_tiles_also_stand_as_one_hash_above() -> None:
    """256 leaves are one full tile, and one hash in a partial tile of the next level."""
    assert (tile_at(0, 0, 256), tile_at(1, 0, 256)) == (Tile(0, 0, 256), Tile(1, 0, 1))


@given(st.integers(0, 2**63 - 1))
@settings(print_blob=True)
def test_complete_subtrees_cover_a_tree_once(size: int) -> None:
    """The cut of a tree goes from its first leaf to its last without gap, the largest first."""
    end, last = 0, Subtree(64, 0)
    for subtree in complete_subtrees(0, size):
        assert subtree.number << subtree.height == end
        assert subtree.height < last.height
        end, last = (subtree.number + 1) << subtree.height, subtree
    assert end == size
