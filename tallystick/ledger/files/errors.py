"""What is wrong with a file as a whole; what is wrong with one of its rows is a ``Refusal`` in its block."""

from typing import ClassVar

from tallystick.errors import Kind, TallystickError


class UnreadableFile(TallystickError):
    """{name} cannot be read: {why}."""

    code: ClassVar[str] = "ledger.unreadable_file"
    kind: ClassVar[Kind] = Kind.INVALID


class UnknownFormat(TallystickError):
    """{name} is not a file of transfers: {why}; it may be avro, parquet, arrow, arrow-stream or csv."""

    code: ClassVar[str] = "ledger.unknown_format"
    kind: ClassVar[Kind] = Kind.INVALID


class OtherFormat(TallystickError):
    """{name} was said to be {said} and is {found}."""

    code: ClassVar[str] = "ledger.other_format"
    kind: ClassVar[Kind] = Kind.INVALID


class UnknownColumns(TallystickError):
    """A file of transfers has no such columns: {columns}."""

    code: ClassVar[str] = "ledger.unknown_columns"
    kind: ClassVar[Kind] = Kind.INVALID


class MissingColumns(TallystickError):
    """The file lacks these columns: {columns}."""

    code: ClassVar[str] = "ledger.missing_columns"
    kind: ClassVar[Kind] = Kind.INVALID


class ColumnTwice(TallystickError):
    """The file has the column {column} more than once."""

    code: ClassVar[str] = "ledger.column_twice"
    kind: ClassVar[Kind] = Kind.INVALID


class ColumnType(TallystickError):
    """The column {column} is of type {type}; it must be {wanted}."""

    code: ClassVar[str] = "ledger.column_type"
    kind: ClassVar[Kind] = Kind.INVALID


class DamagedFile(TallystickError):
    """The file is damaged or cut short after row {row}: {why}."""

    code: ClassVar[str] = "ledger.damaged_file"
    kind: ClassVar[Kind] = Kind.INVALID


class PieceTooLarge(TallystickError):
    """After row {row} comes {piece} of {size} bytes, and {limit} is the most that is read at once."""

    code: ClassVar[str] = "ledger.piece_too_large"
    kind: ClassVar[Kind] = Kind.TOO_LARGE
