"""Usage files, read in bounded memory: one module per format, ``read_events`` for all of them."""

from tallystick.usage.decode.csv import CsvMapping
from tallystick.usage.decode.decoded import Malformed
from tallystick.usage.decode.detect import Format
from tallystick.usage.decode.read_events import Chunk, read_events

__all__ = ["Chunk", "CsvMapping", "Format", "Malformed", "read_events"]
