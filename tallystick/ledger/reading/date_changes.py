"""Date changes: what a batch posts under effective times of its own, laid out by page for those who read."""

import numpy as np
import numpy.typing as npt

from tallystick.db.copy import framed
from tallystick.ledger.model import HOLDS_ONLY, WHEN_RECORDED, Transfers
from tallystick.ledger.sum_changes import HELD, PAGE_BITS, Touched

TABLE = "dated_change"
COLUMNS = ("page", "batch_id", "book_id", "entries")

ENTRY = np.dtype([("slot", "u1"), ("position", ">u2"), ("at", ">i8"), ("amount", ">i8")])
"""A dated transfer of one account: what it credits, or below zero what it debits."""
_HEAD = np.dtype([
    ("fields", ">i2"), ("page_length", ">i4"), ("page", ">i8"), ("batch_length", ">i4"), ("batch_id", ">i8"),
    ("book_length", ">i4"), ("book_id", ">i4"), ("entries_length", ">i4"),
])  # fmt: skip


def date_changes(book_id: int, batch_id: int, rows: Transfers, touched: Touched) -> bytes | None:
    """
    Encode the rows of ``dated_change``; None when every transfer counts from when it was recorded.

    What only holds an amount or frees it is left out: it posts nothing, and a hold counts from when it was recorded.
    """
    effective_at = np.ascontiguousarray(rows["effective_at"])
    if int(effective_at.max(initial=WHEN_RECORDED)) == WHEN_RECORDED:
        return None
    dated = (effective_at != WHEN_RECORDED) & ~np.isin(rows["reason"], HOLDS_ONLY)
    chosen = dated[touched.positions]
    if not chosen.any():
        return None
    places = touched.positions[chosen]
    accounts = touched.accounts[np.cumsum(touched.begins) - 1][chosen]
    entries = np.empty(len(places), ENTRY)
    entries["slot"], entries["position"] = accounts & HELD - 1, places
    entries["at"] = effective_at[places]
    amounts = np.ascontiguousarray(rows["amount"])[places]
    entries["amount"] = np.where(rows["credit_account_id"][places] == accounts, amounts, -amounts)
    return _encode(book_id, batch_id, accounts >> PAGE_BITS, entries)


def _encode(book_id: int, batch_id: int, pages: npt.NDArray[np.int64], entries: npt.NDArray[np.void]) -> bytes:
    """Write one row a page; *pages* says of each entry which it is on, ascending."""
    firsts = np.flatnonzero(np.concatenate([[True], pages[1:] != pages[:-1]]))
    ends = np.append(firsts[1:], len(pages))
    heads = np.empty(len(firsts), _HEAD)
    heads["fields"] = len(COLUMNS)
    heads["page_length"], heads["batch_length"], heads["book_length"] = 8, 8, 4
    heads["page"], heads["batch_id"], heads["book_id"] = pages[firsts], batch_id, book_id
    heads["entries_length"] = (ends - firsts) * ENTRY.itemsize
    parts: list[bytes] = []
    for at, (first, end) in enumerate(zip(firsts.tolist(), ends.tolist(), strict=True)):
        parts += (heads[at].tobytes(), entries[first:end].tobytes())
    return framed(b"".join(parts))
