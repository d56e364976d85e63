"""Read a usage file: events in chunks, in bounded memory, and by line what could not be read."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pyarrow as pa

from tallystick.usage.columns import EventColumns
from tallystick.usage.decode.avro import AvroUsage
from tallystick.usage.decode.cloudevents import (
    MAX_DOCUMENT,
    CloudEvents,
    DocumentTooLarge,
    document_batches,
    is_document,
)
from tallystick.usage.decode.combined_log import CombinedLog
from tallystick.usage.decode.csv import Csv, CsvMapping, InvalidMapping
from tallystick.usage.decode.decoded import Decoded, Decoder, Malformed
from tallystick.usage.decode.detect import BINARY, Format, detect_binary, detect_format, named_format
from tallystick.usage.decode.json_lines import JsonLines
from tallystick.usage.decode.line_ids import LineIds
from tallystick.usage.decode.open_file import Batch, UsageFile
from tallystick.usage.decode.parquet import ParquetUsage
from tallystick.usage.model import UsageEvent

CHUNK = 5000
"""Lines: of each an object is made."""
CHUNK_OF_COLUMNS = 20_000
"""Rows of a Parquet file: what one message costs, and what the store's indexes cost, is shared by more of them."""

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Chunk:
    """What the next lines of a file held: ``lines == len(events) + len(malformed) + skipped``."""

    events: list[UsageEvent] | EventColumns
    malformed: list[Malformed]
    """In order of line."""
    first: int
    """The number of its first line, from 1; of a JSON array, of its first element, and of a table, of its first row."""
    lines: int
    """How many lines this chunk took; of a JSON array, how many elements."""
    skipped: int
    """Lines that are neither event nor malformed: blank ones, and the header of a CSV file."""
    bytes_read: int
    """How far the file on disk has been read by now, for a progress bar that ends at *size*."""
    size: int
    """Bytes on disk when the file was opened."""
    format: Format
    unfinished: int | None = None
    """In the last chunk: the number of a last line that was left, since more of it may be on its way."""
    quantities: Mapping[str, pa.Array] | None = None
    """Of events in columns, by name, what each has; null where it has none."""
    skipped_lines: frozenset[int] = frozenset()
    """The numbers of those that were skipped."""

    def event_lines(self) -> list[int]:
        """Return the number of the line that each event stood on."""
        others = self.skipped_lines.union(one.line for one in self.malformed)
        return [number for number in range(self.first, self.first + self.lines) if number not in others]


def read_events(
    path: Path | str,
    *,
    format: str | None = None,  # noqa: A002 - what callers call it
    mapping: CsvMapping | None = None,
    complete: bool = False,
    source: str = "",
    chunk: int | None = None,
) -> Iterator[Chunk]:
    """
    Read the usage file at *path*, *chunk* lines at a time; format None tells it from the content, chunk None from that.

    A last line without a line break is left, unless it is a whole JSON object, the file is gzip, or *complete* says
    that nothing more will be written to it: half a line would be an event, and the whole line another one later.

    Events in columns that name no source are of *source*.

    The file is opened at once, so a file that cannot be read at all is refused before the first chunk.

    Raises:
        TallystickError: usage.unreadable_file, usage.empty_file, usage.not_a_text_file, usage.unknown_format,
            usage.invalid_mapping, usage.document_too_large; and after the chunks before the damage usage.damaged_file.
    """
    wanted = named_format(format) if format is not None else None
    binary = wanted if wanted in BINARY else detect_binary(Path(path)) if wanted is None else None
    if binary is not None and mapping is None:
        return _record_chunks(Path(path), binary, source, chunk)
    if mapping is not None:
        wanted = wanted or Format.CSV
        if wanted is not Format.CSV:
            raise InvalidMapping(rule=f"only CSV has columns, and the format is {wanted}")
    file = UsageFile(Path(path), complete=complete, is_text=wanted is not None)
    try:
        found = wanted or detect_format(file.head, file.path.name)
    except BaseException:
        file.close()
        raise
    return _chunks(file, found, mapping, chunk or CHUNK)


def _record_chunks(path: Path, form: Format, source: str, count: int | None) -> Iterator[Chunk]:
    """Read a file of records, of which the events are handed out in columns."""
    file = ParquetUsage(path) if form is Format.PARQUET else AvroUsage(path)
    most = CHUNK_OF_COLUMNS if form is Format.PARQUET else CHUNK
    return _read_records(file, form, path.stat().st_size, source, count or most)


def _read_records(file: ParquetUsage | AvroUsage, form: Format, size: int, source: str, count: int) -> Iterator[Chunk]:
    done = 0
    try:
        for read in file.read(source, count):
            first = done + 1
            malformed = [Malformed(first + place, error.reason) for place, error in sorted(read.malformed.items())]
            done += read.rows
            position = file.position(done, size)
            events: EventColumns | list[UsageEvent] = read.columns or []
            yield Chunk(events, malformed, first, read.rows, 0, position, size, form, quantities=read.quantities)
    finally:
        file.close()


def _chunks(file: UsageFile, form: Format, mapping: CsvMapping | None, count: int) -> Iterator[Chunk]:
    with file:
        if form is Format.CLOUDEVENTS and is_document(file.head):
            yield from _document_chunks(file, count)
            return
        decoder = _decoder(form, mapping)
        for batch in file.batches(count, _shows_its_end(form)):
            yield _chunk(file, form, batch, decoder.decode(batch))
        if file.unfinished is not None:
            yield _last_chunk(file, form)


def _chunk(file: UsageFile, form: Format, batch: Batch, decoded: Decoded) -> Chunk:
    """Put together what a batch gave; its bad lines stood there empty, and so were counted as skipped."""
    malformed = decoded.malformed
    if batch.bad:
        malformed = sorted([*malformed, *(Malformed(number, why) for number, why in batch.bad.items())])
    return Chunk(
        events=decoded.events,
        malformed=malformed,
        first=batch.first,
        lines=len(batch.lines),
        skipped=decoded.skipped - len(batch.bad),
        bytes_read=file.position,
        size=file.size,
        format=form,
        skipped_lines=_skipped_lines(batch, decoded.skipped - len(batch.bad)),
    )


def _skipped_lines(batch: Batch, count: int) -> frozenset[int]:
    """Return which *count* lines of *batch* were skipped: those that are blank, and the first beside them if it is a header."""
    if not count:
        return frozenset()
    numbered = [(number, line) for number, line in enumerate(batch.lines, batch.first) if number not in batch.bad]
    blank = [number for number, line in numbered if not line.strip()]
    header = [number for number, line in numbered if line.strip()][: count - len(blank)]
    return frozenset([*blank, *header])


def _last_chunk(file: UsageFile, form: Format) -> Chunk:
    """Say which line was left for the next run."""
    return Chunk([], [], file.unfinished or 1, 0, 0, file.position, file.size, form, unfinished=file.unfinished)


def _document_chunks(file: UsageFile, count: int) -> Iterator[Chunk]:
    text = file.read_all(MAX_DOCUMENT)
    if text is None:
        raise DocumentTooLarge(limit=MAX_DOCUMENT)
    if not file.stood_still():
        file.unfinished = 1
        yield _last_chunk(file, Format.CLOUDEVENTS)
        return
    for batch in document_batches(text, count):
        yield _chunk(file, Format.CLOUDEVENTS, batch, CloudEvents().decode(batch))


def _shows_its_end(form: Format) -> Callable[[bytes], bool]:
    """Return what says of a line without its line break whether it is whole for certain."""
    return _is_object if form in {Format.JSON_LINES, Format.CLOUDEVENTS} else _never


def _is_object(line: bytes) -> bool:
    try:
        _object.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _never(_: bytes) -> bool:
    """Say no: a number, a name or a field of one's own may go on."""
    return False


def _decoder(form: Format, mapping: CsvMapping | None) -> Decoder:
    """Return what reads the lines of one file in this format."""
    match form:
        case Format.COMBINED | Format.COMMON:
            return CombinedLog(combined=form is Format.COMBINED, ids=LineIds())
        case Format.CSV:
            return Csv(mapping, ids=LineIds())
        case Format.JSON_LINES:
            return JsonLines(ids=LineIds())
        case Format.CLOUDEVENTS:
            return CloudEvents()
        case Format.PARQUET | Format.AVRO:
            raise AssertionError(form)
