"""
See less: judge limits as they were judged while others that are ordered before were still open.

Who draws on a limited account waits for whoever does so too, and not for whoever pays in. So what is judged at a place
in the order has seen all that was drawn before it, and perhaps not all that was paid in. The order does not tell which.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.remember_sums import BalancesBefore, RememberedSums
from tallystick.ledger.sum_changes import HELD, PAGE_BITS

_queries = queries_beside(__file__)
_batches_before = _queries.values("batches_before")
_changes_of_batches = _queries.tuples("changes_of_batches")

_MOST_OPEN = 12
"""Of so many batches before a place some may have been open: a server's connections."""
_MOST_TRIES = 200


@dataclass(slots=True)
class SeenSums(RememberedSums):
    """Sums that leave out what some batches paid in; never what they drew, so that no limit is passed by it."""

    hidden: frozenset[int] = frozenset()
    drawn: set[int] = field(default_factory=set)
    """The accounts that were asked for since it was emptied."""

    async def find_before(
        self, connection: Connection, book_id: int, accounts: Sequence[int], batch_id: int, horizon: int
    ) -> BalancesBefore:
        """Return the balances before *batch_id*, without what the hidden batches eased."""
        before = await RememberedSums.find_before(self, connection, book_id, accounts, batch_id, horizon)
        self.drawn.update(accounts)
        if self.hidden:
            for _, account, down, up in await _find_eased(connection, book_id, accounts, list(self.hidden)):
                at = list(accounts).index(account)
                before.down[at] -= max(down, 0)
                before.up[at] -= min(up, 0)
        return before

    async def find_views(self, connection: Connection, book_id: int, place: int) -> Iterator[frozenset[int]]:
        """Return what may have been hidden from who judged the drawn accounts at *place*, the likeliest first."""
        batches = await _batches_before(connection, book_id, place, _MOST_OPEN) if self.drawn else []
        eased = await _find_eased(connection, book_id, sorted(self.drawn), batches)
        easing = sorted({batch_id for batch_id, _, down, up in eased if down > 0 or up < 0}, reverse=True)
        views = (frozenset(some) for size in range(1, len(easing) + 1) for some in itertools.combinations(easing, size))
        return itertools.islice(views, _MOST_TRIES)


async def _find_eased(
    connection: Connection, book_id: int, accounts: Sequence[int], batches: Sequence[int]
) -> list[tuple[int, int, int, int]]:
    """Return batch, account, and by how much the batch raised what can be debited and what was credited or will be."""
    wanted = set(accounts)
    pages = sorted({account >> PAGE_BITS for account in wanted})
    found = []
    for page, batch_id, slots, amounts in await _changes_of_batches(connection, book_id, pages, batches):
        for slot in {slot % HELD for slot in slots}:
            account = page << PAGE_BITS | slot
            if account in wanted:
                debited, credited = _amounts_of(slots, amounts, slot)
                held, awaited = _amounts_of(slots, amounts, slot + HELD)
                found.append((batch_id, account, credited - debited - held, credited - debited + awaited))
    return found


def _amounts_of(slots: bytes, amounts: Sequence[int], slot: int) -> tuple[int, int]:
    at = slots.find(slot)
    return (0, 0) if at < 0 else (amounts[2 * at], amounts[2 * at + 1])
