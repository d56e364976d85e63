"""
Look at the messages of an Arrow stream before they are read, so that none is larger than a reader has memory for.

Arrow allocates what a message says, and what its compressed buffers say they become. The format: Arrow columnar format,
"Encapsulated message format"; the metadata is a FlatBuffer of ``Message.fbs``.
"""

import io
import struct

from tallystick.errors import TallystickError
from tallystick.ledger.files.errors import DamagedFile, PieceTooLarge
from tallystick.ledger.files.source import Source

MOST_METADATA = 1 << 24
MOST_BATCH = 1 << 28
"""Bytes of a record batch, as it lies in the file and as it becomes: about two million rows."""

_FILE_MARK = b"ARROW1\0\0"
_CONTINUES = b"\xff\xff\xff\xff"
_RECORD_BATCH, _DICTIONARY_BATCH = 3, 2
_BUFFER = struct.Struct("<qq")


class CheckedMessages(io.RawIOBase):
    """The stream, message by message, as the file that Arrow reads."""

    def __init__(self, source: Source) -> None:
        """Read from *source*, behind the mark if it is a file."""
        self._source = source
        self._ready: list[bytes] = []
        self._at = 0
        self._last = b""
        self._ended = False
        self.after_row = 0
        """The last row handed out, for what is told of a message that is refused."""
        self.refused: TallystickError | None = None
        if source.head.startswith(_FILE_MARK):
            source.read(len(_FILE_MARK))

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def read(self, count: int = -1) -> bytes:
        """Read at most *count* bytes; a message only begins to come when all of it was checked."""
        if not self._ready and not self._ended:
            self._next()
        if not self._ready:
            return b""
        part = self._ready[0]
        # All of a part is handed on as it is: a body may be large, and is not copied.
        piece = part[self._at : len(part) if count < 0 else self._at + count]
        self._at += len(piece)
        if self._at == len(part):
            del self._ready[0]
            self._at = 0
        return piece

    def finish(self) -> None:
        """
        Hold the end against what an end looks like.

        Raises:
            DamagedFile: ledger.damaged_file; the stream stops without the mark of its end.
        """
        if self._last != _CONTINUES + bytes(4):
            raise DamagedFile(row=self.after_row, why="the stream stops without the mark of its end")

    def _next(self) -> None:
        """
        Take the next message.

        Raises:
            OSError: it is refused; ``refused`` says why, since Arrow does not carry our errors.
        """
        try:
            self._ready = [part for part in self._take_message() if part]
        except TallystickError as error:
            self.refused, self._ended = error, True
            raise OSError(error.message) from error

    def _take_message(self) -> list[bytes]:
        begin = self._source.read(8)
        if not begin or begin == _CONTINUES + bytes(4):
            self._ended, self._last = True, begin
            return [begin]
        length = int.from_bytes(begin[4:], "little", signed=True)
        if not begin.startswith(_CONTINUES) or len(begin) < len(_CONTINUES) * 2 or length <= 0:
            raise DamagedFile(row=self.after_row, why="there is no message where one should be")
        self._refuse_large("metadata", length, MOST_METADATA)
        metadata = self._read_whole(length)
        try:
            message = _Message(metadata)
        except (struct.error, IndexError, ValueError) as error:
            raise DamagedFile(row=self.after_row, why="a message's metadata cannot be read") from error
        self._refuse_large("a record batch", message.body_length, MOST_BATCH)
        body = self._read_whole(message.body_length)
        if message.compressed:
            sizes = [body[offset : offset + 8] for offset, size in message.buffers if size > 0]
            becomes = sum(max(int.from_bytes(size, "little", signed=True), 0) for size in sizes)
            self._refuse_large("a record batch", becomes, MOST_BATCH)
        return [begin + metadata, body]

    def _refuse_large(self, piece: str, size: int, limit: int) -> None:
        if size > limit or size < 0:
            raise PieceTooLarge(row=self.after_row, piece=piece, size=size, limit=limit)

    def _read_whole(self, count: int) -> bytes:
        data = self._source.read(count)
        if len(data) < count:
            raise DamagedFile(row=self.after_row, why=f"it ends {count - len(data)} bytes before a message does")
        return data


class _Message:
    """What of a message's metadata tells how much memory it takes."""

    def __init__(self, metadata: bytes) -> None:
        self._data = metadata
        message = self._offset(0)
        self.body_length = self._scalar("<q", self._field(message, 3))
        kind = self._scalar("<B", self._field(message, 1))
        self.buffers: list[tuple[int, int]] = []
        self.compressed = False
        header = self._field(message, 2)
        if header and kind in {_RECORD_BATCH, _DICTIONARY_BATCH}:
            batch = self._offset(header)
            if kind == _DICTIONARY_BATCH:
                batch = self._offset(self._field(batch, 1))
            self._read_batch(batch)

    def _read_batch(self, batch: int) -> None:
        self.compressed = self._field(batch, 3) != 0
        buffers = self._field(batch, 2)
        if not buffers:
            return
        vector = self._offset(buffers)
        count = self._scalar("<I", vector)
        if count * _BUFFER.size > len(self._data):
            raise ValueError(count)
        self.buffers = [_BUFFER.unpack_from(self._data, vector + 4 + _BUFFER.size * place) for place in range(count)]

    def _field(self, table: int, number: int) -> int:
        """Return where a field of a table stands, 0 if it is not there."""
        entries = table - self._scalar("<i", table)
        if entries < 0:
            raise ValueError(entries)
        if 4 + 2 * number >= self._scalar("<H", entries):
            return 0
        relative = self._scalar("<H", entries + 4 + 2 * number)
        return table + relative if relative else 0

    def _offset(self, at: int) -> int:
        return at + self._scalar("<I", at)

    def _scalar(self, layout: str, at: int) -> int:
        if at == 0 and layout != "<I":
            return 0
        value: int = struct.unpack_from(layout, self._data, at)[0]
        return value
