"""Findings: what a verification of the ledger saw that must not be, row by row."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

MOST_FINDINGS = 100
"""So many findings are told; the rest are counted."""
KINDS = (
    "account", "account_limit", "account_metadata", "account_closing", "message", "transfer", "transfer_reference", "hold", "sweep", "hold_use", "reversal", "batch", "net_change",
    "sealed_batch", "tile_root", "checkpoint", "balance_snapshot",
)  # fmt: skip
"""Tables in the order in which what is wrong in one can make another look wrong."""
_MOST_KEPT = 8 * MOST_FINDINGS
AT_THE_END = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Finding:
    """One row that does not fit the others."""

    kind: str
    """The table whose row it is."""
    row: str
    """Which row, by everything it can be found by."""
    message: str
    """What is wrong with it, as well as can be told."""
    batch_id: int = AT_THE_END
    """Where in the order it belongs."""
    position: int = -1

    def __str__(self) -> str:
        """Write it in one line."""
        return f"{self.kind}: {self.row}: {self.message}"

    @property
    def order(self) -> tuple[int, int, int]:
        """Return what findings are sorted by: the first one is where to look."""
        return self.batch_id, KINDS.index(self.kind) if self.kind in KINDS else len(KINDS), self.position


@dataclass(frozen=True, slots=True)
class Verification:
    """What was recomputed of a book's ledger, and what did not come out as it is stored."""

    batches: int
    transfers: int
    messages: int
    net_changes: int
    checkpoints: int
    size: int
    """How many transfers the log holds."""
    found: int
    """How many findings there were."""
    findings: tuple[Finding, ...]
    """The first ``MOST_FINDINGS`` of them, in the order of the log."""
    since: int = 0
    """The place in the log from which on it was recomputed."""

    @property
    def ok(self) -> bool:
        """Say whether everything came out as it is stored."""
        return self.found == 0


@dataclass(slots=True)
class Findings:
    """The findings of a verification under way: all counted, those that come first in the order kept."""

    count: int = 0
    kept: list[Finding] = field(default_factory=list)

    def add(self, kind: str, row: str, message: str, *, batch_id: int = AT_THE_END, position: int = -1) -> None:
        """Note a row that does not fit."""
        self.count += 1
        self.kept.append(Finding(kind, row, message, batch_id, position))
        if len(self.kept) > _MOST_KEPT:
            self.kept = list(self.first)

    def add_each(self, at: Sequence[int], finding: Callable[[int], Finding]) -> None:
        """Note many rows, ascending; only of the first ones is it worked out what there is to say."""
        self.count += len(at)
        self.kept += [finding(one) for one in at[:MOST_FINDINGS]]
        if len(self.kept) > _MOST_KEPT:
            self.kept = list(self.first)

    def take(self, other: "Findings") -> None:
        """Take over what another found."""
        self.count += other.count
        self.kept = sorted([*self.kept, *other.kept], key=lambda one: one.order)[:_MOST_KEPT]

    @property
    def first(self) -> tuple[Finding, ...]:
        """Return those that come first."""
        return tuple(sorted(self.kept, key=lambda one: one.order)[:MOST_FINDINGS])


def name_transfer(transfer_id: bytes, batch_id: int, position: int, first_place: int | None) -> str:
    """Name a transfer by all it can be found by; *first_place* is its batch's, None when that is not sealed."""
    return f"transfer {uuid.UUID(bytes=transfer_id)} ({name_position(batch_id, position, first_place)})"


def name_position(batch_id: int, position: int, first_place: int | None) -> str:
    """Name a place in a batch, and in the log."""
    place = "not sealed" if first_place is None else f"place {first_place + position}"
    return f"batch {batch_id}, position {position}, {place}"


def name_batch(batch_id: int, first_place: int | None, transfers: int) -> str:
    """Name a batch, and the places its transfers have in the log."""
    if first_place is None:
        return f"batch {batch_id} (not sealed)"
    return f"batch {batch_id} (places {first_place} to {first_place + transfers - 1})"
