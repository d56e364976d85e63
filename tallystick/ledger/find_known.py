"""Find known: the transfers of a batch whose ids the ledger has already, and whether they are the same."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.judge_in_order import COMPARED, differing_reason, differing_relation, expiry_of, reference_of
from tallystick.ledger.model import NEVER, RELATES, Batch, Outcomes, Reason, Status

_queries = queries_beside(__file__)
_ASKING = (Reason.SWEEP, Reason.CAPTURE)


class Known(NamedTuple):
    """A transfer that is in the ledger, as far as it is compared."""

    ordinal: int
    debit_account_id: int
    credit_account_id: int
    amount: int
    asset_id: int
    reason: int
    effective_at: int
    batch_id: int
    position: int


class _Details(NamedTuple):
    """What only some of them have."""

    ordinal: int
    expires_at: int | None
    asked: int | None
    reference: str | None
    relates: bool


_find_known_transfers = _queries.rows("find_known_transfers", Known)
_find_known_details = _queries.rows("find_known_details", _Details)


def split_ids(ids: npt.NDArray[np.void]) -> list[str]:
    """Write ids of 16 bytes each as a parameter of a query."""
    text = ids.tobytes().hex()
    return [text[start : start + 32] for start in range(0, len(text), 32)]


async def find_known(connection: Connection, book_id: int, batch: Batch) -> list[Known]:
    """Return those transfers of the ledger whose ids the batch has, in the batch's order."""
    return await _find_known_transfers(connection, book_id, split_ids(batch.rows["transfer_id"]))


async def note_known(
    connection: Connection, book_id: int, batch: Batch, outcomes: Outcomes, rows: Sequence[Known]
) -> int:
    """
    Give the transfers whose ids are in the ledger their status and first amount, and return how many there are.

    That comes before any other judgement. One that differs from the first has the field noted in which it does.
    """
    if not rows:
        return 0
    places = [row.ordinal - 1 for row in rows]
    related = np.zeros(len(rows), "V16") if batch.related is None else batch.related[np.array(places)]
    details = await _find_known_details(
        connection, book_id, [row.batch_id for row in rows], [row.position for row in rows], split_ids(related)
    )
    for row, more in zip(rows, details, strict=True):
        at = row.ordinal - 1
        differs = _compare(batch, at, row, more)
        outcomes.statuses[at] = Status.KNOWN if differs is None else Status.ID_CONFLICT
        if differs is None:
            outcomes.amounts[at] = row.amount
        else:
            outcomes.differs[at] = differs
    return len(rows)


def _compare(batch: Batch, at: int, known: Known, more: _Details) -> str | None:
    """Return the first field in which a transfer differs from the one that has its id, None when it is the same."""
    reason = int(batch.rows["reason"][at])
    if reason != known.reason:
        return differing_reason(reason, known.reason)
    if (relation := differing_relation(batch, at)) is not None and not more.relates:
        return relation
    for field, column in COMPARED.items():
        if int(batch.rows[column][at]) != getattr(known, column):
            return field
    said = more.asked if reason in _ASKING else known.amount
    if (reason not in RELATES or reason in _ASKING) and int(batch.rows["amount"][at]) != said:
        return "amount"
    if expiry_of(batch, at) != (NEVER if more.expires_at is None else more.expires_at):
        return "expires_at"
    return "reference" if reference_of(batch, at) != (more.reference or "") else None
