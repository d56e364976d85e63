"""Receive: money comes in, and goes to the invoices that it repays; what no invoice takes lies unallocated."""

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.db.retry import OrderLost
from tallystick.errors import InvalidInput
from tallystick.ids import id_of_content
from tallystick.invoicing.life.note_states import Noting, note_found
from tallystick.invoicing.life.unallocated_account import open_unallocated
from tallystick.ledger.accounts import NewAccount, Recorded, open_accounts
from tallystick.ledger.errors import GroupFailed
from tallystick.ledger.model import Batch, Reason, Status, transfers
from tallystick.ledger.post import MAX_BATCH, Ledger, post
from tallystick.ledger.read_in_order import Place
from tallystick.notify.tell import Told, tell
from tallystick.repayments.allocate import Placed, allocate
from tallystick.repayments.dues import (
    Balances,
    OpenInvoice,
    Purse,
    find_dues,
    find_dues_among,
    lock_and_read,
    require_earlier,
)
from tallystick.repayments.errors import AccountUnusable, NotRepayable, ReferenceReused
from tallystick.repayments.find import find_repayments, require_account
from tallystick.repayments.model import Allocation, PolicyInForce, Repayment, channel_account, repayment_id_of
from tallystick.repayments.policies import find_policies, write_policy
from tallystick.repayments.policy import HighestCostFirst

_queries = queries_beside(__file__)
_find_by_reference = _queries.tuples("find_by_reference")
_find_owned = _queries.values("find_owned")
_insert_repayments = _queries.run("insert_repayments")
_insert_allocations = _queries.run("insert_allocations")


@dataclass(frozen=True, slots=True)
class Money:
    """Money that came from a customer."""

    customer_id: int
    customer: str
    asset_id: int
    asset: str
    amount: int
    channel: str
    reference: str
    """Of one channel each reference is received once."""
    received_on: dt.date
    from_account: str | None = None
    """The ledger account that it comes from; None: what the channel has taken in."""
    policy: PolicyInForce | None = None
    """None: the customer's, or the book's."""
    invoices: Mapping[uuid.UUID, int] | None = None
    """The only invoices that it may be placed on, each with the most that it takes; None: all that are due."""
    id: uuid.UUID = field(init=False)
    """Of the repayment that it is."""

    def __post_init__(self) -> None:
        """Derive its id, once: a batch has thousands."""
        object.__setattr__(self, "id", repayment_id_of(self.channel, self.reference))

    @property
    def purse(self) -> Purse:
        """Return whose it is, in which asset."""
        return self.customer_id, self.asset_id


@dataclass(frozen=True, slots=True)
class _Placing:
    """Money with the invoices that it was placed on."""

    money: Money
    policy: PolicyInForce
    from_account_id: int
    unallocated_id: int
    placed: Sequence[Placed]
    invoices: Mapping[uuid.UUID, OpenInvoice]
    transfers: Sequence[uuid.UUID]
    """Beside *placed*: the ids of the transfers, each derived, so that there can be only one."""

    @property
    def moves(self) -> Iterable[tuple[uuid.UUID, Placed]]:
        """Go through what was placed, each with its transfer."""
        return zip(self.transfers, self.placed, strict=True)


async def receive(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    place: Place,
    received: Sequence[Money],
) -> list[Repayment]:
    """
    Put money into the ledger, first as its customer's and then on the invoices that it repays, all as one batch or none.

    What was received before under its reference is found as it was. The transaction must have entered (`enter_to_repay`).
    Nobody pays more than is owed: what is outstanding is read behind the locks of the accounts that are paid.

    Raises:
        ReferenceReused: a reference belongs to other money (``repayments.reference_reused``).
        AccountUnusable: the account that it comes from cannot give it (``repayments.account_unusable``).
        InvalidInput: it is placed on more invoices than fit into one batch (``invalid_input``).
        OrderLost: another transaction repaid the same meanwhile, and is ordered later.
    """
    known = await _find_known(connection, recorded.book_id, place, received)
    fresh = list({one.id: one for one in reversed(received) if one.id not in known}.values())[::-1]
    if fresh:
        placings, waiting = await _place(connection, ledger, recorded, place, fresh)
        await _post(connection, ledger, recorded, message_hashes, placings)
        await _keep(connection, recorded, placings)
        await note_found(connection, recorded, waiting.noting(placings))
        known |= {one.money.id: _repayment(recorded, one) for one in placings}
        await tell(connection, recorded, [told_of(known[one.id]) for one in fresh])
    for one in received:
        _require_same(one, known[one.id])
    return [known[one.id] for one in received]


async def _find_known(
    connection: Connection, book_id: int, place: Place, received: Sequence[Money]
) -> dict[uuid.UUID, Repayment]:
    columns = [one.channel for one in received], [one.reference for one in received]
    ids = []
    for repayment_id, transaction_id in await _find_by_reference(connection, book_id, *columns):
        require_earlier(transaction_id, place)
        ids.append(repayment_id)
    return {one.id: one for one in await find_repayments(connection, book_id, ids)} if ids else {}


def _require_same(said: Money, known: Repayment) -> None:
    """Find that money that comes again under its reference is the same."""
    for name in ("customer", "asset", "amount"):
        if getattr(said, name) != getattr(known, name):
            raise ReferenceReused(field=name)
    if said.from_account is not None and said.from_account != known.from_account:
        raise ReferenceReused(field="from_account")


async def _place(
    connection: Connection, ledger: Ledger, recorded: Recorded, place: Place, fresh: Sequence[Money]
) -> tuple[list[_Placing], "_Waiting"]:
    """Say which invoices get how much of the money, behind the locks of all accounts that it could be placed on."""
    book_id = recorded.book_id
    policies = await find_policies(connection, book_id, {one.customer_id for one in fresh}, place.place)
    by = [one.policy or policies[one.customer_id] for one in fresh]
    ranked = any(isinstance(one.policy, HighestCostFirst) for one in by)
    dues = await _find_open(connection, book_id, place, fresh, ranked=ranked)
    sources = await _open_sources(connection, recorded, fresh)
    wanted = sorted({(one.customer, one.asset) for one in fresh})
    opened = dict(zip(wanted, await open_unallocated(connection, recorded, wanted), strict=True))
    unallocated = [opened[one.customer, one.asset] for one in fresh]
    invoices = [invoice.account_id for purse in {one.purse for one in fresh} for invoice in dues[purse]]
    waiting = _Waiting(dues, await lock_and_read(connection, ledger, place, invoices, unallocated))
    placings = [
        waiting.place(one, policy, source, account)
        for one, policy, source, account in zip(fresh, by, sources, unallocated, strict=True)
    ]
    return placings, waiting


async def _find_open(
    connection: Connection, book_id: int, place: Place, fresh: Sequence[Money], *, ranked: bool
) -> dict[Purse, list[OpenInvoice]]:
    """Return what the money may be placed on: the invoices that are named, or all that are due where none are."""
    anywhere = {one.purse for one in fresh if one.invoices is None}
    named = [(one.purse, id_) for one in fresh if one.purse not in anywhere for id_ in one.invoices or ()]
    among = await find_dues_among(connection, book_id, named, place.place, ranked=ranked)
    dues = await find_dues(connection, book_id, anywhere, place.place, ranked=ranked)
    return {one.purse: [] for one in fresh} | among | dues


@dataclass(slots=True)
class _Waiting:
    """The invoices that wait for money, and what was placed on them by now."""

    dues: Mapping[Purse, Sequence[OpenInvoice]]
    balances: Balances
    paid: dict[int, int] = field(default_factory=dict)
    """By account."""

    def place(self, money: Money, policy: PolicyInForce, source: int, unallocated: int) -> _Placing:
        """Place money on what is left to repay."""
        own = [one for one in self.dues[money.purse] if money.invoices is None or one.invoice_id in money.invoices]
        owing = [one.owing(self._left(one, money)) for one in own]
        invoices = {one.invoice_id: one for one in own}
        placed = allocate(money.amount, owing, policy.policy)
        for one in placed:
            account = invoices[one.invoice].account_id
            self.paid[account] = self.paid.get(account, 0) + one.amount
        of = str(money.id)
        transfers = [id_of_content(("repayment.allocate", of, str(one.invoice))) for one in placed]
        return _Placing(money, policy, source, unallocated, placed, invoices, transfers)

    def noting(self, placings: Sequence[_Placing]) -> list[Noting]:
        """Return the invoices that were repaid, each once and as it is with all of the money."""
        found: dict[uuid.UUID, Noting] = {}
        for one in placings:
            for at in one.placed:
                invoice = one.invoices[at.invoice]
                left = self.balances.owed(invoice.account_id) - self.paid[invoice.account_id]
                found[at.invoice] = invoice.noting(one.money.customer, one.money.asset, left)
        return list(found.values())

    def _left(self, invoice: OpenInvoice, money: Money) -> int:
        left = self.balances.outstanding(invoice.account_id) - self.paid.get(invoice.account_id, 0)
        return left if money.invoices is None else min(left, money.invoices[invoice.invoice_id])


async def require_owned(
    connection: Connection, book_id: int, purse: Purse, invoices: Sequence[uuid.UUID], place: int
) -> None:
    """
    Find that invoices that are named were issued to a customer, in an asset; paid ones too, which take nothing.

    Raises:
        NotRepayable: one was not (``repayments.not_repayable``).
    """
    own = {*await _find_owned(connection, book_id, *purse, list(invoices), place)}
    for at, invoice_id in enumerate(invoices):
        if invoice_id not in own:
            raise NotRepayable(field=f"invoices[{at}]", invoice=invoice_id)


async def _open_sources(connection: Connection, recorded: Recorded, fresh: Sequence[Money]) -> list[int]:
    """Return the accounts that money comes from; those of channels are opened when they are first needed."""
    own = sorted({(channel_account(one.channel, one.asset), one.asset) for one in fresh if one.from_account is None})
    opened = await open_accounts(connection, recorded, [NewAccount(code, asset) for code, asset in own]) if own else []
    found = {(account.code, account.asset): account.account_id for account in opened}
    for code, asset in sorted({(one.from_account, one.asset) for one in fresh if one.from_account is not None}):
        found[code, asset] = await require_account(connection, recorded.book_id, code, asset, "from_account")
    return [found[one.from_account or channel_account(one.channel, one.asset), one.asset] for one in fresh]


async def _post(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    placings: Sequence[_Placing],
) -> None:
    """Post all money as its customers', and from there to the invoices."""
    rows = [
        (one.money.id, one.from_account_id, one.unallocated_id, one.money.amount, Reason.REPAYMENT_RECEIVE)
        for one in placings
    ]
    rows += [
        (id_, one.unallocated_id, one.invoices[at.invoice].account_id, at.amount, Reason.REPAYMENT_ALLOCATE)
        for one in placings for id_, at in one.moves
    ]  # fmt: skip
    if len(rows) > MAX_BATCH:
        rule = f"Placed on more than {MAX_BATCH - len(placings)} invoices at once; name fewer of them"
        raise InvalidInput(field="invoices", rule=rule)
    try:
        await post_rows(connection, ledger, recorded, message_hashes, rows)
    except GroupFailed as failed:
        item = int((failed.field or "")[len("transfers[") : -1])
        if item >= len(placings):
            raise
        source = placings[item].money
        account = source.from_account or channel_account(source.channel, source.asset)
        raise AccountUnusable(field="from_account", account=account) from failed


Row = tuple[uuid.UUID, int, int, int, Reason]
"""A transfer: its id, the accounts that are debited and credited, the amount, and why."""


async def post_rows(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    rows: Sequence[Row],
) -> None:
    """
    Post transfers as the transaction's one batch, all or none.

    Raises:
        GroupFailed: an account is closed, or is taken beyond its limit (``ledger.group_failed``).
        OrderLost: another transaction moved one of the accounts meanwhile, and is ordered later; or it moved the very
            same money, which is found when this one is run again.
    """
    if not rows:
        return
    batch = transfers(len(rows))
    batch["transfer_id"] = [row[0].bytes for row in rows]
    for place, name in enumerate(("debit_account_id", "credit_account_id", "amount", "reason"), 1):
        batch[name] = [row[place] for row in rows]
    batch["message_place"] = recorded.message_place
    try:
        await post(connection, ledger, Batch(batch), recorded, message_hashes, group=True)
    except GroupFailed as failed:
        if Status.ID_CONFLICT.code in failed.message:
            raise OrderLost from failed
        raise


async def _keep(connection: Connection, recorded: Recorded, placings: Sequence[_Placing]) -> None:
    """Append the repayments and their allocations."""
    money = [one.money for one in placings]
    await _insert_repayments(
        connection,
        recorded.book_id,
        recorded.message_place,
        recorded.at,
        [one.id for one in money],
        [one.customer_id for one in money],
        [one.asset_id for one in money],
        [one.amount for one in money],
        [one.channel for one in money],
        [one.reference for one in money],
        [one.received_on for one in money],
        [one.from_account_id for one in placings],
        [one.id for one in money],
        [write_policy(one.policy.policy) for one in placings],
    )
    allocations = [(id_, one.money.id, one.money.customer_id, at) for one in placings for id_, at in one.moves]
    await keep_allocations(connection, recorded, allocations)


async def keep_allocations(
    connection: Connection,
    recorded: Recorded,
    allocations: Sequence[tuple[uuid.UUID, uuid.UUID | None, int, Placed]],
) -> None:
    """Append what repaid invoices: each with its transfer, its repayment if it is of one, its customer and its reason."""
    if allocations:
        await _insert_allocations(
            connection,
            recorded.book_id,
            recorded.message_place,
            recorded.at,
            *([one[at] for one in allocations] for at in range(3)),
            [one[3].invoice for one in allocations],
            [one[3].amount for one in allocations],
            [one[3].why for one in allocations],
        )


def _repayment(recorded: Recorded, one: _Placing) -> Repayment:
    money = one.money
    return Repayment(
        id=money.id,
        customer=money.customer,
        asset=money.asset,
        amount=money.amount,
        channel=money.channel,
        reference=money.reference,
        received_on=money.received_on,
        from_account=money.from_account or channel_account(money.channel, money.asset),
        policy=one.policy.policy,
        allocations=[Allocation(at.invoice, at.amount, at.why, id_) for id_, at in one.moves],
        unallocated=money.amount - sum(at.amount for at in one.placed),
        reversed=False,
        transfer_id=money.id,
        received_at=recorded.at,
    )


def told_of(one: Repayment) -> Told:
    """Say what others are told of a repayment."""
    return Told(
        "repayment.received",
        f"customer/{one.customer}",
        {
            "repayment_id": one.id,
            "customer": one.customer,
            "asset": one.asset,
            "amount": one.amount,
            "channel": one.channel,
            "reference": one.reference,
            "unallocated": one.unallocated,
            "invoices": [{"invoice_id": at.invoice, "amount": at.amount} for at in one.allocations],
        },
    )
