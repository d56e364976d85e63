"""A chunk that fails is made smaller, and grows again behind whoever made it fail."""

from tallystick.ledger.errors import GroupFailed
from tallystick.operations.isolate import LeftOut, Pace


async def do_all(failing: set[int], count: int, most: int) -> tuple[list[int], list[int], list[int]]:
    """Do so many; return who was done, who was left out, and how many were tried at once each time."""
    pace = Pace(most, (GroupFailed,))
    done: list[int] = []
    left_out: list[int] = []
    tried: list[int] = []
    place = 0

    async def do(size: int) -> list[int]:
        tried.append(size)
        chunk = list(range(place, min(place + size, count)))
        if failing & set(chunk):
            raise GroupFailed(item=0, status="closed")
        return chunk

    while place < count:
        made = await pace.do_some(do)
        if isinstance(made, LeftOut):
            left_out.append(place)
            place += 1
        else:
            done += made
            place += len(made)
    return done, left_out, tried


async def test_where_nobody_fails_all_are_done_at_once() -> None:
    """As many as may be."""
    assert await do_all(set(), 1_000, 500) == (list(range(1_000)), [], [500, 500])


async def test_who_fails_is_left_out_and_the_chunks_grow_again() -> None:
    """Everybody else is done, in order, and soon many at once again."""
    done, left_out, tried = await do_all({0, 700}, 2_000, 500)
    assert (done, left_out) == ([one for one in range(2_000) if one not in {0, 700}], [0, 700])
    assert tried[-1] > 100
    assert len(tried) < 50


async def test_where_all_fail_each_is_tried_about_once() -> None:
    """A run over everybody ends, whatever stands in its way."""
    done, left_out, tried = await do_all(set(range(1_000)), 1_000, 500)
    assert (done, left_out) == ([], list(range(1_000)))
    assert sum(tried) < 2_100
