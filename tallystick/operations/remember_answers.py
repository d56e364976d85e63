"""Remember: answers that never change once they are given, so that giving them again costs the store nothing."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

_BESIDES = 400
"""Bytes that an answer costs beside its own, for its key and its place."""
_LARGEST = 16
"""An answer that would take more than this part of the room is not remembered: it would drive out too many others."""


@dataclass(slots=True)
class RememberedAnswers:
    """
    The answers that one process gave last, up to so many and up to so many bytes.

    Only for operations whose answer is the same for ever (`Operation.lasts`): nothing here is ever made out of date.
    """

    most: int = 10_000
    most_bytes: int = 64 * 1024 * 1024
    size: int = 0
    """Bytes that are in use."""
    _answers: OrderedDict[Hashable, bytes] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        """Count the answers."""
        return len(self._answers)

    def find(self, asked: Hashable) -> bytes | None:
        """Return the answer that was given, None when it is not here."""
        answer = self._answers.get(asked)
        if answer is not None:
            self._answers.move_to_end(asked)
        return answer

    def keep(self, asked: Hashable, answer: bytes) -> None:
        """Remember an answer, and forget those that were not asked for the longest if there is no room for all."""
        cost = len(answer) + _BESIDES
        if asked in self._answers or cost * _LARGEST > self.most_bytes:
            return
        self._answers[asked] = answer
        self.size += cost
        while len(self._answers) > self.most or self.size > self.most_bytes:
            self.size -= len(self._answers.popitem(last=False)[1]) + _BESIDES
