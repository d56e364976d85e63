"""Fingerprint changes: compare the net changes of many batches with the rows that say them, in whatever order those lie."""

import secrets
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tallystick.db.copy import Rows
from tallystick.ledger.sum_changes import NetChanges


@dataclass(slots=True)
class ChangeFingerprints:
    """
    Net changes by batch, as a number that any other rows of a batch would give only by chance.

    The rows of net_change lie in order of account, the transfers in order of batch: to hold one against the
    other row by row would mean to sort all of them. So each row is mixed into a number, with factors
    that are drawn anew each time, and a batch's are added up, which needs no order.
    """

    batch_ids: list[int] = field(default_factory=list)
    expected: list[int] = field(default_factory=list)
    rows: int = 0
    _ids: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    _stored: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    _strangers: set[int] = field(default_factory=set)
    _factors: tuple[np.uint64, ...] = field(
        default_factory=lambda: tuple(np.uint64(secrets.randbits(64) | 1) for _ in range(6))
    )

    def expect(self, batch_id: int, changes: NetChanges | None) -> None:
        """Note what a batch must come to; None for nothing."""
        self.batch_ids.append(batch_id)
        if changes is None:
            self.expected.append(0)
            return
        mixed = self._mix(changes.accounts, changes.debits, changes.credits)
        self.expected.append(int(mixed.sum(dtype=np.uint64)))

    def close(self) -> None:
        """Take no more batches; now rows can be counted in."""
        self._ids = np.array(self.batch_ids, np.int64)
        self._stored = np.zeros(len(self._ids), np.uint64)

    def count_in(self, rows: Rows) -> None:
        """Add rows of net_change to their batches."""
        self.rows += len(rows)
        batches = rows["batch_id"].astype(np.int64)
        places = np.searchsorted(self._ids, batches)
        known = np.zeros(len(rows), np.bool_)
        if len(self._ids):
            places = np.minimum(places, len(self._ids) - 1)
            known = self._ids[places] == batches
        mixed = self._mix(*(rows[name].astype(np.int64) for name in ("account_id", "debits", "credits")))
        np.add.at(self._stored, places[known], mixed[known])
        if not known.all():
            self._strangers.update(np.unique(batches[~known])[:100].tolist())

    def differing(self) -> list[int]:
        """Return the batches whose rows are not what they must be."""
        different = self._ids[self._stored != np.array(self.expected, np.uint64)]
        return sorted({*different.tolist(), *self._strangers})

    def _mix(
        self, accounts: npt.NDArray[np.int64], debits: npt.NDArray[np.int64], credits_: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.uint64]:
        first, second, third, fourth, fifth, sixth = self._factors
        mixed = accounts.view(np.uint64) * first + debits.view(np.uint64) * second
        mixed += credits_.view(np.uint64) * third + fourth
        mixed = (mixed ^ (mixed >> np.uint64(32))) * fifth
        mixed = (mixed ^ (mixed >> np.uint64(29))) * sixth
        mixed ^= mixed >> np.uint64(32)
        result: npt.NDArray[np.uint64] = mixed
        return result
