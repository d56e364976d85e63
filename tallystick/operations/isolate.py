"""Isolate: a chunk that fails is made smaller until whoever makes it fail stands alone, and the others go on."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import asyncpg

from tallystick.errors import TallystickError
from tallystick.operations.run import KEPT_KINDS

_One = TypeVar("_One")
_Done = TypeVar("_Done")


class LeftOut(NamedTuple):
    """Why one was left out."""

    code: str
    message: str


async def isolate(
    do: Callable[[Sequence[_One]], Awaitable[_Done]], chunk: Sequence[_One]
) -> tuple[list[_Done], list[tuple[_One, LeftOut]]]:
    """
    Do a chunk as one; where that fails, do its halves, and so on: return what was done, and who was left out and why.

    As long as nobody fails it is done in one go. *do* must be all or nothing.

    Raises:
        TallystickError: the store is away, or has no room: nobody in the chunk is to blame, and it helps to run again.
    """
    try:
        return [await do(chunk)], []
    except (TallystickError, asyncpg.PostgresError) as error:
        why = _why(error)
    if len(chunk) == 1:
        return [], [(chunk[0], why)]
    middle = len(chunk) // 2
    done, left_out = await isolate(do, chunk[:middle])
    more_done, more_left_out = await isolate(do, chunk[middle:])
    return done + more_done, left_out + more_left_out


@dataclass(slots=True)
class Pace:
    """
    How many are done at once: *most*, until one fails; behind it one, then two, and so on up to *most* again.

    So whoever does not fail is still done many at once, and where all fail each is tried about once.
    """

    most: int
    errors: tuple[type[TallystickError], ...]
    """What counts as failing, beside what the store refuses; all else is let through."""
    size: int = field(init=False)

    def __post_init__(self) -> None:
        """Begin with the most."""
        self.size = self.most

    async def do_some(self, do: Callable[[int], Awaitable[_Done]]) -> _Done | LeftOut:
        """
        Do the next few, as many as can be done; where not even the very next one can, say why.

        *do* must be all or nothing.
        """
        while True:
            try:
                done = await do(self.size)
            except (TallystickError, asyncpg.PostgresError) as error:
                if isinstance(error, TallystickError) and not isinstance(error, self.errors):
                    raise
                why = _why(error)
            else:
                self.size = min(2 * self.size, self.most)
                return done
            if self.size == 1:
                return why
            self.size //= 2


def _why(error: TallystickError | asyncpg.PostgresError) -> LeftOut:
    """Say why it failed; what is nobody's fault in the chunk is let through."""
    if isinstance(error, TallystickError):
        if error.kind not in KEPT_KINDS:
            raise error
        return LeftOut(error.code, error.message)
    return LeftOut("internal", f"the store refused it: {error}")
