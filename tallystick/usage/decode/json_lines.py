"""One usage event per line, as JSON; its fields are those of ``GivenEvent``."""

from tallystick.usage.decode.decoded import Decoded, Malformed
from tallystick.usage.decode.json_flaws import find_flaw
from tallystick.usage.decode.line_ids import LineIds
from tallystick.usage.decode.open_file import Batch
from tallystick.usage.model import TWICE, InvalidEvent, decode_event


class JsonLines:
    """Reads files of JSON lines."""

    def __init__(self, *, ids: LineIds) -> None:
        """Start a file."""
        self._ids = ids

    def decode(self, batch: Batch) -> Decoded:
        """Read the lines of *batch*."""
        decoded = Decoded()
        ids = self._ids.of([line.strip() for line in batch.lines])  # spaces may follow an object that was read before
        for place, line in enumerate(batch.lines):
            if not line.strip():
                decoded.skipped += 1
                continue
            try:
                decoded.events.append(decode_event(line, otherwise_id=ids[place]))
            except InvalidEvent as error:
                decoded.malformed.append(Malformed(batch.first + place, _closely(line, error).reason))
        return decoded


def _closely(line: bytes, error: InvalidEvent) -> InvalidEvent:
    """Name the place of what JSON has not, or has twice, where that is what is wrong with *line*."""
    place = error.field or ""
    if place == "the text" or place.endswith("[...]") or error.rule == TWICE:
        return find_flaw(line, fractions=True) or error
    return error
