"""What was first answered to which key; pure."""

from typing import Generic, TypeVar

from tallystick import canonical
from tallystick.payments.providers.sandbox.change import Call, Change, Refusal

_Answer = TypeVar("_Answer")


class Answers(Generic[_Answer]):
    """What was asked under a key and what was answered first, by call and key."""

    def __init__(self) -> None:
        """Know of no key."""
        self._first: dict[tuple[Call, str], tuple[str, _Answer]] = {}

    def find(self, call: Call, key: str, fingerprint: str) -> _Answer | None:
        """
        Return what was first answered under *key*; None if nothing was asked under it.

        Raises:
            Refusal: the key was used for other content.
        """
        first = self._first.get((call, key))
        if first is None:
            return None
        if first[0] != fingerprint:
            raise Refusal(409, "key_used_for_other_content")
        return first[1]

    def keep(self, change: Change, answer: _Answer) -> None:
        """Remember *answer* under the key of *change*, if it has one."""
        if change.key:
            self._first[change.call, change.key] = change.fingerprint, answer


def fingerprint_of(content: object) -> str:
    """Return a digest that only the same content has."""
    return canonical.digest(content).hex()
