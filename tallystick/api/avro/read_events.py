"""
Read the events of a call into columns.

Events written by our own type, which nearly all are, take a short way that reads what is usual in one pass; whatever
is unusual in one, and all of those by other types, are read field by field.
"""

import re
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from tallystick.api.avro.binary import read_long
from tallystick.api.avro.errors import BadProtocol
from tallystick.api.avro.resolve import Flaw, Patience, Read, read_count, resolve_record
from tallystick.api.avro.schema import Schema, same
from tallystick.errors import InvalidInput
from tallystick.operations.usage import MAX_EVENTS
from tallystick.usage.columns import EventColumns, Evidence
from tallystick.usage.model import (
    MAX_EVIDENCE,
    MAX_QUANTITIES,
    MAX_TEXT,
    InvalidEvent,
    Quantity,
    check_dimensions,
    check_quantities,
    check_quantity,
    check_text,
    write_quantities,
)

_MORE = 0x80
_END_OF_TIME = 253_402_300_800_000_000
"""The first microsecond of the year 10000."""
_MOST_STATUS = 999
_HOW_MANY = f"Expected a list of 1 to {MAX_EVENTS} elements"
_PLAIN = re.compile(r"(?:0|[1-9][0-9]{0,20})\.[0-9]{0,5}[1-9]", re.ASCII)
"""A decimal that is in its one form as it stands."""
_EIGHT_BYTES = 0x8080_8080_8080_8081
"""The bits that say of a long in eight bytes that more follow, and that it is negative."""
_SEVEN_FOLLOW = 0x0080_8080_8080_8080
_encode = msgspec.json.Encoder(decimal_format="string", order="sorted").encode

Tail = tuple[bytes | None, str | None, Evidence]
"""Dimensions as JSON, source and evidence: what stands at the end of an event, in most of them the same."""
Row = tuple[str, str, str, int, bytes, Tail]
"""
Id, customer, type, microseconds since 1970, quantities as JSON, and the rest.

Instants of the short way are the eight bytes of an encoded long, as a negative number: they are decoded all at once.
"""
_NO_TAIL: Tail = (None, None, (None, None))
_NO_ROW: Row = ("", "", "", 0, b"{}", _NO_TAIL)
"""What stands in the place of an event that is invalid."""


class _Unusual(Exception):
    """Something that the short way has no place for; the event may be as good as any."""


@dataclass(frozen=True, slots=True)
class GivenEvents:
    """The events of a call, each read and held against the rules of its shape."""

    rows: list[Row]
    invalid: dict[int, InvalidEvent]

    def columns(self, source: str) -> EventColumns:
        """
        Turn them into columns; *source* is that of those that name none.

        Raises:
            InvalidInput: there is none (``invalid_input``).
        """
        if not self.rows:
            raise InvalidInput(field="events", rule=_HOW_MANY)
        ids, customers, types, at, quantities, tails = (list(column) for column in zip(*self.rows, strict=True))
        different = {id(tail): tail for tail in tails}.values()
        dimensions = any(tail[0] is not None for tail in different)
        own_sources = any(tail[1] is not None for tail in different)
        evidence = any(tail[2] != _NO_TAIL[2] for tail in different)
        return EventColumns(
            sources=[tail[1] or source for tail in tails] if own_sources else source,
            ids=ids,
            customers=customers,
            types=types[0] if types.count(types[0]) == len(types) else types,
            at=_instants(at),
            quantities=quantities,
            dimensions=[tail[0] for tail in tails] if dimensions else None,
            evidence=[tail[2] for tail in tails] if evidence else None,
            invalid=self.invalid or None,
        )


def _instants(given: list[int]) -> npt.NDArray[np.int64]:
    """Make longs of those that are the eight bytes of one, which are given as negative numbers."""
    instants = np.array(given, np.int64)
    written = -instants[instants < 0]
    zigzag = sum((written >> 8 * place & 0x7F) << 7 * place for place in range(8))
    instants[instants < 0] = zigzag >> 1
    return instants


def events_reader(writer: Schema, reader: Schema, where: str, patience: Patience) -> Read:
    """
    Return what reads an array of events that the client writes as *writer* says.

    Raises:
        BadProtocol: they cannot be read as events of ours (``avro.bad_protocol``).
    """
    if writer.kind != "array":
        raise BadProtocol(rule=f"{where} is a {writer.kind} and must be an array")
    item = writer.item
    if item.kind != "record":
        raise BadProtocol(rule=f"{where}.* is a {item.kind} and must be a record")
    slowly = resolve_record(item, reader.item, f"{where}.*", patience, {})
    quickly = same(item, reader.item)

    def read(data: bytes, at: int) -> tuple[GivenEvents, int]:
        reading = _Reading(data, slowly)
        while True:
            count, at = read_count(data, at, item.smallest)
            if count == 0:
                return GivenEvents(reading.rows, reading.invalid), at
            if len(reading.rows) + count > MAX_EVENTS:
                raise InvalidInput(field="events", rule=_HOW_MANY)
            at = reading.read_own(count, at) if quickly else reading.read_foreign(count, at)

    return read


class _Reading:
    """The events of one call, as they are being read."""

    def __init__(self, data: bytes, slowly: Read) -> None:
        self.rows: list[Row] = []
        self.invalid: dict[int, InvalidEvent] = {}
        self._data = data
        self._slowly = slowly
        self._texts: dict[str, str] = {}
        """Texts that were found good, by their bytes as Latin-1: customers, types and names stand there often."""
        self._names: dict[str, str] = {}
        self._tails: dict[str, Tail] = {}
        self._tail_size = 3
        """Bytes of the tail that was read last: no encoding is the beginning of another, so what equals it is it."""

    def read_foreign(self, count: int, at: int) -> int:
        """Read events field by field."""
        for _ in range(count):
            at = self._read_slowly(at)
        return at

    def read_own(self, count: int, at: int) -> int:
        """
        Read events that are written by our own type.

        Texts are cut out of the whole as Latin-1, of which each byte is a character: one of ASCII alone is the text.
        """
        data, append, texts, tails = self._data, self.rows.append, self._texts, self._tails
        text, size = data.decode("latin-1"), len(data)
        number = int.from_bytes
        for _ in range(count):
            start = at
            try:
                length = data[at]
                at += 1
                end = at + (length >> 1)
                identifier = text[at:end]
                if length & 0x81 or not length or not identifier.isascii() or "\0" in identifier:
                    raise _Unusual  # noqa: TRY301 - leaves the short way from wherever it is
                length = data[end]
                at = end + 1
                end = at + (length >> 1)
                customer = texts.get(text[at:end])
                if customer is None or length & 0x81:
                    customer, end = self._text(at - 1, text[at:end], "customer")
                instant = number(data[end : end + 8], "little")
                if instant & _EIGHT_BYTES != _SEVEN_FOLLOW:
                    raise _Unusual  # noqa: TRY301 - see above
                at = end + 9
                length = data[at - 1]
                end = at + (length >> 1)
                type_ = texts.get(text[at:end])
                if type_ is None or length & 0x81:
                    type_, end = self._text(at - 1, text[at:end], "type")
                quantities, at = (b"{}", end + 1) if not data[end] else self._quantities(text, end)
                tail = tails.get(text[at : at + self._tail_size])
                if tail is None:
                    tail, at = self._tail(text, at)
                else:
                    at += self._tail_size
                if at > size:
                    raise _Unusual  # noqa: TRY301 - see above
                append((identifier, customer, type_, -instant, quantities, tail))
            except (_Unusual, InvalidEvent, LookupError, ValueError):
                at = self._read_slowly(start)
        return at

    def _read_slowly(self, at: int) -> int:
        values, at = self._slowly(self._data, at)
        try:
            self.rows.append(_row(values))
        except InvalidEvent as error:
            self.invalid[len(self.rows)] = error
            self.rows.append(_NO_ROW)
        return at

    def _text(self, at: int, likely: str, field: str) -> tuple[str, int]:
        """Read a text and remember that it is good; *likely* it is, if its length is less than 64."""
        length = self._data[at]
        if not length & 0x81 and likely.isascii() and likely and "\0" not in likely:
            self._texts[likely] = likely
            return likely, at + 1 + (length >> 1)
        length, at = read_long(self._data, at)
        end = at + length
        given = self._data[at:end]
        if not 0 < length <= 4 * MAX_TEXT or len(given) < length:
            raise _Unusual
        found = check_text(field, given.decode())
        self._texts[given.decode("latin-1")] = found
        return found, end

    def _quantities(self, text: str, at: int) -> tuple[bytes, int]:  # noqa: C901 - as read_own
        data, names, plain = self._data, self._names, _PLAIN.fullmatch
        found: dict[str, Quantity | str] = {}
        while count := data[at]:
            if count & 0x81:
                raise _Unusual
            at += 1
            for _ in range(count >> 1):
                length = data[at]
                at += 1
                end = at + (length >> 1)
                name = names.get(text[at:end])
                if name is None or length & 0x81:
                    name = self._name(length, at, end)
                low = data[end + 1]
                at = end + 2
                if data[end]:
                    if data[end] != 2 or low & 0x81:  # noqa: PLR2004 - the branch of strings
                        raise _Unusual
                    end = at + (low >> 1)
                    given = text[at:end]
                    found[name] = given if plain(given) else check_quantity(name, given)
                    at = end
                    continue
                if low >= _MORE:
                    more = data[at]
                    if more < _MORE:
                        low += (more - 1) << 7
                        at += 1
                    elif data[at + 1] < _MORE:
                        low += (more - _MORE - 1 << 7) + (data[at + 1] << 14)
                        at += 2
                    else:
                        low, at = read_long(data, at - 1)
                        low <<= 1
                if low & 1 or low < 0:
                    raise _Unusual
                found[name] = low >> 1
        if len(found) > MAX_QUANTITIES:
            raise _Unusual
        return write_quantities(found), at + 1

    def _name(self, length: int, at: int, end: int) -> str:
        given = self._data[at:end]
        if length & 0x81 or not given.isascii():
            raise _Unusual
        name = given.decode()
        check_quantities({name: 0})
        self._names[name] = name
        return name

    def _tail(self, text: str, at: int) -> tuple[Tail, int]:
        """Read what stands behind the quantities, and remember it."""
        start = at
        dimensions, at = self._dimensions(at)
        source, evidence, at = self._optional(at)
        tail: Tail = (dimensions, source, evidence)
        self._tail_size = at - start
        self._tails[text[start:at]] = tail
        return tail, at

    def _dimensions(self, at: int) -> tuple[bytes | None, int]:
        data, texts, found = self._data, self._texts, {}
        while count := data[at]:
            if count & 0x81:
                raise _Unusual
            at += 1
            for _ in range(count >> 1):
                length = data[at]
                end = at + 1 + (length >> 1)
                name = self._names.get(data[at + 1 : end].decode())
                if name is None or length & 0x81:
                    name = self._name(length, at + 1, end)
                length = data[end]
                at = end + 1
                end = at + (length >> 1)
                likely = data[at:end].decode("latin-1")
                value = texts.get(likely)
                if value is None or length & 0x81:
                    value, end = self._text(at - 1, likely, "dimensions")
                found[name] = value
                at = end
        return _encode(check_dimensions(found)) if found else None, at + 1

    def _optional(self, at: int) -> tuple[str | None, Evidence, int]:
        """Read source, status and resource."""
        data = self._data
        source, status, resource = None, None, None
        branch, at = data[at], at + 1
        if branch:
            source, at = self._optional_text(branch, at, "source")
        branch, at = data[at], at + 1
        if branch:
            status, at = read_long(data, at)
            if branch != 2 or not 0 <= status <= _MOST_STATUS:  # noqa: PLR2004 - the second of two branches
                raise _Unusual
        branch, at = data[at], at + 1
        if branch:
            resource, at = self._optional_text(branch, at, "resource")
        return source, (status, resource), at

    def _optional_text(self, branch: int, at: int, field: str) -> tuple[str, int]:
        if branch != 2:  # noqa: PLR2004 - the second of two branches
            raise _Unusual
        length = self._data[at]
        end = at + 1 + (length >> 1)
        likely = self._data[at + 1 : end].decode("latin-1")
        found = self._texts.get(likely)
        return self._text(at, likely, field) if found is None or length & 0x81 else (found, end)


def _row(values: dict[str, Any]) -> Row:
    """
    Hold an event against every rule.

    Raises:
        InvalidEvent: usage.invalid_event, naming field and rule.
    """
    for name, value in values.items():
        flaw = _flaw(value)
        if flaw is not None:
            raise InvalidEvent(name, flaw.rule)
    identifier, customer, type_, at, quantities, dimensions, source, status, resource = _fields(values)
    if not 0 <= at < _END_OF_TIME:
        raise InvalidEvent("at", "must lie in the years 1970 to 9999")
    if status is not None and not 0 <= status <= _MOST_STATUS:
        raise InvalidEvent("status", f"must be from 0 to {_MOST_STATUS}")
    if resource is not None and len(resource) > MAX_EVIDENCE:
        raise InvalidEvent("resource", f"must have at most {MAX_EVIDENCE} characters")
    by = _encode(check_dimensions(dimensions)) if dimensions else None
    tail: Tail = (by, None if source is None else check_text("source", source), (status, resource))
    return (
        check_text("id", identifier),
        check_text("customer", customer),
        check_text("type", type_),
        at,
        write_quantities(check_quantities(quantities)),
        tail,
    )


_fields = itemgetter("id", "customer", "type", "at", "quantities", "dimensions", "source", "status", "resource")


def _flaw(value: object) -> Flaw | None:
    """Find what could not be read in a value."""
    if isinstance(value, Flaw):
        return value
    if isinstance(value, dict):
        return next((each for each in value.values() if isinstance(each, Flaw)), None)
    return None
