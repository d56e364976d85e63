"""Ids made of content and occurrence: counted right in any batches, and in little memory."""

import hashlib
import uuid
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.usage.decode.line_ids import LineIds, Occurrences


@settings(max_examples=200, print_blob=True, deadline=None)
@given(st.lists(st.lists(st.integers(0, 12).map(lambda number: str(number).encode()), max_size=20), max_size=20))
def test_occurrences_are_counted_as_a_plain_counter_would(batches: list[list[bytes]]) -> None:
    """However the lines fall into batches, each is told how often its content stood before."""
    counter: Counter[bytes] = Counter()
    seen = Occurrences()
    for batch in batches:
        expected = []
        for line in batch:
            expected.append(counter[line])
            counter[line] += 1
        assert seen.count([hashlib.sha256(line).digest() for line in batch]).tolist() == expected


def test_long_runs_merge_without_losing_a_count() -> None:
    """Two hundred thousand contents, each seen twice far apart, are all known the second time."""
    digests = [number.to_bytes(4, "little") * 8 for number in range(200_000)]
    seen = Occurrences()
    assert not seen.count(digests).any()
    assert (seen.count(digests[::-1]) == 1).all()
    assert (seen.count(digests[:1000]) == 2).all()


def test_contents_that_share_64_bits_still_get_ids_of_their_own() -> None:
    """Two digests alike in what the counter keeps are numbered as one, the same way each time."""
    digests = [b"8 bytes!" + bytes([tail]) * 24 for tail in (1, 2)]
    assert Occurrences().count(digests).tolist() == [0, 1]


def test_ids_are_uuids_of_version_8() -> None:
    """An id reads as a UUID (RFC 9562 §5.8) and depends on the content and the occurrence alone."""
    first, second = LineIds().of([b"a", b"a"])
    assert {uuid.UUID(first).version, uuid.UUID(second).version} == {8}
    assert uuid.UUID(first).variant == uuid.RFC_4122
    assert first != second
    assert first.replace("-", "")[:12] == hashlib.sha256(b"a").hexdigest()[:12]
    ids = LineIds()
    assert ids.of([b"a"]) + ids.of([]) + ids.of([b"b", b"a"]) == [first, LineIds().of([b"b"])[0], second]


def test_memory_is_twelve_bytes_a_line() -> None:
    """A hundred thousand distinct lines leave 1.2 MB behind, in few runs."""
    seen = Occurrences()
    for start in range(0, 100_000, 5000):
        seen.count([hashlib.sha256(str(number).encode()).digest() for number in range(start, start + 5000)])
    assert sum(keys.nbytes + counts.nbytes for keys, counts in seen._runs) == 1_200_000
    assert len(seen._runs) < 10
