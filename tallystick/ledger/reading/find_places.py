"""
Find places: where in the ledger the transfers of some accounts are, from a point in time on or back.

Each net change of a page names the transfers of its batch that touch an account, so what counts from when it was
recorded is found in the order of batches. What has an effective time of its own is found in the sorted dated changes.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.model import microseconds
from tallystick.ledger.reading.balance import By
from tallystick.ledger.reading.date_changes import ENTRY
from tallystick.ledger.reading.merge_dated import BLOCK, SORTED
from tallystick.ledger.sum_changes import HELD, PAGE_BITS

_queries = queries_beside(__file__)
_find_batch_before = _queries.value("find_batch_before")
_turn_to_batch = _queries.value("turn_to_batch")
_turn_back_to_batch = _queries.value("turn_back_to_batch")
_changes_onwards = _queries.tuples("changes_onwards")
_changes_backwards = _queries.tuples("changes_backwards")
_dated_beside = _queries.tuples("dated_beside")
_instants_of_batches = _queries.tuples("instants_of_batches")
_dated_blocks_onwards = _queries.values("dated_blocks_onwards")
_dated_blocks_backwards = _queries.values("dated_blocks_backwards")
_dated_unsorted = _queries.tuples("dated_unsorted")

MOST_ROWS = 4_096
"""So many net changes one question reads, or one of each page; what is behind them is found by asking on from there."""
_FIRST_ROWS = 16
_LAST_BATCH = 2**63 - 1
LAST_POSITION = 2**15 - 1
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_BEGINNING, _END = -(2**63), 2**63 - 1


class Place(NamedTuple):
    """Where a transfer stands: in order of time, then of the log. By recorded time ``at`` is 0: the log's order is its."""

    at: int
    batch_id: int
    position: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose transfers are looked for, and of which half-open period by which time."""

    accounts: npt.NDArray[np.int64]
    """Ascending."""
    since: dt.datetime | None
    until: dt.datetime | None
    by: By

    @property
    def pages(self) -> list[int]:
        """Return the pages that the accounts are on."""
        pages: list[int] = np.unique(self.accounts >> PAGE_BITS).tolist()
        return pages


@dataclass(frozen=True, slots=True)
class Found:
    """Places in the order they were walked."""

    places: list[Place]
    edge: Place | None
    """Up to here everything was found and there may be more beyond; None when there is no more."""


async def find_places(
    connection: Connection, book_id: int, wanted: Wanted, start: Place | None, count: int, *, forward: bool
) -> Found:
    """Return *count* places beyond *start*, or from the period's beginning or end; fewer when much had to be read."""
    if not len(wanted.accounts):
        return Found([], None)
    found = await _walk_log(connection, book_id, wanted, start, count, forward=forward)
    if wanted.by == "recorded":
        return found
    dated = await _walk_dated(connection, book_id, wanted, start, count, forward=forward)
    if found.edge is not None:
        dated = [place for place in dated if (place <= found.edge if forward else place >= found.edge)]
    return Found(sorted([*found.places, *dated], reverse=not forward)[:count], found.edge)


async def _walk_log(
    connection: Connection, book_id: int, wanted: Wanted, start: Place | None, count: int, *, forward: bool
) -> Found:
    """Find what counts from when it was recorded; by recorded time that is everything."""
    low, high = await _bounds(connection, book_id, wanted, start, forward=forward)
    pages, places = wanted.pages, list[Place]()
    each, read = max(_FIRST_ROWS, -(-2 * count // len(pages))) if len(pages) > 1 else _FIRST_ROWS, 0
    ask = _changes_onwards if forward else _changes_backwards
    while low <= high:
        rows = await ask(connection, book_id, pages, low, high, each)
        read += len(rows)
        edge = _edge(rows, each, forward=forward)
        if edge is not None:
            rows = [row for row in rows if (row[1] <= edge if forward else row[1] >= edge)]
        fresh = await _places(connection, book_id, wanted, rows, forward=forward)
        places += [place for place in fresh if start is None or (place > start if forward else place < start)]
        if edge is None:
            return Found(places[:count], None)
        if len(places) >= count or read >= max(MOST_ROWS, len(pages)):
            return Found(places[:count], await _edge_place(connection, book_id, wanted.by, edge, forward=forward))
        low, high = (edge + 1, high) if forward else (low, edge - 1)
        missing = (count - len(places)) * read // max(1, len(places)) + len(pages)
        each = max(1, min(missing + missing // 4, MOST_ROWS) // len(pages))
    return Found(places[:count], None)


async def _bounds(
    connection: Connection, book_id: int, wanted: Wanted, start: Place | None, *, forward: bool
) -> tuple[int, int]:
    """Return the first and the last batch that can hold what is looked for."""
    low, high = 0, _LAST_BATCH
    if wanted.since is not None:
        low = await _find_batch_before(connection, book_id, wanted.since) + 1
    if wanted.until is not None:
        high = await _find_batch_before(connection, book_id, wanted.until)
    if start is None:
        return low, high
    turned = start.batch_id
    if wanted.by == "effective":
        turn = _turn_to_batch if forward else _turn_back_to_batch
        turned = await turn(connection, book_id, _instant(start.at), start.batch_id)
    return (max(low, turned), high) if forward else (low, min(high, turned))


def _edge(rows: Sequence[tuple[int, int, bytes, bytes]], each: int, *, forward: bool) -> int | None:
    """Return the batch up to which all pages were read; None when every page was read to its end."""
    last: dict[int, int] = {}
    counts: dict[int, int] = {}
    for page, batch_id, _, _ in rows:
        last[page] = batch_id
        counts[page] = counts.get(page, 0) + 1
    full = [last[page] for page, read in counts.items() if read == each]
    if not full:
        return None
    return min(full) if forward else max(full)


async def _edge_place(connection: Connection, book_id: int, by: By, edge: int, *, forward: bool) -> Place:
    at = 0
    if by == "effective":
        ((_, instant),) = await _instants_of_batches(connection, book_id, [edge])
        at = microseconds(instant)
    return Place(at, edge, LAST_POSITION if forward else -1)


async def _places(
    connection: Connection, book_id: int, wanted: Wanted, rows: Sequence[tuple[int, int, bytes, bytes]], *,
    forward: bool,
) -> list[Place]:  # fmt: skip
    """Return the places that net changes name, in order; by effective time without those that have their own."""
    batches, positions = read_positions(rows, wanted.accounts)
    if wanted.by == "recorded":
        places = [Place(0, *one) for one in zip(batches.tolist(), positions.tolist(), strict=True)]
        return places if forward else places[::-1]
    pages = [row[0] for row in rows]
    dated = await _dated_beside(connection, book_id, pages, [row[1] for row in rows])
    if dated:
        own = {(batch_id, position) for _, batch_id, entries in dated
               for position in np.frombuffer(entries, ENTRY)["position"].tolist()}  # fmt: skip
        pairs = [pair for pair in zip(batches.tolist(), positions.tolist(), strict=True) if pair not in own]
    else:
        pairs = list(zip(batches.tolist(), positions.tolist(), strict=True))
    instants = await _instants_of_batches(connection, book_id, sorted({batch_id for batch_id, _ in pairs}))
    at = {batch_id: microseconds(instant) for batch_id, instant in instants}
    places = [Place(at[batch_id], batch_id, position) for batch_id, position in pairs]
    if wanted.until is not None:
        places = [place for place in places if place.at < microseconds(wanted.until)]
    return places if forward else places[::-1]


def read_positions(
    rows: Sequence[tuple[int, int, bytes, bytes]], accounts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return batch and position of each transfer that touches one of *accounts*, once, in order of the log."""
    if not rows:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    pages, batches = (np.array([row[at] for row in rows], np.int64) for at in (0, 1))
    places = np.arange(len(rows))
    marked = np.frombuffer(b"".join([row[3] for row in rows]), ">u2")
    row_of = np.repeat(places, [len(row[3]) // 2 for row in rows])
    # The accounts of a row, ascending: what is posted and what is held on one are two slots of it.
    slots = np.frombuffer(b"".join([row[2] for row in rows]), np.uint8) & (HELD - 1)
    there = np.unique(np.repeat(places, [len(row[2]) for row in rows]) * HELD + slots)
    ids = (pages[there >> PAGE_BITS] << PAGE_BITS) + (there & HELD - 1)
    chosen = np.isin(ids, accounts)[np.cumsum(marked >> 15) - 1]
    distinct, inverse = np.unique(batches[row_of[chosen]], return_inverse=True)
    ordered = np.unique((inverse.astype(np.int64) << 15) + (marked[chosen] & LAST_POSITION))
    return distinct[ordered >> 15], ordered & LAST_POSITION


async def _walk_dated(
    connection: Connection, book_id: int, wanted: Wanted, start: Place | None, count: int, *, forward: bool
) -> list[Place]:
    """Find what has an effective time of its own."""
    since = Place(_BEGINNING if wanted.since is None else microseconds(wanted.since), 0, -1)
    until = Place(_END if wanted.until is None else microseconds(wanted.until), 0, -1)
    low, high = (max(since, start or since), until) if forward else (since, min(until, start or until))
    # A transfer between two of the accounts is found twice.
    needed = count if len(wanted.accounts) == 1 else 2 * count
    ask = _dated_blocks_onwards if forward else _dated_blocks_backwards
    blocks = await ask(connection, book_id, wanted.accounts.tolist(), *(low if forward else high), needed // BLOCK + 2)
    parts = [np.frombuffer(b"".join(blocks), SORTED)]
    for page, batch_id, entries in await _dated_unsorted(connection, book_id, wanted.pages):
        rows = np.frombuffer(entries, ENTRY)
        rows = rows[np.isin((page << PAGE_BITS) + rows["slot"].astype(np.int64), wanted.accounts)]
        part = np.zeros(len(rows), SORTED)
        part["at"], part["position"], part["batch_id"] = rows["at"], rows["position"], batch_id
        parts.append(part)
    every = np.concatenate(parts)
    every = every[(every["at"] >= low.at) & (every["at"] <= high.at)]
    columns = (every[name].tolist() for name in ("at", "batch_id", "position"))
    places = {Place(*one) for one in zip(*columns, strict=True)}
    beyond = [place for place in places if low < place < high]
    return sorted(beyond, reverse=not forward)[:count]


def _instant(at: int) -> dt.datetime:
    return _EPOCH + dt.timedelta(microseconds=at)
