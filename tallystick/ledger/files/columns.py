"""The columns of a file of transfers: which there are, and what each may be in Arrow's types."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from tallystick.ledger.files.errors import ColumnTwice, ColumnType, MissingColumns, UnknownColumns

ALWAYS = ("id",)
UNLESS_KINDS_DIFFER = ("debit", "credit", "amount")
"""Required as columns unless there is a column ``kind``: then each row is held to what its kind needs."""

PASSED_OVER = ("recorded_at", "place")
"""Columns of an export that only the ledger can give; an import has them and does not look at them."""

_UUID_BYTES = 16


def value_type(column: pa.DataType) -> pa.DataType:
    """Look through an extension type and a dictionary at what is stored."""
    if isinstance(column, pa.BaseExtensionType):
        column = column.storage_type
    if pa.types.is_dictionary(column):
        column = column.value_type
    return column


def is_text(column: pa.DataType) -> bool:
    """Say whether *column* holds text, as text or as bytes of any length."""
    stored = value_type(column)
    return any(is_one(stored) for is_one in _TEXTS)


_TEXTS = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
)


def _is_uuid(column: pa.DataType) -> bool:
    stored = value_type(column)
    return is_text(column) or (pa.types.is_fixed_size_binary(stored) and stored.byte_width == _UUID_BYTES)


def _is_amount(column: pa.DataType) -> bool:
    return pa.types.is_integer(column) or is_text(column)


def _is_instant(column: pa.DataType) -> bool:
    return (pa.types.is_timestamp(column) and column.tz is not None) or is_text(column)


@dataclass(frozen=True, slots=True)
class _Column:
    fits: Callable[[pa.DataType], bool]
    wanted: str


_TEXT = _Column(is_text, "text")
_UUID = _Column(_is_uuid, "text of 36 characters, 16 bytes, or Arrow's UUID")
_INSTANT = _Column(_is_instant, "a timestamp with a zone, or text of RFC 3339")

COLUMNS = {
    "id": _UUID,
    "debit": _TEXT,
    "credit": _TEXT,
    "amount": _Column(_is_amount, "an integer of minor units"),
    "asset": _TEXT,
    "reason": _TEXT,
    "reference": _TEXT,
    "effective_at": _INSTANT,
    "kind": _TEXT,
    "hold": _UUID,
    "reverses": _UUID,
    "expires_at": _INSTANT,
}
"""Each column that an import looks at."""


def check_names(names: list[str]) -> None:
    """
    Hold the names of a file's columns against those there may be and must be.

    Raises:
        ColumnTwice: ledger.column_twice.
        UnknownColumns: ledger.unknown_columns.
        MissingColumns: ledger.missing_columns.
    """
    unknown = [name for name in names if name not in COLUMNS and name not in PASSED_OVER]
    if unknown:
        raise UnknownColumns(field=_shown(unknown[0]), columns=", ".join(map(_shown, unknown[:20])))
    name, times = Counter(names).most_common(1)[0] if names else ("", 0)
    if times > 1:
        raise ColumnTwice(field=name, column=name)
    required = ALWAYS if "kind" in names else ALWAYS + UNLESS_KINDS_DIFFER
    missing = [name for name in required if name not in names]
    if missing:
        raise MissingColumns(field=missing[0], columns=", ".join(missing))


def check_schema(schema: pa.Schema) -> list[str]:
    """
    Hold a file's columns against what each may be, and return the names of those to be read.

    Raises:
        ColumnTwice: ledger.column_twice.
        UnknownColumns: ledger.unknown_columns.
        MissingColumns: ledger.missing_columns.
        ColumnType: ledger.column_type.
    """
    check_names(schema.names)
    wanted = [name for name in schema.names if name in COLUMNS]
    for name in wanted:
        column, found = COLUMNS[name], schema.field(name).type
        if not pa.types.is_null(found) and not column.fits(found):
            raise ColumnType(field=name, column=name, type=str(found)[:100], wanted=column.wanted)
    return wanted


def _shown(name: str) -> str:
    """Show a name that a stranger wrote, cut and without what would disturb a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in name[:64])
