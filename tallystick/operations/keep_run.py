"""Keep a run over all customers: that it began, what each chunk came to, and that it ended."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tallystick.collecting.batches.model import Failure
from tallystick.ids import uuid7
from tallystick.operations.batches import MOST_FAILURES
from tallystick.operations.run import Operations
from tallystick.security.model import SYSTEM

_LONGEST = 2_000


@dataclass(frozen=True, slots=True)
class KeptRun:
    """A run that is kept; whoever may do what the run does may let it be kept."""

    operations: Operations
    book: str
    id: uuid.UUID

    async def note(self, counts: Mapping[str, int], failures: Iterable[Failure] = (), *, last: bool = False) -> None:
        """Keep what a chunk came to."""
        left = [
            {"customer": one.customer, "code": one.code, "message": one.message.replace("\x00", "")[:_LONGEST]}
            for one in failures
        ]
        while len(left) > MOST_FAILURES:
            await self._note({}, left[:MOST_FAILURES], last=False)
            left = left[MOST_FAILURES:]
        await self._note(counts, left, last=last)

    async def _note(self, counts: Mapping[str, int], failures: list[dict[str, str]], *, last: bool) -> None:
        fields = {"id": self.id, "counts": dict(counts), "failures": failures, "last": last}
        await self.operations.call(SYSTEM, self.book, "batches.note", str(uuid7()), fields)


async def begin_kept(operations: Operations, book: str, kind: str, of: str) -> KeptRun:
    """Keep that a run begins."""
    kept = KeptRun(operations, book, uuid7())
    await operations.call(SYSTEM, book, "batches.begin", str(uuid7()), {"id": kept.id, "kind": kind, "of": of})
    return kept
