"""Judge in order: what becomes of those transfers whose answer depends on the ones before them in their batch."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tallystick.ledger.accounts import UNLIMITED_ABOVE, UNLIMITED_BELOW
from tallystick.ledger.model import ENDS_HOLD, NEVER, RELATES, USES_HOLD, Batch, Outcomes, Reason, Status
from tallystick.ledger.relate import Target

COMPARED = {
    "debit": "debit_account_id",
    "credit": "credit_account_id",
    "asset": "asset_id",
    "reason": "reason",
    "effective_at": "effective_at",
}
"""Fields by which callers know them, and columns, that two transfers of one id must agree in to be the same."""


_KINDS = {Reason.SWEEP, Reason.HOLD, *RELATES}
"""The reasons that a caller does not choose, but by the kind of transfer it sends."""
Statuses = npt.NDArray[np.uint8]


class TargetElsewhere(Exception):
    """What a transfer relates to was not posted where its id stands first in the batch, but at another place."""

    def __init__(self, transfer_id: bytes, place: int) -> None:
        """Say which transfer, and where it was posted."""
        super().__init__()
        self.transfer_id, self.place = transfer_id, place


class LimitedAccount:
    """An account with a limit, as it stands while the batch is judged."""

    __slots__ = ("down", "highest", "lowest", "up")

    def __init__(self, lowest: int, highest: int, down: int, up: int) -> None:
        """Begin with the balance, on each side with the holds that count against the limit there."""
        self.lowest, self.highest, self.down, self.up = lowest, highest, down, up

    def may_fall(self, amount: int) -> bool:
        """Say whether *amount* can be debited or held."""
        return self.lowest == UNLIMITED_BELOW or self.down - amount >= self.lowest

    def may_rise(self, amount: int) -> bool:
        """Say whether *amount* can be credited, now or by a capture."""
        return self.highest == UNLIMITED_ABOVE or self.up + amount <= self.highest


@dataclass(slots=True)
class Judging:
    """A batch while it is judged."""

    batch: Batch
    """Its rows are complete but for the amounts of sweeps, captures and releases."""
    targets: dict[bytes, Target]
    """By id what the transfers in question relate to."""
    at: int
    """When it is recorded, in microseconds."""
    outcomes: Outcomes
    bounds: dict[int, LimitedAccount]
    """The limited accounts that it might draw too much on."""


def find_repeats(ids: "list[bytes]") -> npt.NDArray[np.bool_]:
    """Say of each transfer whether another of the batch has its id."""
    if len(set(ids)) == len(ids):
        return np.zeros(len(ids), np.bool_)
    counts = Counter(ids)
    return np.array([counts[one] > 1 for one in ids], np.bool_)


def judge_in_order(judging: Judging, in_question: npt.NDArray[np.intp]) -> None:
    """
    Judge limits, holds, reversals, sweeps and repeats of an id, each after those before it: as if each came alone.

    *in_question* are the places, ascending, of all that depends on another of the batch or changes what another
    depends on. The statuses say what was found without looking at the order.

    Raises:
        TargetElsewhere: a row was completed from the wrong one of several that have the id it relates to.
    """
    rows, outcomes = judging.batch.rows, judging.outcomes
    statuses, amounts = outcomes.statuses, outcomes.amounts
    asked = rows[in_question]
    posted: dict[bytes, int] = {}
    columns = [asked[name].tolist() for name in ("transfer_id", "debit_account_id", "credit_account_id", "reason")]
    for at, transfer_id, debit, credit, reason in zip(in_question.tolist(), *columns, strict=True):
        if transfer_id in posted:
            differs = compare_within(judging.batch, at, posted[transfer_id])
            statuses[at] = Status.KNOWN if differs is None else Status.ID_CONFLICT
            amounts[at] = amounts[posted[transfer_id]]
            if differs is not None:
                outcomes.differs[at] = differs
            continue
        falls, rises = judging.bounds.get(debit), judging.bounds.get(credit)
        status = int(statuses[at])
        if reason in USES_HOLD or reason == Reason.REVERSAL:
            _require_completed(judging, at, posted)
            status = _judge_relation(judging, at, reason, status)
        if status == Status.POSTED and reason not in USES_HOLD:
            status = _judge_limits(judging, at, reason, falls, rises)
        statuses[at] = status
        if status == Status.POSTED:
            posted[transfer_id] = at
            _move(falls, rises, int(amounts[at]), reason)
            if reason in USES_HOLD or reason == Reason.REVERSAL:
                _use(_target_of(judging, at), int(amounts[at]), reason)


def _judge_limits(
    judging: Judging, at: int, reason: int, falls: LimitedAccount | None, rises: LimitedAccount | None
) -> Status:
    amounts = judging.outcomes.amounts
    amount = int(amounts[at])
    if reason == Reason.SWEEP:
        room = [amount]
        if falls and falls.lowest != UNLIMITED_BELOW:
            room.append(falls.down - falls.lowest)
        if rises and rises.highest != UNLIMITED_ABOVE:
            room.append(rises.highest - rises.up)
        if min(room) <= 0:
            return Status.NOTHING_TO_MOVE
        amounts[at] = min(room)
        return Status.POSTED
    if (falls and not falls.may_fall(amount)) or (rises and not rises.may_rise(amount)):
        return Status.LIMIT_EXCEEDED
    return Status.POSTED


def _require_completed(judging: Judging, at: int, posted: dict[bytes, int]) -> None:
    wanted = _related(judging, at)
    target, place = judging.targets.get(wanted), posted.get(wanted)
    if place is not None and target is not None and target.place is not None and target.place != place:
        raise TargetElsewhere(wanted, place)


def _judge_relation(judging: Judging, at: int, reason: int, status: int) -> int:
    """Judge a reversal, a capture, a release or an expiry against what it relates to; the lower status wins."""
    target = judging.targets.get(_related(judging, at))
    reverses = reason == Reason.REVERSAL
    if target is None:
        return status
    if target.place is not None and judging.outcomes.statuses[target.place] != Status.POSTED:
        return min(status or 99, Status.UNKNOWN_TRANSFER if reverses else Status.UNKNOWN_HOLD)
    if reverses:
        _settle_amount(judging, at, target)
        return Status.ALREADY_REVERSED if target.reversed and _beats(Status.ALREADY_REVERSED, status) else status
    found = _judge_use(judging, at, reason, target)
    return found if _beats(found, status) else status


def _settle_amount(judging: Judging, at: int, target: Target) -> None:
    """Take the amount of what is reversed, which one of this batch may have got just now."""
    judging.outcomes.amounts[at] = target.amount if target.place is None else judging.outcomes.amounts[target.place]


def _judge_use(judging: Judging, at: int, reason: int, hold: Target) -> Status:
    amounts = judging.outcomes.amounts
    if hold.ended:
        return Status.HOLD_ENDED
    if reason == Reason.CAPTURE:
        if hold.expires_at <= judging.at:
            return Status.HOLD_EXPIRED
        if int(amounts[at]) > hold.remaining:
            return Status.EXCEEDS_HOLD
    elif reason == Reason.EXPIRE and hold.expires_at > judging.at:
        return Status.EXPIRES_TOO_EARLY
    if amounts[at] == 0:
        amounts[at] = hold.remaining
    return Status.POSTED


def _beats(found: int, status: int) -> bool:
    return found != Status.POSTED and (status == Status.POSTED or found < status)


def _use(target: Target, amount: int, reason: int) -> None:
    if reason == Reason.REVERSAL:
        target.reversed = True
        return
    target.used += amount
    target.uses += 1
    target.ended = reason in ENDS_HOLD or target.remaining == 0


def _move(falls: LimitedAccount | None, rises: LimitedAccount | None, amount: int, reason: int) -> None:
    """Move the amount, hold it, capture it or free it, where it counts against a limit."""
    if falls:
        falls.down += amount if reason in ENDS_HOLD else 0 if reason == Reason.CAPTURE else -amount
        falls.up -= 0 if reason in ENDS_HOLD or reason == Reason.HOLD else amount
    if rises:
        rises.up += -amount if reason in ENDS_HOLD else 0 if reason == Reason.CAPTURE else amount
        rises.down += 0 if reason in ENDS_HOLD or reason == Reason.HOLD else amount


def compare_within(batch: Batch, one: int, other: int) -> str | None:
    """Return the first field in which two transfers of a batch differ, None when they are the same."""
    reasons = int(batch.rows["reason"][one]), int(batch.rows["reason"][other])
    if reasons[0] != reasons[1]:
        return differing_reason(*reasons)
    if (field := differing_relation(batch, one)) and _bytes_at(batch, one) != _bytes_at(batch, other):
        return field
    rows = batch.rows
    for field, column in COMPARED.items():
        if rows[column][one] != rows[column][other]:
            return field
    if rows["amount"][one] != rows["amount"][other]:
        return "amount"
    if expiry_of(batch, one) != expiry_of(batch, other):
        return "expires_at"
    return "reference" if reference_of(batch, one) != reference_of(batch, other) else None


def differing_reason(one: int, other: int) -> str:
    """Return the name of the field that says which of two different reasons a transfer has."""
    return "kind" if {one, other} & _KINDS else "reason"


def differing_relation(batch: Batch, at: int) -> str | None:
    """Return the name of the field that says what a transfer relates to, None for one that relates to nothing."""
    reason = int(batch.rows["reason"][at])
    if reason == Reason.REVERSAL:
        return "reverses"
    return "hold" if reason in USES_HOLD else None


def expiry_of(batch: Batch, at: int) -> int:
    """Return when a hold expires; ``NEVER`` for what is none."""
    is_hold = int(batch.rows["reason"][at]) == Reason.HOLD
    return int(batch.expires_at[at]) if is_hold and batch.expires_at is not None else NEVER


def reference_of(batch: Batch, at: int) -> str:
    """Return the reference, empty where there is none."""
    return batch.references[at] if batch.references is not None else ""


def _bytes_at(batch: Batch, at: int) -> bytes:
    return bytes(batch.related[at]) if batch.related is not None else b""


def _related(judging: Judging, at: int) -> bytes:
    return _bytes_at(judging.batch, at)


def _target_of(judging: Judging, at: int) -> Target:
    return judging.targets[_related(judging, at)]
