"""Write blocks as Parquet, as Arrow's file or stream, or as CSV."""

from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from tallystick.ledger.files.kept_open import KeptOpen
from tallystick.ledger.files.layout import Column, Instants, Layout, Longs, Stored, Uuids, Values, columns_of
from tallystick.ledger.files.model import ABSENT, Codes, Format, Mask, Numbers, Posted, Results
from tallystick.ledger.files.uuids import write_uuids

_GROUP_ROWS = 1 << 17
"""Rows of a Parquet row group: enough to compress well, few enough to wait in memory."""

_TYPES = {
    Stored.UUID: pa.uuid(),
    Stored.TEXT: pa.string(),
    Stored.LONG: pa.int64(),
    Stored.INSTANT: pa.timestamp("us", tz="UTC"),
}


class Encoder:
    """A file in one of the formats that Arrow writes."""

    def __init__(self, sink: BinaryIO, layout: Layout, format_: Format) -> None:
        """Write what comes before the rows."""
        self._layout, self._format = layout, format_
        self._schema = pa.schema([self._field(column) for column in layout.columns])
        self._waiting: list[pa.RecordBatch] = []
        # Arrow would close a file of its own; it gets one that leaves ours open.
        self._kept_open = KeptOpen(sink)
        self._sink = pa.PythonFile(self._kept_open, mode="w")
        self._writer = self._make_writer()

    def write(self, block: Posted | Results) -> None:
        """Write the rows of *block*."""
        columns = columns_of(block)
        arrays = [self._array(column, columns[column.name]) for column in self._layout.columns]
        self._waiting.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        if self._format is not Format.PARQUET or sum(batch.num_rows for batch in self._waiting) >= _GROUP_ROWS:
            self._write_waiting()

    def close(self) -> None:
        """Write what comes behind the rows."""
        self._write_waiting()
        self._writer.close()
        self._sink.flush()

    def abandon(self) -> None:
        """Let Arrow end its file, as it insists on, where nobody hears it."""
        self._waiting.clear()
        self._kept_open.listens = False
        self._writer.close()

    def _make_writer(self) -> "pq.ParquetWriter | pa.ipc.RecordBatchStreamWriter | pc.CSVWriter":
        if self._format is Format.PARQUET:
            return pq.ParquetWriter(self._sink, self._schema, compression="zstd")
        if self._format is Format.ARROW:
            return pa.ipc.new_file(self._sink, self._schema)
        if self._format is Format.ARROW_STREAM:
            return pa.ipc.new_stream(self._sink, self._schema)
        return pc.CSVWriter(self._sink, self._schema, write_options=pc.WriteOptions(quoting_header="none"))

    def _write_waiting(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting, self._schema).combine_chunks())
            self._waiting.clear()

    def _field(self, column: Column) -> pa.Field:
        as_text = self._format is Format.CSV and column.stored in {Stored.UUID, Stored.INSTANT}
        return pa.field(column.name, pa.string() if as_text else _TYPES[column.stored], nullable=column.may_lack)

    def _array(self, column: Column, values: Values) -> pa.Array:
        as_text = self._field(column).type == pa.string()
        match values:
            case Codes(distinct, index):
                places = pa.array(index, mask=index == ABSENT)
                array = pa.DictionaryArray.from_arrays(places, pa.array(distinct, pa.string())).dictionary_decode()
            case Uuids(ids, absent) if as_text:
                array = pa.array(write_uuids(ids).astype("U36"), pa.string(), mask=absent)
            case Uuids(ids, absent):
                buffers = [_bitmap(absent), pa.py_buffer(ids.tobytes())]
                array = pa.ExtensionArray.from_storage(
                    pa.uuid(), pa.Array.from_buffers(pa.binary(16), len(ids), buffers)
                )
            case Instants(instants) if as_text:
                array = pa.array(write_instants(instants), pa.string())
            case Instants(instants):
                array = pa.array(instants, pa.int64()).cast(_TYPES[Stored.INSTANT])
            case Longs(numbers, absent):
                array = pa.array(numbers, pa.int64(), mask=absent)
            case texts:
                array = pa.array(texts, pa.string())
        return array


def write_instants(instants: Numbers) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    """Write microseconds since 1970 UTC as RFC 3339 has them."""
    return np.strings.add(np.datetime_as_string(instants.astype("M8[us]"), unit="us"), "Z")


def _bitmap(absent: Mask | None) -> pa.Buffer | None:
    """Write which values are there, as Arrow has it."""
    return None if absent is None else pa.py_buffer(np.packbits(~absent, bitorder="little").tobytes())
