"""
Proofs over the tree: that a leaf is in it, and that a larger tree continues a smaller one.

Making one takes two steps, since tiles are stored elsewhere: ask ``ranges_for_…`` which tiles are needed, fetch them
however one likes, then hand them to ``…_proof`` as a mapping. Verifying needs nothing stored.
"""

from collections.abc import Iterable, Mapping, Sequence

from tallystick.errors import Kind, TallystickError
from tallystick.ledger.log.tiles import Tile, complete_subtrees, tile_holding
from tallystick.ledger.log.tree import EMPTY_ROOT, HASH_SIZE, join_subtrees, node_hash, subtree_hash

Span = tuple[int, int]
"""Leaves from the first number up to, not including, the second."""


class BadProof(TallystickError):
    """The proof does not hold: {reason}."""

    code = "log.bad_proof"
    kind = Kind.INVALID


def ranges_for_root(size: int) -> set[Tile]:
    """Return the tiles from which the root, and the edge, of a tree of *size* leaves follow; none for size 0."""
    return _tiles_under([(0, size)], size)


def root_at(size: int, tiles: Mapping[Tile, bytes]) -> bytes:
    """Return the root that the tree had at *size* leaves."""
    return _hash_span((0, size), size, tiles) if size else EMPTY_ROOT


def ranges_for_inclusion(index: int, size: int) -> set[Tile]:
    """
    Return the tiles from which the inclusion proof of leaf *index* in a tree of *size* leaves follows.

    Raises:
        ValueError: the tree has no such leaf.
    """
    return _tiles_under(_inclusion_spans(index, size), size)


def inclusion_proof(index: int, size: int, tiles: Mapping[Tile, bytes]) -> list[bytes]:
    """
    Return the hashes beside the path from leaf *index* to the root of the first *size* leaves, the leaf's side first.

    RFC 6962 §2.1.1.

    Raises:
        ValueError: the tree has no such leaf.
        KeyError: a tile of `ranges_for_inclusion` is missing.
    """
    return [_hash_span(span, size, tiles) for span in _inclusion_spans(index, size)]


def ranges_for_consistency(old: int, new: int) -> set[Tile]:
    """
    Return the tiles from which the consistency proof between the trees of *old* and *new* leaves follows.

    Raises:
        ValueError: *old* is negative or more than *new*.
    """
    return _tiles_under(_consistency_spans(old, new), new)


def consistency_proof(old: int, new: int, tiles: Mapping[Tile, bytes]) -> list[bytes]:
    """
    Return the hashes that show the first *old* leaves to be the same in the tree of *new* leaves (RFC 6962 §2.1.2).

    Empty when the sizes are equal or *old* is 0.

    Raises:
        ValueError: *old* is negative or more than *new*.
        KeyError: a tile of `ranges_for_consistency` is missing.
    """
    return [_hash_span(span, new, tiles) for span in _consistency_spans(old, new)]


def ranges_for_growth(old: int, new: int) -> set[Tile]:
    """
    Return the tiles of a tree of *new* leaves from which its root, its root at *old* leaves, and the proof between follow.

    Raises:
        ValueError: *old* is negative or more than *new*.
    """
    return _tiles_under([*_consistency_spans(old, new), (0, old), (0, new)], new)


def root_within(old: int, new: int, tiles: Mapping[Tile, bytes]) -> bytes:
    """
    Return the root that the first *old* leaves have in a tree of *new* leaves.

    Raises:
        KeyError: a tile of `ranges_for_growth` is missing.
    """
    return _hash_span((0, old), new, tiles) if old else EMPTY_ROOT


def verify_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """
    Check that the leaf stands at *index* in the tree of *size* leaves with this *root* (RFC 9162 §2.1.3.2).

    Raises:
        BadProof: it does not follow.
    """
    if not 0 <= index < size:
        raise BadProof(reason=f"a tree of {size} leaves has no leaf {index}")
    _require_hashes([leaf_hash, *proof, root])
    place, last, node = index, size - 1, leaf_hash
    for sibling in proof:
        if last == 0:
            raise BadProof(reason="it has too many hashes")
        if place & 1 or place == last:
            node = node_hash(sibling, node)
            place, last = _climb_to_right_child(place, last)
        else:
            node = node_hash(node, sibling)
        place, last = place >> 1, last >> 1
    if last != 0:
        raise BadProof(reason="it has too few hashes")
    if node != root:
        raise BadProof(reason="it leads to another root")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """
    Check that the tree of *new* leaves begins with the tree of *old* leaves (RFC 9162 §2.1.4.2).

    An empty old tree is a beginning of every tree; its root must still be the root of the empty tree.

    Raises:
        BadProof: it does not follow.
    """
    if not 0 <= old <= new:
        raise BadProof(reason=f"a tree of {new} leaves cannot continue one of {old}")
    _require_hashes([old_root, new_root, *proof])
    if old in {0, new}:
        _verify_without_hashes(old, new, old_root, new_root, proof)
        return
    if not proof:
        raise BadProof(reason="it has too few hashes")
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old_node = new_node = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise BadProof(reason="it has too many hashes")
        if place & 1 or place == last:
            old_node, new_node = node_hash(sibling, old_node), node_hash(sibling, new_node)
            place, last = _climb_to_right_child(place, last)
        else:
            new_node = node_hash(new_node, sibling)
        place, last = place >> 1, last >> 1
    if last != 0:
        raise BadProof(reason="it has too few hashes")
    if (old_node, new_node) != (old_root, new_root):
        raise BadProof(reason="it leads to another root")


def _verify_without_hashes(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    if proof:
        raise BadProof(reason="it has too many hashes")
    if (old == new and old_root != new_root) or (old == 0 and old_root != EMPTY_ROOT):
        raise BadProof(reason="it leads to another root")


def _climb_to_right_child(place: int, last: int) -> tuple[int, int]:
    """Go up past levels where the node at the right edge has no sibling and so stands for its own parent."""
    while place and not place & 1:
        place, last = place >> 1, last >> 1
    return place, last


def _require_hashes(hashes: Iterable[bytes]) -> None:
    if any(len(value) != HASH_SIZE for value in hashes):
        raise BadProof(reason=f"a hash in it is not {HASH_SIZE} bytes long")


def _inclusion_spans(index: int, size: int) -> list[Span]:
    """Follow RFC 6962 §2.1.1 from the root down to the leaf; return the spans left aside, lowest first."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    spans: list[Span] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start = middle
    return spans[::-1]


def _consistency_spans(old: int, new: int) -> list[Span]:
    """Follow RFC 6962 §2.1.2 from the root down to where the old tree ends; return the spans, lowest first."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} leaves cannot continue one of {old}")
    if old == 0:
        return []
    spans: list[Span] = []
    start, end = 0, new
    while end > old:
        middle = start + _split(end - start)
        if old <= middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start = middle
    if start > 0:
        spans.append((start, end))
    return spans[::-1]


def _split(count: int) -> int:
    """Return the largest power of two below *count*."""
    return 1 << (count - 1).bit_length() - 1


def _tiles_under(spans: Iterable[Span], size: int) -> set[Tile]:
    return {tile_holding(subtree, size) for span in spans for subtree in complete_subtrees(*span)}


def _hash_span(span: Span, size: int, tiles: Mapping[Tile, bytes]) -> bytes:
    return join_subtrees([subtree_hash(subtree, size, tiles.__getitem__) for subtree in complete_subtrees(*span)])
