"""Post: put a batch of transfers into the ledger, judging each; the one way money moves."""

from dataclasses import dataclass, field

import asyncpg
import numpy as np
import numpy.typing as npt

from tallystick.db.copy import BIGINT, INTEGER, SMALLINT, UUID, FixedTable, copy_in
from tallystick.db.queries import Connection, queries_beside
from tallystick.db.retry import OrderLost
from tallystick.ledger.accounts import UNLIMITED_ABOVE, UNLIMITED_BELOW, Recorded, RememberedAccounts
from tallystick.ledger.encode_leaf import PREFIXED_BYTES, encode_leaves
from tallystick.ledger.errors import GroupFailed
from tallystick.ledger.judge_in_order import COMPARED, LimitedAccount, Statuses, find_repeats, judge_in_order
from tallystick.ledger.log.tree import leaf_hashes
from tallystick.ledger.model import Status, Transfers, microseconds
from tallystick.ledger.sum_changes import Touched, require_sums_fit, sum_changes, touch

_queries = queries_beside(__file__)
_take_gate = _queries.run("take_gate")
_find_epoch = _queries.value("find_epoch")
_lock_limited = _queries.run("lock_limited")
_order_transaction = _queries.value("order_transaction")
_load_accounts = _queries.tuples("load_accounts")
_find_known_transfers = _queries.tuples("find_known_transfers")
_find_balances_before = _queries.tuples("find_balances_before")
_insert_batch = _queries.run("insert_batch")

TRANSFER = FixedTable(
    "transfer",
    {
        "batch_id": BIGINT,
        "debit_account_id": BIGINT,
        "credit_account_id": BIGINT,
        "amount": BIGINT,
        "effective_at": BIGINT,
        "transfer_id": UUID,
        "book_id": INTEGER,
        "position": INTEGER,
        "asset_id": INTEGER,
        "message_place": INTEGER,
        "reason": SMALLINT,
    },
)
NET_CHANGE = FixedTable(
    "net_change",
    {"account_id": BIGINT, "batch_id": BIGINT, "debits": BIGINT, "credits": BIGINT, "book_id": INTEGER},
)

LOOK_UP_FIRST = 256
"""Batches up to this size look their ids up before they are written; larger ones only after a duplicate was met."""

MAX_BATCH = 10_000


@dataclass(slots=True)
class Ledger:
    """A book's ledger as one process sees it; what it remembers is checked against the book's epoch each time."""

    book_id: int
    accounts: RememberedAccounts = field(default_factory=RememberedAccounts)
    ids_of_codes: dict[str, int] = field(default_factory=dict)
    """Account ids by code; a code never changes its id."""


async def post(
    connection: Connection,
    ledger: Ledger,
    batch: Transfers,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    *,
    group: bool = False,
) -> Statuses:
    """
    Append those transfers of *batch* that are in order, and say of each what became of it.

    One transaction posts at most one batch per book. *message_hashes* are the SHA-256 of the transaction's
    messages by place. Unlimited accounts are not locked; limited ones that it draws on are, in order of id.
    With *group*, all are posted or none.

    Raises:
        GroupFailed: with *group*, one was not in order (``ledger.group_failed``).
        BatchTooLarge: the amounts of one account overflow (``ledger.batch_too_large``).
        OrderLost: a limited account moved in a later transaction meanwhile; run the transaction again.
    """
    await _take_gate(connection, ledger.book_id)
    accounts = await _find_accounts(connection, ledger, touch(batch))
    batch = _with_assets(accounts, batch)
    statuses, repeats = _judge(accounts, batch), find_repeats(batch)
    look_up = len(batch) <= LOOK_UP_FIRST or bool(statuses.any()) or bool(repeats.any())
    if look_up:
        await _find_known(connection, ledger.book_id, batch, statuses)
    limited = _drawn_on(accounts, statuses == Status.POSTED)
    if len(limited):
        await _lock_limited(connection, accounts.ids[limited].tolist())
    batch_id = await _order_transaction(connection)
    writing = _Writing(ledger.book_id, accounts, batch_id, recorded, message_hashes, limited, repeats, group)
    if look_up:
        await _judge_and_write(connection, writing, batch, statuses)
        return statuses
    savepoint = connection.transaction()
    await savepoint.start()
    optimistic = statuses.copy()
    try:
        await _judge_and_write(connection, writing, batch, optimistic)
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "transfer_once":
            raise
        await savepoint.rollback()
    else:
        return optimistic
    await _find_known(connection, ledger.book_id, batch, statuses)
    await _judge_and_write(connection, writing, batch, statuses)
    return statuses


@dataclass(frozen=True, slots=True)
class _Writing:
    """What is the same for the whole batch, however often it is judged."""

    book_id: int
    accounts: "_Accounts"
    batch_id: int
    recorded: Recorded
    message_hashes: npt.NDArray[np.void]
    limited: npt.NDArray[np.intp]
    """Which of *accounts* are limited and drawn on, and so locked."""
    repeats: npt.NDArray[np.bool_]
    group: bool


async def _judge_and_write(connection: Connection, writing: _Writing, batch: Transfers, statuses: Statuses) -> None:
    """Judge what depends on the order and on balances, and write what passed."""
    bounds = await _find_bounds(connection, writing) if len(writing.limited) else {}
    judge_in_order(bounds, writing.repeats, batch, statuses)
    if writing.group:
        _require_all(statuses)
    posted = statuses == Status.POSTED
    if posted.all():
        await _write(connection, writing, batch, writing.accounts.touched)
    elif posted.any():
        good = batch[posted]
        await _write(connection, writing, good, touch(good))


async def _write(connection: Connection, writing: _Writing, batch: Transfers, touched: Touched) -> None:
    book_id, recorded = writing.book_id, writing.recorded
    require_sums_fit(batch)
    changes = sum_changes(batch, touched)
    columns: dict[str, npt.ArrayLike] = {name: batch[name] for name in COPIED}
    columns |= {"batch_id": writing.batch_id, "book_id": book_id, "position": np.arange(len(batch))}
    await copy_in(connection, TRANSFER, TRANSFER.encode(len(batch), columns))
    change_columns: dict[str, npt.ArrayLike] = {
        "account_id": changes.accounts,
        "batch_id": writing.batch_id,
        "debits": changes.debits,
        "credits": changes.credits,
        "book_id": book_id,
    }
    await copy_in(connection, NET_CHANGE, NET_CHANGE.encode(len(changes.accounts), change_columns))
    leaves = encode_leaves(book_id, batch, microseconds(recorded.at), writing.message_hashes)
    await _insert_batch(
        connection,
        book_id,
        writing.batch_id,
        len(batch),
        recorded.at,
        leaf_hashes(leaves, PREFIXED_BYTES),
        changes.accounts.tobytes(),
        changes.debits.tobytes(),
        changes.credits.tobytes(),
    )


COPIED = ("transfer_id", "debit_account_id", "credit_account_id", "amount", "effective_at", "asset_id",
          "message_place", "reason")  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Accounts:
    """What there is to know of the accounts that a batch touches, as columns beside ``touched.accounts``."""

    touched: Touched
    known: npt.NDArray[np.bool_]
    """Which of them are in the book; what the other columns say of those that are not means nothing."""
    assets: npt.NDArray[np.int32]
    lowest: npt.NDArray[np.int64]
    highest: npt.NDArray[np.int64]
    closed: npt.NDArray[np.bool_]

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        return self.touched.accounts


async def _find_accounts(connection: Connection, ledger: Ledger, touched: Touched) -> _Accounts:
    """
    Return what there is to know of the accounts touched: as of the book's epoch, the new ones looked up.

    An account that this very transaction opened is not remembered beyond it, since it may yet be rolled back.
    """
    epoch = await _find_epoch(connection, ledger.book_id)
    accounts = ledger.accounts if ledger.accounts.epoch == epoch else RememberedAccounts(epoch)
    missing = accounts.missing(touched.accounts)
    found = await _load_accounts(connection, ledger.book_id, missing.tolist()) if len(missing) else []
    ledger.accounts = accounts.with_rows([row[:-1] for row in found if row[-1]])
    return _take(ledger.accounts.with_rows([row[:-1] for row in found if not row[-1]]), touched)


def _take(accounts: RememberedAccounts, touched: Touched) -> _Accounts:
    """Take the accounts touched out of those remembered."""
    if not len(accounts.ids):
        accounts = accounts.with_rows([(0, 0, None, None, False)])  # no account has this id
    at = accounts.places(touched.accounts)
    return _Accounts(
        touched,
        accounts.ids[at] == touched.accounts,
        accounts.assets[at],
        accounts.lowest[at],
        accounts.highest[at],
        accounts.closed[at],
    )


def _with_assets(accounts: _Accounts, batch: Transfers) -> Transfers:
    """Give each transfer that names no asset its debit account's."""
    unnamed = batch["asset_id"] == 0
    if not unnamed.any():
        return batch
    batch = batch.copy()
    batch["asset_id"] = np.where(unnamed, accounts.assets[accounts.touched.debits], batch["asset_id"])
    return batch


def _judge(accounts: _Accounts, batch: Transfers) -> Statuses:
    """Judge all that needs neither a balance nor the order; the lowest status that applies wins."""
    statuses = np.full(len(batch), Status.POSTED, np.uint8)

    def refuse(where: npt.NDArray[np.bool_], status: Status) -> None:
        statuses[where & (statuses == Status.POSTED)] = status

    debit, credit = accounts.touched.debits, accounts.touched.credits
    refuse(batch["amount"] <= 0, Status.AMOUNT_NOT_POSITIVE)
    refuse(debit == credit, Status.SAME_ACCOUNT)
    refuse(~accounts.known[debit], Status.UNKNOWN_DEBIT_ACCOUNT)
    refuse(~accounts.known[credit], Status.UNKNOWN_CREDIT_ACCOUNT)
    refuse(accounts.assets[debit] != batch["asset_id"], Status.ASSET_MISMATCH)
    refuse(accounts.assets[credit] != batch["asset_id"], Status.ASSET_MISMATCH)
    refuse(accounts.closed[debit], Status.DEBIT_ACCOUNT_CLOSED)
    refuse(accounts.closed[credit], Status.CREDIT_ACCOUNT_CLOSED)
    return statuses


async def _find_known(connection: Connection, book_id: int, batch: Transfers, statuses: Statuses) -> None:
    """Answer the transfers whose ids are in the ledger already: that comes before any other judgement."""
    ids = [bytes(transfer_id) for transfer_id in batch["transfer_id"]]
    rows = await _find_known_transfers(connection, book_id, [transfer_id.hex() for transfer_id in ids])
    if not rows:
        return
    known = {row[0].bytes: row[1:] for row in rows}
    for at, transfer_id in enumerate(ids):
        if transfer_id in known:
            same = known[transfer_id] == tuple(int(batch[name][at]) for name in COMPARED)
            statuses[at] = Status.KNOWN if same else Status.ID_CONFLICT


def _drawn_on(accounts: _Accounts, posted: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Return the places of the limited accounts, ascending, that what is to be posted moves towards their limit."""
    lowered, raised = np.zeros(len(accounts.ids), np.bool_), np.zeros(len(accounts.ids), np.bool_)
    lowered[accounts.touched.debits[posted]] = True
    raised[accounts.touched.credits[posted]] = True
    towards_lowest = lowered & (accounts.lowest != UNLIMITED_BELOW)
    return np.flatnonzero(towards_lowest | (raised & (accounts.highest != UNLIMITED_ABOVE)))


async def _find_bounds(connection: Connection, writing: _Writing) -> dict[int, LimitedAccount]:
    """
    Return the limited accounts as they stand, which are locked.

    A balance counts what is ordered before this transaction and nothing else, so the limits hold at every
    instant of the sealed order. Had a later-ordered transaction drawn on one already, it judged without us.
    """
    accounts, places = writing.accounts, writing.limited
    limited = accounts.ids[places].tolist()
    limits = zip(limited, accounts.lowest[places].tolist(), accounts.highest[places].tolist(), strict=True)
    bounds = {account: LimitedAccount(0, lowest, highest) for account, lowest, highest in limits}
    rows = await _find_balances_before(connection, writing.book_id, limited, writing.batch_id)
    for account, debits, credits_, later_debits, later_credits in rows:
        bound = bounds[account]
        if (later_debits and bound.lowest != UNLIMITED_BELOW) or (later_credits and bound.highest != UNLIMITED_ABOVE):
            raise OrderLost
        bound.balance = int(credits_ - debits)
    return bounds


def _require_all(statuses: Statuses) -> None:
    for item, status in enumerate(statuses.tolist()):
        if not Status(status).done:
            raise GroupFailed(field=f"transfers[{item}]", item=item, status=Status(status).code)
