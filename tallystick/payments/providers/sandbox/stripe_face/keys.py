"""
Idempotency as Stripe has it: the first answer under a key is kept and repeated, an error of the server's own too.

Not kept: what was refused before anything was done, and what nobody heard the end of. Those the register knows.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from tallystick.payments.providers.sandbox.change import Refusal

MOST_KEYS: Final = 100_000
"""How many keys are remembered; beyond that the oldest are forgotten, as Stripe forgets them after a day."""


class KeyInUse(Refusal):
    """A request under the same key is still under way."""

    def __init__(self) -> None:
        """Refuse."""
        super().__init__(409, "idempotency_key_in_use")


class KeyUsedOtherwise(Refusal):
    """The key was used for another request."""

    def __init__(self) -> None:
        """Refuse."""
        super().__init__(400, "idempotency_error")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a request."""

    status: int
    content: object
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Use:
    fingerprint: bytes
    request_id: str
    answer: Answer | None = None


class Keys:
    """The keys that were used, and what was answered to each."""

    def __init__(self) -> None:
        """Know none."""
        self._uses: dict[str, _Use] = {}

    async def answer(self, key: str, content: bytes, request_id: str, act: Callable[[], Awaitable[Answer]]) -> Answer:
        """
        Do what is asked under *key* by *content*, or repeat what was answered to it.

        Raises:
            KeyInUse: the same is being done just now.
            KeyUsedOtherwise: something else was asked under the key.
        """
        fingerprint = hashlib.sha256(content).digest()
        known = self._uses.get(key)
        if known is not None:
            return _repeat(known, fingerprint)
        if len(self._uses) >= MOST_KEYS:
            del self._uses[next(iter(self._uses))]
        use = self._uses[key] = _Use(fingerprint, request_id)
        try:
            use.answer = await act()
        except BaseException:
            self._uses.pop(key, None)
            raise
        return use.answer


def _repeat(known: _Use, fingerprint: bytes) -> Answer:
    if known.fingerprint != fingerprint:
        raise KeyUsedOtherwise
    if known.answer is None:
        raise KeyInUse
    again = {"idempotent-replayed": "true", "original-request": known.request_id}
    return Answer(known.answer.status, known.answer.content, {**known.answer.headers, **again})
