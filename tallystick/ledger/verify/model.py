"""Pieces of a ledger, what is stored of one, and what came of checking it."""

import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tallystick.ledger.findings import Findings
from tallystick.ledger.log.note import Verifier
from tallystick.ledger.log.tree import Frontier
from tallystick.ledger.sum_changes import HELD

SLOTS = 2 * HELD
"""What a page counts: what is posted on each of its accounts, and what is held."""
FIRST, LAST = -(2**63), 2**63 - 1

Progress = Callable[[int, int], None]
"""Told how many transfers are done, and how many there are."""
Numbers = npt.NDArray[np.int64]
Exact = npt.NDArray[Any]
"""Sums: 64 bits where that is surely enough, numbers of any size otherwise."""
Extents = dict[str, list[tuple[int, int, int]]]
"""By table, of each run of its blocks in order: the first block, and the lowest and highest batch that has a row there."""


class Piece(NamedTuple):
    """The batches behind one up to another, with what the batches before them come to by their own words."""

    number: int
    before: int
    last: int
    size: int
    """How many leaves are before it."""
    settled_at: dt.datetime | None
    """The latest instant that a sealed batch before it was recorded at; None where there is none."""
    unsealed: bool
    """Whether a batch before it is not sealed, so that none from there on may be."""
    done: int
    """How many transfers there are up to its end."""


class TrustedKey(NamedTuple):
    """A public key that the asker trusts, and under which checkpoints its signature counts: from a size on, up to one."""

    verifier: Verifier
    after_size: int
    last_size: int


@dataclass(frozen=True, slots=True)
class Book:
    """What a verification is of, and whose signatures count."""

    book_id: int
    name: str
    origin: str
    keys: tuple[TrustedKey, ...]
    extents: Extents
    accounts: int
    """The highest id; they begin at 1 and have no gaps, and one that were far beyond their number would not count."""

    def verifiers(self, size: int) -> list[Verifier]:
        """Return the keys whose signature counts under a checkpoint of *size*."""
        return [key.verifier for key in self.keys if key.after_size < size <= key.last_size]


class StoredBatch(NamedTuple):
    """A batch as it is stored, with its place in the log if it is sealed."""

    batch_id: int
    transfers: int
    recorded_at: dt.datetime
    leaf_hashes: bytes
    pages: bytes
    first_place: int | None
    sealed: int | None
    settled_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Rows:
    """Transfers as they are stored, in columns, in order of batch and position."""

    batch_id: Numbers
    position: Numbers
    debit: Numbers
    credit: Numbers
    amount: Numbers
    effective_at: Numbers
    transfer_id: npt.NDArray[np.void]
    asset_id: Numbers
    message_place: Numbers
    reason: Numbers
    ordinal: npt.NDArray[np.intp]
    """Which of the piece's batches each belongs to."""

    def __len__(self) -> int:
        """Count the transfers."""
        return len(self.batch_id)


@dataclass(frozen=True, slots=True)
class Claims:
    """Snapshots of a piece: what each says less what the piece adds up to it, so what there must have been before."""

    pages: Numbers
    batch_ids: Numbers
    stored: Exact
    """By snapshot, slot, and debits or credits."""
    added: Exact


@dataclass(frozen=True, slots=True)
class Slack:
    """
    How near a piece brings limited accounts to their limits, given that each begins with nothing.

    With what an account begins with added, neither may be negative.
    """

    accounts: Numbers
    down: Exact
    up: Exact


@dataclass(slots=True)
class Checked:
    """What came of checking a piece by itself; what depends on the pieces before it is put together afterwards."""

    piece: Piece
    findings: Findings = field(default_factory=Findings)
    batches: int = 0
    transfers: int = 0
    messages: int = 0
    net_changes: int = 0
    checkpoints: int = 0
    begun_with: tuple[int, bytes] | None = None
    """Size and root of the tree that it went on from; None where what is stored gives none."""
    frontier: Frontier = field(default_factory=Frontier)
    """The tree at its end."""
    places: Numbers = field(default_factory=lambda: np.empty(0, np.int64))
    """What it changed: page and slot as one number, ascending; beside them what was debited and credited."""
    debits: Exact = field(default_factory=lambda: np.empty(0, np.int64))
    credits: Exact = field(default_factory=lambda: np.empty(0, np.int64))
    claims: Claims | None = None
    slack: Slack | None = None


Checker = Callable[[Piece], Awaitable[Checked]]
"""Checks a piece, wherever it does so."""
