"""Read Arrow's stream of record batches, and the file format, which is that stream between two marks."""

from collections.abc import Iterator

import pyarrow as pa

from tallystick.ledger.files.check_messages import CheckedMessages
from tallystick.ledger.files.columns import check_schema
from tallystick.ledger.files.errors import DamagedFile
from tallystick.ledger.files.failures import FAILURES, why
from tallystick.ledger.files.model import Block
from tallystick.ledger.files.source import Source
from tallystick.ledger.files.take_block import take_blocks
from tallystick.ledger.files.texts import trusted


class Reader:
    """A stream of record batches."""

    rows_total: int | None = None

    def __init__(self, source: Source) -> None:
        """
        Read the schema and check the columns.

        Raises:
            DamagedFile: ledger.damaged_file; there is no schema that could be read.
            PieceTooLarge: ledger.piece_too_large.
        """
        self._messages = CheckedMessages(source)
        try:
            options = pa.ipc.IpcReadOptions(use_threads=False)
            self._batches = pa.ipc.open_stream(pa.PythonFile(self._messages, mode="r"), options=options)
            self._names = check_schema(self._batches.schema)
        except FAILURES as error:
            raise self._damage(0, error) from error

    def blocks(self) -> Iterator[Block]:
        """
        Hand the rows out.

        Raises:
            DamagedFile: ledger.damaged_file.
            PieceTooLarge: ledger.piece_too_large; a record batch is larger than is read at once.
        """
        row = 0
        while True:
            self._messages.after_row = row
            try:
                batch = self._batches.read_next_batch()
                columns = [trusted(batch.column(name)) for name in self._names]
            except StopIteration:
                break
            except FAILURES as error:
                raise self._damage(row, error) from error
            yield from take_blocks(pa.RecordBatch.from_arrays(columns, names=self._names), row + 1)
            row += batch.num_rows
        self._messages.finish()

    def _damage(self, row: int, error: Exception) -> Exception:
        """Prefer what the check of the messages found to what Arrow made of it."""
        if self._messages.refused is not None:
            return self._messages.refused
        return DamagedFile(row=row, why=why(error))
