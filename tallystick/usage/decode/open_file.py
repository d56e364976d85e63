"""Open a usage file, gzip or plain, and hand out its lines: in bounded memory, and only what it held when opened."""

import gzip
import io
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from tallystick.errors import Kind, TallystickError

MAX_LINE = 2**20
BLOCK = 2**18
HEAD = 2**16
_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class UnreadableFile(TallystickError):
    """{path} cannot be read: {why}."""

    code: ClassVar[str] = "usage.unreadable_file"
    kind: ClassVar[Kind] = Kind.INVALID


class NotATextFile(TallystickError):
    """{path} is not a text file: it has a NUL byte near its start; if it is one all the same, name its format."""

    code: ClassVar[str] = "usage.not_a_text_file"
    kind: ClassVar[Kind] = Kind.INVALID


class EmptyFile(TallystickError):
    """{path} is empty."""

    code: ClassVar[str] = "usage.empty_file"
    kind: ClassVar[Kind] = Kind.INVALID


class DamagedFile(TallystickError):
    """{path} is damaged or cut short: {why}; the lines before that place were read."""

    code: ClassVar[str] = "usage.damaged_file"
    kind: ClassVar[Kind] = Kind.INVALID


@dataclass(frozen=True, slots=True)
class Batch:
    """Some lines on end, without their line breaks."""

    first: int
    """The number of the first line, counted from 1."""
    lines: list[bytes]
    bad: dict[int, str]
    """By line number, why a line is not even text; such a line stands in *lines* empty."""


class UsageFile:
    """
    A file of usage, open for one pass.

    Its size is taken when it is opened; what is appended afterwards is left for the next run.
    """

    def __init__(self, path: Path, *, complete: bool = False, is_text: bool = False) -> None:
        """
        Open *path* and look at its head; *complete* says that nothing more will be written to it.

        With *is_text* it is taken for text whatever its head is like, so that a NUL costs no more than its line.

        Raises:
            UnreadableFile: usage.unreadable_file; absent, forbidden, or not a regular file.
            EmptyFile: usage.empty_file; nothing is in it, or white space alone.
            NotATextFile: usage.not_a_text_file.
            DamagedFile: usage.damaged_file; it says it is gzip and is not.
        """
        self.path = path
        self.unfinished: int | None = None
        """After the last batch: the number of a last line that was left because more of it may be on its way."""
        self._complete = complete
        self._is_text = is_text
        self._damage: str | None = None
        self._raw = _BoundedFile(_open_regular(path))
        self.size = self._raw.size
        """Bytes on disk when opened: what ``position`` runs up to."""
        try:
            self._is_gzip = os.pread(self._raw.fileno(), len(_GZIP_MAGIC), 0) == _GZIP_MAGIC
            self._read = self._reader()
            self.head = self._read_head()
            """The first 64 KiB of text, or all of it if it is shorter."""
        except BaseException:
            self._raw.close()
            raise

    def __enter__(self) -> Self:
        """Enter the block at whose end the file is closed."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file; twice does no harm."""
        self._raw.close()

    @property
    def position(self) -> int:
        """Return how many bytes on disk have been read so far."""
        return self._raw.position

    def read_all(self, limit: int) -> bytes | None:
        """
        Read the whole text, for formats that are one document; None if it is longer than *limit*.

        Raises:
            DamagedFile: usage.damaged_file.
        """
        blocks, length = [], 0
        for block in self._blocks():
            blocks.append(block)
            length += len(block)
            if length > limit:
                return None
        self._refuse_damage()
        return b"".join(blocks)

    def batches(self, count: int, shows_its_end: Callable[[bytes], bool]) -> Iterator[Batch]:
        """
        Hand out the lines, *count* at a time.

        A last line without its line break is ``unfinished``: its writer may have paused in the middle of it. It counts
        if it *shows_its_end* by itself, if the file is said to be complete, or if it is gzip, which tells its own end.

        Raises:
            DamagedFile: usage.damaged_file, after the batches before the damage.
        """
        waiting: list[bytes] = []
        bad: dict[int, str] = {}
        first = 1
        for lines, reasons in self._pieces(shows_its_end):
            bad.update((first + len(waiting) + place, reason) for place, reason in reasons.items())
            waiting.extend(lines)
            while len(waiting) >= count:
                yield _cut(first, waiting[:count], bad)
                del waiting[:count]
                first += count
        if waiting:
            yield _cut(first, waiting, bad)
        if self.unfinished is not None:
            self.unfinished = first + len(waiting)
        self._refuse_damage()

    def _pieces(self, shows_its_end: Callable[[bytes], bool]) -> Iterator[tuple[list[bytes], dict[int, str]]]:
        """Cut each block into lines; of a line that is too long, only so much is kept that it shows."""
        tail = b""
        for block in self._blocks():
            text = tail + block
            lines = text.split(b"\n")
            tail = lines.pop()[: MAX_LINE + 1]
            yield lines, _clean(lines, text)
        if not tail:
            return
        if self._damage is None and self.stood_still() and (self._is_whole() or shows_its_end(tail)):
            lines = [tail]
            yield lines, _clean(lines, tail)
        else:
            self.unfinished = 0

    def stood_still(self) -> bool:
        """Say whether the file still has the size it had when it was opened."""
        return os.fstat(self._raw.fileno()).st_size == self.size

    def _is_whole(self) -> bool:
        """Say whether the end of the file is the end of what was to be written: it was said, or gzip's trailer was there."""
        return self._complete or self._is_gzip

    def _refuse_damage(self) -> None:
        if self._damage is not None:
            raise DamagedFile(path=str(self.path), why=self._damage)

    def _reader(self) -> Callable[[int], bytes]:
        if self._is_gzip:
            return gzip.GzipFile(fileobj=self._raw, mode="rb").read1
        return self._raw.read_some

    def _read_head(self) -> bytes:
        head = b""
        while len(head) < HEAD and (block := self._read_or_note(HEAD - len(head))):
            head += block
        if not head:
            self._refuse_damage()
        if len(head) < HEAD and not head.removeprefix(_BYTE_ORDER_MARK).strip():
            raise EmptyFile(path=str(self.path))
        if 0 in head and not self._is_text:
            raise NotATextFile(path=str(self.path))
        return head.removeprefix(_BYTE_ORDER_MARK)

    def _blocks(self) -> Iterator[bytes]:
        """Hand out the text, the head first, up to the end or to the damage."""
        yield self.head
        while self._damage is None and (block := self._read_or_note(BLOCK)):
            yield block

    def _read_or_note(self, count: int) -> bytes:
        """Read some bytes; damage ends a compressed file here, and is raised once its lines are handed out."""
        try:
            return self._read(count)
        except (OSError, EOFError, zlib.error) as error:
            self._damage = str(error)
            return b""


class _BoundedFile(io.RawIOBase):
    """A file that ends where it ended when it was opened."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self.size = os.fstat(file.fileno()).st_size
        self.position = 0

    def fileno(self) -> int:
        return self._file.fileno()

    def readable(self) -> bool:
        return True

    def read_some(self, count: int) -> bytes:
        block = self._file.read(min(count, self.size - self.position)) or b""
        self.position += len(block)
        return block

    def read(self, count: int = -1) -> bytes:
        return self.read_some(BLOCK if count < 0 else count)

    def close(self) -> None:
        self._file.close()
        super().close()


def _open_regular(path: Path) -> io.FileIO:
    """Open without waiting for the other end of a pipe, and refuse what has no size."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise UnreadableFile(path=str(path), why=getattr(error, "strerror", None) or str(error)) from error
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise UnreadableFile(path=str(path), why="it is not a regular file")
    return io.FileIO(file, "rb", closefd=True)


def _cut(first: int, lines: list[bytes], bad: dict[int, str]) -> Batch:
    end = first + len(lines)
    return Batch(first, lines, {number: reason for number, reason in bad.items() if first <= number < end})


def _clean(lines: list[bytes], text: bytes) -> dict[int, str]:
    """Drop the carriage returns in place, empty the lines that are no text, and say why; *text* holds all of them."""
    if b"\r" in text:
        lines[:] = [line.removesuffix(b"\r") for line in lines]
    if len(text) <= MAX_LINE and 0 not in text:
        return {}
    bad = {place: why for place, line in enumerate(lines) if (why := _flaw(line))}
    for place in bad:
        lines[place] = b""
    return bad


def _flaw(line: bytes) -> str | None:
    if len(line) > MAX_LINE:
        return f"the line is longer than {MAX_LINE} bytes"
    return "the line has a NUL byte" if 0 in line else None
