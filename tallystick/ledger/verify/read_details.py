"""Read details: what only some transfers of a piece have, put beside them; and what belongs to none of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.findings import Finding, Findings, name_position
from tallystick.ledger.model import USES_HOLD, Reason
from tallystick.ledger.verify.model import Book, Numbers, Piece, Rows, StoredBatch
from tallystick.ledger.verify.read_piece import as_bytes, column

_queries = queries_beside(__file__)
_references_between = _queries.tuples("references_between")
_holds_between = _queries.tuples("holds_between")
_sweeps_between = _queries.tuples("sweeps_between")
_uses_between = _queries.tuples("uses_between")
_reversals_between = _queries.tuples("reversals_between")


@dataclass(frozen=True, slots=True)
class Uses:
    """Rows of hold_use that belong to transfers: which of the piece's transfer, and what the row says."""

    at: npt.NDArray[np.intp]
    hold_id: npt.NDArray[np.void]
    nth: Numbers
    amount: Numbers
    ends: Numbers


@dataclass(frozen=True, slots=True)
class Reversals:
    """Rows of reversal that belong to transfers."""

    at: npt.NDArray[np.intp]
    reversed_id: npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Details:
    """What is kept beside the transfers of a piece, in columns beside theirs."""

    whole: npt.NDArray[np.bool_]
    """Whether each has beside it what one of its reason must have."""
    related: npt.NDArray[np.void]
    expires_at: Numbers
    asked: Numbers
    references: dict[int, str]
    """By which transfer of the piece."""
    uses: Uses
    reversals: Reversals


async def read_details(
    connection: Connection, book: Book, piece: Piece, findings: Findings, batches: Sequence[StoredBatch], rows: Rows
) -> Details:
    """Read what is kept beside transfers, and name the rows that are missing or belong to no transfer."""
    bounds = book.book_id, piece.before, piece.last
    count = len(rows)
    beside = _Beside(findings, batches, rows, np.ones(count, np.bool_))
    related, expires_at, asked = np.zeros(count, "V16"), np.zeros(count, np.int64), np.zeros(count, np.int64)
    found = await _references_between(connection, *bounds)
    at, kept = beside.place("transfer_reference", found, None)
    references = dict(zip(at.tolist(), [row[2] for row in kept], strict=True))
    at, kept = beside.place("hold", await _holds_between(connection, *bounds), (Reason.HOLD,))
    expires_at[at] = column(kept, 2)
    at, kept = beside.place("sweep", await _sweeps_between(connection, *bounds), (Reason.SWEEP,))
    asked[at] = column(kept, 2)
    at, kept = beside.place("hold_use", await _uses_between(connection, *bounds), USES_HOLD)
    uses = Uses(at, as_bytes([row[2] for row in kept]), column(kept, 3), column(kept, 4), column(kept, 6))
    related[at], asked[at] = uses.hold_id, column(kept, 5)
    at, kept = beside.place("reversal", await _reversals_between(connection, *bounds), (Reason.REVERSAL,))
    reversals = Reversals(at, as_bytes([row[2] for row in kept]))
    related[at] = reversals.reversed_id
    return Details(beside.whole, related, expires_at, asked, references, uses, reversals)


@dataclass(frozen=True, slots=True)
class _Beside:
    """Puts rows beside the transfers they belong to."""

    findings: Findings
    batches: Sequence[StoredBatch]
    rows: Rows
    whole: npt.NDArray[np.bool_]

    def place(
        self, table: str, found: Sequence[tuple[Any, ...]], reasons: Sequence[Reason] | None
    ) -> tuple[npt.NDArray[np.intp], list[tuple[Any, ...]]]:
        """
        Return which transfer each row belongs to, in order of them, and those rows.

        Each transfer of *reasons* must have one and no other may; with None, any may.
        """
        rows = self.rows
        wanted = np.zeros(len(rows), np.bool_) if reasons is None else np.isin(rows.reason, reasons)
        if not found and not wanted.any():
            return np.empty(0, np.intp), []
        at, belongs = self._find(column(found, 0), column(found, 1))
        if reasons is not None and len(rows):
            belongs &= wanted[at]
        twice = np.zeros(len(found), np.bool_)
        twice[belongs] = _repeated(at[belongs])
        belongs &= ~twice
        missing = wanted.copy()
        missing[at[belongs]] = False
        self.whole[missing] = False
        self._tell(table, found, np.flatnonzero(~belongs), np.flatnonzero(missing))
        chosen = np.flatnonzero(belongs)
        chosen = chosen[np.argsort(at[chosen], kind="stable")]
        return at[chosen], [found[one] for one in chosen.tolist()]

    def _find(self, batch_ids: Numbers, positions: Numbers) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
        rows = self.rows
        if not len(rows):
            return np.zeros(len(batch_ids), np.intp), np.zeros(len(batch_ids), np.bool_)
        ids = np.array([batch.batch_id for batch in self.batches], np.int64)
        ordinal = np.searchsorted(ids, batch_ids)
        keys = rows.ordinal << 16 | rows.position
        at = np.minimum(np.searchsorted(keys, ordinal << 16 | positions), len(rows) - 1)
        return at, (rows.batch_id[at] == batch_ids) & (rows.position[at] == positions)

    def _tell(
        self, table: str, found: Sequence[tuple[Any, ...]], stray: npt.NDArray[np.intp], missing: npt.NDArray[np.intp]
    ) -> None:
        def belongs_nowhere(one: int) -> Finding:
            batch_id, position = found[one][:2]
            row = f"{table} ({self._name(batch_id, position)})"
            return Finding(table, row, "it belongs to no transfer of its kind", batch_id, position)

        def lacks(at: int) -> Finding:
            batch_id, position = int(self.rows.batch_id[at]), int(self.rows.position[at])
            row = f"{table} ({self._name(batch_id, position)})"
            return Finding(table, row, "it is missing, and its transfer is there", batch_id, position)

        self.findings.add_each(stray.tolist(), belongs_nowhere)
        self.findings.add_each(missing.tolist(), lacks)

    def _name(self, batch_id: int, position: int) -> str:
        first_place = next((batch.first_place for batch in self.batches if batch.batch_id == batch_id), None)
        return name_position(batch_id, position, first_place)


def _repeated(values: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Say of each value whether it stood before already."""
    repeated = np.ones(len(values), np.bool_)
    repeated[np.unique(values, return_index=True)[1]] = False
    return repeated
