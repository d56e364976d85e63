"""Hashes of leaves and nodes, and the growing edge of the tree."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.ledger.log.proofs import ranges_for_root
from tallystick.ledger.log.tiles import Tile
from tallystick.ledger.log.tree import EMPTY_ROOT, Frontier, leaf_hash, leaf_hashes, node_hash
from tests.unit.test_log_reference import PUBLISHED_ENTRIES, PUBLISHED_ROOTS, Reference, Stored, synthetic_leaves

LEAVES = synthetic_leaves(65_537)
REFERENCE = Reference(LEAVES)


@pytest.mark.parametrize("size", range(9))
def test_published_roots(size: int) -> None:
    """The tree over the well-known entries has the well-known root at each size."""
    frontier = Frontier()
    frontier.append(b"".join(leaf_hash(entry) for entry in PUBLISHED_ENTRIES[:size]))
    assert frontier.size == size
    assert frontier.root().hex() == PUBLISHED_ROOTS[size]


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    """A log that is new has a root too."""
    assert Frontier().root() == EMPTY_ROOT == sha256(b"").digest()


def test_leaf_and_node_never_hash_the_same_bytes() -> None:
    """A leaf that holds two hashes is not the node above them."""
    left, right = LEAVES[:2]
    assert leaf_hash(left + right) != node_hash(left, right)


@given(rows=st.lists(st.binary(min_size=7, max_size=7), max_size=20), as_view=st.booleans())
@settings(print_blob=True)
def test_rows_hash_as_single_entries_do(rows: list[bytes], *, as_view: bool) -> None:
    """Hashing many rows at once, zero bytes at their ends included, is hashing each of them."""
    joined = b"".join(b"\x00" + row for row in rows)
    assert leaf_hashes(memoryview(joined) if as_view else joined, 8) == b"".join(map(leaf_hash, rows))


@pytest.mark.parametrize("rows", [b"\x00abc\x00ab", b"\x00abc\x01abc", b"abcd"])
def test_rows_that_are_cut_or_lack_the_prefix_are_refused(rows: bytes) -> None:
    """Without its prefix a row could pass for a node, so it never becomes a leaf."""
    with pytest.raises(ValueError, match=r"prefix|multiple"):
        leaf_hashes(rows, 4)


@given(st.lists(st.integers(min_value=0, max_value=300), max_size=12))
@settings(print_blob=True, max_examples=50)
def test_any_way_of_cutting_appends_gives_the_same_tree(counts: list[int]) -> None:
    """The root after each append, and the tile roots, depend on the leaves alone."""
    frontier, roots = Frontier(), []
    for count in counts:
        roots += frontier.append(b"".join(LEAVES[frontier.size : frontier.size + count]))
        assert frontier.root() == REFERENCE.root(0, frontier.size)
    assert roots == [
        (1, index, REFERENCE.root(index * 256, index * 256 + 256)) for index in range(frontier.size // 256)
    ]


@pytest.mark.parametrize("step", [65_537, 8_192])
def test_tile_roots_of_every_level_come_out_once(step: int) -> None:
    """65,537 leaves complete 256 tiles of leaves and one tile of tiles."""
    frontier = Frontier()
    found = {}
    for start in range(0, len(LEAVES), step):
        for level, index, root in frontier.append(b"".join(LEAVES[start : start + step])):
            assert (level, index) not in found
            found[level, index] = root
    expected = {(1, index): REFERENCE.root(index * 256, index * 256 + 256) for index in range(256)}
    assert found == expected | {(2, 0): REFERENCE.root(0, 65_536)}


@pytest.mark.parametrize("size", [0, 1, 2, 3, 255, 256, 257, 511, 512, 1_000, 65_535, 65_536, 65_537])
def test_a_frontier_restored_from_tiles_goes_on_as_if_never_lost(size: int) -> None:
    """After a crash the tiles that `ranges_for_root` names are enough, and later roots are the same."""
    stored = Stored(LEAVES[:size])
    restored = Frontier.restore(size, stored.fetch(ranges_for_root(size)).__getitem__)
    assert restored.root() == REFERENCE.root(0, size)
    more = b"".join(synthetic_leaves(300))
    assert restored.append(more) == stored.frontier.append(more)
    assert (restored.size, restored.root()) == (stored.frontier.size, stored.frontier.root())


def test_a_tile_of_the_wrong_width_is_refused() -> None:
    """A store that lost hashes is noticed when it is read, not in a root that nobody can explain."""
    stored = Stored(LEAVES[:3])

    def shortened(tile: Tile) -> bytes:
        return stored.read(tile)[:-32]

    with pytest.raises(ValueError, match="must be 96 bytes and is 64"):
        Frontier.restore(3, shortened)


def test_a_copy_does_not_follow() -> None:
    """What is appended to a copy can be thrown away with it."""
    frontier = Stored(LEAVES[:5]).frontier
    before = frontier.root()
    copy = frontier.copy()
    copy.append(LEAVES[5])
    assert (frontier.size, frontier.root()) == (5, before)
    assert (copy.size, copy.root()) == (6, REFERENCE.root(0, 6))


def test_half_a_hash_adds_nothing() -> None:
    """A cut blob of hashes is refused whole."""
    frontier = Frontier()
    with pytest.raises(ValueError, match="multiple"):
        frontier.append(LEAVES[0] + b"x")
    assert (frontier.size, frontier.root()) == (0, EMPTY_ROOT)
