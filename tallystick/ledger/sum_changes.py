"""Sum changes: what a batch adds to each account it touches."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tallystick.ledger.errors import BatchTooLarge
from tallystick.ledger.model import Transfers

MAX_SUM = 2**63 - 1


@dataclass(frozen=True, slots=True)
class NetChanges:
    """What a batch adds to each account it touches, accounts ascending."""

    accounts: npt.NDArray[np.int64]
    debits: npt.NDArray[np.int64]
    credits: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Touched:
    """The accounts that a batch touches, ascending; and where among them those of each transfer stand."""

    accounts: npt.NDArray[np.int64]
    debits: npt.NDArray[np.intp]
    credits: npt.NDArray[np.intp]


def touch(batch: Transfers) -> Touched:
    """Find the accounts that a batch touches: the one time they are sorted."""
    both = np.concatenate([batch["debit_account_id"], batch["credit_account_id"]])
    accounts, places = np.unique(both, return_inverse=True)
    return Touched(accounts, places[: len(batch)], places[len(batch) :])


def sum_changes(batch: Transfers, touched: Touched) -> NetChanges:
    """Add up what the batch does to each account; a sum beyond 64 bits wraps round, so ask `require_sums_fit` before."""
    amounts = np.ascontiguousarray(batch["amount"])  # numpy adds up a column of a row ten times slower
    debits, credits_ = np.zeros(len(touched.accounts), np.int64), np.zeros(len(touched.accounts), np.int64)
    np.add.at(debits, touched.debits, amounts)
    np.add.at(credits_, touched.credits, amounts)
    return NetChanges(touched.accounts, debits, credits_)


def require_sums_fit(batch: Transfers) -> None:
    """
    Find that what the batch adds to each side of each account fits 64 bits.

    Raises:
        BatchTooLarge: one does not (``ledger.batch_too_large``).
    """
    if int(batch["amount"].max()) * len(batch) <= MAX_SUM:
        return
    amounts = batch["amount"].tolist()
    for side in ("debit_account_id", "credit_account_id"):
        sums: defaultdict[int, int] = defaultdict(int)
        for account, amount in zip(batch[side].tolist(), amounts, strict=True):
            sums[account] += amount
        if max(sums.values()) > MAX_SUM:
            raise BatchTooLarge(field="amount")
