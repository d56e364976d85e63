"""Refund: give back what lies unallocated to the customer whose it is."""

import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.db.retry import OrderLost
from tallystick.ids import id_of_content
from tallystick.invoicing.life.unallocated_account import open_unallocated
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.errors import GroupFailed
from tallystick.ledger.model import Asset, Reason
from tallystick.ledger.post import Ledger
from tallystick.ledger.read_in_order import Place
from tallystick.money import MAX_AMOUNT
from tallystick.notify.tell import Told, tell
from tallystick.repayments.dues import lock_and_read, require_earlier
from tallystick.repayments.errors import AccountUnusable, NotEnough, ReferenceReused
from tallystick.repayments.find import require_account
from tallystick.repayments.model import Returned
from tallystick.repayments.receive import post_rows

_queries = queries_beside(__file__)
_insert_return = _queries.run("insert_return")
_find_return = _queries.tuples("find_return")
_find_reopened = _queries.tuples("find_reopened")


@dataclass(frozen=True, slots=True)
class NewRefund:
    """Money to give back."""

    customer_id: int
    customer: str
    asset: Asset
    amount: int | None
    """None: all that lies unallocated, or as much of it as one transfer moves."""
    to_account: str
    reference: str
    """Each is refunded once."""
    reason: str

    @property
    def id(self) -> uuid.UUID:
        """Return the id of the refund that it is."""
        return id_of_content(("repayment.refund", self.reference))


async def refund(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    place: Place,
    wanted: NewRefund,
) -> Returned:
    """
    Give back unallocated money, once under its reference.

    The transaction must have entered (`enter_to_repay`).

    Raises:
        NotEnough: less lies unallocated, or nothing (``repayments.not_enough``).
        AccountUnusable: it cannot go to that account (``repayments.account_unusable``).
        ReferenceReused: the reference is another refund's (``repayments.reference_reused``).
    """
    if known := await find_return(connection, recorded.book_id, place, wanted.id):
        _require_same(wanted, known)
        return known
    to = await require_account(connection, recorded.book_id, wanted.to_account, wanted.asset.code, "to_account")
    (account,) = await open_unallocated(connection, recorded, [(wanted.customer, wanted.asset.code)])
    there = max((await lock_and_read(connection, ledger, place, [], [account])).down[account], 0)
    amount = min(there, MAX_AMOUNT) if wanted.amount is None else wanted.amount
    if amount > there or not amount:
        if await find_return(connection, recorded.book_id, place, wanted.id):
            raise OrderLost  # the same was done since it was looked for: run again, it finds that
        raise NotEnough(field="amount", left=there, asset=wanted.asset.code)
    rows = [(wanted.id, account, to, amount, Reason.REPAYMENT_REFUND)]
    try:
        await post_rows(connection, ledger, recorded, message_hashes, rows)
    except GroupFailed as failed:
        raise AccountUnusable(field="to_account", account=wanted.to_account) from failed
    await keep_return(
        connection, recorded, wanted.id, "refund", wanted.customer_id, wanted.asset.asset_id, None, amount, to,
        wanted.reference, wanted.reason, wanted.id,
    )  # fmt: skip
    await tell(connection, recorded, [_told(wanted, amount)])
    return Returned(
        wanted.id, "refund", wanted.customer, wanted.asset.code, amount, None, wanted.to_account, wanted.reference,
        wanted.reason, wanted.id, {},
    )  # fmt: skip


def _told(wanted: NewRefund, amount: int) -> Told:
    return Told(
        "repayment.refunded",
        f"customer/{wanted.customer}",
        {
            "refund_id": wanted.id,
            "customer": wanted.customer,
            "asset": wanted.asset.code,
            "amount": amount,
            "to_account": wanted.to_account,
            "reference": wanted.reference,
            "reason": wanted.reason,
        },
    )


async def keep_return(connection: Connection, recorded: Recorded, *columns: Any) -> None:  # noqa: ANN401 - each column has its own type, as the query names them
    """Append that money went back."""
    await _insert_return(connection, recorded.book_id, *columns, recorded.message_place, recorded.at)


async def find_return(connection: Connection, book_id: int, place: Place, return_id: uuid.UUID) -> Returned | None:
    """
    Return what went back under an id, None if nothing did.

    Raises:
        OrderLost: it did by a transaction that is ordered later.
    """
    rows = await _find_return(connection, book_id, return_id)
    if not rows:
        return None
    _, kind, customer, asset, amount, repayment, to_account, reference, reason, transfer_id, transaction_id = rows[0]
    require_earlier(transaction_id, place)
    reopened = await _find_reopened(connection, book_id, return_id)
    return Returned(
        return_id, kind, customer, asset, amount, repayment, to_account,
        reference, reason, transfer_id,
        dict(reopened),
    )  # fmt: skip


def _require_same(wanted: NewRefund, known: Returned) -> None:
    said = {"customer": wanted.customer, "asset": wanted.asset.code, "amount": wanted.amount,
            "to_account": wanted.to_account}  # fmt: skip
    for name, value in said.items():
        if value is not None and value != getattr(known, name):
            raise ReferenceReused(field=name)
