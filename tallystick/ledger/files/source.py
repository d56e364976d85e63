"""Where the bytes of a file come from: a path, or a stream that can be read once."""

import io
import os
import shutil
import stat
import tempfile
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from tallystick.ledger.files.detect import HEAD
from tallystick.ledger.files.errors import UnreadableFile


class Source:
    """A file open for one pass; it counts what was read of it."""

    def __init__(self, where: Path | BinaryIO) -> None:
        """
        Open *where* and look at its first bytes.

        Raises:
            UnreadableFile: ledger.unreadable_file; absent, forbidden, or not a regular file.
        """
        self.path = where if isinstance(where, Path) else None
        self.name = where.name if isinstance(where, Path) else "the stream"
        self._file = _open_regular(where) if isinstance(where, Path) else where
        self.size = os.fstat(self._file.fileno()).st_size if isinstance(where, Path) else None
        """Bytes in the file; None of a stream, which does not say."""
        self.bytes_read = 0
        self._spool: BinaryIO | None = None
        self.head = self._read_head()
        self._unread = self.head

    def __enter__(self) -> Self:
        """Enter the block at whose end the source is closed."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close what was opened here; a stream stays its owner's."""
        if self.path is not None:
            self._file.close()
        if self._spool is not None:
            self._spool.close()

    def read(self, count: int) -> bytes:
        """Read *count* bytes, fewer only at the end."""
        pieces, missing = [], count
        if self._unread:
            pieces, self._unread = [self._unread[:count]], self._unread[count:]
            missing -= len(pieces[0])
        while missing and (piece := self._file.read(missing)):
            pieces.append(piece)
            missing -= len(piece)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.bytes_read += len(data)
        return data

    def seekable(self) -> BinaryIO:
        """
        Return the whole file from its start, for formats whose index is at their end.

        A stream is copied to a temporary file first: how long it may be is for its owner to say.
        """
        if self.path is not None:
            self._file.seek(0)
            return self._file
        if self._spool is None:
            self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - close() closes it
            self._spool.write(self._unread)
            shutil.copyfileobj(self._file, self._spool, 1 << 20)
            self._spool.flush()
        self._spool.seek(0)
        return self._spool

    def readable(self) -> "Readable":
        """Return what is left as a raw file."""
        return Readable(self)

    def _read_head(self) -> bytes:
        head = b""
        while len(head) < HEAD and (piece := self._file.read(HEAD - len(head))):
            head += piece
        return head


class Readable(io.RawIOBase):
    """A source as the file that libraries ask for."""

    def __init__(self, source: Source) -> None:
        """Read from *source*."""
        self._source = source

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def read(self, count: int = -1) -> bytes:
        """Read *count* bytes, or a mebibyte if none is named."""
        return self._source.read(count if count >= 0 else 1 << 20)


def _open_regular(path: Path) -> BinaryIO:
    """Open without waiting for the other end of a pipe, and refuse what has no size."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise UnreadableFile(name=str(path), why=getattr(error, "strerror", None) or str(error)) from error
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise UnreadableFile(name=str(path), why="it is not a regular file")
    return os.fdopen(file, "rb")
