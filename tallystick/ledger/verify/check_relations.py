"""Check relations: that holds are used as they may be, and reversals undo what they name."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.findings import Finding, Findings, name_position
from tallystick.ledger.model import ENDS_HOLD, REVERSIBLE, Reason, microseconds
from tallystick.ledger.verify.model import Book, Numbers, Rows, StoredBatch
from tallystick.ledger.verify.read_details import Details, Uses
from tallystick.ledger.verify.read_piece import as_bytes, as_texts, column

_queries = queries_beside(__file__)
_find_related = _queries.tuples("find_related")
_uses_of_holds = _queries.tuples("uses_of_holds")


@dataclass(frozen=True, slots=True)
class _Targets:
    """The transfers that others relate to, in columns beside those; what is said of one that is not there means nothing."""

    there: npt.NDArray[np.bool_]
    debit: Numbers
    credit: Numbers
    asset_id: Numbers
    amount: Numbers
    reason: Numbers
    batch_id: Numbers
    position: Numbers
    expires_at: Numbers


async def check_relations(
    connection: Connection, book: Book, findings: Findings, batches: Sequence[StoredBatch], rows: Rows,
    details: Details,
) -> None:  # fmt: skip
    """Check every use of a hold and every reversal of the piece against what it relates to."""
    if len(details.uses.at):
        await _check_uses(connection, book, findings, batches, rows, details.uses)
    if len(details.reversals.at):
        at = details.reversals.at
        targets = await _find_targets(connection, book, details.reversals.reversed_id)
        tell = _Teller("reversal", findings, batches, rows, at)
        tell(~targets.there, "the transfer it reverses is missing")
        there = targets.there
        tell(there & ~np.isin(targets.reason, REVERSIBLE), "what it reverses is of a kind that cannot be reversed")
        tell(there & (targets.amount != rows.amount[at]), "what it reverses has another amount")
        swapped = (targets.debit == rows.credit[at]) & (targets.credit == rows.debit[at])
        same = swapped & (targets.asset_id == rows.asset_id[at])
        tell(there & ~same, "what it reverses is not between the same accounts")
        tell(there & ~_before(targets, rows, at), "what it reverses is not before it")


async def _check_uses(
    connection: Connection, book: Book, findings: Findings, batches: Sequence[StoredBatch], rows: Rows, uses: Uses
) -> None:
    at = uses.at
    tell = _Teller("hold_use", findings, batches, rows, at)
    tell(uses.amount != rows.amount[at], "it says another amount than its transfer")
    holds = await _find_targets(connection, book, uses.hold_id)
    there = holds.there & (holds.reason == Reason.HOLD)
    tell(~there, "the hold it uses is missing")
    same = (holds.debit == rows.debit[at]) & (holds.credit == rows.credit[at]) & (holds.asset_id == rows.asset_id[at])
    tell(there & ~same, "its hold is not between the same accounts")
    tell(there & ~_before(holds, rows, at), "its hold is not before it")
    recorded = np.array([microseconds(batch.recorded_at) for batch in batches], np.int64)[rows.ordinal[at]]
    reasons = rows.reason[at]
    late = (reasons == Reason.CAPTURE) & (holds.expires_at <= recorded)
    tell(there & late, "it captures of a hold that had expired")
    tell(there & (reasons == Reason.EXPIRE) & (holds.expires_at > recorded), "its hold had not expired yet")
    chain = await _read_chain(connection, book, uses)
    tell(~chain.counted, "it is not numbered behind the uses of its hold before it")
    tell(~chain.ordered, "it is not behind the uses of its hold that have lower numbers")
    tell(chain.after_end, "its hold had ended before")
    left = holds.amount - chain.used_before
    tell(there & (uses.amount > left), "it takes more than was left of its hold")
    ends = np.isin(reasons, ENDS_HOLD) | (uses.amount == left)
    tell(there & (uses.ends != ends), "it says wrongly whether it ends its hold")
    tell(there & np.isin(reasons, ENDS_HOLD) & (uses.amount < left), "it frees less than was left of its hold")


@dataclass(frozen=True, slots=True)
class _Chain:
    """What the uses of a hold before each use come to."""

    counted: npt.NDArray[np.bool_]
    ordered: npt.NDArray[np.bool_]
    after_end: npt.NDArray[np.bool_]
    used_before: Numbers


async def _read_chain(connection: Connection, book: Book, uses: Uses) -> _Chain:
    """Read all uses of the holds that are used in the piece, and find those of the piece among them."""
    found = await _uses_of_holds(connection, book.book_id, as_texts(np.unique(uses.hold_id)))
    holds = as_bytes([row[0] for row in found])
    nth, batch_id, position, amount, ends = (column(found, at) for at in range(1, 6))
    begins = np.ones(len(found), np.bool_)
    begins[1:] = holds[1:] != holds[:-1]
    firsts = np.flatnonzero(begins)
    first = firsts[np.cumsum(begins) - 1]
    summed = np.cumsum(amount)
    used_before = summed - amount - (summed - amount)[first]
    ordered = begins.copy()
    ordered[1:] |= (batch_id[1:] > batch_id[:-1]) | ((batch_id[1:] == batch_id[:-1]) & (position[1:] > position[:-1]))
    after_end = ~begins
    after_end[1:] &= ends[:-1] == 1
    counted = nth == np.arange(len(found)) - first + 1
    keys = {key: at for at, key in enumerate(zip(holds.tolist(), nth.tolist(), strict=True))}
    wanted = zip(uses.hold_id.tolist(), uses.nth.tolist(), strict=True)
    at = np.array([keys[key] for key in wanted], np.intp)
    return _Chain(counted[at], ordered[at], after_end[at], used_before[at])


async def _find_targets(connection: Connection, book: Book, ids: npt.NDArray[np.void]) -> _Targets:
    wanted, inverse = np.unique(ids, return_inverse=True)
    found = await _find_related(connection, book.book_id, as_texts(wanted))
    places = {row[0].bytes: at for at, row in enumerate(found)}
    at = np.array([places.get(bytes(one), -1) for one in wanted.tolist()], np.intp)[inverse]
    nothing = (None, 0, 0, 0, 0, 0, 0, 0, 0)
    columns = [column([*found, nothing], one)[at] for one in range(1, 9)]
    return _Targets(at >= 0, *columns)


def _before(targets: _Targets, rows: Rows, at: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    earlier: npt.NDArray[np.bool_] = (targets.batch_id < rows.batch_id[at]) | (
        (targets.batch_id == rows.batch_id[at]) & (targets.position < rows.position[at])
    )
    return earlier


@dataclass(frozen=True, slots=True)
class _Teller:
    """Says of rows of one table, beside transfers, what is wrong with some of them."""

    table: str
    findings: Findings
    batches: Sequence[StoredBatch]
    rows: Rows
    at: npt.NDArray[np.intp]

    def __call__(self, wrong: npt.NDArray[np.bool_], message: str) -> None:
        def finding(at: int) -> Finding:
            batch = self.batches[self.rows.ordinal[at]]
            position = int(self.rows.position[at])
            row = f"{self.table} ({name_position(batch.batch_id, position, batch.first_place)})"
            return Finding(self.table, row, message, batch.batch_id, position)

        self.findings.add_each(self.at[wrong].tolist(), finding)
