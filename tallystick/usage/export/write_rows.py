"""Write rows of usage as Parquet, Arrow or CSV: to a file that is there whole or not at all, or to a stream."""

import datetime as dt
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from tallystick.ledger.files.kept_open import KeptOpen
from tallystick.usage.export.model import Column, ExportedRow, Format, Stored, Value, column_values

_GROUP_ROWS = 1 << 16
"""Rows of a Parquet row group: enough to compress well, few enough to wait in memory."""
_TYPES = {
    Stored.TEXT: pa.string(),
    Stored.LONG: pa.int64(),
    Stored.INSTANT: pa.timestamp("us", tz="UTC"),
    Stored.PAIRS: pa.map_(pa.string(), pa.string()),
}
_json = msgspec.json.Encoder(order="sorted")


class RowWriter:
    """
    A file that is being written, some rows at a time.

    At a path it gets its name when it is complete and on disk; until then it has another beside it, which goes if the
    writing fails. A stream gets the bytes as they come and stays its owner's.
    """

    def __init__(self, where: Path | BinaryIO, columns: Sequence[Column], format_: Format) -> None:
        """Begin the file."""
        self._columns, self._format = columns, format_
        self._schema = pa.schema([self._field(column) for column in columns])
        self._waiting: list[pa.RecordBatch] = []
        self._path = where if isinstance(where, Path) else None
        self._unfinished: Path | None = None
        if isinstance(where, Path):
            self._unfinished = where.with_name(f".{where.name[:128]}.{uuid.uuid4().hex}.unfinished")
            self._sink: BinaryIO = self._unfinished.open("xb")
        else:
            self._sink = where
        self._open = KeptOpen(self._sink)
        self._writer = self._make_writer(pa.PythonFile(self._open, mode="w"))

    def __enter__(self) -> Self:
        """Enter the block at whose end the file is complete."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Finish the file, or leave nothing of it if there was an error."""
        if kind is None:
            self.finish()
        else:
            self.discard()

    def write(self, rows: Sequence[ExportedRow]) -> None:
        """Write *rows* behind those that were written."""
        arrays = [
            pa.array(self._values(column, column_values(rows, place)), self._schema.field(place).type)
            for place, column in enumerate(self._columns)
        ]
        self._waiting.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        if self._format is not Format.PARQUET or sum(batch.num_rows for batch in self._waiting) >= _GROUP_ROWS:
            self._write_waiting()

    def finish(self) -> None:
        """Complete the file, bring it to disk, and give it its name, in place of a file that had it."""
        try:
            self._write_waiting()
            self._writer.close()
            self._sink.flush()
            if self._path is None or self._unfinished is None:
                return
            os.fsync(self._sink.fileno())
            self._sink.close()
            self._unfinished.replace(self._path)
        except BaseException:
            self.discard()
            raise
        _bring_to_disk(self._path.parent)

    def discard(self) -> None:
        """Leave nothing of the file; a stream keeps what it got."""
        self._waiting.clear()
        self._open.listens = False
        self._writer.close()
        if self._unfinished is not None:
            self._sink.close()
            self._unfinished.unlink(missing_ok=True)

    def _make_writer(self, sink: pa.PythonFile) -> "pq.ParquetWriter | pa.ipc.RecordBatchFileWriter | pc.CSVWriter":
        if self._format is Format.PARQUET:
            return pq.ParquetWriter(sink, self._schema, compression="zstd")
        if self._format is Format.ARROW:
            return pa.ipc.new_file(sink, self._schema)
        return pc.CSVWriter(sink, self._schema, write_options=pc.WriteOptions(quoting_header="none"))

    def _write_waiting(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting, self._schema).combine_chunks())
            self._waiting.clear()

    def _field(self, column: Column) -> pa.Field:
        as_text = self._format is Format.CSV and column.stored in {Stored.INSTANT, Stored.PAIRS}
        return pa.field(column.name, pa.string() if as_text else _TYPES[column.stored], nullable=column.may_lack)

    def _values(self, column: Column, values: list[Value]) -> list[object]:
        as_text = self._format is Format.CSV
        match column.stored:
            case Stored.INSTANT if as_text:
                return [_write_instant(one) for one in values if isinstance(one, dt.datetime)]
            case Stored.PAIRS if as_text:
                return [_json.encode(one).decode() for one in values]
            case Stored.PAIRS:
                return [list(one.items()) for one in values if isinstance(one, Mapping)]
            case _:
                return list(values)


def _write_instant(at: dt.datetime) -> str:
    return f"{at.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def _bring_to_disk(folder: Path) -> None:
    """Bring the names in *folder* to disk."""
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
