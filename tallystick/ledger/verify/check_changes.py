"""Check changes: the net changes of a piece's batches against what its transfers come to."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tallystick.ledger.findings import Findings, name_batch
from tallystick.ledger.model import HOLDS_ONLY, USES_HOLD, Reason
from tallystick.ledger.sum_changes import HELD, PAGE_BITS
from tallystick.ledger.verify.model import SLOTS, Exact, Numbers, Rows, StoredBatch

_BIGINT_OID = 20
_ARRAY = np.dtype([("dimensions", ">i4"), ("nulls", ">i4"), ("oid", ">i4"), ("size", ">i4"), ("lowest", ">i4")])
_ELEMENT = np.dtype([("length", ">i4"), ("value", ">i8")])
_HOLDING = (Reason.HOLD, *USES_HOLD)
_SAFE = 2**62
_MOST_ID = 2**47
Stored = tuple[int, int, bytes, bytes, bytes]
"""Batch, page, slots, amounts as PostgreSQL sends an array, positions."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What the transfers of a piece come to: entries in order of batch, page and slot; positions page by page."""

    batch_ids: Numbers
    """Of each page that a batch touches."""
    pages: Numbers
    firsts: npt.NDArray[np.intp]
    slots: npt.NDArray[np.uint8]
    debits: Exact
    credits: Exact
    first_positions: npt.NDArray[np.intp]
    positions: npt.NDArray[np.uint16]

    @property
    def entry_pages(self) -> npt.NDArray[np.intp]:
        """Return which of the pages each entry is of."""
        return np.repeat(np.arange(len(self.pages)), np.diff(self.firsts))


def compute_changes(rows: Rows) -> Changes:
    """Add up what each batch does to each account it touches, posted and held, page by page."""
    account, event, begins = _sort_events(rows)
    at, credit = event >> 1, (event & 1).astype(np.bool_)
    amounts: Exact = rows.amount
    if len(rows) and int(np.abs(rows.amount).max()) * len(rows) >= _SAFE:
        amounts = rows.amount.astype(object)
    amount, reason = amounts[at], rows.reason[at]
    starts = np.flatnonzero(begins)
    accounts, ordinals = account[starts], rows.ordinal[at[starts]]
    holding = np.isin(reason, _HOLDING)
    if holding.any():
        posting = ~np.isin(reason, HOLDS_ONLY)
        held = np.where(reason == Reason.HOLD, amount, -amount)
        parts = [
            _entries(accounts, ordinals, starts, np.where(posting, amount, 0), credit, posting, 0),
            _entries(accounts, ordinals, starts, np.where(holding, held, 0), credit, holding, HELD),
        ]
        columns = [np.concatenate(pair) for pair in zip(*parts, strict=True)]
        order = np.lexsort((columns[1], columns[0] >> PAGE_BITS, columns[2]))
        entry_account, slots, ordinal, debits, credits_ = (one[order] for one in columns)
    else:
        entry_account, slots, ordinal, debits, credits_ = _entries(
            accounts, ordinals, starts, amount, credit, np.ones(len(at), np.bool_), 0
        )
    pages = entry_account >> PAGE_BITS
    firsts = _begin_each(ordinal, pages)
    first_positions = _begin_each(rows.ordinal[at], account >> PAGE_BITS)
    positions = rows.position[at].astype(np.uint16) | begins.astype(np.uint16) << np.uint16(15)
    batch_ids = _batch_ids(rows)[ordinal[firsts[:-1]]]
    return Changes(
        batch_ids, pages[firsts[:-1]], firsts, slots.astype(np.uint8), debits, credits_, first_positions, positions
    )  # fmt: skip


def _batch_ids(rows: Rows) -> Numbers:
    ids = np.zeros(int(rows.ordinal.max()) + 1 if len(rows) else 0, np.int64)
    ids[rows.ordinal] = rows.batch_id
    return ids


def _sort_events(rows: Rows) -> tuple[Numbers, npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """
    Sort the two sides of each transfer by batch, account and place; return account, side and where the next begins.

    A side is twice the place of its transfer in the piece, and one more on the credit side.
    """
    both = np.empty(2 * len(rows), np.int64)
    both[::2], both[1::2] = rows.debit, rows.credit
    both[(both < 0) | (both >= _MOST_ID)] = 0  # no account has such an id, nor this one
    ordinal = np.repeat(rows.ordinal, 2)
    for_event = max(len(both) - 1, 0).bit_length()
    for_account = int(both.max()).bit_length() if len(both) else 0
    for_batch = int(ordinal[-1]).bit_length() if len(both) else 0
    if for_batch + for_account + for_event <= 63:  # noqa: PLR2004 - the bits of a positive number
        key = ordinal << (for_account + for_event) | both << for_event | np.arange(len(both))
        key.sort()
        event = key & (1 << for_event) - 1
    else:
        event = np.lexsort((both, ordinal))
    account, batch = both[event], ordinal[event]
    begins = np.ones(len(both), np.bool_)
    begins[1:] = (account[1:] != account[:-1]) | (batch[1:] != batch[:-1])
    return account, event, begins


def _entries(
    accounts: Numbers, ordinals: Numbers, starts: npt.NDArray[np.intp], amount: Exact,
    credit: npt.NDArray[np.bool_], counts: npt.NDArray[np.bool_], offset: int,
) -> tuple[Numbers, Numbers, Numbers, Exact, Exact]:  # fmt: skip
    """Return the accounts that have an entry with their slots and batches, and what was debited and credited."""
    if not len(starts):
        return accounts, accounts, ordinals, amount, amount
    debits = np.add.reduceat(np.where(credit, 0, amount), starts)
    credits_ = np.add.reduceat(np.where(credit, amount, 0), starts)
    slots = (accounts & HELD - 1) + offset
    if counts.all():
        return accounts, slots, ordinals, debits, credits_
    there = np.logical_or.reduceat(counts, starts)
    return accounts[there], slots[there], ordinals[there], debits[there], credits_[there]


def _begin_each(ordinal: npt.NDArray[np.intp] | Numbers, pages: Numbers) -> npt.NDArray[np.intp]:
    if not len(pages):
        return np.zeros(1, np.intp)
    changes = np.flatnonzero((pages[1:] != pages[:-1]) | (ordinal[1:] != ordinal[:-1])) + 1
    return np.concatenate([[0], changes, [len(pages)]])


def check_pages(findings: Findings, batches: Sequence[StoredBatch], changes: Changes) -> None:
    """Hold the pages that each batch names against those that its transfers touch."""
    ids = np.array([batch.batch_id for batch in batches], np.int64)
    starts = np.searchsorted(changes.batch_ids, ids).tolist()
    ends = np.searchsorted(changes.batch_ids, ids, side="right").tolist()
    for batch, start, end in zip(batches, starts, ends, strict=True):
        if batch.pages != changes.pages[start:end].tobytes():
            row = name_batch(batch.batch_id, batch.first_place, batch.transfers)
            findings.add("batch", row, "its pages are not those of its transfers", batch_id=batch.batch_id)


def check_changes(findings: Findings, stored: Sequence[Stored], changes: Changes) -> None:
    """Hold the rows of net_change against what the transfers come to: all at once, and row by row where they differ."""
    if not _same(stored, changes):
        _compare(findings, stored, changes)


def _same(stored: Sequence[Stored], changes: Changes) -> bool:
    if len(stored) != len(changes.pages):
        return False
    if not stored:
        return True
    batch_ids, pages, slots, amounts, positions = zip(*stored, strict=True)
    entries, places = np.diff(changes.firsts), np.diff(changes.first_positions)
    widths = _ARRAY.itemsize + 2 * _ELEMENT.itemsize * entries
    return (
        np.array_equal(np.array(batch_ids), changes.batch_ids)
        and np.array_equal(np.array(pages), changes.pages)
        and np.array_equal(_lengths(slots), entries)
        and np.array_equal(_lengths(positions), 2 * places)
        and np.array_equal(_lengths(amounts), widths)
        and b"".join(slots) == changes.slots.tobytes()
        and b"".join(positions) == changes.positions.astype(">u2").tobytes()
        and _same_amounts(b"".join(amounts), widths, entries, changes)
    )


def _lengths(values: Sequence[bytes]) -> Numbers:
    return np.fromiter(map(len, values), np.int64, len(values))


def _same_amounts(
    amounts: bytes, widths: Numbers, entries: npt.NDArray[np.intp], changes: Changes
) -> bool:  # fmt: skip
    """Hold amounts as they were sent against the numbers they must be."""
    content = np.frombuffer(amounts, np.uint8)
    starts = np.cumsum(widths) - widths
    of_heads = (starts[:, None] + np.arange(_ARRAY.itemsize)).ravel()
    heads = content[of_heads].view(_ARRAY)
    rest = np.ones(len(content), np.bool_)
    rest[of_heads] = False
    elements = content[rest].view(_ELEMENT)
    usual = np.zeros(len(heads), _ARRAY)
    usual["dimensions"], usual["oid"], usual["size"], usual["lowest"] = 1, _BIGINT_OID, 2 * entries, 1
    return (
        heads.tobytes() == usual.tobytes()
        and bool((elements["length"] == _ELEMENT["value"].itemsize).all())
        and bool((elements["value"][::2] == changes.debits).all())
        and bool((elements["value"][1::2] == changes.credits).all())
    )


def _compare(findings: Findings, stored: Sequence[Stored], changes: Changes) -> None:
    """Name each row of net_change that is not what it must be."""
    kept = {row[:2]: row[2:] for row in stored}
    expected: dict[tuple[int, int], tuple[bytes, list[int], bytes]] = {}
    slots, positions = changes.slots.tobytes(), changes.positions.astype(">u2").tobytes()
    debits, credits_ = changes.debits.tolist(), changes.credits.tolist()
    rows = zip(changes.batch_ids.tolist(), changes.pages.tolist(), pairwise(changes.firsts.tolist()),
               pairwise(changes.first_positions.tolist()), strict=True)  # fmt: skip
    for batch_id, page, (first, end), (first_position, last_position) in rows:
        sums = [one for pair in zip(debits[first:end], credits_[first:end], strict=True) for one in pair]
        expected[batch_id, page] = slots[first:end], sums, positions[2 * first_position : 2 * last_position]
    for batch_id, page in sorted(kept.keys() | expected.keys()):
        message = _difference(page, kept.get((batch_id, page)), expected.get((batch_id, page)))
        if message is not None:
            low = page << PAGE_BITS
            row = f"net change of page {page} (accounts {low} to {low + HELD - 1}) in batch {batch_id}"
            findings.add("net_change", row, message, batch_id=batch_id)


def _difference(
    page: int, kept: tuple[bytes, bytes, bytes] | None, expected: tuple[bytes, list[int], bytes] | None
) -> str | None:
    if expected is None:
        return "no transfer of the batch touches the page"
    if kept is None:
        return "it is missing"
    slots, amounts, positions = kept
    sums = _read_amounts(amounts)
    if slots == expected[0] and sums == expected[1]:
        return None if positions == expected[2] else "its positions are not those of the batch's transfers"
    if sums is None or len(sums) != 2 * len(slots):
        return "its amounts cannot be read"
    said, right = _by_slot(slots, sums), _by_slot(expected[0], expected[1])
    for slot in sorted(said.keys() | right.keys()):
        if said.get(slot) != right.get(slot):
            what = f"account {(page << PAGE_BITS) + slot % HELD}" + (", held" if slot >= HELD else "")
            return f"{what}: debits and credits must be {right.get(slot, (0, 0))} and are {said.get(slot, (0, 0))}"
    return "its slots are not in order, or there twice"


def _by_slot(slots: bytes, sums: Sequence[int]) -> dict[int, tuple[int, int]]:
    return {slot: (sums[2 * at], sums[2 * at + 1]) for at, slot in enumerate(slots)}


def _read_amounts(amounts: bytes) -> list[int] | None:
    """Read an array as it was sent; None for one that is not a plain row of numbers from 1 on."""
    head, elements = amounts[: _ARRAY.itemsize], amounts[_ARRAY.itemsize :]
    if len(elements) % _ELEMENT.itemsize or len(head) < _ARRAY.itemsize:
        return None
    found = np.frombuffer(elements, _ELEMENT)
    usual = np.array([(1, 0, _BIGINT_OID, len(found), 1)], _ARRAY)
    if head != usual.tobytes() or (found["length"] != _ELEMENT["value"].itemsize).any():
        return None
    sums: list[int] = found["value"].tolist()
    return sums


def total(changes: Changes) -> tuple[Numbers, Exact, Exact]:
    """Add up what the whole piece does to each slot: places, ascending, and what was debited and credited."""
    places = changes.pages[changes.entry_pages] * SLOTS + changes.slots
    if not len(places):
        return places, changes.debits, changes.credits
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    debits, credits_ = changes.debits[order], changes.credits[order]
    return ordered[starts], np.add.reduceat(debits, starts), np.add.reduceat(credits_, starts)
