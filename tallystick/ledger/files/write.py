"""Write transfers, or results of an import, to a file that is there whole or not at all."""

import os
import uuid
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Generic, Protocol, Self, TypeVar

from tallystick.ledger.files.layout import RESULTS, TRANSFERS, Layout
from tallystick.ledger.files.model import Format, Posted, Results

Written = TypeVar("Written", Posted, Results)


class Encoder(Protocol):
    """What a format's module gives: blocks become bytes in a sink."""

    def __init__(self, sink: BinaryIO, layout: Layout, format_: Format) -> None:
        """Write what comes before the rows."""
        ...

    def write(self, block: Posted | Results) -> None:
        """Write the rows of *block*."""
        ...

    def close(self) -> None:
        """Write what comes behind the rows, and leave the sink open."""
        ...

    def abandon(self) -> None:
        """Write nothing more."""
        ...


class BlockWriter(Generic[Written]):
    """
    A file that is being written, block by block.

    At a path it gets its name when it is complete and on disk; until then it has another beside it, which goes if the
    writing fails. A stream gets the bytes as they come and stays its owner's.
    """

    def __init__(self, where: Path | BinaryIO, layout: Layout, format_: Format) -> None:
        """Begin the file."""
        self._path = where if isinstance(where, Path) else None
        self._unfinished: Path | None = None
        self._encoder: Encoder | None = None
        if isinstance(where, Path):
            self._unfinished = where.with_name(f".{where.name[:128]}.{uuid.uuid4().hex}.unfinished")
            self._sink: BinaryIO = self._unfinished.open("xb")
        else:
            self._sink = where
        try:
            # Arrow takes a third of a second to load, which no other command shall pay.
            module = "write_avro" if format_ is Format.AVRO else "write_arrow"
            encoder: Encoder = import_module(f"tallystick.ledger.files.{module}").Encoder(self._sink, layout, format_)
        except BaseException:
            self.discard()
            raise
        self._encoder = encoder

    def __enter__(self) -> Self:
        """Enter the block at whose end the file is complete."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Finish the file, or leave nothing of it if there was an error."""
        if kind is None:
            self.finish()
        else:
            self.discard()

    def write(self, block: Written) -> None:
        """Write the rows of *block* behind those that were written."""
        self._encoding().write(block)

    def finish(self) -> None:
        """Complete the file, bring it to disk, and give it its name, in place of a file that had it."""
        try:
            self._encoding().close()
            self._sink.flush()
            if self._unfinished is not None:
                os.fsync(self._sink.fileno())
                self._sink.close()
        except BaseException:
            self.discard()
            raise
        self._encoder = None
        if self._path is not None and self._unfinished is not None:
            self._unfinished.replace(self._path)
            _bring_to_disk(self._path.parent)

    def discard(self) -> None:
        """Leave nothing of the file; a stream keeps what it got."""
        if self._encoder is not None:
            self._encoder.abandon()
            self._encoder = None
        if self._unfinished is not None:
            self._sink.close()
            self._unfinished.unlink(missing_ok=True)

    def _encoding(self) -> Encoder:
        if self._encoder is None:
            raise ValueError("the file is finished or discarded")
        return self._encoder


def write_transfers(where: Path | BinaryIO, format_: Format) -> BlockWriter[Posted]:
    """Begin a file of transfers of the ledger; with ``with``, it is complete at the end of the block."""
    return BlockWriter(where, TRANSFERS, format_)


def write_results(where: Path | BinaryIO, format_: Format) -> BlockWriter[Results]:
    """Begin a file that says what became of each row of an import."""
    return BlockWriter(where, RESULTS, format_)


def _bring_to_disk(folder: Path) -> None:
    """Bring the names in *folder* to disk."""
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
