"""
Look at the pages of a Parquet file before they are read, so that none is larger than a reader has memory for.

Arrow allocates what a page's header says, up to 2 GiB, and writes a dictionary's values out as often as rows name them.
The footer is read here too: a damaged one makes Arrow end the process when it is asked for a column's part of it. The
format: Apache Parquet's ``parquet.thrift``.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa

from tallystick.ledger.files.errors import DamagedFile, PieceTooLarge
from tallystick.ledger.files.thrift import Fields, read_struct

MOST_PAGE = 1 << 26
"""Bytes of a page, uncompressed: writers make pages of about one mebibyte."""
MOST_VALUE = 4096
"""Bytes of one value in a dictionary that is written out, row by row."""
MOST_FOOTER = 1 << 25

_TAIL = 8
_HEADER, _LONGEST_HEADER = 1 << 10, 1 << 20
_DICTIONARY_PAGE, _TEXT = 2, 6
_CODECS = {0: None, 1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}


@dataclass(frozen=True, slots=True)
class Chunk:
    """One column of one row group, as the footer has it."""

    name: str
    is_text: bool
    codec: int
    begins_at: int
    ends_at: int


@dataclass(frozen=True, slots=True)
class _Page:
    kind: int
    uncompressed: int
    compressed: int
    begins_at: int
    """Where its content begins, behind the header."""


def read_footer(file: BinaryIO) -> list[list[Chunk]]:
    """
    Read where the columns of each row group are.

    Raises:
        DamagedFile: ledger.damaged_file; there is no footer that could be read.
        PieceTooLarge: ledger.piece_too_large.
    """
    size = os.fstat(file.fileno()).st_size
    tail = os.pread(file.fileno(), _TAIL, max(size - _TAIL, 0))
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != b"PAR1" or length + _TAIL > size:
        raise DamagedFile(row=0, why="it does not end with a footer")
    if length > MOST_FOOTER:
        raise PieceTooLarge(row=0, piece="a footer", size=length, limit=MOST_FOOTER)
    data = os.pread(file.fileno(), length, size - _TAIL - length)
    try:
        footer, _ = read_struct(data, 0)
        return [[_chunk(column[3]) for column in group[1]] for group in footer[4]]
    except (IndexError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise DamagedFile(row=0, why="its footer cannot be read") from error


def check_pages(file: BinaryIO, chunks: list[Chunk], names: list[str], spread: list[str], after_row: int) -> None:
    """
    Walk the pages of the columns *names* of a row group; those of *spread* will be read without their dictionary.

    Raises:
        PieceTooLarge: ledger.piece_too_large.
        DamagedFile: ledger.damaged_file; no page is where one should be.
    """
    for chunk in chunks:
        if chunk.name not in names:
            continue
        for page in _pages(file, chunk, after_row):
            size = max(page.uncompressed, page.compressed)
            if size > MOST_PAGE:
                raise PieceTooLarge(row=after_row, piece=f"a page of {chunk.name}", size=size, limit=MOST_PAGE)
            if page.kind == _DICTIONARY_PAGE and chunk.name in spread and chunk.is_text:
                longest = _longest_value(file, chunk, page, after_row)
                if longest > MOST_VALUE:
                    raise PieceTooLarge(row=after_row, piece=f"a value of {chunk.name}", size=longest, limit=MOST_VALUE)


def _chunk(column: Fields) -> Chunk:
    """Read a column's metadata: where it begins, its dictionary first, and how much of the file it takes."""
    begins_at = _number(column[9])
    if _number(column.get(11, 0)) > 0:
        begins_at = min(begins_at, column[11])
    ends_at = begins_at + _number(column[7]) if _number(column[5]) else begins_at
    name = b".".join(column[3]).decode(errors="replace")
    return Chunk(name, column[1] == _TEXT, _number(column[4]), begins_at, ends_at)


def _number(value: Any) -> int:  # noqa: ANN401 - a footer may have anything in any place
    if not isinstance(value, int):
        raise TypeError(value)
    return value


def _pages(file: BinaryIO, chunk: Chunk, after_row: int) -> Iterator[_Page]:
    at = chunk.begins_at
    while at < chunk.ends_at:
        page = _page_at(file, at)
        if page is None:
            raise DamagedFile(row=after_row, why=f"at byte {at} there is no page of {chunk.name}")
        yield page
        at = page.begins_at + page.compressed


def _page_at(file: BinaryIO, at: int) -> _Page | None:
    """Read the header of a page; None if there is none."""
    if not 0 <= at < os.fstat(file.fileno()).st_size:
        return None
    for length in (_HEADER, _LONGEST_HEADER):
        header = os.pread(file.fileno(), length, at)
        try:
            fields, size = read_struct(header, 0)
            page = _Page(_number(fields[1]), _number(fields[2]), _number(fields[3]), at + size)
        except (IndexError, KeyError, ValueError, TypeError):
            continue
        return page if page.compressed >= 0 and page.uncompressed >= 0 else None
    return None


def _longest_value(file: BinaryIO, chunk: Chunk, page: _Page, after_row: int) -> int:
    """Return the length of the longest text in a dictionary page: each stands behind its length."""
    if page.uncompressed <= MOST_VALUE:
        return page.uncompressed
    content = os.pread(file.fileno(), page.compressed, page.begins_at)
    try:
        codec = _CODECS[chunk.codec]
        if codec is not None:
            content = pa.Codec(codec).decompress(content, decompressed_size=page.uncompressed, asbytes=True)
    except (KeyError, OSError, pa.ArrowException) as error:
        why = f"the dictionary of {chunk.name} cannot be decompressed"
        raise DamagedFile(row=after_row, why=why) from error
    longest = at = 0
    while at + 4 <= len(content):
        length = int.from_bytes(content[at : at + 4], "little")
        longest = max(longest, length)
        at += 4 + length
    return longest
