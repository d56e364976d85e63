"""Answers that last are remembered within a bound, in number and in bytes."""

import random

from tallystick.operations.remember_answers import RememberedAnswers

COST = 400
"""What each answer costs beside its bytes."""


def test_answers_are_forgotten_that_there_is_no_room_for() -> None:
    """Whatever is asked for, neither bound is ever passed, and what was asked for last is still there."""
    chance = random.Random(7)
    answers = RememberedAnswers(most=50, most_bytes=40_000)
    sizes: dict[int, int] = {}
    for _ in range(5_000):
        asked = chance.randrange(200)
        size = sizes.setdefault(asked, chance.randrange(0, 2_000))
        found = answers.find(asked)
        assert found is None or found == bytes(size)
        answers.keep(asked, bytes(size))
        assert answers.find(asked) == bytes(size)
        kept = [one for one in sizes if answers.find(one) is not None]
        assert answers.size == sum(sizes[one] + COST for one in kept) <= 40_000
        assert len(answers) == len(kept) <= 50


def test_what_was_asked_for_the_longest_ago_goes_first() -> None:
    """Asking for an answer keeps it, and what nobody asks for makes room."""
    answers = RememberedAnswers(most=2)
    answers.keep("a", b"1")
    answers.keep("b", b"2")
    assert answers.find("a") == b"1"
    answers.keep("c", b"3")
    assert [answers.find(one) for one in "abc"] == [b"1", None, b"3"]


def test_one_large_answer_does_not_drive_out_the_others() -> None:
    """An answer that would take more than a sixteenth of the room is given and not remembered."""
    answers = RememberedAnswers(most_bytes=16_000)
    answers.keep("small", bytes(1_000 - COST))
    answers.keep("large", bytes(1_001 - COST))
    assert answers.find("small") is not None
    assert answers.find("large") is None
    assert answers.size == 1_000


def test_what_is_kept_twice_counts_once() -> None:
    """Two who asked at once give the same answer, and it takes its room once."""
    answers = RememberedAnswers()
    answers.keep("a", b"1")
    answers.keep("a", b"1")
    assert (len(answers), answers.size) == (1, 1 + COST)
