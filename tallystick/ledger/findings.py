"""Findings: what a verification of the ledger saw that must not be, row by row."""

import uuid
from dataclasses import dataclass, field

MOST_FINDINGS = 100
"""So many findings are told; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One row that does not fit the others."""

    kind: str
    """The table whose row it is."""
    row: str
    """Which row, by everything it can be found by."""
    message: str
    """What is wrong with it, as well as can be told."""

    def __str__(self) -> str:
        """Write it in one line."""
        return f"{self.kind}: {self.row}: {self.message}"


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
    """The first ``MOST_FINDINGS`` of them."""

    @property
    def ok(self) -> bool:
        """Say whether everything came out as it is stored."""
        return self.found == 0


@dataclass(slots=True)
class Findings:
    """The findings of a verification under way."""

    count: int = 0
    first: list[Finding] = field(default_factory=list)

    def add(self, kind: str, row: str, message: str) -> None:
        """Note a row that does not fit."""
        self.count += 1
        if len(self.first) < MOST_FINDINGS:
            self.first.append(Finding(kind, row, message))


def name_transfer(transfer_id: bytes, batch_id: int, position: int, first_place: int | None) -> str:
    """Name a transfer by all it can be found by; *first_place* is its batch's, None when that is not sealed."""
    place = "not sealed" if first_place is None else f"place {first_place + position}"
    return f"transfer {uuid.UUID(bytes=transfer_id)} (batch {batch_id}, position {position}, {place})"


def name_batch(batch_id: int, first_place: int | None, transfers: int) -> str:
    """Name a batch, and the places its transfers have in the log."""
    if first_place is None:
        return f"batch {batch_id} (not sealed)"
    return f"batch {batch_id} (places {first_place} to {first_place + transfers - 1})"
