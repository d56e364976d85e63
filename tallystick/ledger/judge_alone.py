"""Judge alone: whatever of a batch can be told by its accounts, without a balance and without the order."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.accounts import UNLIMITED_ABOVE, UNLIMITED_BELOW, RememberedAccounts
from tallystick.ledger.model import ENDS_HOLD, USES_HOLD, Batch, Reason, Status
from tallystick.ledger.sum_changes import Touched

_queries = queries_beside(__file__)
_load_accounts = _queries.tuples("load_accounts")


@dataclass(frozen=True, slots=True)
class TouchedAccounts:
    """What there is to know of the accounts that a batch touches, as columns beside ``touched.accounts``."""

    touched: Touched
    known: npt.NDArray[np.bool_]
    """Which of them are in the book; what the other columns say of those that are not means nothing."""
    assets: npt.NDArray[np.int32]
    lowest: npt.NDArray[np.int64]
    highest: npt.NDArray[np.int64]
    closed: npt.NDArray[np.bool_]
    newest: int
    """The newest transaction that opened or changed one of them."""

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        """Return their ids, ascending."""
        return self.touched.accounts


async def find_accounts(
    connection: Connection, book_id: int, remembered: RememberedAccounts, touched: Touched, epoch: int
) -> tuple[TouchedAccounts, RememberedAccounts]:
    """
    Return what there is to know of the accounts touched, as of the book's epoch, and what to remember from now on.

    An account that this very transaction opened is not remembered beyond it, since it may yet be rolled back.
    """
    accounts = remembered if remembered.epoch == epoch else RememberedAccounts(epoch)
    missing = accounts.missing(touched.accounts)
    found = await _load_accounts(connection, book_id, missing.tolist()) if len(missing) else []
    accounts = accounts.with_rows([row[:-1] for row in found if row[-1]])
    return _take(accounts.with_rows([row[:-1] for row in found if not row[-1]]), touched), accounts


def _take(accounts: RememberedAccounts, touched: Touched) -> TouchedAccounts:
    """Take the accounts touched out of those remembered."""
    if not len(accounts.ids):
        accounts = accounts.with_rows([(0, 0, None, None, False, 0)])  # no account has this id
    at = accounts.places(touched.accounts)
    return TouchedAccounts(
        touched,
        accounts.ids[at] == touched.accounts,
        accounts.assets[at],
        accounts.lowest[at],
        accounts.highest[at],
        accounts.closed[at],
        int(np.where(accounts.ids[at] == touched.accounts, accounts.since[at], 0).max(initial=0)),
    )


def with_assets(accounts: TouchedAccounts, batch: Batch) -> Batch:
    """Give each transfer that names no asset its debit account's; the rows are copied, so that they can be completed."""
    rows = batch.rows.copy()
    unnamed = rows["asset_id"] == 0
    if unnamed.any():
        rows["asset_id"] = np.where(unnamed, accounts.assets[accounts.touched.debits], rows["asset_id"])
    return Batch(rows, batch.related, batch.expires_at, batch.references)


def judge_alone(
    accounts: TouchedAccounts, batch: Batch, statuses: npt.NDArray[np.uint8], at: int
) -> npt.NDArray[np.uint8]:
    """Judge all that needs neither a balance nor the order; the lowest status that applies wins."""
    rows, debit, credit = batch.rows, accounts.touched.debits, accounts.touched.credits
    reasons = np.ascontiguousarray(rows["reason"])

    def refuse(where: npt.NDArray[np.bool_], status: Status) -> None:
        statuses[where & ((statuses == Status.POSTED) | (statuses > status))] = status

    least = np.where(reasons == Reason.CAPTURE, 0, 1)
    least[np.isin(reasons, (*ENDS_HOLD, Reason.REVERSAL))] = -(2**63)  # what they move is not theirs to say
    refuse(rows["amount"] < least, Status.AMOUNT_NOT_POSITIVE)
    if batch.expires_at is not None:
        refuse((reasons == Reason.HOLD) & (batch.expires_at <= at), Status.EXPIRES_TOO_EARLY)
    both = rows["debit_account_id"], rows["credit_account_id"]
    refuse((both[0] == both[1]) & (both[0] != 0), Status.SAME_ACCOUNT)  # 0 is nobody's: two unknown ones may differ
    refuse(~accounts.known[debit], Status.UNKNOWN_DEBIT_ACCOUNT)
    refuse(~accounts.known[credit], Status.UNKNOWN_CREDIT_ACCOUNT)
    refuse(accounts.assets[debit] != rows["asset_id"], Status.ASSET_MISMATCH)
    refuse(accounts.assets[credit] != rows["asset_id"], Status.ASSET_MISMATCH)
    moving = ~np.isin(reasons, ENDS_HOLD)  # a hold can be given up whatever became of its accounts
    refuse(accounts.closed[debit] & moving, Status.DEBIT_ACCOUNT_CLOSED)
    refuse(accounts.closed[credit] & moving, Status.CREDIT_ACCOUNT_CLOSED)
    return statuses


def drawn_on(accounts: TouchedAccounts, batch: Batch, posted: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """
    Return the places of the limited accounts, ascending, that what is to be posted moves towards their limit.

    A capture takes what is held already, and a release gives back: neither moves an account towards its limit.
    """
    lowered, raised = np.zeros(len(accounts.ids), np.bool_), np.zeros(len(accounts.ids), np.bool_)
    drawing = posted & ~np.isin(batch.rows["reason"], USES_HOLD)
    lowered[accounts.touched.debits[drawing]] = True
    raised[accounts.touched.credits[drawing]] = True
    towards_lowest = lowered & (accounts.lowest != UNLIMITED_BELOW)
    return np.flatnonzero(towards_lowest | (raised & (accounts.highest != UNLIMITED_ABOVE)))
