"""The events of a file of text, one by one."""

from tallystick.usage.decode import Chunk
from tallystick.usage.model import UsageEvent


def rows_of(chunk: Chunk) -> list[UsageEvent]:
    """Return the events of *chunk*, which come one by one from all files but those of records."""
    assert isinstance(chunk.events, list)
    return chunk.events
