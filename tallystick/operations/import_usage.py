"""Import: a file of usage goes in, chunk by chunk, each chunk one message; doing it again adds only what is new."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from decimal import Context, Decimal
from functools import reduce
from itertools import compress
from pathlib import Path
from typing import Literal

import msgspec

from tallystick.errors import InvalidInput
from tallystick.ids import uuid7
from tallystick.operations.run import Operations
from tallystick.operations.usage import RecordedItem, RecordOutput
from tallystick.security.model import Principal
from tallystick.usage.accept import Status
from tallystick.usage.columns import EventColumns
from tallystick.usage.decode import Chunk, CsvMapping, Format, Malformed, read_events
from tallystick.usage.model import Quantity, UsageEvent

DEFAULT_SOURCE = "import"
"""The same for every file, whatever it is called and wherever it lies: a log that was moved is the same log."""

AT_ONCE = 2
"""How many chunks are under way at once: one waits for the disk while the other is made."""

SHOWN = 1000
"""How many malformed lines, and how many refused events, a report names; beyond that it counts."""

_EXACT = Context(prec=100)
"""Wide enough that no sum of quantities is rounded: they have 30 digits each."""

Progress = Callable[[int, int], None]
"""Told after each chunk how many bytes have been stored, and how many there are."""


class LineAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a line that was not accepted just now."""

    line: int
    """Its number, from 1; of a JSON array its element's, of Parquet and Avro its row's."""
    status: Status | Literal["unfinished"]
    """As the other doors have it; ``unfinished``: it has no line break, and was left for the next import."""
    id: str | None = None
    """Of an event that could be read."""
    reason: str | None = None
    """Why it is not billable; or the field at fault and the rule it breaks."""


Told = Callable[[list[LineAnswer]], None]
"""Told after each chunk of the lines in it that were not accepted, in their order."""


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """An event that could be read and not be stored."""

    id: str
    status: Status
    """``conflict`` or ``invalid``."""
    reason: str
    """The field at fault and the rule it breaks."""


@dataclass(slots=True)
class ImportReport:
    """What an import did; ``lines == accepted + known + sum(not_billable) + refused + malformed + skipped``."""

    format: Format | None = None
    lines: int = 0
    skipped: int = 0
    """Blank lines, and the header of a CSV file."""
    accepted: int = 0
    known: int = 0
    """Stored before, or a repeat within the file."""
    not_billable: Counter[str] = field(default_factory=Counter)
    """By reason."""
    refused: int = 0
    refused_events: list[RefusedEvent] = field(default_factory=list)
    """The first ``SHOWN`` of them."""
    malformed: int = 0
    malformed_lines: list[Malformed] = field(default_factory=list)
    """The first ``SHOWN`` of them."""
    accepted_customers: set[str] = field(default_factory=set)
    quantities: dict[str, Quantity] = field(default_factory=dict)
    """By name, the sum over the accepted events."""
    unfinished_line: int | None = None
    """The number of a last line that was left, since it has no line break and more of it may be on its way."""

    @property
    def customers(self) -> int:
        """Return how many customers the accepted events are of."""
        return len(self.accepted_customers)

    def add(self, chunk: Chunk, answer: RecordOutput | None) -> None:
        """Take in what became of *chunk*; *answer* is None if it had no events."""
        self.format = chunk.format
        self.lines += chunk.lines
        self.skipped += chunk.skipped
        self.malformed += len(chunk.malformed)
        self.malformed_lines += chunk.malformed[: SHOWN - len(self.malformed_lines)]
        self.unfinished_line = chunk.unfinished
        if answer is not None:
            self._add_answer(chunk, answer)

    def _add_answer(self, chunk: Chunk, answer: RecordOutput) -> None:
        events = chunk.events
        self.accepted += answer.accepted
        self.known += answer.known
        self.refused += answer.refused
        accepted = bytearray(b"\1") * len(events)
        for one in answer.items:
            accepted[one.item] = 0
            if one.status is Status.NOT_BILLABLE:
                self.not_billable[one.reason or ""] += 1
            elif one.status is not Status.KNOWN and len(self.refused_events) < SHOWN:
                self.refused_events.append(RefusedEvent(_id_of(events, one.item), one.status, _sentence(one) or ""))
        if isinstance(events, EventColumns):
            self.accepted_customers |= events.customers_at([place for place, one in enumerate(accepted) if one])
            for name, column in (chunk.quantities or {}).items():
                self._add_column(name, list(compress(column.to_pylist(), accepted)))
        else:
            self._add_accepted(list(compress(events, accepted)))

    def _add_column(self, name: str, values: list[Quantity | None]) -> None:
        there = [value for value in values if value is not None]
        if there:
            self.quantities[name] = _total(self.quantities.get(name, 0), there)

    def _add_accepted(self, events: list[UsageEvent]) -> None:
        self.accepted_customers.update([event.customer for event in events])
        by_name: dict[str, list[Quantity]] = {}
        for event in events:
            for name, quantity in event.quantities.items():
                by_name.setdefault(name, []).append(quantity)
        for name, quantities in by_name.items():
            self.quantities[name] = _total(self.quantities.get(name, 0), quantities)


def _total(total: Quantity, quantities: list[Quantity]) -> Quantity:
    """Add up exactly; whole numbers stay whole."""
    whole = sum(one for one in quantities if isinstance(one, int))
    parts = [one for one in quantities if not isinstance(one, int)]
    return reduce(_add, parts, _add(total, whole))


def _add(total: Quantity, quantity: Quantity) -> Quantity:
    if type(total) is int is type(quantity):
        return total + quantity
    return _EXACT.add(Decimal(total), Decimal(quantity))


def answers_of(chunk: Chunk, answer: RecordOutput | None) -> list[LineAnswer]:
    """Say of each line of *chunk* that was not accepted what became of it; *answer* is None if it had no events."""
    told = [LineAnswer(one.line, Status.INVALID, reason=one.reason) for one in chunk.malformed]
    if answer is not None and answer.items:
        lines, events = chunk.event_lines(), chunk.events
        told += [
            LineAnswer(lines[one.item], one.status, _id_of(events, one.item), _sentence(one)) for one in answer.items
        ]
    if chunk.unfinished is not None:
        told.append(LineAnswer(chunk.unfinished, "unfinished"))
    return sorted(told, key=lambda one: one.line)


def _id_of(events: list[UsageEvent] | EventColumns, place: int) -> str:
    return events.ids[place] if isinstance(events, EventColumns) else events[place].id


def _sentence(item: RecordedItem) -> str | None:
    """Put the field at fault, where there is one, before the rule."""
    return item.reason if item.field is None else f"{item.field} {item.reason}"


def _ignore(_: int, __: int) -> None:
    """Show no progress."""


async def import_usage(  # noqa: PLR0913 - what is read, how, for whom, and who watches
    operations: Operations,
    principal: Principal,
    book: str,
    path: Path | str,
    *,
    source: str = DEFAULT_SOURCE,
    format: str | None = None,  # noqa: A002 - what callers call it
    mapping: CsvMapping | None = None,
    complete: bool = False,
    progress: Progress = _ignore,
    told: Told | None = None,
) -> ImportReport:
    """
    Record the usage in the file at *path*; format None tells it from the content.

    *complete* says that nothing more will be written to it; otherwise a last line without a line break may be left.

    Each chunk is stored for good or not at all, so an import that was interrupted or killed is finished by
    running it again: what is stored is known by its id, and only the rest is added.

    Raises:
        TallystickError: of ``read_events`` or of ``usage.record``; what was read before is stored.
    """
    _require_utf8(source)
    report = ImportReport()
    storing: deque[tuple[Chunk, asyncio.Task[RecordOutput | None]]] = deque()

    async def store(events: list[UsageEvent] | EventColumns) -> RecordOutput | None:
        if not len(events):
            return None
        fields = {"source": source, "events": events, "door": "file"}
        answer: RecordOutput = await operations.call(principal, book, "usage.record", f"import-{uuid7()}", fields)
        return answer

    async def take_in_oldest() -> None:
        chunk, task = storing[0]
        answer = await task
        report.add(chunk, answer)
        storing.popleft()
        if told is not None:
            told(answers_of(chunk, answer))
        progress(chunk.bytes_read, chunk.size)

    async with aclosing(
        _ahead(read_events(path, format=format, mapping=mapping, complete=complete, source=source))
    ) as chunks:
        try:
            async for chunk in chunks:
                storing.append((chunk, asyncio.create_task(store(chunk.events))))
                if len(storing) == AT_ONCE:
                    await take_in_oldest()
            while storing:
                await take_in_oldest()
        finally:
            # Whatever ended the reading, what is under way is stored rather than thrown away.
            await asyncio.gather(*(task for _, task in storing), return_exceptions=True)
    return report


def _require_utf8(source: str) -> None:
    """
    Find that *source* can be written in UTF-8; from a command line it may have come with bytes that are none.

    Raises:
        InvalidInput: it cannot (``invalid_input``).
    """
    try:
        source.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(field="source", rule=f"Expected UTF-8: character {error.start + 1} is none") from error


async def _ahead(chunks: Iterator[Chunk]) -> AsyncGenerator[Chunk, None]:
    """Hand out *chunks*, the next one being decoded in a thread while the present one is stored."""
    coming = asyncio.ensure_future(asyncio.to_thread(next, chunks, None))
    try:
        while (chunk := await asyncio.shield(coming)) is not None:
            coming = asyncio.ensure_future(asyncio.to_thread(next, chunks, None))
            yield chunk
    finally:
        # A thread cannot be interrupted: it finishes its chunk before the file under it is closed.
        await asyncio.wait([coming])
        chunks.close()  # type: ignore[attr-defined]  # a generator
