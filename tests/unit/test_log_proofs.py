"""Inclusion and consistency proofs: made from tiles, judged without them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.errors import Kind
from tallystick.ledger.log.proofs import (
    BadProof,
    consistency_proof,
    inclusion_proof,
    ranges_for_consistency,
    ranges_for_inclusion,
    ranges_for_root,
    root_at,
    verify_consistency,
    verify_inclusion,
)
from tallystick.ledger.log.tree import EMPTY_ROOT, leaf_hash
from tests.unit.test_log_reference import PUBLISHED_ENTRIES, Reference, Stored, synthetic_leaves

LEAVES = synthetic_leaves(65_537)
REFERENCE = Reference(LEAVES)
STORED = Stored(LEAVES)
EDGES = [255, 256, 257, 258, 65_535, 65_536, 65_537]


def prove_inclusion(index: int, size: int) -> list[bytes]:
    """Make a proof from no more than the tiles it asks for."""
    return inclusion_proof(index, size, STORED.fetch(ranges_for_inclusion(index, size)))


def prove_consistency(old: int, new: int) -> list[bytes]:
    """Make a proof from no more than the tiles it asks for."""
    return consistency_proof(old, new, STORED.fetch(ranges_for_consistency(old, new)))


def holds(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    """Say whether an inclusion proof is accepted."""
    try:
        verify_inclusion(leaf, index, size, proof, root)
    except BadProof:
        return False
    return True


def continues(old: int, new: int, roots: tuple[bytes, bytes], proof: list[bytes]) -> bool:
    """Say whether a consistency proof is accepted."""
    try:
        verify_consistency(old, new, *roots, proof)
    except BadProof:
        return False
    return True


def flipped(hashes: list[bytes]) -> list[list[bytes]]:
    """Return *hashes* once for every bit in them, with that bit turned over."""
    whole = int.from_bytes(b"".join(hashes), "big")
    spoilt = []
    for bit in range(len(hashes) * 256):
        joined = (whole ^ 1 << bit).to_bytes(len(hashes) * 32, "big")
        spoilt.append([joined[place : place + 32] for place in range(0, len(joined), 32)])
    return spoilt


def test_published_proofs() -> None:
    """Proofs over the well-known entries are those that others published."""
    stored = Stored([leaf_hash(entry) for entry in PUBLISHED_ENTRIES])
    tiles = stored.fetch(ranges_for_root(8))
    assert [value.hex() for value in inclusion_proof(0, 8, tiles)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    tiles = stored.fetch(ranges_for_consistency(6, 8))
    assert [value.hex() for value in consistency_proof(6, 8, tiles)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@pytest.mark.parametrize("size", range(1, 71))
def test_every_leaf_of_every_small_tree_is_proved(size: int) -> None:
    """For each size to 70 and each leaf the proof is the reference's, and holds."""
    root = REFERENCE.root(0, size)
    for index in range(size):
        proof = prove_inclusion(index, size)
        assert proof == REFERENCE.path(index, 0, size)
        verify_inclusion(LEAVES[index], index, size, proof, root)


@pytest.mark.parametrize("size", EDGES)
def test_leaves_around_the_edges_of_tiles_are_proved(size: int) -> None:
    """Where a tile, or a tile of tiles, begins or ends, proofs are still the reference's."""
    root = REFERENCE.root(0, size)
    assert root_at(size, STORED.fetch(ranges_for_root(size))) == root
    for index in {0, 1, 127, 128, 254, 255, 256, 257, 32_767, 32_768, 65_279, 65_280, 65_535, size - 1}:
        if index < size:
            proof = prove_inclusion(index, size)
            assert proof == REFERENCE.path(index, 0, size)
            verify_inclusion(LEAVES[index], index, size, proof, root)


@pytest.mark.parametrize("new", range(71))
def test_every_small_tree_continues_every_smaller_one(new: int) -> None:
    """For each pair of sizes to 70 the proof is the reference's, and holds."""
    for old in range(new + 1):
        proof = prove_consistency(old, new)
        assert proof == (REFERENCE.consistency(old, 0, new) if old else [])
        verify_consistency(old, new, REFERENCE.root(0, old), REFERENCE.root(0, new), proof)


@pytest.mark.parametrize("new", EDGES)
def test_trees_continue_each_other_across_the_edges_of_tiles(new: int) -> None:
    """Where a tile, or a tile of tiles, begins or ends, proofs are still the reference's."""
    for old in {1, 128, 254, *EDGES}:
        if old <= new:
            proof = prove_consistency(old, new)
            assert proof == REFERENCE.consistency(old, 0, new)
            verify_consistency(old, new, REFERENCE.root(0, old), REFERENCE.root(0, new), proof)


@given(st.data())
@settings(print_blob=True, max_examples=60)
def test_any_leaf_and_any_earlier_tree_are_proved(data: st.DataObject) -> None:
    """Sizes that nobody chose by hand give the reference's proofs too."""
    size = data.draw(st.integers(min_value=1, max_value=len(LEAVES)))
    index = data.draw(st.integers(min_value=0, max_value=size - 1))
    old = data.draw(st.integers(min_value=1, max_value=size))
    assert prove_inclusion(index, size) == REFERENCE.path(index, 0, size)
    verify_inclusion(LEAVES[index], index, size, prove_inclusion(index, size), REFERENCE.root(0, size))
    assert prove_consistency(old, size) == REFERENCE.consistency(old, 0, size)
    roots = REFERENCE.root(0, old), REFERENCE.root(0, size)
    verify_consistency(old, size, *roots, prove_consistency(old, size))


def test_a_proof_needs_few_tiles() -> None:
    """However long the log, a proof reads one or two tiles of each level."""
    assert len(ranges_for_inclusion(12_345, 65_537)) <= 5
    assert len(ranges_for_consistency(40_000, 65_537)) <= 5
    assert ranges_for_root(0) == set()


@pytest.mark.parametrize(("index", "size"), [(0, 2), (5, 7), (6, 7), (12, 13)])
def test_one_bit_anywhere_spoils_an_inclusion_proof(index: int, size: int) -> None:
    """A bit turned over in the leaf, in any hash or in the root is always noticed."""
    proof, root = prove_inclusion(index, size), REFERENCE.root(0, size)
    for leaf, *spoilt, other_root in flipped([LEAVES[index], *proof, root]):
        assert not holds(leaf, index, size, spoilt, other_root)


@pytest.mark.parametrize(("old", "new"), [(1, 2), (4, 7), (6, 7), (6, 13), (7, 7)])
def test_one_bit_anywhere_spoils_a_consistency_proof(old: int, new: int) -> None:
    """A bit turned over in either root or in any hash is always noticed."""
    proof = prove_consistency(old, new)
    for old_root, *spoilt, new_root in flipped([REFERENCE.root(0, old), *proof, REFERENCE.root(0, new)]):
        assert not continues(old, new, (old_root, new_root), spoilt)


def test_a_proof_is_for_one_place_only() -> None:
    """The proof of one leaf proves it at no other index, inside the tree or out."""
    proof, root = prove_inclusion(5, 13), REFERENCE.root(0, 13)
    assert [index for index in range(-1, 20) if holds(LEAVES[5], index, 13, proof, root)] == [5]


def test_a_proof_fits_the_size_it_is_for() -> None:
    """A log that says it has one leaf has it at index 0, and no second one stands beside it."""
    assert holds(LEAVES[0], 0, 1, [], LEAVES[0])
    assert not holds(LEAVES[0], 1, 1, [], LEAVES[0])
    assert not holds(LEAVES[0], 0, 0, [], LEAVES[0])
    assert not holds(LEAVES[1], 0, 1, [LEAVES[0]], REFERENCE.root(0, 2))


def test_a_hash_too_many_or_too_few_spoils_a_proof() -> None:
    """Proofs have one length, and hashes too."""
    proof, root = prove_inclusion(5, 13), REFERENCE.root(0, 13)
    for wrong in (proof[:-1], proof[1:], [*proof, proof[0]], [], [proof[0][:-1], *proof[1:]], [*proof[::-1]]):
        assert not holds(LEAVES[5], 5, 13, wrong, root)
    proof, roots = prove_consistency(6, 13), (REFERENCE.root(0, 6), root)
    for wrong in (proof[:-1], proof[1:], [*proof, proof[0]], [], [proof[0][:-1], *proof[1:]], [*proof[::-1]]):
        assert not continues(6, 13, roots, wrong)


def test_a_tree_that_was_rewritten_does_not_continue() -> None:
    """No proof leads from a tree to one in which an old leaf is another."""
    rewritten = Reference([LEAVES[9], *LEAVES[1:13]])
    roots = REFERENCE.root(0, 6), rewritten.root(0, 13)
    assert not continues(6, 13, roots, prove_consistency(6, 13))
    assert not continues(6, 13, roots, rewritten.consistency(6, 0, 13))


def test_nothing_is_a_beginning_of_every_tree() -> None:
    """From the empty tree no hash is needed, but its root must be the empty tree's, and sizes only grow."""
    root = REFERENCE.root(0, 3)
    assert continues(0, 3, (EMPTY_ROOT, root), [])
    assert continues(0, 0, (EMPTY_ROOT, EMPTY_ROOT), [])
    assert not continues(0, 3, (root, root), [])
    assert not continues(0, 3, (EMPTY_ROOT, root), [root])
    assert not continues(3, 2, (root, root), [])
    assert not continues(-1, 2, (root, root), [])


def test_proofs_of_what_is_not_there_are_refused() -> None:
    """Asking for a leaf or a tree beyond the end is a mistake of the caller."""
    for index, size in ((0, 0), (-1, 5), (5, 5)):
        with pytest.raises(ValueError, match="no leaf"):
            ranges_for_inclusion(index, size)
    with pytest.raises(ValueError, match="cannot continue"):
        ranges_for_consistency(4, 3)


def test_a_bad_proof_says_why() -> None:
    """The error has a stable code and one sentence."""
    with pytest.raises(BadProof, match=r"The proof does not hold: it has too few hashes\.") as caught:
        verify_inclusion(LEAVES[0], 0, 2, [], REFERENCE.root(0, 2))
    assert (caught.value.code, caught.value.kind) == ("log.bad_proof", Kind.INVALID)
