"""Failures to order: each waits in its call's queue and strikes one request, or strikes one webhook."""

from collections import deque
from collections.abc import Iterable
from enum import Enum

import msgspec

from tallystick.payments.providers.sandbox.change import Call, Fate, Refusal


class Way(Enum):
    """How an answer is lost."""

    ERROR = "error"
    TIMEOUT = "timeout"
    DROP = "drop"


class FaultKind(Enum):
    """What goes wrong: *before*, nothing happened; *after*, it happened and the answer is lost."""

    DECLINE = "decline"
    """The answer is no: a transaction is declined, a refund fails."""
    ACTION = "action"
    """The customer must authenticate first."""
    WAIT = "wait"
    """It is decided later: a capture is processing, a refund pending."""
    ERROR_BEFORE = "error_before"
    ERROR_AFTER = "error_after"
    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    DROP_BEFORE = "drop_before"
    DROP_AFTER = "drop_after"

    @property
    def lost_before(self) -> Way | None:
        """Return how the request is lost before it is acted upon, or None if it is not."""
        return Way(self.value.removesuffix("_before")) if self.value.endswith("_before") else None

    @property
    def lost_after(self) -> Way | None:
        """Return how the answer is lost after the request was acted upon, or None if it is not."""
        return Way(self.value.removesuffix("_after")) if self.value.endswith("_after") else None

    @property
    def fate(self) -> Fate:
        """Return what becomes of the request if it is acted upon."""
        return _FATES.get(self, Fate.SUCCEED)

    def strikes(self, call: Call) -> bool:
        """Say whether it can happen to *call*; any answer can be lost."""
        return call in _FATEFUL.get(self, Call)


_FATES = {FaultKind.DECLINE: Fate.DECLINE, FaultKind.ACTION: Fate.ACT, FaultKind.WAIT: Fate.WAIT}
_FATEFUL = {
    FaultKind.DECLINE: {Call.CREATE, Call.CAPTURE, Call.REFUND},
    FaultKind.ACTION: {Call.CREATE, Call.CAPTURE},
    FaultKind.WAIT: {Call.CAPTURE, Call.REFUND},
}


class Twist(Enum):
    """What goes wrong with a webhook."""

    DUPLICATE = "duplicate"
    """It is sent twice."""
    LATE = "late"
    """It is sent some seconds later."""
    OUT_OF_ORDER = "out_of_order"
    """It is sent behind the next one."""
    FORGED = "forged"
    """Somebody else sends one of the same event first, with a signature that is none."""
    LOST = "lost"
    """It is never sent."""


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One failure of one call."""

    on: Call
    kind: FaultKind


class FaultOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Failures to queue behind those that wait already."""

    faults: list[Fault] = []
    webhooks: list[Twist] = []


class Faults:
    """The failures that wait; kept in memory only, so a restart has none."""

    def __init__(self) -> None:
        """Wait for nothing."""
        self._queues: dict[Call, deque[FaultKind]] = {call: deque() for call in Call}
        self._twists: deque[Twist] = deque()

    def queue(self, faults: Iterable[Fault]) -> None:
        """
        Add *faults*, in order, or none of them.

        Raises:
            Refusal: one cannot happen to its call, such as a look-up that is declined.
        """
        ordered = list(faults)
        for fault in ordered:
            if not fault.kind.strikes(fault.on):
                raise Refusal(422, f"no {fault.kind.value} of a {fault.on.value}")
        for fault in ordered:
            self._queues[fault.on].append(fault.kind)

    def queue_twists(self, twists: Iterable[Twist]) -> None:
        """Add *twists*, each for one webhook."""
        self._twists.extend(twists)

    def forget(self) -> None:
        """Drop those that wait."""
        for queue in self._queues.values():
            queue.clear()
        self._twists.clear()

    def take(self, call: Call) -> FaultKind | None:
        """Take the next failure of *call* off its queue; None if none waits."""
        queue = self._queues[call]
        return queue.popleft() if queue else None

    def take_twist(self) -> Twist | None:
        """Take the next twist of a webhook; None if none waits."""
        return self._twists.popleft() if self._twists else None
