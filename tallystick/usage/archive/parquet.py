"""Parquet: rows of usage as a file that any tool reads, and back again, row for row."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pyarrow import csv
from pyarrow import parquet as pq

COLUMNS = {
    "customer_id": pa.int64(),
    "occurred_at": pa.timestamp("us", "UTC"),
    "transaction_id": pa.int64(),
    "event_key": pa.string(),
    "book_id": pa.int32(),
    "message_place": pa.int32(),
    "sign": pa.int16(),
    "type": pa.string(),
    "source": pa.string(),
    "event_id": pa.string(),
    "quantities": pa.string(),
    "dimensions": pa.string(),
}
"""As the store has them; quantities and dimensions are JSON."""
_AT_ONCE = 50_000


def write(rows: Path, into: Path) -> int:
    """Write the CSV of a table, with names and with NULL as nothing between commas, as Parquet; return how many rows."""
    schema = pa.schema(list(COLUMNS.items()))
    count = 0
    options = csv.ConvertOptions(column_types=COLUMNS, strings_can_be_null=True, quoted_strings_can_be_null=False)
    parsing = csv.ParseOptions(newlines_in_values=True)
    with pq.ParquetWriter(into, schema, compression="zstd") as writer:
        for batch in csv.open_csv(rows, parse_options=parsing, convert_options=options):
            writer.write_batch(batch)
            count += batch.num_rows
    return count


def read(path: Path) -> Iterator[tuple[int, bytes]]:
    """Give the rows of a file as CSV, piece by piece, each with its count and its header."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_AT_ONCE, columns=list(COLUMNS)):
            text = pa.BufferOutputStream()
            csv.write_csv(batch, text)
            yield batch.num_rows, text.getvalue().to_pybytes()
