"""Gather: what arrives while others are under way waits, and goes with the next transaction."""

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

_Item = TypeVar("_Item")
_MOST_TOGETHER = 1_000
MOST_WAITING = 20_000
"""So many may wait to be run together; those beyond are told that the store is busy."""
_MOST_UNDER_WAY = 2
"""How many gathered transactions are under way at once: one waits for the store while the other is made."""


@dataclass(slots=True)
class Gathering(Generic[_Item]):
    """What waits to be run together, and how much is under way in transactions."""

    waiting: deque[_Item] = field(default_factory=deque)
    transactions: int = 0
    under_way: int = 0
    """Items, in all of the transactions."""

    def take(self) -> list[_Item]:
        """
        Take what the next transaction shall run: all that waits, or nothing yet.

        Beside another it begins when it has as many items as that one: a transaction costs its round trips however few
        it carries, so that small ones beside a large one would only keep both from growing.
        """
        waiting = len(self.waiting)
        if self.transactions and (self.transactions == _MOST_UNDER_WAY or waiting < self.under_way):
            return []
        return [self.waiting.popleft() for _ in range(min(waiting, _MOST_TOGETHER))]
