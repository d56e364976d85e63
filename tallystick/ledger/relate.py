"""Relate: give reversals and the uses of holds what they take from the transfer they relate to."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.model import ENDS_HOLD, NEVER, RELATES, REVERSIBLE, USES_HOLD, Batch, Reason, Status

_queries = queries_beside(__file__)
_find_targets = _queries.tuples("find_targets")

_TARGET = np.dtype(
    [("debit", "<i8"), ("credit", "<i8"), ("asset_id", "<i8"), ("amount", "<i8"), ("reason", "<i8"),
     ("expires_at", "<i8"), ("newest", "<i8"), ("used", "<i8"), ("uses", "<i8"), ("ended", "?"), ("reversed", "?"),
     ("within", "<i8")]
)  # fmt: skip
_READ = _TARGET.names[:-1] if _TARGET.names else ()
_IN_LEDGER, _NOWHERE = -1, -2
"""What ``within`` says of a target that is not in the batch."""
_TAKEN = (("debit_account_id", "debit"), ("credit_account_id", "credit"), ("asset_id", "asset_id"))


@dataclass(slots=True)
class Target:
    """A transfer that others relate to, as it stands while the batch is judged in order."""

    place: int | None
    """Where in this very batch it stands; None for one that is in the ledger."""
    amount: int
    expires_at: int
    used: int
    uses: int
    ended: bool
    reversed: bool

    @property
    def remaining(self) -> int:
        """Return what is left of a hold."""
        return self.amount - self.used


@dataclass(frozen=True, slots=True)
class Related:
    """A batch whose rows are complete, and what some of them relate to."""

    batch: Batch
    statuses: npt.NDArray[np.uint8]
    """What was found so far: the rows that relate to nothing are refused already."""
    places: npt.NDArray[np.intp]
    """The rows that relate to something, ascending; the columns below stand beside them."""
    ids: list[bytes]
    targets: npt.NDArray[np.void]
    alone: npt.NDArray[np.bool_]
    """Whether it relates to what is in the ledger, and is the only one of the batch that does: its order is no matter."""

    @property
    def newest(self) -> int:
        """Return the newest batch that a target, or what relates to it, is in."""
        return int(self.targets["newest"].max(initial=0))

    def judge_alone(self, amounts: npt.NDArray[np.int64], statuses: npt.NDArray[np.uint8], at: int) -> None:
        """
        Judge those that are alone, at once, and give captures and releases of all that is left their amount.

        *at* is when the batch is recorded; the lower status wins.
        """
        places, targets = self.places[self.alone], self.targets[self.alone]
        reasons = self.batch.rows["reason"][places]
        remaining = targets["amount"] - targets["used"]
        found = np.zeros(len(places), np.uint8)
        captures, uses = reasons == Reason.CAPTURE, reasons != Reason.REVERSAL
        found[captures & (amounts[places] > remaining)] = Status.EXCEEDS_HOLD
        found[captures & (targets["expires_at"] <= at)] = Status.HOLD_EXPIRED
        found[uses & targets["ended"]] = Status.HOLD_ENDED
        found[~uses & targets["reversed"]] = Status.ALREADY_REVERSED
        found[(reasons == Reason.EXPIRE) & ~targets["ended"] & (targets["expires_at"] > at)] = Status.EXPIRES_TOO_EARLY
        before = statuses[places]
        statuses[places] = np.where((found > 0) & ((before == 0) | (found < before)), found, before)
        whole = uses & (amounts[places] == 0) & (statuses[places] == Status.POSTED)
        amounts[places[whole]] = remaining[whole]

    def take_targets(self, chosen: npt.NDArray[np.bool_]) -> dict[bytes, Target]:
        """Return by id the targets of those rows of the batch of which *chosen* is true, to be judged in order."""
        taken: dict[bytes, Target] = {}
        for at in np.flatnonzero(chosen[self.places]).tolist():
            within, *rest = (
                self.targets[name][at].item()
                for name in ("within", "amount", "expires_at", "used", "uses", "ended", "reversed")
            )
            if within != _NOWHERE:
                taken[self.ids[at]] = Target(None if within == _IN_LEDGER else within, *rest)
        return taken


async def relate(
    connection: Connection, book_id: int, batch: Batch, posted_at: Mapping[bytes, int] = MappingProxyType({})
) -> Related:
    """
    Look up what the batch's rows relate to, in the ledger and before them in the batch, and complete them from it.

    Of an id that stands in the batch more than once *posted_at* says which place was posted, where that is known
    already; else the first is taken.
    """
    statuses = np.full(len(batch), Status.POSTED, np.uint8)
    places = np.flatnonzero(np.isin(batch.rows["reason"], RELATES))
    if not len(places):
        return Related(batch, statuses, places, [], np.zeros(0, _TARGET), np.zeros(0, np.bool_))
    related = batch.related if batch.related is not None else np.zeros(len(batch), "V16")
    ids: list[bytes] = related[places].tolist()
    targets = await _find_in_ledger(connection, book_id, related[places].tobytes().hex())
    completed = batch.rows.copy()
    _complete(completed, places, targets)
    _find_within(batch, completed, places, ids, targets, posted_at)
    counts = Counter(ids)
    alone = np.array([counts[one] == 1 for one in ids], np.bool_) & (targets["within"] == _IN_LEDGER)
    statuses[places] = _judge(completed["reason"][places], targets)
    return Related(
        Batch(completed, related, batch.expires_at, batch.references), statuses, places, ids, targets, alone
    )  # fmt: skip


async def _find_in_ledger(connection: Connection, book_id: int, ids: str) -> npt.NDArray[np.void]:
    targets = np.zeros(len(ids) // 32, _TARGET)
    targets["within"] = _NOWHERE
    rows = await _find_targets(connection, book_id, [ids[start : start + 32] for start in range(0, len(ids), 32)])
    if rows:
        ordinals, *columns = zip(*rows, strict=True)
        at = np.array(ordinals) - 1
        for name, column in zip(_READ, columns, strict=True):
            targets[name][at] = column
        targets["within"][at] = _IN_LEDGER
    return targets


def _complete(rows: npt.NDArray[np.void], places: npt.NDArray[np.intp], targets: npt.NDArray[np.void]) -> None:
    """Give rows the accounts and asset of their targets, a reversal's sides swapped, and the amount they do not say."""
    reasons = rows["reason"][places]
    reverses = reasons == Reason.REVERSAL
    rows["debit_account_id"][places] = np.where(reverses, targets["credit"], targets["debit"])
    rows["credit_account_id"][places] = np.where(reverses, targets["debit"], targets["credit"])
    rows["asset_id"][places] = targets["asset_id"]
    whole = reverses & (targets["within"] != _NOWHERE)
    rows["amount"][places[whole]] = targets["amount"][whole]
    rows["amount"][places[np.isin(reasons, ENDS_HOLD)]] = 0


def _find_within(
    batch: Batch, completed: npt.NDArray[np.void], places: npt.NDArray[np.intp], ids: Sequence[bytes],
    targets: npt.NDArray[np.void], posted_at: Mapping[bytes, int],
) -> None:  # fmt: skip
    """Find the targets that are not in the ledger among the rows before, which are complete by then."""
    waiting = np.flatnonzero(targets["within"] == _NOWHERE).tolist()
    if not waiting:
        return
    earlier = {one: place for place, one in reversed(list(enumerate(batch.rows["transfer_id"].tolist())))}
    earlier.update(posted_at)
    for at in waiting:
        place = earlier.get(ids[at], len(batch))
        if place >= places[at]:
            continue
        row = completed[place]
        for column, name in (*_TAKEN, ("amount", "amount"), ("reason", "reason")):
            targets[name][at] = row[column]
        targets["expires_at"][at] = NEVER if batch.expires_at is None else batch.expires_at[place]
        targets["within"][at] = place
        _complete(completed, places[at : at + 1], targets[at : at + 1])


def _judge(reasons: npt.NDArray[np.int16], targets: npt.NDArray[np.void]) -> npt.NDArray[np.uint8]:
    """Refuse what relates to nothing, or to what is of the wrong kind."""
    found = targets["within"] != _NOWHERE
    uses = np.isin(reasons, USES_HOLD)
    of_hold = np.where(found & (targets["reason"] == Reason.HOLD), Status.POSTED, Status.UNKNOWN_HOLD)
    reversible = np.where(np.isin(targets["reason"], REVERSIBLE), Status.POSTED, Status.NOT_REVERSIBLE)
    judged = np.where(uses, of_hold, np.where(found, reversible, Status.UNKNOWN_TRANSFER))
    return judged.astype(np.uint8)
