"""
Avro: container files of one record per event.

The record's fields are those of an event; `quantities` is a map of longs, decimals or texts, `dimensions` a map of
texts, `at` a timestamp in milli- or microseconds.
"""

import contextlib
import datetime as dt
import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

import fastavro
import msgspec

from tallystick.usage.columns import columns_of
from tallystick.usage.decode.open_file import DamagedFile
from tallystick.usage.decode.parquet import ColumnUnfit, ReadColumns
from tallystick.usage.model import GivenEvent, InvalidEvent, UsageEvent, check_event, name_flaw, write_number

_SYNC = 16
_FIELDS = frozenset(GivenEvent.__struct_fields__)
_UNITS = {"timestamp-millis": 1_000, "timestamp-micros": 1}
"""Microseconds in the unit of each type of instants."""
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LAST = int(dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC).timestamp()) * 10**6


@dataclass(slots=True)
class AvroUsage:
    """A container file of usage, read a few thousand records at a time."""

    path: Path
    _file: BinaryIO = field(init=False)
    _records: Any = field(init=False)
    _sync: bytes = field(init=False)
    """What stands behind the header and behind every block."""
    _unit: int | None = field(init=False)
    """Microseconds in what instants are counted in; None: they are not written as such."""
    _damage: DamagedFile | None = field(default=None, init=False)
    """Met behind the records that were handed out last: the library forgets it, and would take it for the end."""

    def __post_init__(self) -> None:
        """
        Open the file and look at its schema.

        Raises:
            DamagedFile: usage.damaged_file; it is not whole.
            ColumnUnfit: usage.column_unfit; a field is none of an event's, or is missing.
        """
        with contextlib.ExitStack() as unless_read:
            try:
                self._file = unless_read.enter_context(self.path.open("rb"))
                self._records = fastavro.reader(self._file)
            except Exception as error:  # what a library raises at bytes that are none is any error there is
                raise DamagedFile(path=self.path, why=str(error)[:200]) from error
            _check_schema(self._records.writer_schema)
            unless_read.pop_all()
        self._unit = _count_instants(self._records.writer_schema)
        self._file.seek(-_SYNC, io.SEEK_CUR)
        self._sync = self._file.read(_SYNC)

    def read(self, source: str, count: int) -> Iterator[ReadColumns]:
        """
        Read the records, *count* at a time; those that name no source are of *source*.

        Raises:
            DamagedFile: usage.damaged_file; after the records before the damage.
        """
        while records := self._next(count):
            events: list[UsageEvent] = []
            malformed: dict[int, InvalidEvent] = {}
            for place, record in enumerate(records):
                try:
                    events.append(_read(record, self._unit))
                except InvalidEvent as error:
                    malformed[place] = error
            yield ReadColumns(columns_of(source, events) if events else None, _by_name(events), malformed, len(records))

    def position(self, _done: int, size: int) -> int:
        """Say how far the file of *size* bytes has been read."""
        return min(self._file.tell(), size)

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):
            self._file.close()

    def _next(self, count: int) -> list[Any]:
        records: list[Any] = []
        if self._damage is not None:
            raise self._damage
        try:
            for record in itertools.islice(self._records, count):
                records.append(record)  # noqa: PERF402 - what was read before the damage stays
        except Exception as error:
            self._damage = DamagedFile(path=self.path, why=str(error)[:200] or type(error).__name__)
            if not records:
                raise self._damage from error
        if not records and not self._ends_whole():
            raise DamagedFile(path=self.path, why="it ends inside of a block")
        return records

    def _ends_whole(self) -> bool:
        """Say whether the file ends where a block does; to the library a block that is cut short is an end like others."""
        self._file.seek(-_SYNC, io.SEEK_END)
        return self._file.read(_SYNC) == self._sync


def _check_schema(schema: Any) -> None:  # noqa: ANN401 - whatever the file says it is
    fields = schema.get("fields") if isinstance(schema, dict) else None
    if fields is None:
        raise ColumnUnfit(column="schema", rule="is not of a record")
    names = [one["name"] for one in fields]
    for name in ("id", "customer", "at"):
        if name not in names:
            raise ColumnUnfit(column=name, rule="is missing")
    for name in names:
        if name not in _FIELDS:
            raise ColumnUnfit(column=name, rule=f"is no field of an event; those are {', '.join(sorted(_FIELDS))}")


def _count_instants(schema: Any) -> int | None:  # noqa: ANN401 - as the library gives it
    """
    Have instants read as the numbers they are written as, and return how many microseconds one of those is.

    The library ends at the first one that it cannot make an instant of, with all the records behind it.
    """
    kind = next(one["type"] for one in schema["fields"] if one["name"] == "at")
    branches = [one for one in (kind if isinstance(kind, list) else [kind]) if isinstance(one, dict)]
    if len(branches) != 1 or branches[0].get("logicalType") not in _UNITS:
        return None
    return _UNITS[branches[0].pop("logicalType")]


def _instant(written: object, unit: int | None) -> dt.datetime:
    """
    Return the instant that a number stands for.

    Raises:
        InvalidEvent: usage.invalid_event; it is none, or not of the years 1970 to 9999.
    """
    if not isinstance(written, int) or unit is None:
        raise InvalidEvent("at", "must be a timestamp-millis or timestamp-micros, which count in UTC")
    if not 0 <= written * unit <= _LAST:
        raise InvalidEvent("at", "must lie in the years 1970 to 9999")
    return _EPOCH + dt.timedelta(microseconds=written * unit)


def _read(record: dict[str, Any], unit: int | None) -> UsageEvent:
    given = {name: value for name, value in record.items() if value is not None}
    for name in ("id", "customer", "at"):
        if name not in given:
            raise InvalidEvent(name, "is missing")
    given["at"] = _instant(given["at"], unit)
    quantities = given.get("quantities")
    if isinstance(quantities, dict):
        given["quantities"] = {name: _quantity(value) for name, value in quantities.items() if value is not None}
    try:
        return check_event(msgspec.convert(given, GivenEvent))
    except msgspec.ValidationError as error:
        raise name_flaw(error) from error


def _quantity(value: object) -> object:
    return write_number(value) if isinstance(value, Decimal) else value


def _by_name(events: list[UsageEvent]) -> dict[str, Any]:
    """Return each quantity of the events as a column."""
    names = sorted({name for event in events for name in event.quantities})
    return {name: _Column([event.quantities.get(name) for event in events]) for name in names}


@dataclass(frozen=True, slots=True)
class _Column:
    """Values of one name, handed out as a column of Parquet hands out its own."""

    values: list[Any]

    def to_pylist(self) -> list[Any]:
        """Return the values; None where an event has none."""
        return self.values
