"""Reverse: the bank fetched a repayment back; what it had repaid is owed again."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.ids import id_of_content
from tallystick.invoicing.life.note_states import note_states
from tallystick.invoicing.life.unallocated_account import open_unallocated
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.errors import GroupFailed
from tallystick.ledger.model import Reason
from tallystick.ledger.post import Ledger
from tallystick.ledger.read_in_order import Place
from tallystick.repayments.dues import lock_and_read
from tallystick.repayments.errors import AccountUnusable, NotReversible, UnknownRepayment
from tallystick.repayments.model import WALLET, Returned
from tallystick.repayments.receive import post_rows
from tallystick.repayments.refund import find_return, keep_return

_queries = queries_beside(__file__)
_find_repayments = _queries.tuples("find_repayments")
_find_undoable = _queries.tuples("find_undoable")
_insert_undos = _queries.run("insert_undos")


@dataclass(frozen=True, slots=True)
class _Undo:
    """As much of an allocation as is taken off its invoice again."""

    allocation: uuid.UUID
    invoice_id: uuid.UUID
    account_id: int
    amount: int
    return_id: uuid.UUID

    @property
    def transfer_id(self) -> uuid.UUID:
        """Derive the id of the transfer; of an allocation each reversal undoes a part once."""
        return id_of_content(("repayment.undo", str(self.return_id), str(self.allocation)))


async def reverse(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    place: Place,
    repayment_id: uuid.UUID,
    reason: str,
) -> Returned:
    """
    Take a repayment back, once: off the invoices that it repaid, and the rest from what lies unallocated.

    Where its rest does not lie there any more, what was repaid from unallocated money since is undone, the newest first.
    Nothing is erased: what went one way goes the other, and the invoices are open again.

    The transaction must have entered (`enter_to_reverse`).

    Raises:
        UnknownRepayment: there is no such repayment (``repayments.unknown_repayment``).
        NotReversible: it was prepaid credit, or a part of it was given back (``repayments.not_reversible``).
        AccountUnusable: it cannot go back to where it came from (``repayments.account_unusable``).
    """
    return_id = id_of_content(("repayment.reverse", str(repayment_id)))
    if known := await find_return(connection, recorded.book_id, place, return_id):
        return known
    rows = await _find_repayments(connection, recorded.book_id, [repayment_id])
    if not rows:
        raise UnknownRepayment(field="id", repayment=repayment_id)
    (_, customer, asset, amount, channel, _, _, source, *_, customer_id, asset_id, source_id) = rows[0]
    if channel == WALLET:
        raise NotReversible(field="id", why="it was prepaid credit, which no bank fetches back")
    (account,) = await open_unallocated(connection, recorded, [(customer, asset)])
    found = await _find_undoable(connection, recorded.book_id, customer_id, asset_id, repayment_id, place.place)
    undoable = [cast("_Undoable", row) for row in found]
    balances = await lock_and_read(connection, ledger, place, [row[3] for row in undoable], [account])
    undos = _choose(return_id, undoable, amount, balances.down[account])
    moves = [(one.transfer_id, one.account_id, account, one.amount, Reason.REPAYMENT_ALLOCATE) for one in undos]
    moves.append((return_id, account, source_id, amount, Reason.REPAYMENT_REFUND))
    try:
        await post_rows(connection, ledger, recorded, message_hashes, moves)
    except GroupFailed as failed:
        raise AccountUnusable(field="id", account=source) from failed
    await keep_return(
        connection, recorded, return_id, "reversal", customer_id, asset_id, repayment_id, amount, source_id,
        str(repayment_id), reason, return_id,
    )  # fmt: skip
    await _keep_undos(connection, recorded, return_id, undos)
    reopened: dict[uuid.UUID, int] = {}
    for one in undos:
        reopened[one.invoice_id] = reopened.get(one.invoice_id, 0) + one.amount
    await note_states(connection, recorded, sorted(reopened))
    return Returned(
        return_id, "reversal", customer, asset, amount, repayment_id, source, str(repayment_id), reason, return_id,
        dict(sorted(reopened.items())),
    )  # fmt: skip


_Undoable = tuple[uuid.UUID, uuid.UUID | None, uuid.UUID, int, int]
"""An allocation with its repayment, its invoice and the account of that, and how much of it is not undone."""


def _choose(return_id: uuid.UUID, undoable: Sequence[_Undoable], amount: int, there: int) -> list[_Undo]:
    """
    Choose what to undo: all that the repayment itself repaid, and of the rest what does not lie unallocated any more.

    Raises:
        NotReversible: the rest was given back (``repayments.not_reversible``).
    """
    own = [row for row in undoable if row[1] is not None]
    undos = [_undo(return_id, row, row[4]) for row in own]
    missing = amount - sum(one.amount for one in undos) - there
    for row in undoable[len(own) :]:
        if missing <= 0:
            break
        undos.append(_undo(return_id, row, min(missing, row[4])))
        missing -= undos[-1].amount
    if missing > 0:
        raise NotReversible(field="id", why=f"{missing} minor units of it were given back")
    return undos


def _undo(return_id: uuid.UUID, row: _Undoable, amount: int) -> _Undo:
    return _Undo(row[0], row[2], row[3], amount, return_id)


async def _keep_undos(connection: Connection, recorded: Recorded, return_id: uuid.UUID, undos: list[_Undo]) -> None:
    if undos:
        await _insert_undos(
            connection,
            recorded.book_id,
            return_id,
            recorded.message_place,
            recorded.at,
            [one.transfer_id for one in undos],
            [one.allocation for one in undos],
            [one.amount for one in undos],
        )
