"""Failures to order: each waits in its call's queue and strikes one request."""

from collections import deque
from collections.abc import Iterable
from enum import Enum

import msgspec

from tallystick.payments.providers.sandbox.register import Call, Refusal


class Way(Enum):
    """How an answer is lost."""

    ERROR = "error"
    TIMEOUT = "timeout"
    DROP = "drop"


class FaultKind(Enum):
    """What goes wrong: *before*, nothing happened; *after*, it happened and the answer is lost."""

    DECLINE = "decline"
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


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One failure of one call."""

    on: Call
    kind: FaultKind


class FaultOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Failures to queue behind those that wait already."""

    faults: list[Fault]


class Faults:
    """The failures that wait; kept in memory only, so a restart has none."""

    def __init__(self) -> None:
        """Wait for nothing."""
        self._queues: dict[Call, deque[FaultKind]] = {call: deque() for call in Call}

    def queue(self, faults: Iterable[Fault]) -> None:
        """
        Add *faults*, in order, or none of them.

        Raises:
            Refusal: a look-up is to be declined.
        """
        ordered = list(faults)
        if any(fault.on is Call.FIND and fault.kind is FaultKind.DECLINE for fault in ordered):
            raise Refusal(422, "a find cannot be declined")
        for fault in ordered:
            self._queues[fault.on].append(fault.kind)

    def forget(self) -> None:
        """Drop those that wait."""
        for queue in self._queues.values():
            queue.clear()

    def take(self, call: Call) -> FaultKind | None:
        """Take the next failure of *call* off its queue; None if none waits."""
        queue = self._queues[call]
        return queue.popleft() if queue else None
