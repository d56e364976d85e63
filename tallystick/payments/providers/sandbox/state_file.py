"""
The sandbox's memory on disk: one JSON line for each change, there before anybody hears of the change.

Lines of requests that arrive together share one fsync. A last line without its end was being written when the
process died: nobody was told of it, so it is cut off.
"""

import asyncio
import fcntl
import os
import sys
from pathlib import Path

import msgspec

from tallystick.payments.providers.sandbox.change import Change


class StateUnusable(Exception):
    """The state file cannot be used; the text says why."""


class StateFile:
    """An append-only file of changes, held by one process at a time."""

    def __init__(self, path: Path) -> None:
        """
        Open *path*, readable by its owner alone, and make it if it is not there.

        Raises:
            StateUnusable: it cannot be opened, or another process holds it.
        """
        self.path = path
        self._encoder = msgspec.json.Encoder()
        self._waiting: list[bytes] = []
        self._appended = 0
        self._durable = 0
        self._flush: asyncio.Task[None] | None = None
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            _sync_directory(path.parent)
        except OSError as refused:
            raise StateUnusable(f"{path}: {refused.strerror}") from refused
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as held:
            raise StateUnusable(f"{path}: another sandbox uses it") from held

    def replay(self) -> list[Change]:
        """
        Return every change on file, and cut off a torn last line.

        Raises:
            StateUnusable: a complete line is not a change; the text says which.
        """
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.ftruncate(self._descriptor, whole)
            os.fsync(self._descriptor)
        decoder = msgspec.json.Decoder(Change)
        changes = []
        for number, line in enumerate(content[:whole].splitlines(), start=1):
            try:
                changes.append(decoder.decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError) as damaged:
                raise StateUnusable(f"{self.path}: line {number} is damaged: {damaged}") from damaged
        return changes

    def append(self, change: Change) -> None:
        """Hand in a change; it is on disk when *durable* next returns."""
        self._waiting.append(self._encoder.encode(change) + b"\n")
        self._appended += 1

    async def durable(self) -> None:
        """Wait until every change handed in so far is on disk; who arrives meanwhile shares the next fsync."""
        target = self._appended
        while self._durable < target:
            if self._flush is None:
                self._flush = asyncio.create_task(self._flush_waiting())
            await asyncio.shield(self._flush)

    async def _flush_waiting(self) -> None:
        lines, self._waiting = self._waiting, []
        try:
            await asyncio.to_thread(_write_and_sync, self._descriptor, b"".join(lines))
        except OSError as failed:
            # What is in memory is now ahead of the disk, and must be told to nobody: only a restart puts that right.
            sys.stderr.write(f"{self.path}: {failed.strerror}; the sandbox stops\n")
            os._exit(os.EX_IOERR)
        self._durable += len(lines)
        self._flush = None


def _write_and_sync(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)


def _sync_directory(directory: Path) -> None:
    """Make the name of a new file as durable as its content will be."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
