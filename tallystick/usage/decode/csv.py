"""
Comma-separated values with a header (RFC 4180), columns named by a mapping.

A record is one line: a quoted field that runs over its line's end is malformed, so that one stray quote costs one
line and not the rest of the file.
"""

import csv
import datetime as dt
import re
from collections.abc import Callable
from typing import ClassVar

import msgspec

from tallystick.errors import Kind, TallystickError
from tallystick.usage.decode.decoded import Decoded, Malformed
from tallystick.usage.decode.line_ids import LineIds
from tallystick.usage.decode.open_file import Batch
from tallystick.usage.model import (
    DEFAULT_TYPE,
    GivenEvent,
    InvalidEvent,
    UsageEvent,
    blame_instant,
    check_event,
    check_fineness,
)

_STATUS = re.compile(r"[0-9]{1,3}", re.ASCII)
_NAMES = frozenset({"id", "customer", "at", "type", "status", "resource", "source"})
_DIMENSION = "dimensions."
"""How a header names the column of a dimension, where there is no mapping."""


class InvalidMapping(TallystickError):
    """The columns do not fit the file: {rule}."""

    code: ClassVar[str] = "usage.invalid_mapping"
    kind: ClassVar[Kind] = Kind.INVALID


class CsvMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which column holds what; None: no column does."""

    customer: str
    at: str
    id: str | None = None
    type: str | None = None
    quantities: dict[str, str] = {}
    """By the quantity's name, its column."""
    status: str | None = None
    resource: str | None = None
    source: str | None = None
    dimensions: dict[str, str] = {}
    """By the dimension's name, its column."""


class Csv:
    """Reads CSV files; the first line that is not blank is the header."""

    def __init__(self, mapping: CsvMapping | None, *, ids: LineIds) -> None:
        """Start a file; without *mapping* columns go by the names of an event's fields, others are quantities."""
        self._mapping = mapping
        self._ids = ids
        self._pick: Callable[[list[str], str], GivenEvent] | None = None
        self._width = 0

    def decode(self, batch: Batch) -> Decoded:
        """
        Read the lines of *batch*.

        Raises:
            InvalidMapping: usage.invalid_mapping; the header lacks a column, or has it twice.
        """
        decoded = Decoded()
        ids = self._ids.of(batch.lines)
        for place, line in enumerate(batch.lines):
            if not line.strip():
                decoded.skipped += 1
            elif self._pick is None:
                self._start(line)
                decoded.skipped += 1
            else:
                try:
                    decoded.events.append(self._event(line, ids[place], self._pick))
                except InvalidEvent as error:
                    decoded.malformed.append(Malformed(batch.first + place, error.reason))
        return decoded

    def _start(self, line: bytes) -> None:
        try:
            header = _fields(line)
        except InvalidEvent as error:
            raise InvalidMapping(rule=f"the header cannot be read: {error.reason}") from error
        mapping = self._mapping or _by_name(header)
        self._width = len(header)
        self._pick = _picker(mapping, header)

    def _event(self, line: bytes, otherwise_id: str, pick: Callable[[list[str], str], GivenEvent]) -> UsageEvent:
        fields = _fields(line)
        if len(fields) != self._width:
            raise InvalidEvent("the line", f"has {len(fields)} fields where the header has {self._width}")
        return check_event(pick(fields, otherwise_id))


def looks_like_header(line: str) -> bool:
    """Say whether *line* names the columns that a file without a mapping must have."""
    names = {name.strip().strip('"') for name in line.split(",")}
    return {"customer", "at"} <= names


def _by_name(header: list[str]) -> CsvMapping:
    if not {"customer", "at"} <= set(header):
        raise InvalidMapping(rule='without a mapping the header must name the columns "customer" and "at"')
    return CsvMapping(
        customer="customer",
        at="at",
        id="id" if "id" in header else None,
        type="type" if "type" in header else None,
        quantities={name: name for name in header if name not in _NAMES and not name.startswith(_DIMENSION)},
        status="status" if "status" in header else None,
        resource="resource" if "resource" in header else None,
        source="source" if "source" in header else None,
        dimensions={name.removeprefix(_DIMENSION): name for name in header if name.startswith(_DIMENSION)},
    )


def _picker(mapping: CsvMapping, header: list[str]) -> Callable[[list[str], str], GivenEvent]:
    """Return what takes an event out of a line's fields by the places of the columns."""
    place = {column: _place(column, header) for column in _columns(mapping)}

    def pick(fields: list[str], otherwise_id: str) -> GivenEvent:
        own_id = fields[place[mapping.id]] if mapping.id is not None else ""
        status = fields[place[mapping.status]] if mapping.status is not None else ""
        return GivenEvent(
            customer=fields[place[mapping.customer]],
            at=_instant(fields[place[mapping.at]]),
            id=own_id or otherwise_id,
            type=(fields[place[mapping.type]] if mapping.type is not None else "") or DEFAULT_TYPE,
            quantities={name: fields[place[column]].strip() for name, column in mapping.quantities.items()},
            status=_status(status) if status else None,
            resource=fields[place[mapping.resource]] if mapping.resource is not None else None,
            source=(fields[place[mapping.source]] if mapping.source is not None else "") or None,
            dimensions={
                name: value for name, column in mapping.dimensions.items() if (value := fields[place[column]].strip())
            },
        )

    return pick


def _columns(mapping: CsvMapping) -> list[str]:
    single = [mapping.id, mapping.customer, mapping.at, mapping.type, mapping.status, mapping.resource,
              mapping.source]  # fmt: skip
    several = [*mapping.quantities.values(), *mapping.dimensions.values()]
    return [column for column in [*single, *several] if column is not None]


def _place(column: str, header: list[str]) -> int:
    if header.count(column) != 1:
        times = "not" if column not in header else "more than once"
        raise InvalidMapping(rule=f'column "{column}" is {times} in the header')
    return header.index(column)


def _fields(line: bytes) -> list[str]:
    try:
        return next(csv.reader([line.decode()], strict=True))
    except UnicodeDecodeError as error:
        raise InvalidEvent("the line", f"is not UTF-8 (byte {error.start + 1})") from error
    except (csv.Error, StopIteration) as error:
        raise InvalidEvent("the line", f"is not CSV on one line ({error})") from error


def _instant(text: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(check_fineness("at", text))
    except ValueError as error:
        raise blame_instant("at", text) from error


def _status(text: str) -> int:
    if _STATUS.fullmatch(text) is None:
        raise InvalidEvent("status", "must be a number of up to three digits")
    return int(text)
