"""Sum changes: what a batch adds to each account it touches, posted and held, laid out by page."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tallystick.ledger.errors import BatchTooLarge
from tallystick.ledger.model import HOLDS_ONLY, USES_HOLD, Reason, Transfers

MAX_SUM = 2**63 - 1
PAGE_BITS = 4
"""A page is 16 neighbouring accounts."""
HELD = 1 << PAGE_BITS
"""What is held on an account has the slot of the account, plus this."""
_PLACE_BITS = 15
_LARGEST_ID = 2**47
_HOLDING = (Reason.HOLD, *USES_HOLD)


@dataclass(frozen=True, slots=True)
class Touched:
    """The accounts that a batch touches, ascending; and where among them those of each transfer stand."""

    accounts: npt.NDArray[np.int64]
    debits: npt.NDArray[np.intp]
    credits: npt.NDArray[np.intp]
    positions: npt.NDArray[np.int64]
    """The places in the batch of the transfers that touch each account: in order of account, then of place."""
    begins: npt.NDArray[np.bool_]
    """Beside *positions*: whether the next account begins."""


@dataclass(frozen=True, slots=True)
class NetChanges:
    """What a batch adds to each page it touches: entries in order of page and slot, 16 slots for what is held."""

    pages: npt.NDArray[np.int64]
    firsts: npt.NDArray[np.intp]
    """Where the entries of each page begin; behind the last, how many there are."""
    slots: npt.NDArray[np.uint8]
    debits: npt.NDArray[np.int64]
    credits: npt.NDArray[np.int64]
    positions: npt.NDArray[np.uint16]
    """Of each account of a page the transfers that touch it; the highest bit begins the next account."""
    first_positions: npt.NDArray[np.intp]
    """Where the positions of each page begin; behind the last, how many there are."""

    @property
    def places(self) -> npt.NDArray[np.int64]:
        """Return of each entry its page and slot as one number, ascending."""
        return np.repeat(self.pages, np.diff(self.firsts)) * (2 * HELD) + self.slots


def touch(rows: Transfers) -> Touched:
    """Find the accounts that a batch touches: the one time they are sorted."""
    both = np.empty(2 * len(rows), np.int64)
    both[::2], both[1::2] = rows["debit_account_id"], rows["credit_account_id"]
    if len(both) and (int(both.min()) < 0 or int(both.max()) >= _LARGEST_ID):
        both[(both < 0) | (both >= _LARGEST_ID)] = 0  # no account has such an id, nor this one
    # One sort of single numbers: each account with its place behind it.
    ordered = np.sort(both << _PLACE_BITS | np.arange(len(both)))
    accounts, places = ordered >> _PLACE_BITS, ordered & (1 << _PLACE_BITS) - 1
    begins = np.ones(len(both), np.bool_)
    np.not_equal(accounts[1:], accounts[:-1], out=begins[1:])
    inverse = np.empty(len(both), np.intp)
    inverse[places] = np.cumsum(begins) - 1
    return Touched(accounts[begins], inverse[::2], inverse[1::2], places >> 1, begins)


def sum_changes(rows: Transfers, touched: Touched) -> NetChanges:
    """Add up what the batch does to each account; a sum beyond 64 bits wraps round, so ask `require_sums_fit` before."""
    amounts = np.ascontiguousarray(rows["amount"])  # numpy adds up a column of a row ten times slower
    reasons = np.ascontiguousarray(rows["reason"])
    holding = np.isin(reasons, _HOLDING)
    if holding.any():
        accounts, slots, debits, credits_ = _sum_with_holds(amounts, reasons, holding, touched)
    else:
        accounts, slots = touched.accounts, (touched.accounts & HELD - 1).astype(np.uint8)
        debits, credits_ = add_up(amounts, touched.debits, touched.credits, len(accounts))
    pages = accounts >> PAGE_BITS
    firsts = _begin_each(pages)
    pages_of_positions = touched.accounts[np.cumsum(touched.begins) - 1] >> PAGE_BITS
    positions = touched.positions.astype(np.uint16) | (touched.begins.astype(np.uint16) << np.uint16(15))
    return NetChanges(
        pages[firsts[:-1]], firsts, slots, debits, credits_, positions, _begin_each(pages_of_positions)
    )  # fmt: skip


def add_up(
    amounts: npt.NDArray[np.int64], debits: npt.NDArray[np.intp], credits_: npt.NDArray[np.intp], accounts: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return what *amounts* come to on the debit side and on the credit side of so many accounts, by place."""
    debited, credited = np.zeros(accounts, np.int64), np.zeros(accounts, np.int64)
    np.add.at(debited, debits, amounts)
    np.add.at(credited, credits_, amounts)
    return debited, credited


def _sum_with_holds(
    amounts: npt.NDArray[np.int64], reasons: npt.NDArray[np.int16], holding: npt.NDArray[np.bool_], touched: Touched
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Add up what is posted and what is held apart; an account has an entry for each of the two that was touched."""
    posting = ~np.isin(reasons, HOLDS_ONLY)
    held = np.where(reasons == Reason.HOLD, amounts, -amounts)
    parts = []
    for chosen, moved, offset in ((posting, amounts, 0), (holding, held, HELD)):
        sides = touched.debits[chosen], touched.credits[chosen]
        sums = add_up(moved[chosen], *sides, len(touched.accounts))
        there = np.unique(np.concatenate(sides))
        accounts = touched.accounts[there]
        parts.append((accounts, (accounts & HELD - 1) + offset, sums[0][there], sums[1][there]))
    accounts, slots, debits, credits_ = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.lexsort((slots, accounts >> PAGE_BITS))
    return accounts[order], slots[order].astype(np.uint8), debits[order], credits_[order]


def _begin_each(pages: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Return where each run of one page begins, and behind the last how many there are."""
    changes = np.flatnonzero(pages[1:] != pages[:-1]) + 1
    return np.concatenate([[0], changes, [len(pages)]]) if len(pages) else np.zeros(1, np.intp)


def require_sums_fit(rows: Transfers) -> None:
    """
    Find that what the batch adds to each side of each account fits 64 bits.

    Raises:
        BatchTooLarge: one does not (``ledger.batch_too_large``).
    """
    if int(rows["amount"].max()) * len(rows) <= MAX_SUM:
        return
    amounts = rows["amount"].tolist()
    for side in ("debit_account_id", "credit_account_id"):
        sums: defaultdict[int, int] = defaultdict(int)
        for account, amount in zip(rows[side].tolist(), amounts, strict=True):
            sums[account] += amount
        if max(sums.values()) > MAX_SUM:
            raise BatchTooLarge(field="amount")
