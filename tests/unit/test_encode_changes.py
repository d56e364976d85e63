"""Net changes in PostgreSQL's binary copy format, read back by the letter of its documentation."""

import struct
from typing import Any

from hypothesis import given

from tallystick.ledger.encode_changes import COLUMNS, encode_changes
from tallystick.ledger.sum_changes import sum_changes, touch
from tests.unit.test_sum_changes import Move, batches, rows_of


def read_copy(encoded: bytes) -> list[list[bytes]]:
    """Read the rows of a binary copy: each a list of fields."""
    assert encoded[:19] == b"PGCOPY\n\xff\r\n\0" + bytes(8)
    at, rows = 19, []
    while (fields := struct.unpack_from(">h", encoded, at)[0]) != -1:
        at += 2
        row = []
        for _ in range(fields):
            (length,) = struct.unpack_from(">i", encoded, at)
            row.append(encoded[at + 4 : at + 4 + length])
            at += 4 + length
        rows.append(row)
    assert at + 2 == len(encoded)
    return rows


def read_array(field: bytes) -> list[int]:
    """Read an array of bigint without nulls that has one dimension."""
    dimensions, nulls, oid, size, lowest = struct.unpack_from(">5i", field)
    assert (dimensions, nulls, oid, lowest) == (1, 0, 20, 1)
    elements = [struct.unpack_from(">iq", field, 20 + 12 * at) for at in range(size)]
    assert {length for length, _ in elements} <= {8}
    assert len(field) == 20 + 12 * size
    return [value for _, value in elements]


@given(batches)
def test_what_is_written_is_what_is_read(moved: list[Move]) -> None:
    """Each page is a row, with its slots, their debits and credits in turns, and its positions."""
    rows = rows_of(moved)
    changes = sum_changes(rows, touch(rows))
    expected: list[list[Any]] = []
    for at, page in enumerate(changes.pages.tolist()):
        entries = slice(changes.firsts[at], changes.firsts[at + 1])
        positions = changes.positions[changes.first_positions[at] : changes.first_positions[at + 1]]
        amounts = zip(changes.debits[entries].tolist(), changes.credits[entries].tolist(), strict=True)
        slots = bytes(changes.slots[entries].tolist())
        words = struct.pack(f">{len(positions)}H", *positions.tolist())
        expected.append([page, 7, 3, slots, [amount for both in amounts for amount in both], words])
    found: list[list[Any]] = []
    for row in read_copy(encode_changes(3, 7, changes)):
        page, batch_id, book_id, slots, array, words = row
        numbers = [struct.unpack(">q", page)[0], struct.unpack(">q", batch_id)[0], struct.unpack(">i", book_id)[0]]
        found.append([*numbers, slots, read_array(array), words])
    assert found == expected
    assert len(COLUMNS) == 6
