"""Open a file of transfers and hand its rows out in blocks; every format comes through here."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from tallystick.ledger.files.detect import detect_format
from tallystick.ledger.files.model import Block, Format
from tallystick.ledger.files.source import Source


class Reader(Protocol):
    """What a format's module gives: the rows, and their number where the file tells it beforehand."""

    rows_total: int | None

    def __init__(self, source: Source) -> None:
        """Read what the file says of itself."""
        ...

    def blocks(self) -> Iterator[Block]:
        """Hand the rows out in order."""
        ...


_READERS = {
    Format.AVRO: "read_avro",
    Format.PARQUET: "read_parquet",
    Format.ARROW: "read_arrow",
    Format.ARROW_STREAM: "read_arrow",
    Format.CSV: "read_csv",
}


class TransferFile:
    """
    A file of transfers, open for one pass; iterate over it for its blocks.

    While it is iterated over, ``ledger.damaged_file`` and ``ledger.piece_too_large`` may be raised: the rows before the
    place that they name have been handed out by then.
    """

    def __init__(self, source: Source, format_: Format, reader: Reader) -> None:
        """Hold what was opened."""
        self._source, self._reader = source, reader
        self.format = format_
        self.rows_total = reader.rows_total
        """The number of rows, where the format tells it: the progress bar counts rows."""
        self.size = source.size
        """Bytes in the file, None of a stream: where the rows are not known the progress bar counts bytes."""

    @property
    def bytes_read(self) -> int:
        """Return how much has been read so far; of use where ``rows_total`` is None."""
        return self._source.bytes_read

    def __iter__(self) -> Iterator[Block]:
        """Hand the blocks out; there is one pass."""
        return self._reader.blocks()

    def __enter__(self) -> Self:
        """Enter the block at whose end the file is closed."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file; a stream stays its owner's."""
        self._source.close()


def open_transfers(where: Path | BinaryIO, format_: Format | None = None) -> TransferFile:
    """
    Open the file at a path, or a binary stream that can be read once, and check its columns.

    Of *format_* only the bytes are believed. Nothing here is asynchronous: a server calls it in a thread.

    Raises:
        UnreadableFile: ledger.unreadable_file.
        UnknownFormat: ledger.unknown_format.
        OtherFormat: ledger.other_format; it is not what it was said to be.
        UnknownColumns: ledger.unknown_columns.
        MissingColumns: ledger.missing_columns.
        ColumnTwice: ledger.column_twice.
        ColumnType: ledger.column_type.
        DamagedFile: ledger.damaged_file; not even its columns can be read.
        PieceTooLarge: ledger.piece_too_large.
    """
    source = Source(where)
    try:
        found = detect_format(source.head, source.name, format_)
        # Arrow takes a third of a second to load, which no other command shall pay.
        reader: Reader = import_module(f"tallystick.ledger.files.{_READERS[found]}").Reader(source)
    except BaseException:
        source.close()
        raise
    return TransferFile(source, found, reader)
