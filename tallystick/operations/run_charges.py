"""Make the charges of a day for everybody, chunk by chunk: each customer alone, restartable at any point."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Sequence

import asyncpg
import msgspec

from tallystick.collecting.batches.model import Failure
from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.operations.charges import MOST_CUSTOMERS
from tallystick.operations.collect_rarely import collect_rarely
from tallystick.operations.isolate import isolate
from tallystick.operations.keep_run import begin_kept
from tallystick.operations.run import KEPT_KINDS, Operations
from tallystick.repayments.model import Chargeable, ChargeablePage, ChargesMade
from tallystick.security.model import Principal


class ChargesRun(msgspec.Struct, frozen=True):
    """What one run made, or has made so far; together with what earlier runs made, the day is complete."""

    customers: int
    """How many agreements were looked at."""
    made: int
    totals: dict[str, int]
    """What the new ones ask for, in minor units by asset."""
    failed: list[Failure]
    """The customers who were left out; the next run tries them again."""


async def run_charges(
    operations: Operations,
    principal: Principal,
    book: str,
    on: dt.date,
    progress: Callable[[ChargesRun], None],
    chunk: int = MOST_CUSTOMERS,
) -> ChargesRun:
    """
    Make all charges of a day and return what was made of how many; *progress* is told what there is so far.

    A customer who cannot be charged is left out and told, and the others go on. Killed anywhere and run again, it makes
    those that are missing.

    Raises:
        InvalidInput: the bank holidays of the day are not known (``invalid_input``).
        TallystickError: the store is away; what was made before stays made.
    """
    kept = await begin_kept(operations, book, "charges", on.isoformat())
    making = _Making(operations, principal, book, on)
    whole, after = ChargesRun(0, 0, {}, []), "0"
    while True:
        with collect_rarely():
            made, failed, next_ = await making.make_chunk(after, chunk)
        totals = Counter(whole.totals)
        for one in made:
            totals.update(one.totals)
        counts = {"customers": sum(one.customers for one in made), "charges": sum(one.made for one in made)}
        whole = ChargesRun(
            whole.customers + counts["customers"], whole.made + counts["charges"], dict(sorted(totals.items())),
            whole.failed + failed,
        )  # fmt: skip
        await kept.note(counts, failed, last=next_ is None)
        progress(whole)
        if next_ is None:
            return whole
        after = next_


class _Making(msgspec.Struct, frozen=True):
    """Which charges are made, and for whom."""

    operations: Operations
    principal: Principal
    book: str
    on: dt.date

    async def make_chunk(self, after: str, chunk: int) -> tuple[list[ChargesMade], list[Failure], str | None]:
        """Make the charges of a chunk in one go; or, where somebody in it stands in the way, without them."""
        try:
            made = await self._make(after, chunk)
        except (TallystickError, asyncpg.PostgresError) as error:
            if isinstance(error, TallystickError) and (error.kind not in KEPT_KINDS or error.field == "on"):
                raise
        else:
            return [made], [], made.next
        page: ChargeablePage = await self.operations.call(
            self.principal, self.book, "charges.list_customers", "", {"after": after, "limit": chunk}
        )
        done, left_out = await isolate(self._make_for, page.items) if page.items else ([], [])
        return done, [Failure(one.customer, *why) for one, why in left_out], page.next

    async def _make_for(self, customers: Sequence[Chargeable]) -> ChargesMade:
        return await self._make(customers[0].after, len(customers))

    async def _make(self, after: str, limit: int) -> ChargesMade:
        fields = {"on": self.on.isoformat(), "after": after, "limit": limit}
        made: ChargesMade = await self.operations.call(self.principal, self.book, "charges.make", str(uuid7()), fields)
        return made
