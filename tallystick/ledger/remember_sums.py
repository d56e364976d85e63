"""
Remember sums: what a process keeps of limited accounts' balances, so that judging a limit reads only what is new.

What every transaction below the settled horizon changed is final, so the sums up to there are kept page by page; only
the net changes from there on are read, whoever made them. Nothing of it can become wrong, so nothing is ever dropped
for being stale.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.sum_changes import HELD, PAGE_BITS

_queries = queries_beside(__file__)
_find_page_snapshots = _queries.tuples("find_page_snapshots")
_find_page_changes = _queries.tuples("find_page_changes")

_SUMS = 4 * HELD
_MOST_PAGES = 100_000


@dataclass(frozen=True, slots=True)
class BalancesBefore:
    """The balances of accounts before a place in the order, beside the accounts asked for."""

    down: list[int]
    """The balance less what is held: what can be debited, if nothing may be overdrawn."""
    up: list[int]
    """The balance and what holds will credit."""
    lowered_later: set[int] = field(default_factory=set)
    """The accounts that a later transaction debited, or held something on."""
    raised_later: set[int] = field(default_factory=set)
    balance: list[int] = field(default_factory=list)
    """What they have, whatever is held."""


@dataclass(slots=True)
class _Page:
    """The sums of a page's slots, debits and credits in turns, over every transaction before *since*."""

    since: int = 0
    sums: list[int] = field(default_factory=lambda: [0] * _SUMS)


@dataclass(slots=True)
class RememberedSums:
    """The pages that a process remembers of one book."""

    pages: dict[int, _Page] = field(default_factory=dict)

    async def find_before(
        self, connection: Connection, book_id: int, accounts: Sequence[int], batch_id: int, horizon: int
    ) -> BalancesBefore:
        """
        Return the balances of *accounts* by the transactions ordered before *batch_id*.

        *horizon* is the settled horizon as some earlier statement of this transaction saw it.
        """
        pages = sorted({account >> PAGE_BITS for account in accounts})
        if len(self.pages) > _MOST_PAGES:
            self.pages = {}  # who is reading the old ones goes on with them
        kept = self.pages
        await _begin(connection, book_id, kept, pages, horizon)
        since = [kept[page].since for page in pages]
        now: dict[int, list[int]] = {}
        later: list[tuple[int, bytes, list[int]]] = []
        for page, changed_by, slots, amounts in await _find_page_changes(connection, book_id, pages, since):
            remembered = kept[page]
            if changed_by < remembered.since:  # another task of this process counted it meanwhile
                continue
            if changed_by < horizon:
                _add(remembered.sums, slots, amounts)
            elif changed_by < batch_id:
                _add(now.setdefault(page, [0] * _SUMS), slots, amounts)
            else:
                later.append((page, slots, amounts))
        for page in pages:
            kept[page].since = max(kept[page].since, horizon)
        before = _balances(kept, accounts, now)
        for change in later:
            _note_later(before, *change)
        return before


async def _begin(connection: Connection, book_id: int, kept: dict[int, _Page], pages: list[int], horizon: int) -> None:
    """Take up the pages that are not remembered from their newest settled snapshots."""
    unknown = [page for page in pages if page not in kept]
    if not unknown:
        return
    begun = {page: _Page() for page in unknown}
    for page, through, slots, sums in await _find_page_snapshots(connection, book_id, unknown, horizon):
        begun[page].since = through + 1
        _add(begun[page].sums, slots, [int(one) for one in sums])
    for page in unknown:
        kept.setdefault(page, begun[page])


def _balances(kept: dict[int, _Page], accounts: Sequence[int], now: dict[int, list[int]]) -> BalancesBefore:
    down, up, has = [], [], []
    for account in accounts:
        page, debits = account >> PAGE_BITS, 2 * (account & HELD - 1)
        held = debits + 2 * HELD
        sums = kept[page].sums
        balance, below, above = sums[debits + 1] - sums[debits], sums[held], sums[held + 1]
        if page in now:
            sums = now[page]
            balance += sums[debits + 1] - sums[debits]
            below += sums[held]
            above += sums[held + 1]
        down.append(balance - below)
        up.append(balance + above)
        has.append(balance)
    return BalancesBefore(down, up, balance=has)


def _add(sums: list[int], slots: bytes, amounts: Sequence[int]) -> None:
    at = 0
    for slot in slots:
        place = 2 * slot
        sums[place] += amounts[at]
        sums[place + 1] += amounts[at + 1]
        at += 2


def _note_later(before: BalancesBefore, page: int, slots: bytes, amounts: Sequence[int]) -> None:
    """Note what a later batch drew on; whatever it held counts as drawn, since it may have freed as much again."""
    for place, slot in enumerate(slots):
        account = page << PAGE_BITS | slot & HELD - 1
        if slot >= HELD or amounts[2 * place] > 0:
            before.lowered_later.add(account)
        if slot >= HELD or amounts[2 * place + 1] > 0:
            before.raised_later.add(account)
