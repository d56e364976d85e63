"""Request a refund: keep what is wanted, and take the money from where it lies, before the provider hears of it."""

import uuid
from dataclasses import dataclass

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
from tallystick.money import MAX_AMOUNT
from tallystick.payments.enter import lock_payments
from tallystick.payments.errors import AccountsUnusable
from tallystick.payments.refunds.accounts import open_unlimited, refunds_account
from tallystick.payments.refunds.errors import TooMuch
from tallystick.payments.refunds.find import find_refund
from tallystick.payments.refunds.limit import left_in_all, left_on_invoice
from tallystick.payments.refunds.model import Refund, TakeFrom
from tallystick.payments.refunds.taken import Taken, find_given_back, find_taken
from tallystick.repayments.dues import enter_to_repay, enter_to_reverse, lock_and_read
from tallystick.repayments.receive import post_rows

_queries = queries_beside(__file__)
_insert_refund = _queries.run("insert_refund")


@dataclass(frozen=True, slots=True)
class NewRefund:
    """Money of a payment to give back."""

    refund_id: uuid.UUID
    payment_id: uuid.UUID
    amount: int | None
    """None: all that can be."""
    take_from: TakeFrom
    reason: str

    @property
    def transfer_id(self) -> uuid.UUID:
        """Return the id of the transfer that takes the money from its source."""
        return id_of_content(("payment.refund", str(self.refund_id)))


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the money is taken from, and how much of it there is."""

    account_id: int
    left: int
    where: str
    """What bounds it, for whoever asked for more."""


async def request_refund(
    connection: Connection, ledger: Ledger, recorded: Recorded, message_hashes: npt.NDArray[np.void], wanted: NewRefund
) -> Refund:
    """
    Keep a refund, and take its money from its source; whoever calls sees to it that the provider is asked.

    Never more than was taken, less what went back and what disputes hold back: also when two ask at once.
    What is taken off the invoice is owed again.

    Raises:
        UnknownPayment, NotSettled, NothingTaken: there is nothing to give back.
        TooMuch: less is left, or less lies where it is to be taken from (``refunds.too_much``).
        AccountsUnusable: an account is closed or limited (``payments.accounts_unusable``).
        OrderLost: another transaction gave it back meanwhile, and is ordered later.
    """
    await lock_payments(connection, recorded.book_id, [wanted.payment_id])
    reopens = wanted.take_from == "invoice"
    place = await (enter_to_reverse if reopens else enter_to_repay)(connection, recorded.book_id)
    taken = await find_taken(connection, recorded.book_id, wanted.payment_id, place)
    (to,) = await open_unlimited(connection, recorded, taken.asset, refunds_account(taken.provider, taken.asset))
    source = await _find_source(connection, ledger, recorded, place, taken, wanted.take_from)
    amount = min(source.left, MAX_AMOUNT) if wanted.amount is None else wanted.amount
    if amount > source.left or not amount:
        raise TooMuch(field="amount", left=source.left, asset=taken.asset, where=source.where)
    try:
        moves = [(wanted.transfer_id, source.account_id, to, amount, Reason.PAYMENT_REFUND)]
        await post_rows(connection, ledger, recorded, message_hashes, moves)
    except GroupFailed as failed:
        codes = f"{refunds_account(taken.provider, taken.asset)}, or the one that the money is taken from,"
        raise AccountsUnusable(account=codes) from failed
    await _insert_refund(
        connection, recorded.book_id, wanted.refund_id, wanted.payment_id, amount, wanted.take_from, source.account_id,
        wanted.reason, wanted.transfer_id, recorded.message_place, recorded.at,
    )  # fmt: skip
    if reopens:
        await note_states(connection, recorded, [taken.invoice_id])
    return await find_refund(connection, recorded.book_id, wanted.refund_id)


async def _find_source(
    connection: Connection, ledger: Ledger, recorded: Recorded, place: Place, taken: Taken, take_from: TakeFrom
) -> _Source:
    """Say where the money is taken from and how much there is, behind the lock of that account."""
    given_back = await find_given_back(connection, recorded.book_id, taken.payment_id, place)
    if take_from == "invoice":
        await lock_and_read(connection, ledger, place, [taken.receivable])
        left = left_on_invoice(taken.on_invoice, given_back)
        return _Source(taken.receivable, left, ", taken off its invoice")
    left = left_in_all(taken.amount, given_back)
    (account,) = await open_unallocated(connection, recorded, [(taken.customer, taken.asset)])
    if taken.credited not in {None, taken.receivable, account}:  # where money lies that found its invoice paid
        return _Source(taken.credited or 0, left, "")
    there = max((await lock_and_read(connection, ledger, place, [], [account])).down[account], 0)
    if there >= left:
        return _Source(account, left, "")
    return _Source(
        account,
        there,
        ": no more lies unallocated for the customer; credit the invoice first, or take it off the invoice",
    )
