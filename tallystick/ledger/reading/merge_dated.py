"""
Merge dated: keep what was posted under effective times sorted, so that whoever reads by effective time reads little.

Dated changes lie page by page in the order of batches. When enough of a page have gathered they are sorted into a run;
when enough runs of one level have, they become one run of the next. So a page has few runs, in each an account is
looked up once, and every entry is written a few times at most, however many there are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.reading.date_changes import ENTRY
from tallystick.ledger.sum_changes import PAGE_BITS

_queries = queries_beside(__file__)
_pages_to_sort = _queries.values("pages_to_sort")
_dated_runs = _queries.tuples("dated_runs")
_dated_changes = _queries.tuples("dated_changes")
_newest_dated_snapshots = _queries.tuples("newest_dated_snapshots")
_insert_dated_snapshots = _queries.run("insert_dated_snapshots")
_insert_dated_blocks = _queries.run("insert_dated_blocks")
_insert_dated_runs = _queries.run("insert_dated_runs")
_delete_dated_runs = _queries.run("delete_dated_runs")
_delete_dated_blocks = _queries.run("delete_dated_blocks")
_forget_sorted = _queries.run("forget_sorted")
_pages_with_dates = _queries.tuples("pages_with_dates")

CHANGES_PER_RUN = 64
"""After so many dated changes of a page they are sorted."""
RUNS_PER_RUN = 16
"""So many runs of one level are merged into one of the next."""
MOST_LEVELS = 3
"""Runs of the highest level, each of 16,384 changes, stay as they are: to merge them too would take too long at once."""
BLOCK = 64
"""How many entries lie in one row: less than what PostgreSQL moves out of line."""
MOST_CHANGES = 4_096
"""So many changes, or those of one page, one round sorts; the pages that are left come at their next change."""

SORTED = np.dtype([("at", ">i8"), ("batch_id", ">i8"), ("position", ">i2"), ("amount", ">i8")])
"""An entry of a block."""


@dataclass(frozen=True, slots=True)
class _Run:
    """A run to be made: the dated changes of a page behind *since* up to *through*."""

    page: int
    since: int
    through: int
    level: int
    kept: int
    """The newest batch that the page's snapshots have counted."""


async def merge_dated(connection: Connection, book_id: int, since: int, through: int) -> int:
    """
    Sort what is due among the pages that the batches behind *since* up to *through* changed; return how many runs it made.

    Called with what was just sealed, so no earlier batch can come. Costs one look at an index when none is dated.
    """
    pages = await _pages_to_sort(connection, book_id, since, through, CHANGES_PER_RUN)
    due: list[_Run] = []
    changes = 0
    for run in await _plan(connection, book_id, pages, through) if pages else ():
        due.append(run)
        changes += CHANGES_PER_RUN * RUNS_PER_RUN ** (run.level - 1)
        if changes >= MOST_CHANGES:
            break
    if due:
        await _make(connection, book_id, due)
    return len(due)


async def sort_again(connection: Connection, book_id: int) -> int:
    """Throw away all that is sorted and make it anew from the dated changes; return how many runs there are then."""
    await _forget_sorted(connection, book_id)
    pages = await _pages_with_dates(connection, book_id)
    for page, through in pages:
        await _make(connection, book_id, [_Run(page, 0, through, MOST_LEVELS, 0)])
    return len(pages)


async def _plan(connection: Connection, book_id: int, pages: Sequence[int], through: int) -> list[_Run]:
    """Say of each page which run comes next: as many levels up as there are enough runs of."""
    there: dict[int, list[tuple[int, int]]] = {page: [] for page in pages}
    for page, ended, level in await _dated_runs(connection, book_id, pages):
        there[page].append((ended, level))
    return [_next_run(page, through, there[page]) for page in pages]


def _next_run(page: int, through: int, there: list[tuple[int, int]]) -> _Run:
    kept = there[-1][0] if there else 0
    level = 1
    while level < MOST_LEVELS and [one for _, one in there[1 - RUNS_PER_RUN :]] == [level] * (RUNS_PER_RUN - 1):
        there = there[: 1 - RUNS_PER_RUN]
        level += 1
    return _Run(page, there[-1][0] if there else 0, through, level, kept)


async def _make(connection: Connection, book_id: int, runs: Sequence[_Run]) -> None:
    """Write the runs in the place of the smaller ones that they take in, and snapshots of their pages."""
    pages, since, through = [run.page for run in runs], [run.since for run in runs], [run.through for run in runs]
    changes: dict[int, list[tuple[int, bytes]]] = {page: [] for page in pages}
    for page, batch_id, entries in await _dated_changes(connection, book_id, pages, since, through):
        changes[page].append((batch_id, entries))
    await _delete_dated_blocks(connection, book_id, pages, since)
    await _delete_dated_runs(connection, book_id, pages, since)
    await _insert_dated_runs(connection, book_id, pages, through, [run.level for run in runs])
    blocks = [block for run in runs for block in _blocks(run, changes[run.page])]
    await _insert_dated_blocks(connection, book_id, *map(list, zip(*blocks, strict=True)))
    await _keep_snapshots(connection, book_id, runs, changes)


def _blocks(run: _Run, changes: Sequence[tuple[int, bytes]]) -> Iterator[tuple[object, ...]]:
    """Sort the entries of a run and cut them into blocks: the columns of ``dated_block``."""
    raw = np.frombuffer(b"".join(entries for _, entries in changes), ENTRY)
    lengths = [len(entries) // ENTRY.itemsize for _, entries in changes]
    entries = np.empty(len(raw), SORTED)
    entries["at"], entries["position"], entries["amount"] = raw["at"], raw["position"], raw["amount"]
    entries["batch_id"] = np.repeat([batch_id for batch_id, _ in changes], lengths)
    order = np.lexsort((entries["position"], entries["batch_id"], entries["at"], raw["slot"]))
    entries, slots = entries[order], raw["slot"][order]
    for slot in np.unique(slots).tolist():
        yield from _blocks_of((run.page << PAGE_BITS) + slot, run.through, entries[slots == slot])


def _blocks_of(account_id: int, through: int, entries: npt.NDArray[np.void]) -> Iterator[tuple[object, ...]]:
    debits = credits_ = 0
    for start in range(0, len(entries), BLOCK):
        block = entries[start : start + BLOCK]
        first = block[0]
        yield (account_id, through, int(first["at"]), int(first["batch_id"]), int(first["position"]),
               Decimal(debits), Decimal(credits_), block.tobytes())  # fmt: skip
        debited, credited = add_up(block["amount"])
        debits, credits_ = debits + debited, credits_ + credited


def add_up(amounts: npt.NDArray[np.int64]) -> tuple[int, int]:
    """Return what *amounts* debit and what they credit, however large the sums."""
    each = amounts.tolist()
    credited = sum(one for one in each if one > 0)
    return credited - sum(each), credited


async def _keep_snapshots(
    connection: Connection, book_id: int, runs: Sequence[_Run], changes: dict[int, list[tuple[int, bytes]]]
) -> None:
    """Keep the sums of each page after every ``CHANGES_PER_RUN`` changes behind those that it has kept."""
    sums: dict[int, dict[int, list[int]]] = {run.page: {} for run in runs}
    for page, slots, kept in await _newest_dated_snapshots(connection, book_id, [run.page for run in runs]):
        sums[page] = {slot: [int(kept[2 * at]), int(kept[2 * at + 1])] for at, slot in enumerate(slots)}
    snapshots: list[tuple[int, int, bytes, str]] = []
    for run in runs:
        fresh = [change for change in changes[run.page] if change[0] > run.kept]
        for start in range(0, len(fresh), CHANGES_PER_RUN):
            part = fresh[start : start + CHANGES_PER_RUN]
            _count(sums[run.page], b"".join(entries for _, entries in part))
            snapshots.append((run.page, part[-1][0], *_lay_out(sums[run.page])))
    await _insert_dated_snapshots(connection, book_id, *map(list, zip(*snapshots, strict=True)))


def _count(sums: dict[int, list[int]], entries: bytes) -> None:
    rows = np.frombuffer(entries, ENTRY)
    for slot in np.unique(rows["slot"]).tolist():
        debits, credits_ = add_up(rows["amount"][rows["slot"] == slot])
        before = sums.get(slot, [0, 0])
        sums[slot] = [before[0] + debits, before[1] + credits_]


def _lay_out(sums: dict[int, list[int]]) -> tuple[bytes, str]:
    """Write sums as the columns of a snapshot: the slots, and the array as text, since arrays of arrays are all of a length."""
    slots = sorted(sums)
    return bytes(slots), "{" + ",".join(str(one) for slot in slots for one in sums[slot]) + "}"
