"""What decoding gives: events, and by line what could not be read."""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from tallystick.usage.decode.open_file import Batch
from tallystick.usage.model import UsageEvent


class Malformed(NamedTuple):
    """A line that is not an event, and why; *line* counts from 1 (in a JSON array: the place of the element)."""

    line: int
    reason: str


@dataclass(slots=True)
class Decoded:
    """What some lines held."""

    events: list[UsageEvent] = field(default_factory=list)
    malformed: list[Malformed] = field(default_factory=list)
    skipped: int = 0
    """Lines that are neither: blank ones, and the header of a CSV file."""


class Decoder(Protocol):
    """Reads the lines of one file in one format, batch after batch, in order."""

    def decode(self, batch: Batch) -> Decoded:
        """Read *batch*; lines that are ``bad`` in it stand there empty and count as skipped."""
        ...
