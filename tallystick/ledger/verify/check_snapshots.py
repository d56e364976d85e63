"""Check snapshots: what each says less what its piece adds up to it; what was before is held against it afterwards."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

import numpy as np

from tallystick.ledger.findings import Findings
from tallystick.ledger.sum_changes import HELD, PAGE_BITS
from tallystick.ledger.verify.check_changes import Changes
from tallystick.ledger.verify.model import SLOTS, Claims, Exact, StoredBatch

_SAFE = 2**62
Kept = tuple[int, int, bytes, str]
"""Page, batch, slots, sums with commas between them."""


def name_snapshot(page: int, batch_id: int) -> str:
    """Name a snapshot by its page and the batch it counts up to."""
    low = page << PAGE_BITS
    return f"snapshot of page {page} (accounts {low} to {low + HELD - 1}) at batch {batch_id}"


def claims_of(
    findings: Findings, batches: Sequence[StoredBatch], kept: Sequence[Kept], changes: Changes
) -> Claims | None:
    """Read the snapshots of a piece, in order of page and batch; None if there are none that can be read."""
    sealed = {batch.batch_id for batch in batches if batch.first_place is not None}
    readable: list[tuple[int, int, list[int]]] = []
    for page, batch_id, slots, text in kept:
        sums = _read(slots, text)
        if sums is None or batch_id not in sealed:
            message = "there is no such sealed batch" if sums is not None else "it cannot be read"
            findings.add("balance_snapshot", name_snapshot(page, batch_id), message, batch_id=batch_id)
        if sums is not None:
            readable.append((page, batch_id, sums))
    if not readable:
        return None
    pages = np.array([one[0] for one in readable], np.int64)
    batch_ids = np.array([one[1] for one in readable], np.int64)
    stored = _fit([value for one in readable for value in one[2]]).reshape(-1, SLOTS, 2)
    return Claims(pages, batch_ids, stored, _added(pages, batch_ids, changes))


def _added(pages: np.ndarray[tuple[int], np.dtype[np.int64]], batch_ids: np.ndarray[tuple[int], np.dtype[np.int64]],
           changes: Changes) -> Exact:  # fmt: skip
    """Add up what the piece does to each page up to each snapshot of it."""
    added: Exact = np.zeros((len(pages), SLOTS, 2), changes.debits.dtype)
    distinct, begins = np.unique(pages, return_index=True)
    ends = np.append(begins[1:], len(pages))
    of_entry = changes.entry_pages
    entry_page, entry_batch = changes.pages[of_entry], changes.batch_ids[of_entry]
    which = np.minimum(np.searchsorted(distinct, entry_page), len(distinct) - 1)
    mine = np.flatnonzero(distinct[which] == entry_page)
    mine = mine[np.argsort(which[mine], kind="stable")]  # by page, and within it still by batch
    bounds = np.searchsorted(which[mine], np.arange(len(distinct) + 1))
    for one in range(len(distinct)):
        entries = mine[bounds[one] : bounds[one + 1]]
        at = begins[one] + np.searchsorted(batch_ids[begins[one] : ends[one]], entry_batch[entries])
        counted = at < ends[one]
        at, entries = at[counted], entries[counted]
        np.add.at(added, (at, changes.slots[entries], 0), changes.debits[entries])
        np.add.at(added, (at, changes.slots[entries], 1), changes.credits[entries])
        added[begins[one] : ends[one]] = np.cumsum(added[begins[one] : ends[one]], axis=0)
    return added


def _read(slots: bytes, text: str) -> list[int] | None:
    """Return the sums of all slots, debits and credits in turns; None for a row that makes no sense."""
    numbers = text.split(",")
    if len(numbers) != 2 * len(slots) or sorted(set(slots)) != list(slots) or (slots and slots[-1] >= SLOTS):
        return None
    sums = [0] * (2 * SLOTS)
    try:
        for at, slot in enumerate(slots):
            for side in (0, 1):
                value = Decimal(numbers[2 * at + side])
                if value != value.to_integral_value():
                    return None
                sums[2 * slot + side] = int(value)
    except (InvalidOperation, OverflowError, ValueError):
        return None
    return sums


def _fit(values: list[int]) -> Exact:
    wide = max(map(abs, values), default=0) >= _SAFE
    return np.array(values, object if wide else np.int64)
