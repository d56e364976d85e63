"""Run chunks: what a run does one after another until nothing is left, and what its issues come to together."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

_Chunk = TypeVar("_Chunk")


async def run_chunks(
    do: Callable[[_Chunk | None], Awaitable[_Chunk]],
    more: Callable[[_Chunk], bool],
    tell: Callable[[Sequence[_Chunk]], None],
) -> list[_Chunk]:
    """
    Do chunk after chunk and return what became of each.

    *do* is given the chunk before, *tell* is told all of them after each one, and *more* says whether one is behind.
    """
    chunks: list[_Chunk] = []
    while not chunks or more(chunks[-1]):
        chunks.append(await do(chunks[-1] if chunks else None))
        tell(chunks)
    return chunks


class IssuedChunk(Protocol):
    """What became of a chunk of drafts that were issued."""

    @property
    def issued(self) -> int:
        """Return how many invoices were issued."""

    @property
    def totals(self) -> Mapping[str, int]:
        """Return what they come to, in minor units by asset."""

    @property
    def first_number(self) -> str | None:
        """Return the first number; None where none was issued."""

    @property
    def last_number(self) -> str | None:
        """Return the last number; None where none was issued."""


class IssuedTogether(NamedTuple):
    """What all chunks of a run come to."""

    issued: int
    totals: dict[str, int]
    first_number: str | None
    last_number: str | None


def together(chunks: Sequence[IssuedChunk]) -> IssuedTogether:
    """Add up what was issued chunk by chunk."""
    totals: Counter[str] = Counter()
    for chunk in chunks:
        totals.update(chunk.totals)
    numbered = [chunk for chunk in chunks if chunk.issued]
    return IssuedTogether(
        sum(chunk.issued for chunk in chunks),
        dict(totals),
        numbered[0].first_number if numbered else None,
        numbered[-1].last_number if numbered else None,
    )
