"""Place what lies unallocated on the invoices that came since, or by another policy."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection
from tallystick.ids import id_of_content
from tallystick.invoicing.life.note_states import note_states
from tallystick.invoicing.life.unallocated_account import open_unallocated
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.model import Asset, Reason
from tallystick.ledger.post import Ledger
from tallystick.ledger.read_in_order import Place
from tallystick.repayments.allocate import allocate
from tallystick.repayments.dues import find_dues, lock_and_read
from tallystick.repayments.errors import NotEnough
from tallystick.repayments.model import Allocated, Allocation, PolicyInForce
from tallystick.repayments.policies import find_policies
from tallystick.repayments.receive import keep_allocations, post_rows, require_owned


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a customer's unallocated money to place, and on what."""

    customer_id: int
    customer: str
    asset: Asset
    amount: int | None
    """None: all of it."""
    policy: PolicyInForce | None
    invoices: Sequence[uuid.UUID] | None
    """The only ones that may get something; None: all that are due."""


async def place_unallocated(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    place: Place,
    wanted: Wanted,
) -> Allocated:
    """
    Repay invoices with what lies unallocated; what none takes goes on lying there.

    Where nothing is placed, how much lies there is left out. Who draws on the account in a transaction that is ordered
    before, and comes to its lock later, finds no trace of a look at it: that answer could not be found again.

    The transaction must have entered (`enter_to_repay`).

    Raises:
        NotEnough: there is less than is to be placed (``repayments.not_enough``).
        NotRepayable: an invoice is not the customer's, or of another asset (``repayments.not_repayable``).
        OrderLost: another transaction took of the same meanwhile, and is ordered later.
    """
    book_id, purse = recorded.book_id, (wanted.customer_id, wanted.asset.asset_id)
    policies = await find_policies(connection, book_id, [wanted.customer_id], place.place)
    policy = wanted.policy or policies[wanted.customer_id]
    dues = (await find_dues(connection, book_id, [purse], place.place))[purse]
    await require_owned(connection, recorded.book_id, purse, wanted.invoices or (), place.place)
    (unallocated,) = await open_unallocated(connection, recorded, [(wanted.customer, wanted.asset.code)])
    balances = await lock_and_read(connection, ledger, place, [one.account_id for one in dues], [unallocated])
    there = max(balances.down[unallocated], 0)  # less is seen by a rebuild that leaves out what came beside it
    amount = there if wanted.amount is None else wanted.amount
    if amount > there:
        raise NotEnough(field="amount", left=there, asset=wanted.asset.code)
    own = [one for one in dues if wanted.invoices is None or one.invoice_id in set(wanted.invoices)]
    placed = allocate(amount, [one.owing(balances.outstanding(one.account_id)) for one in own], policy.policy)
    accounts = {one.invoice_id: one.account_id for one in own}
    named = str(place.place), str(recorded.message_place)
    moves = [(id_of_content(("repayment.allocate", *named, str(one.invoice))), one) for one in placed]
    await post_rows(
        connection, ledger, recorded, message_hashes,
        [(id_, unallocated, accounts[one.invoice], one.amount, Reason.REPAYMENT_ALLOCATE) for id_, one in moves],
    )  # fmt: skip
    await keep_allocations(connection, recorded, [(id_, None, wanted.customer_id, one) for id_, one in moves])
    await note_states(connection, recorded, [one.invoice for one in placed])
    return Allocated(
        wanted.customer,
        wanted.asset.code,
        policy.policy,
        [Allocation(one.invoice, one.amount, one.why, id_) for id_, one in moves],
        there - sum(one.amount for one in placed) if placed else None,
    )
