"""Run chunks: what a run that invoices does one after another until nothing is left, on which terms, and what it comes to."""

import datetime as dt
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, TypeVar

import msgspec

_Chunk = TypeVar("_Chunk")

Stage = Literal["drafting", "waiting", "issuing"]
Progress = Callable[[Stage, int], None]
"""
Told after each chunk what is being done, and how many customers, subscriptions or invoices are done so far.

While usage is not settled: that it waits, and for how many seconds so far.
"""


def say_nothing(_stage: Stage, _done: int) -> None:
    """Keep progress to oneself."""


class RunTerms(msgspec.Struct, frozen=True, kw_only=True):
    """On which terms a run invoices, and in which chunks."""

    series: str | None = None
    """None: the one that is set for the product or plan."""
    terms_days: int = 30
    draft_chunk: int = 500
    issue_chunk: int = 500
    patience: dt.timedelta = dt.timedelta(seconds=30)
    """How long a chunk waits for transactions that usage was recorded behind."""


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
