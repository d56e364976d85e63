"""Read CSV (RFC 4180, with a header; an empty cell says nothing), plain or compressed with gzip or zstd: a row is a line."""

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc

from tallystick.ledger.files.columns import COLUMNS, check_names
from tallystick.ledger.files.detect import GZIP, ZSTD
from tallystick.ledger.files.errors import DamagedFile, PieceTooLarge
from tallystick.ledger.files.failures import FAILURES, why
from tallystick.ledger.files.model import BLOCK_ROWS, Block, Mask
from tallystick.ledger.files.source import Source
from tallystick.ledger.files.take_block import take_blocks

MOST_LINE = 1 << 20
"""Bytes of a line; no value may be longer than 1,020, and there are twelve columns."""
_PIECE = 1 << 20
_MOST_WAITING = 4 << 20
"""Bytes of lines that wait for a block to be full; long lines make smaller blocks."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_CELL = rb'(?:"(?:[^"\r]|"")*"(?:[^",\r][^,\r]*)?|(?:[^",\r][^,\r]*)?)'
"""What the parser takes for a cell of one line: a quote counts only at the start of it."""
_ROW = re.compile(_CELL + rb"(?:," + _CELL + rb")*")
_EACH_CELL = re.compile(rb"(?:^|,)" + _CELL)
_UNFINISHED = "the last line has no line break, so it may have been cut short"


@dataclass(frozen=True, slots=True)
class _Parsed:
    rows: pa.RecordBatch
    broken: Mask | None


class Reader:
    """A CSV file; how many rows it has is known when they have been read."""

    rows_total: int | None = None

    def __init__(self, source: Source) -> None:
        """
        Read the header.

        Raises:
            DamagedFile: ledger.damaged_file; not even the header can be read.
            PieceTooLarge: ledger.piece_too_large.
        """
        self._read = _decompressed(source)
        self._waiting = b""
        self._ended = False
        self._damage: str | None = None
        self._row = 0
        self._header = _header_names(self._take_header())
        check_names(self._header)
        self._names = [name for name in self._header if name in COLUMNS]

    def blocks(self) -> Iterator[Block]:
        """
        Hand the rows out.

        Raises:
            DamagedFile: ledger.damaged_file; also where the last line has no line break.
            PieceTooLarge: ledger.piece_too_large; a line is longer than any row can be.
        """
        for lines in self._pieces():
            parsed = self._parse(lines)
            yield from take_blocks(parsed.rows, self._row + 1, parsed.broken)
            self._row += parsed.rows.num_rows
        if self._waiting and self._damage is None:
            self._damage = _UNFINISHED
        if self._damage is not None:
            raise DamagedFile(row=self._row, why=self._damage)

    def _fill(self) -> None:
        """Read some more; damage ends the file here and is told when the rows before it are handed out."""
        try:
            piece = self._read(_PIECE)
        except FAILURES as error:
            piece, self._damage = b"", why(error)
        self._ended = not piece
        self._waiting += piece
        if len(self._waiting) - self._waiting.rfind(b"\n") > MOST_LINE + _PIECE:
            raise PieceTooLarge(row=self._row, piece="a line", size=len(self._waiting), limit=MOST_LINE)

    def _take_header(self) -> bytes:
        """Take the first line that is not blank; a header may be all there is."""
        while not self._ended and b"\n" not in self._waiting.lstrip(b"\r\n"):
            self._fill()
        if self._damage is not None:
            raise DamagedFile(row=0, why=self._damage)
        header, _, self._waiting = self._waiting.removeprefix(_BYTE_ORDER_MARK).lstrip(b"\r\n").partition(b"\n")
        return header.removesuffix(b"\r")

    def _pieces(self) -> Iterator[bytes]:
        """Hand out whole lines, at most a block's rows of them."""
        while True:
            breaks = np.flatnonzero(np.frombuffer(self._waiting, dtype=np.uint8) == ord("\n"))
            ends = breaks[BLOCK_ROWS - 1 :: BLOCK_ROWS].tolist()
            cut = ends[-1] + 1 if ends else 0
            if len(breaks) and breaks[-1] >= cut and (self._ended or len(self._waiting) - cut > _MOST_WAITING):
                ends.append(int(breaks[-1]))
            start = 0
            for end in ends:
                yield self._waiting[start : end + 1]
                start = end + 1
            self._waiting = self._waiting[start:]
            if self._ended:
                return
            self._fill()

    def _parse(self, lines: bytes) -> _Parsed:
        """Parse whole lines; a line that would take others with it is set aside."""
        rows = self._parse_cells(lines)
        if rows is not None and rows.num_rows == _count_lines(lines):
            return _Parsed(rows, None)
        apart = [line.removesuffix(b"\r") for line in lines.split(b"\n")]
        kept = [line for line in apart if line]
        broken: Mask = np.array([not self._is_row(line) for line in kept], dtype=np.bool_)
        good = self._parse_cells(b"".join(kept[place] + b"\n" for place in np.flatnonzero(~broken).tolist()))
        if good is None or good.num_rows != len(kept) - int(broken.sum()):
            raise DamagedFile(row=self._row, why="the rows of a block cannot be told apart")
        places = np.where(broken, 0, np.cumsum(~broken) - 1)
        return _Parsed(good.take(pa.array(places, mask=broken)), broken)

    def _is_row(self, line: bytes) -> bool:
        """Say whether *line* has a cell for each column, and ends where its last cell does."""
        return _ROW.fullmatch(line) is not None and len(_EACH_CELL.findall(line)) == len(self._header)

    def _parse_cells(self, lines: bytes) -> pa.RecordBatch | None:
        """Parse lines; None if one of them has not as many cells as the header."""
        if not lines.strip(b"\r\n"):
            return pa.RecordBatch.from_pydict({name: pa.array([], pa.binary()) for name in self._names})
        try:
            table = pc.read_csv(
                pa.BufferReader(lines),
                read_options=pc.ReadOptions(use_threads=False, block_size=len(lines) + 1, column_names=self._header),
                parse_options=pc.ParseOptions(newlines_in_values=True),
                convert_options=pc.ConvertOptions(
                    column_types=dict.fromkeys(self._header, pa.binary()),
                    include_columns=self._names,
                    null_values=[""],
                    strings_can_be_null=True,
                    check_utf8=False,
                ),
            )
        except pa.ArrowInvalid:
            return None
        if table.num_rows == 0:
            return None
        return table.combine_chunks().to_batches()[0]


def _decompressed(source: Source) -> Callable[[int], bytes]:
    """Return what reads the text of *source*."""
    if source.head.startswith(GZIP) or source.head.startswith(ZSTD):
        codec = "gzip" if source.head.startswith(GZIP) else "zstd"
        stream = pa.CompressedInputStream(pa.PythonFile(source.readable(), mode="r"), codec)
        return lambda count: bytes(stream.read(count))
    return source.read


def _header_names(header: bytes) -> list[str]:
    try:
        return next(csv.reader([header.decode()], strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DamagedFile(row=0, why="the header cannot be read") from error


def _count_lines(lines: bytes) -> int:
    """Count the lines that are not blank."""
    breaks = np.flatnonzero(np.frombuffer(lines, dtype=np.uint8) == ord("\n"))
    blank = np.diff(breaks, prepend=-1) == 1
    if b"\r\n" in lines:
        text = np.frombuffer(lines, dtype=np.uint8)
        before = text[breaks - 1] == ord("\r")
        blank |= (np.diff(breaks, prepend=-1) == 2) & before  # noqa: PLR2004 - a carriage return and a line feed
    return len(breaks) - int(blank.sum())
