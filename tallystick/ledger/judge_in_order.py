"""Judge in order: what becomes of those transfers whose answer depends on the ones before them in their batch."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tallystick.ledger.accounts import UNLIMITED_ABOVE, UNLIMITED_BELOW
from tallystick.ledger.model import Status, Transfers

COMPARED = ("debit_account_id", "credit_account_id", "amount", "asset_id", "reason", "effective_at")
"""What two transfers of one id must agree in to be the same."""

Statuses = npt.NDArray[np.uint8]


@dataclass(slots=True)
class LimitedAccount:
    """An account with a limit, as it stands while the batch is judged."""

    balance: int
    lowest: int
    highest: int

    def allows(self, change: int) -> bool:
        """Say whether *change* keeps it within its limit; moving away from a limit is always allowed."""
        after = self.balance + change
        if change < 0:
            return after >= self.lowest or self.lowest == UNLIMITED_BELOW
        return after <= self.highest or self.highest == UNLIMITED_ABOVE


def find_repeats(batch: Transfers) -> npt.NDArray[np.bool_]:
    """Say of each transfer whether another of the batch has its id."""
    ids = batch["transfer_id"].tolist()
    if len(set(ids)) == len(ids):
        return np.zeros(len(ids), np.bool_)
    counts = Counter(ids)
    return np.array([counts[one] > 1 for one in ids], np.bool_)


def judge_in_order(
    bounds: dict[int, LimitedAccount], repeats: npt.NDArray[np.bool_], batch: Transfers, statuses: Statuses
) -> None:
    """
    Judge the limits, and the repeats of an id, each after those before it: as if each came in a batch of its own.

    *bounds* are the limited accounts that the batch draws on; *statuses* say what was found without looking
    at the order, which for an id that the ledger has already is the answer.
    """
    limited = np.fromiter(bounds, np.int64, len(bounds))
    drawn = np.isin(batch["debit_account_id"], limited) | np.isin(batch["credit_account_id"], limited)
    in_ledger = (statuses == Status.KNOWN) | (statuses == Status.ID_CONFLICT)
    in_question = np.flatnonzero((drawn & (statuses == Status.POSTED)) | (repeats & ~in_ledger))
    if not len(in_question):
        return
    asked = batch[in_question]
    posted: dict[bytes, int] = {}
    columns = [asked[name].tolist() for name in ("transfer_id", "debit_account_id", "credit_account_id", "amount")]
    for at, transfer_id, debit, credit, amount in zip(in_question.tolist(), *columns, strict=True):
        if transfer_id in posted:
            same = all(batch[name][at] == batch[name][posted[transfer_id]] for name in COMPARED)
            statuses[at] = Status.KNOWN if same else Status.ID_CONFLICT
        elif statuses[at] == Status.POSTED:
            if _move(bounds.get(debit), bounds.get(credit), amount):
                posted[transfer_id] = at
            else:
                statuses[at] = Status.LIMIT_EXCEEDED


def _move(debit: LimitedAccount | None, credit: LimitedAccount | None, amount: int) -> bool:
    """Move the amount if both accounts allow it."""
    if (debit and not debit.allows(-amount)) or (credit and not credit.allows(amount)):
        return False
    if debit:
        debit.balance -= amount
    if credit:
        credit.balance += amount
    return True
