"""Repay from the wallet: prepaid credit pays invoices that are due, as a channel of its own."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.db.retry import OrderLost
from tallystick.ids import id_of_content
from tallystick.invoicing.life.note_states import note_states
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.model import Asset
from tallystick.ledger.post import Ledger
from tallystick.ledger.read_in_order import Place
from tallystick.notify.tell import tell
from tallystick.repayments.allocate import Due, Placed, allocate
from tallystick.repayments.dues import find_dues, lock_and_read, require_earlier
from tallystick.repayments.errors import NothingToRepay, ReferenceReused
from tallystick.repayments.find import find_repayments
from tallystick.repayments.model import WALLET, PolicyInForce, Repayment, repayment_id_of
from tallystick.repayments.policies import find_policies, write_policy
from tallystick.repayments.policy import Policy
from tallystick.repayments.receive import keep_allocations, require_owned, told_of
from tallystick.wallets.allocate import Wallets
from tallystick.wallets.draw import enter_to_spend, find_wallets
from tallystick.wallets.model import Draw
from tallystick.wallets.repay import DrawFor, repay

_queries = queries_beside(__file__)
_find_by_reference = _queries.tuples("find_by_reference")
_insert_repayments = _queries.run("insert_repayments")


@dataclass(frozen=True, slots=True)
class FromWallet:
    """Prepaid credit that is to repay invoices."""

    customer_id: int
    customer: str
    asset: Asset
    amount: int | None
    """The most that is taken; None: as much as there is, and is due."""
    reference: str
    policy: PolicyInForce | None
    invoices: Sequence[uuid.UUID] | None
    """The only ones that may get something; None: all that are due."""

    @property
    def id(self) -> uuid.UUID:
        """Return the id of the repayment that it is."""
        return repayment_id_of(WALLET, self.reference)


async def repay_from_wallet(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    place: Place,
    wanted: FromWallet,
) -> Repayment:
    """
    Take prepaid credit for invoices that are due, once under its reference; no more than they need.

    Credit is spent in its order, and only on what it may be spent on. What is bound to charges pays at issue alone.
    The transaction must have entered (`enter_to_repay`).

    Raises:
        NothingToRepay: nothing is due, or there is no credit for it (``repayments.nothing_to_repay``).
        ReferenceReused: the reference is another repayment's (``repayments.reference_reused``).
        NotRepayable: an invoice is not the customer's, or of another asset (``repayments.not_repayable``).
        OrderLost: another transaction took of the same meanwhile, and is ordered later.
    """
    if found := await _find_by_reference(connection, recorded.book_id, [WALLET], [wanted.reference]):
        require_earlier(found[0][1], place)
        (known,) = await find_repayments(connection, recorded.book_id, [wanted.id])
        _require_same(wanted, known)
        return known
    await enter_to_spend(connection, recorded.book_id)
    purse = (wanted.customer_id, wanted.asset.asset_id)
    policies = await find_policies(connection, recorded.book_id, [wanted.customer_id], place.place)
    policy = (wanted.policy or policies[wanted.customer_id]).policy
    dues = (await find_dues(connection, recorded.book_id, [purse], place.place))[purse]
    await require_owned(connection, recorded.book_id, purse, wanted.invoices or (), place.place)
    balances = await lock_and_read(connection, ledger, place, [one.account_id for one in dues])
    own = [one for one in dues if wanted.invoices is None or one.invoice_id in set(wanted.invoices)]
    owing = [one.owing(balances.outstanding(one.account_id)) for one in own]
    wallets = await find_wallets(connection, recorded, [wanted.customer_id])
    drawn = draw_for(wallets, wanted, owing, policy)
    if not drawn:
        if await _find_by_reference(connection, recorded.book_id, [WALLET], [wanted.reference]):
            raise OrderLost  # the same was done since it was looked for: run again, it finds that
        raise NothingToRepay(field="amount")
    accounts = {one.invoice_id: one.account_id for one in own}
    draws = _draws(wanted.id, drawn, accounts)
    await repay(connection, ledger, recorded, message_hashes, [one for _, one in draws])
    await _keep(connection, recorded, wanted, policy, draws)
    await note_states(connection, recorded, [one.invoice for one, _ in drawn])
    (made,) = await find_repayments(connection, recorded.book_id, [wanted.id])
    await tell(connection, recorded, [told_of(made)])
    return made


def draw_for(
    wallets: Wallets, wanted: FromWallet, owing: Sequence[Due], policy: Policy
) -> list[tuple[Placed, list[Draw]]]:
    """
    Return what credit pays which invoice: as the policy says, as far as there is credit that may be spent on it.

    What one invoice could not be paid, since no credit may be spent on its product, is placed on the others.
    """
    found: dict[uuid.UUID, tuple[Placed, list[Draw]]] = {}
    waiting = {one.invoice_id: one for one in owing if one.outstanding}
    available = sum(one.outstanding for one in owing) if wanted.amount is None else wanted.amount
    while waiting and available:
        for placed in allocate(available, waiting.values(), policy):
            grants = wallets.of(wanted.customer_id, wanted.asset.asset_id, placed.product)
            draws = wallets.pay(grants, placed.amount, {})
            paid = sum(draw.amount for draw in draws)
            available -= paid
            due = waiting.pop(placed.invoice)
            if paid == placed.amount < due.outstanding:
                waiting[placed.invoice] = due._replace(outstanding=due.outstanding - paid)
            if paid:
                _add(found, placed, draws, paid)
    return list(found.values())


def _add(found: dict[uuid.UUID, tuple[Placed, list[Draw]]], placed: Placed, draws: list[Draw], paid: int) -> None:
    before, earlier = found.get(placed.invoice, (None, []))
    why = placed.why if paid == placed.amount else f"{placed.why}; there was credit for {paid} of it"
    if before is not None:
        why = f"{before.why}; then {why}"
        paid += before.amount
        placed = before
    found[placed.invoice] = msgspec.structs.replace(placed, amount=paid, why=why), [*earlier, *draws]


def _draws(
    repayment_id: uuid.UUID, drawn: Sequence[tuple[Placed, list[Draw]]], accounts: Mapping[uuid.UUID, int]
) -> list[tuple[Placed, DrawFor]]:
    """Return each draw with its transfer; several of one grant for one invoice become one."""
    draws = []
    for placed, parts in drawn:
        whole: dict[uuid.UUID, Draw] = {}
        for part in parts:
            there = whole.get(part.grant.grant_id)
            whole[part.grant.grant_id] = Draw(part.grant, part.amount + (there.amount if there else 0))
        for grant_id, draw in whole.items():
            id_ = id_of_content(("repayment.wallet", str(repayment_id), str(grant_id), str(placed.invoice)))
            draws.append((placed, DrawFor(draw, placed.invoice, accounts[placed.invoice], id_)))
    return draws


async def _keep(
    connection: Connection,
    recorded: Recorded,
    wanted: FromWallet,
    policy: Policy,
    draws: Sequence[tuple[Placed, DrawFor]],
) -> None:
    await _insert_repayments(
        connection,
        recorded.book_id,
        recorded.message_place,
        recorded.at,
        [wanted.id],
        [wanted.customer_id],
        [wanted.asset.asset_id],
        [sum(one.draw.amount for _, one in draws)],
        [WALLET],
        [wanted.reference],
        [recorded.at.date()],
        [None],
        [None],
        [write_policy(policy)],
    )
    allocations: list[tuple[uuid.UUID, uuid.UUID | None, int, Placed]] = [
        (one.transfer_id, wanted.id, wanted.customer_id, msgspec.structs.replace(placed, amount=one.draw.amount))
        for placed, one in draws
    ]
    await keep_allocations(connection, recorded, allocations)


def _require_same(wanted: FromWallet, known: Repayment) -> None:
    for name, said in (("customer", wanted.customer), ("asset", wanted.asset.code)):
        if said != getattr(known, name):
            raise ReferenceReused(field=name)
    if wanted.amount is not None and wanted.amount < known.amount:
        raise ReferenceReused(field="amount")
