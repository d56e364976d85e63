"""What happened in the sandbox, in order: made part of what there is, kept, and told; pure."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from tallystick.clock import Clock
from tallystick.payments.providers.sandbox.change import Change, Event, Refusal, event_of, known

Learn = Callable[[Change], None]
"""Makes a change part of what there is."""


class History:
    """The one way in for changes: those that happen now, and those that are read from disk."""

    def __init__(self, keep: Learn, clock: Clock) -> None:
        """Hand each change that happens from now on to *keep*."""
        self.listeners: list[Callable[[Event], None]] = []
        """Each is called with every event that happens from now on, once its change was handed to *keep*."""
        self.clock: Final = clock
        self._keep = keep
        self._learners: Sequence[Learn] = ()
        self._events: dict[str, Change] = {}

    def begin(self, learners: Sequence[Learn], changes: Iterable[Change]) -> None:
        """Let *learners* learn of all *changes*, and of each that happens from now on, in their order."""
        self._learners = learners
        for change in changes:
            self._learn(change)

    def happened(self, change: Change) -> None:
        """Stamp *change* with an id and the time, make it part of what there is, keep it, and tell of it."""
        stamped = msgspec.structs.replace(change, id=new_token(), at=self.clock.now())
        self._learn(stamped)
        self._keep(stamped)
        if self.listeners and (event := event_of(stamped)) is not None:
            for listener in self.listeners:
                listener(event)

    def find_event(self, event_id: str) -> Event:
        """
        Return an event again.

        Raises:
            Refusal: there is none of this id.
        """
        found = event_of(known(self._events, event_id, "event"))
        if found is None:
            raise Refusal(404, "event_unknown")
        return found

    def _learn(self, change: Change) -> None:
        for learn in self._learners:
            learn(change)
        if change.id and change.record is not None:
            self._events[f"evt_{change.id}"] = change


def new_token() -> str:
    """Return what nobody can guess and nothing else is called."""
    return os.urandom(16).hex()
