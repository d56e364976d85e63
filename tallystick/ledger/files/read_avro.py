"""
Read Avro's container files (Avro specification 1.12, "Object Container Files").

Decoded here and not by a library, since those stop at the first text that is not UTF-8, take a block's word for what it
becomes, and make an object of every row.
"""

import bz2
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from tallystick.ledger.files.avro_columns import AvroColumn, Skipped, avro_column
from tallystick.ledger.files.columns import COLUMNS, check_names
from tallystick.ledger.files.errors import ColumnType, DamagedFile, PieceTooLarge
from tallystick.ledger.files.model import BLOCK_ROWS, Block
from tallystick.ledger.files.source import Source
from tallystick.ledger.files.take_block import take_blocks

MOST_BLOCK = 1 << 26
"""Bytes of a block, as it lies in the file and as it becomes; writers make blocks of 16 to 64 KiB."""
_MOST_HEADER = 1 << 20
_MAGIC = b"Obj\x01"
_SYNC = 16
_SNAPPY_CHECKSUM = 4
_MOST_VARINT = 10


class Reader:
    """An Avro container file of one flat record; how many rows it has is known when they have been read."""

    rows_total: int | None = None

    def __init__(self, source: Source) -> None:
        """
        Read the header and check the columns.

        Raises:
            DamagedFile: ledger.damaged_file; there is no header that could be read.
            ColumnType: ledger.column_type.
        """
        self._source = source
        self._row = 0
        self._wanted: list[AvroColumn] = []
        source.read(len(_MAGIC))
        metadata = self._metadata()
        self._sync = self._whole(_SYNC)
        codec = metadata.get("avro.codec", b"null").decode(errors="replace")
        if codec not in _DECOMPRESS:
            raise DamagedFile(row=0, why=f"its codec {codec[:64]} is not known here")
        self._decompress = _DECOMPRESS[codec]
        columns = _columns(metadata.get("avro.schema", b""))
        self._readers = [column.read for column in columns]
        self._wanted = [column for column in columns if not isinstance(column, Skipped)]

    def blocks(self) -> Iterator[Block]:
        """
        Hand the rows out.

        Raises:
            DamagedFile: ledger.damaged_file.
            PieceTooLarge: ledger.piece_too_large.
        """
        damage: DamagedFile | PieceTooLarge | None = None
        while damage is None and (ahead := self._source.read(1)):
            try:
                count = self._varint(ahead)
                data = self._block_data()
                yield from self._rows(data, count)
            except (DamagedFile, PieceTooLarge) as error:
                damage = error
        yield from self._flush()
        if damage is not None:
            raise damage

    def _rows(self, data: bytes, count: int) -> Iterator[Block]:
        """Decode a block's rows; they wait until there are enough of them for one of ours."""
        if count < 0:
            raise DamagedFile(row=self._row + self._waiting, why="a block says that it has fewer than no rows")
        at, end, readers = 0, len(data), self._readers
        while count:
            piece = min(count, BLOCK_ROWS - self._waiting)
            for number in range(self._waiting, self._waiting + piece):
                try:
                    for read in readers:
                        at = read(data, at)
                except (IndexError, ValueError):
                    at = end + 1
                if at > end:
                    self._keep(number)
                    raise DamagedFile(row=self._row + self._waiting, why="a row goes on behind its block")
            count -= piece
            if self._waiting == BLOCK_ROWS:
                yield from self._flush()
        if at != end:
            raise DamagedFile(row=self._row + self._waiting, why="a block has more bytes than rows")

    @property
    def _waiting(self) -> int:
        return len(self._wanted[0].values) if self._wanted else 0

    def _keep(self, count: int) -> None:
        """Forget the row that could not be decoded to its end, of which some columns may have a part."""
        for column in self._wanted:
            del column.values[count:]

    def _flush(self) -> Iterator[Block]:
        count = self._waiting
        if count:
            names = [column.name for column in self._wanted]
            batch = pa.RecordBatch.from_arrays([column.take() for column in self._wanted], names=names)
            yield from take_blocks(batch, self._row + 1)
            self._row += count

    def _block_data(self) -> bytes:
        size = self._varint(self._source.read(1))
        self._refuse_large(size)
        data = self._whole(size)
        if self._whole(_SYNC) != self._sync:
            raise DamagedFile(row=self._row + self._waiting, why="a block does not end with the file's mark")
        try:
            becomes = self._decompress(data)
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, pa.ArrowException) as error:
            raise DamagedFile(row=self._row + self._waiting, why="a block cannot be decompressed") from error
        self._refuse_large(len(becomes))
        return becomes

    def _metadata(self) -> dict[str, bytes]:
        """Read the header's map, block by block."""
        found: dict[str, bytes] = {}
        while count := self._varint(self._source.read(1)):
            if count < 0:
                self._varint(self._source.read(1))
            for _ in range(abs(count)):
                key = self._short().decode(errors="replace")
                found[key] = self._short()
        return found

    def _short(self) -> bytes:
        length = self._varint(self._source.read(1))
        if not 0 <= length <= _MOST_HEADER:
            raise PieceTooLarge(row=0, piece="a header", size=length, limit=_MOST_HEADER)
        return self._whole(length)

    def _refuse_large(self, size: int) -> None:
        if not 0 <= size <= MOST_BLOCK:
            row = self._row + self._waiting
            raise PieceTooLarge(row=row, piece="a block", size=size, limit=MOST_BLOCK)

    def _whole(self, count: int) -> bytes:
        data = self._source.read(count)
        if len(data) < count:
            self._refuse_end()
        return data

    def _varint(self, ahead: bytes) -> int:
        """Read a number whose first byte is *ahead*."""
        value = shift = 0
        for _ in range(_MOST_VARINT):
            if not ahead:
                break
            value |= (ahead[0] & 0x7F) << shift
            if ahead[0] < 0x80:  # noqa: PLR2004 - the bit that says that more follows
                return value >> 1 ^ -(value & 1)
            shift += 7
            ahead = self._source.read(1)
        self._refuse_end()
        return 0

    def _refuse_end(self) -> None:
        raise DamagedFile(row=self._row + self._waiting, why="it ends in the middle of a block")


def _columns(schema: bytes) -> list[AvroColumn]:
    """Make a column for each field of the file's record."""
    try:
        record: Any = json.loads(schema)
        named = [(str(field["name"]), field["type"]) for field in record["fields"] if record["type"] == "record"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedFile(row=0, why="its schema is not that of a record") from error
    check_names([name for name, _ in named])
    return [_column(name, kind) for name, kind in named]


def _column(name: str, kind: object) -> AvroColumn:
    column = avro_column(name, kind)
    wanted = COLUMNS.get(name)
    if column is None or (wanted is not None and not wanted.fits(column.arrow)):
        shown = json.dumps(kind)[:100]
        raise ColumnType(field=name, column=name, type=shown, wanted=wanted.wanted if wanted else "what was exported")
    return column if wanted is not None else Skipped(column)


def _deflate(data: bytes) -> bytes:
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    becomes = stream.decompress(data, MOST_BLOCK + 1)
    if not stream.eof and len(becomes) <= MOST_BLOCK:
        raise EOFError
    return becomes


def _snappy(data: bytes) -> bytes:
    size = shift = 0
    for byte in data[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
            break
    if size > MOST_BLOCK:
        raise PieceTooLarge(row=0, piece="a block", size=size, limit=MOST_BLOCK)
    becomes: bytes = pa.Codec("snappy").decompress(data[:-_SNAPPY_CHECKSUM], decompressed_size=size, asbytes=True)
    if zlib.crc32(becomes) != int.from_bytes(data[-_SNAPPY_CHECKSUM:], "big"):
        raise ValueError(size)
    return becomes


def _zstandard(data: bytes) -> bytes:
    with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
        return bytes(stream.read(MOST_BLOCK + 1))


_DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "null": lambda data: data,
    "deflate": _deflate,
    "snappy": _snappy,
    "zstandard": _zstandard,
    "bzip2": lambda data: bz2.BZ2Decompressor().decompress(data, MOST_BLOCK + 1),
    "xz": lambda data: lzma.LZMADecompressor().decompress(data, MOST_BLOCK + 1),
}
