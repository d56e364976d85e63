"""
CloudEvents 1.0 in JSON: one event, an array of them (the batch format), or attributes beside their data (binary mode).

``source`` and ``id`` are the event's own, ``subject`` is the customer, ``type`` the type, ``time`` the instant; ``data``
holds quantities, dimensions, status and resource. Errors name a field as the CloudEvent calls it.

The quick way builds the structs at once. What it does not take, or what has more quotes than they account for, is looked
at again with care: that tells the name at fault, and finds names that stand there twice.
"""

import contextlib
import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from tallystick.errors import Kind, TallystickError
from tallystick.usage.columns import EventColumns, columns_of
from tallystick.usage.decode.cloudevent import REQUIRED, CloudEvent, CloudEventData, quotes_of
from tallystick.usage.decode.cloudevent_columns import columns_of_plain
from tallystick.usage.decode.decoded import Decoded, Malformed
from tallystick.usage.decode.json_flaws import cut_array, find_flaw
from tallystick.usage.decode.open_file import Batch
from tallystick.usage.model import (
    INSTANT,
    MAX_TEXT,
    GivenEvent,
    InvalidEvent,
    UsageEvent,
    blame_instant,
    check_event,
    check_fineness,
    name_flaw,
)

MAX_DOCUMENT = 64 * 2**20
"""An array or a many-line object in a file is read whole; one larger than this is refused."""
_IN_DATA = ("quantities", "dimensions", "status", "resource")
_NAMES = {"customer": "subject", "at": "time", **{name: f"data.{name}" for name in _IN_DATA}}
_PLAIN_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z", re.ASCII)
_MICROSECONDS = 6
_ABOUT_FIELD = re.compile(r"Object (contains unknown|missing required) field `(.*?)`(?: - at `\$\.?(.*)`)?", re.DOTALL)
_FALLIBLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class DocumentTooLarge(TallystickError):
    """A JSON array may have at most {limit} bytes; write one event a line instead."""

    code: ClassVar[str] = "usage.document_too_large"
    kind: ClassVar[Kind] = Kind.TOO_LARGE


class NotABatch(TallystickError):
    """The body is not a batch of events: {rule}."""

    code: ClassVar[str] = "usage.not_a_batch"
    kind: ClassVar[Kind] = Kind.INVALID


class _Identity(msgspec.Struct, frozen=True):
    """As much of an event as tells which one it is."""

    id: Any = None
    source: Any = None


class _OpenData(msgspec.Struct, frozen=True):
    """Data whose members were not looked at."""

    quantities: dict[str, msgspec.Raw] = {}
    dimensions: dict[str, msgspec.Raw] = {}


class _Open(msgspec.Struct, frozen=True):
    """An event of which only the data is looked at, and that not closely."""

    data: _OpenData


_IN_HEADERS = {*REQUIRED, "dataschema", "traceparent", "tracestate"}
_envelope = msgspec.json.Decoder(CloudEvent)
_envelopes = msgspec.json.Decoder(list[CloudEvent])
_data = msgspec.json.Decoder(CloudEventData)
_elements = msgspec.json.Decoder(list[msgspec.Raw])
_identity = msgspec.json.Decoder(_Identity)
_open = msgspec.json.Decoder(_Open)
_OF_MEMBERS: dict[str, msgspec.json.Decoder[Any]] = {
    "quantities": msgspec.json.Decoder(int | str), "dimensions": msgspec.json.Decoder(str)
}  # fmt: skip


class CloudEvents:
    """Reads files with one CloudEvent a line."""

    def decode(self, batch: Batch) -> Decoded:
        """Read the lines of *batch*."""
        decoded = Decoded()
        for number, line in enumerate(batch.lines, batch.first):
            if not line.strip():
                decoded.skipped += 1
                continue
            try:
                decoded.events.append(decode_cloudevent(line))
            except InvalidEvent as error:
                decoded.malformed.append(Malformed(number, error.reason))
        return decoded


def decode_cloudevent(raw: bytes) -> UsageEvent:
    """
    Read one CloudEvent.

    Raises:
        InvalidEvent: usage.invalid_event, naming field and rule.
    """
    try:
        envelope = _envelope.decode(raw)
    except _FALLIBLE as error:
        raise _blame(error, raw, CloudEvent) from error
    if raw.count(b'"') != quotes_of(envelope):
        _refuse_flaw(raw)
    return _check(envelope)


def decode_cloudevents(body: bytes, *, most: int) -> EventColumns:
    """
    Read a JSON array of up to *most* CloudEvents; each that is none has its error in its place.

    Raises:
        NotABatch: usage.not_a_batch; it is no array, so that nobody can say which event is at fault, or one of too many.
    """
    try:
        envelopes = _envelopes.decode(body)
    except _FALLIBLE:
        envelopes = None
    if envelopes is None or body.count(b'"') != sum(map(quotes_of, envelopes)):
        elements = split_array(body)
        _require_some(elements, most)
        return columns_of("", [_decoded_or_error(element) for element in elements])
    _require_some(envelopes, most)
    return columns_of_plain(envelopes) or columns_of("", [_checked_or_error(envelope) for envelope in envelopes])


def _require_some(events: Sequence[object], most: int) -> None:
    if not 1 <= len(events) <= most:
        raise NotABatch(rule=f"it has {len(events)} events, and a batch has from 1 to {most}")


def decode_attributes(attributes: Mapping[str, str], data: bytes) -> UsageEvent:
    """
    Read one CloudEvent whose attributes came beside its data; no *data* is an empty object.

    Raises:
        InvalidEvent: usage.invalid_event, naming field and rule.
    """
    for name in attributes:
        if name not in _IN_HEADERS:
            raise InvalidEvent(name, "is not known here")
    for name in REQUIRED:
        if name not in attributes:
            raise InvalidEvent(name, "is missing")
    whole = b'{"data":%b}' % (data or b"{}")
    try:
        carried = _data.decode(data or b"{}")
    except _FALLIBLE as error:
        raise _blame(error, whole, CloudEventData, inside="data") from error
    _refuse_flaw(whole)
    return _check(CloudEvent(**attributes, data=carried))


def split_array(body: bytes) -> list[bytes]:
    """
    Cut the text of a JSON array into its elements, though some be such as JSON has not (a NaN, half a surrogate).

    Raises:
        NotABatch: usage.not_a_batch.
    """
    try:
        return [bytes(element) for element in _elements.decode(body)]
    except _FALLIBLE:
        pass
    try:
        return [element.encode() for element in cut_array(body.decode())]
    except UnicodeDecodeError as error:
        raise NotABatch(rule=f"it is not UTF-8 at byte {error.start}") from error
    except RecursionError as error:
        raise NotABatch(rule="it is nested too deeply") from error
    except ValueError as error:
        raise NotABatch(rule=f"it is not a JSON array ({error})") from error


def identify(raw: bytes) -> tuple[str | None, str | None]:
    """Return id and source of what need not be an event; None for what is not there or could be none."""
    try:
        told = _identity.decode(raw)
    except _FALLIBLE:
        return None, None
    found = [one if isinstance(one, str) and len(one) <= MAX_TEXT else None for one in (told.id, told.source)]
    return found[0], found[1]


def is_document(head: bytes) -> bool:
    """Say whether text that starts with *head* is one array or object over many lines, not an event a line."""
    start, line_break, _ = head.lstrip().partition(b"\n")
    return start.startswith(b"[") or (bool(line_break) and not start.rstrip().endswith(b"}"))


def document_batches(text: bytes, count: int) -> Iterator[Batch]:
    """Cut *text*, one CloudEvent or an array of them, into its elements; they are numbered like lines, from 1."""
    if text.lstrip().startswith(b"["):
        try:
            elements = split_array(text)
        except NotABatch as error:
            yield Batch(1, [b""], {1: error.message})
            return
    else:
        elements = [text]
    for start in range(0, len(elements), count):
        yield Batch(start + 1, elements[start : start + count], {})


def is_json(media_type: str) -> bool:
    """Say whether *media_type*, whatever its parameters, is JSON."""
    essence = media_type.partition(";")[0].strip().lower()
    return essence in {"application/json", "text/json"} or essence.endswith("+json")


def named_in_cloudevents(field: str) -> str:
    """Return what a CloudEvent calls *field* of a usage event."""
    name, dot, rest = field.partition(".")
    return _NAMES.get(name, name) + dot + rest


def _decoded_or_error(raw: bytes) -> UsageEvent | InvalidEvent:
    try:
        return decode_cloudevent(raw)
    except InvalidEvent as error:
        return error


def _checked_or_error(envelope: CloudEvent) -> UsageEvent | InvalidEvent:
    try:
        return _check(envelope)
    except InvalidEvent as error:
        return error


def _check(envelope: CloudEvent) -> UsageEvent:
    if envelope.specversion != "1.0":
        raise InvalidEvent("specversion", "must be 1.0")
    if envelope.data_base64 is not None:
        raise InvalidEvent("data_base64", "is not read; put the quantities into data, as JSON")
    if envelope.datacontenttype is not None and not is_json(envelope.datacontenttype):
        raise InvalidEvent("datacontenttype", "must be application/json")
    data = envelope.data
    given = GivenEvent(
        source=envelope.source,
        id=envelope.id,
        customer=envelope.subject,
        type=envelope.type,
        at=_read_instant(envelope.time),
        quantities=data.quantities,
        dimensions=data.dimensions,
        status=data.status,
        resource=data.resource,
    )
    try:
        return check_event(given)
    except InvalidEvent as error:
        raise InvalidEvent(named_in_cloudevents(error.field or ""), error.rule) from error


def _read_instant(text: str) -> dt.datetime:
    """
    Read an instant of RFC 3339.

    Raises:
        InvalidEvent: it is none, it has no time zone, or more digits behind the second than can be kept.
    """
    if _PLAIN_INSTANT.fullmatch(text) is not None:
        with contextlib.suppress(ValueError):
            return dt.datetime.fromisoformat(text)
    found = INSTANT.fullmatch(check_fineness("time", text))
    if found is None or found["zone"] is None:
        raise blame_instant("time", text)
    day, second, fraction, zone = found.group("day", "second", "fraction", "zone")
    exact = f".{fraction[:_MICROSECONDS]:0<{_MICROSECONDS}}" if fraction else ""
    try:
        return dt.datetime.fromisoformat(f"{day}T{second}{exact}{zone.upper()}")
    except ValueError as error:
        raise blame_instant("time", text) from error


def _refuse_flaw(raw: bytes) -> None:
    flaw = find_flaw(raw)
    if flaw is not None:
        raise flaw


def _blame(error: Exception, raw: bytes, type_: type[msgspec.Struct], *, inside: str = "") -> InvalidEvent:
    """Name the field of *raw* at fault; *inside* it stands what *error* is about."""
    found = _ABOUT_FIELD.fullmatch(str(error))
    if found is not None:
        field = ".".join(part for part in (inside, found[3], found[2][:64]) if part)
        return InvalidEvent(field, "is not known here" if found[1].startswith("contains") else "is missing")
    flaw = find_flaw(raw, fractions=True)
    if flaw is not None:
        return flaw
    named = name_flaw(error, type_)
    field = named.field or ""
    if field == "the object":
        return InvalidEvent(inside or field, named.rule)
    if inside and field != "the text":
        field = f"{inside}.{field}"
    return InvalidEvent(_name_member(field, raw), named.rule)


def _name_member(field: str, raw: bytes) -> str:
    """Put the name of the first quantity or dimension that is none in the place of dots."""
    data, _, kind = field.removesuffix("[...]").rpartition(".")
    if not field.endswith("[...]") or data != "data" or kind not in _OF_MEMBERS:
        return field
    for name, value in getattr(_open.decode(raw).data, kind).items():
        try:
            _OF_MEMBERS[kind].decode(value)
        except msgspec.ValidationError:
            return f"{data}.{kind}.{name[:64]}"
    return field
