"""A sink that stays open, whatever Arrow makes of it."""

from typing import BinaryIO


class KeptOpen:
    """A sink that Arrow may say to close, and that stays open."""

    closed = False

    def __init__(self, sink: BinaryIO) -> None:
        """Write to *sink* for as long as it listens."""
        self._sink = sink
        self._written = 0
        self.listens = True
        """What is written later goes nowhere."""

    def write(self, data: bytes) -> int:
        """Hand *data* on."""
        if self.listens:
            self._sink.write(data)
        self._written += len(data)
        return len(data)

    def tell(self) -> int:
        """Return how much was written."""
        return self._written

    def flush(self) -> None:
        """Hand on what the sink holds back."""
        if self.listens:
            self._sink.flush()

    def close(self) -> None:
        """Stay open."""
        self.flush()

    def writable(self) -> bool:
        """Say that it can be written."""
        return True

    def readable(self) -> bool:
        """Say that it cannot be read."""
        return False

    def seekable(self) -> bool:
        """Say that it goes forward only."""
        return False
