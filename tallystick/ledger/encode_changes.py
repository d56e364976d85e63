"""Encode changes: the net changes of a batch as rows of ``net_change`` in PostgreSQL's binary copy format."""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from tallystick.db.copy import framed
from tallystick.ledger.sum_changes import NetChanges

TABLE = "net_change"
COLUMNS = ("page", "batch_id", "book_id", "slots", "amounts", "positions")
_BIGINT_OID = 20

_HEAD = np.dtype([
    ("fields", ">i2"), ("page_length", ">i4"), ("page", ">i8"), ("batch_length", ">i4"), ("batch_id", ">i8"),
    ("book_length", ">i4"), ("book_id", ">i4"), ("slots_length", ">i4"),
])  # fmt: skip
_ARRAY = np.dtype([
    ("length", ">i4"), ("dimensions", ">i4"), ("nulls", ">i4"), ("oid", ">i4"), ("size", ">i4"), ("lowest", ">i4"),
])  # fmt: skip
_ELEMENTS = np.dtype([("debits_length", ">i4"), ("debits", ">i8"), ("credits_length", ">i4"), ("credits", ">i8")])
_LENGTH = np.dtype(">i4")


def encode_changes(book_id: int, batch_id: int, changes: NetChanges) -> bytes:
    """
    Write one row a page.

    The parts of all rows that are alike are written at once as columns, and then cut and laid together row by row:
    rows differ in width, and there are few of them.
    """
    entries, positions = np.diff(changes.firsts), np.diff(changes.first_positions)
    heads = np.empty(len(changes.pages), _HEAD)
    heads["fields"] = len(COLUMNS)
    heads["page_length"], heads["batch_length"], heads["book_length"] = 8, 8, 4
    heads["page"], heads["batch_id"], heads["book_id"] = changes.pages, batch_id, book_id
    heads["slots_length"] = entries
    arrays = np.empty(len(changes.pages), _ARRAY)
    arrays["length"], arrays["size"] = _ARRAY.itemsize - 4 + _ELEMENTS.itemsize * entries, 2 * entries
    arrays["dimensions"], arrays["nulls"], arrays["oid"], arrays["lowest"] = 1, 0, _BIGINT_OID, 1
    elements = np.empty(len(changes.slots), _ELEMENTS)
    elements["debits_length"] = elements["credits_length"] = 8
    elements["debits"], elements["credits"] = changes.debits, changes.credits
    lengths = (2 * positions).astype(_LENGTH)
    columns = (
        (heads.tobytes(), _cuts(np.arange(len(heads) + 1), _HEAD.itemsize)),
        (changes.slots.tobytes(), _cuts(changes.firsts, 1)),
        (arrays.tobytes(), _cuts(np.arange(len(heads) + 1), _ARRAY.itemsize)),
        (elements.tobytes(), _cuts(changes.firsts, _ELEMENTS.itemsize)),
        (lengths.tobytes(), _cuts(np.arange(len(heads) + 1), _LENGTH.itemsize)),
        (changes.positions.astype(">u2").tobytes(), _cuts(changes.first_positions, 2)),
    )
    rows = zip(*([column[start:end] for start, end in cuts] for column, cuts in columns), strict=True)
    return framed(b"".join([part for row in rows for part in row]))


def columns_of(changes: NetChanges) -> list[list[Any]]:
    """
    Return the changes of few pages as the parameters of one statement.

    Pages, slots, positions; then the amounts of all pages in one list, with where those of each page begin and end.
    """
    slots, positions = changes.slots.tobytes(), changes.positions.astype(">u2").tobytes()
    amounts = np.stack([changes.debits, changes.credits], axis=1).ravel().tolist()
    return [
        changes.pages.tolist(),
        [slots[start:end] for start, end in _cuts(changes.firsts, 1)],
        [positions[start:end] for start, end in _cuts(changes.first_positions, 2)],
        amounts,
        (2 * changes.firsts[:-1] + 1).tolist(),
        (2 * changes.firsts[1:]).tolist(),
    ]


def _cuts(firsts: npt.NDArray[np.intp], width: int) -> list[tuple[int, int]]:
    bounds = (firsts * width).tolist()
    return list(itertools.pairwise(bounds))
