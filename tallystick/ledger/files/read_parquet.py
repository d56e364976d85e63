"""Read Parquet: page by page, however large its row groups are."""

from collections.abc import Iterator

import pyarrow.parquet as pq

from tallystick.ledger.files.check_pages import check_pages, read_footer
from tallystick.ledger.files.columns import check_schema, is_text
from tallystick.ledger.files.errors import DamagedFile
from tallystick.ledger.files.failures import FAILURES, why
from tallystick.ledger.files.model import BLOCK_ROWS, Block
from tallystick.ledger.files.source import Source
from tallystick.ledger.files.take_block import take_blocks

_BUFFER = 1 << 18
"""So many bytes of each column are read at once."""
_FOOTER_STRINGS, _FOOTER_ITEMS = 1 << 24, 1 << 20
"""Bounds of what a footer may make us allocate before anything of it is believed."""
_DISTINCT = frozenset({"id", "reference", "hold", "reverses"})
"""Texts that hardly repeat: read as they stand, since a dictionary of them would cost more than it saves."""


class Reader:
    """A Parquet file."""

    def __init__(self, source: Source) -> None:
        """
        Read the footer and check the columns.

        Raises:
            DamagedFile: ledger.damaged_file; there is no footer that could be read.
        """
        self._file = source.seekable()
        self._groups = read_footer(self._file)
        try:
            self._parquet = self._open([])
            self._names = check_schema(self._parquet.schema_arrow)
            repeating = [
                name
                for name in self._names
                if name not in _DISTINCT and is_text(self._parquet.schema_arrow.field(name).type)
            ]
            self._parquet = self._open(repeating)
        except FAILURES as error:
            raise DamagedFile(row=0, why=why(error)) from error
        self._spread = [name for name in self._names if name not in repeating]
        self.rows_total: int | None = self._parquet.metadata.num_rows

    def blocks(self) -> Iterator[Block]:
        """
        Hand the rows out.

        Raises:
            DamagedFile: ledger.damaged_file.
            PieceTooLarge: ledger.piece_too_large; a page, or a value in one, is larger than is read at once.
        """
        row = 0
        for group, chunks in enumerate(self._groups):
            check_pages(self._file, chunks, self._names, self._spread, row)
            try:
                for batch in self._parquet.iter_batches(
                    batch_size=BLOCK_ROWS, row_groups=[group], columns=self._names, use_threads=False
                ):
                    yield from take_blocks(batch, row + 1)
                    row += batch.num_rows
            except FAILURES as error:
                raise DamagedFile(row=row, why=why(error)) from error

    def _open(self, repeating: list[str]) -> pq.ParquetFile:
        self._file.seek(0)
        return pq.ParquetFile(
            self._file,
            read_dictionary=repeating,
            pre_buffer=False,
            buffer_size=_BUFFER,
            thrift_string_size_limit=_FOOTER_STRINGS,
            thrift_container_size_limit=_FOOTER_ITEMS,
        )
