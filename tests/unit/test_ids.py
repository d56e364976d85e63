"""Identifiers: in order of making, unique across threads, and the same for the same content."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.ids import id_of_content, uuid7, uuid7_batch

tried = settings(print_blob=True, deadline=None)

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


def test_an_id_sorts_after_every_one_made_before_it() -> None:
    """Made one by one and in batches, they ascend, as numbers and as bytes."""
    made = [uuid7()]
    for size in (1, 1000, 7):
        made += [uuid.UUID(bytes=raw.tobytes()) for raw in uuid7_batch(size)]
        made.append(uuid7())
    assert [one.bytes for one in made] == sorted({one.bytes for one in made})


@pytest.mark.parametrize(
    "make", [uuid7, lambda: uuid.UUID(bytes=uuid7_batch(1)[0].tobytes()), lambda: id_of_content(["a"])]
)
def test_an_id_carries_the_marks_of_its_kind(make: "type[uuid.UUID]") -> None:
    """Other software reads the variant of RFC 9562 and a version of 7 or 8 from it."""
    made = make()
    assert made.variant == uuid.RFC_4122
    assert made.version in {7, 8}


def test_an_id_tells_when_it_was_made() -> None:
    """Its first 48 bits are the milliseconds of the clock, give or take what this process made ahead of it."""
    assert abs((uuid7().int >> 80) - time.time_ns() // 1_000_000) < 1000


def test_threads_never_share_an_id() -> None:
    """Four threads making ids at once make each only once."""
    with ThreadPoolExecutor(4) as pool:
        made = [one for ids in pool.map(lambda _: [uuid7() for _ in range(500)], range(4)) for one in ids]
    assert len(set(made)) == 2000


def test_no_ids_are_an_empty_batch() -> None:
    """Asking for none gives none."""
    assert len(uuid7_batch(0)) == 0


@tried
@given(st.lists(texts, max_size=4), st.lists(texts, max_size=4))
def test_content_has_one_id_and_different_content_another(one: list[str], other: list[str]) -> None:
    """The parts make the id, their borders included; no part and one empty part are the one pair not told apart."""
    same = one == other or {tuple(one), tuple(other)} == {(), ("",)}
    assert (id_of_content(one) == id_of_content(other)) == same


def test_an_id_of_content_never_changes() -> None:
    """Ids already stored depend on it: this one was computed once and must stay."""
    assert (
        id_of_content(["a", "b"])
        == id_of_content(iter(["a", "b"]))
        == uuid.UUID("59b271ae-1bbc-81d3-9d41-929817f4b16f")
    )
