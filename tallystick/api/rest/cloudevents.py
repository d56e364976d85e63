"""
CloudEvents 1.0 over HTTP: usage from whoever speaks the format of the field, one event a request or many.

    structured   content-type: application/cloudevents+json         one event
    batched      content-type: application/cloudevents-batch+json   an array of events
    binary       ce-… headers, data as the JSON body                one event

An event is known by its source and id, so a request needs no key: sent again, its events are known.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import unquote_to_bytes

import msgspec

from tallystick.api.rest.errors import EventConflict, MediaTypeUnknown
from tallystick.api.rest.gather_events import DOOR, EventGatherer, items_of, record
from tallystick.api.rest.reply import Reply, json_reply
from tallystick.errors import InvalidInput
from tallystick.operations.run import Operations
from tallystick.operations.usage import MAX_EVENTS, RecordedItem, RecordOutput
from tallystick.security.model import Principal
from tallystick.usage.accept import Status
from tallystick.usage.columns import EventColumns, columns_of
from tallystick.usage.decode.cloudevents import (
    decode_attributes,
    decode_cloudevent,
    decode_cloudevents,
    identify,
    is_json,
    named_in_cloudevents,
    split_array,
)
from tallystick.usage.model import InvalidEvent, UsageEvent

EVENTS = re.compile(r"/v1/books/(?P<book>[a-z][a-z0-9-]{0,62})/events", re.ASCII)
SCOPE = "usage:write"
STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"
_PREFIX = b"ce-"
_CHARSETS = {"utf-8", "utf8", "us-ascii"}
_BAD_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_encode = msgspec.json.Encoder().encode

RawHeaders = Sequence[tuple[bytes, bytes]]


class Mode(Enum):
    """How a request carries events (the HTTP protocol binding's content modes)."""

    STRUCTURED = "structured"
    BATCHED = "batched"
    BINARY = "binary"


class EventItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one event."""

    index: int
    """Its place in the request, from 0."""
    id: str | None
    """As it was sent; null where it could not be read."""
    source: str | None
    status: Status
    """``accepted``, ``known`` (stored before, or a repeat), ``not_billable``, ``conflict`` or ``invalid``."""
    reason: str | None = None
    """Why it is not billable, or the rule that it breaks."""
    field: str | None = None
    """The field at fault, as the CloudEvent calls it."""


class BatchAnswer(msgspec.Struct, frozen=True):
    """What became of each event of a batch, in its order."""

    accepted: int
    known: int
    not_billable: int
    refused: int
    """Those that are invalid or in conflict."""
    items: list[EventItem]


@dataclass(slots=True)
class CloudEventsDoor:
    """What takes CloudEvents in, for one application."""

    operations: Operations
    gatherer: EventGatherer = field(init=False)

    def __post_init__(self) -> None:
        """Gather single events for the same operations."""
        self.gatherer = EventGatherer(self.operations)

    async def answer(
        self, principal: Principal, book: str, headers: RawHeaders, body: bytes, *, dry_run: bool
    ) -> Reply:
        """
        Record the events of one request and say what became of them.

        Raises:
            MediaTypeUnknown: it carries no CloudEvent in JSON (``rest.media_type_unknown``).
            NotABatch: a batch cannot be taken apart (``usage.not_a_batch``).
            InvalidEvent, EventConflict: a single event is refused (``usage.invalid_event``, ``usage.event_conflict``).
            TallystickError: of ``usage.record``.
        """
        mode = mode_of(headers)
        if mode is Mode.BATCHED:
            return json_reply(_encode(await self._record_batch(principal, book, body, dry_run=dry_run)))
        event = decode_cloudevent(body) if mode is Mode.STRUCTURED else decode_attributes(attributes_of(headers), body)
        if dry_run:
            answer = await record(self.operations, principal, book, columns_of(DOOR, [event]), dry_run=True)
            item = items_of(answer, 1)[0]
        else:
            item = await self.gatherer.record(principal, book, event)
        _refuse(item)
        return json_reply(_encode(_item(0, event, item)))

    async def _record_batch(self, principal: Principal, book: str, body: bytes, *, dry_run: bool) -> BatchAnswer:
        events = decode_cloudevents(body, most=MAX_EVENTS)
        answer = await record(self.operations, principal, book, events, dry_run=dry_run)
        return BatchAnswer(
            answer.accepted, answer.known, answer.not_billable, answer.refused, _items(body, events, answer)
        )


def mode_of(headers: RawHeaders) -> Mode:
    """
    Tell the mode of a request.

    Raises:
        MediaTypeUnknown: it has none (``rest.media_type_unknown``).
        InvalidInput: its media type is told twice (``invalid_input``).
    """
    told = [value for name, value in headers if name == b"content-type"]
    if len(told) > 1:
        raise InvalidInput(field="content-type", rule="The header is sent twice")
    media_type = told[0].decode("latin-1") if told else ""
    essence = media_type.partition(";")[0].strip().lower()
    if not _is_utf8(media_type):
        raise MediaTypeUnknown(field="content-type", given=media_type[:100])
    if essence == STRUCTURED:
        return Mode.STRUCTURED
    if essence == BATCHED:
        return Mode.BATCHED
    beside = any(name.startswith(_PREFIX) for name, _ in headers)
    if beside and not essence.startswith("application/cloudevents") and (not essence or is_json(essence)):
        return Mode.BINARY
    raise MediaTypeUnknown(field="content-type", given=media_type[:100] or "none")


def attributes_of(headers: RawHeaders) -> dict[str, str]:
    """
    Read the attributes of an event in binary mode out of its headers (CloudEvents HTTP binding §3.1.3).

    Raises:
        InvalidEvent: one is there twice, or is not UTF-8 behind its percent signs (``usage.invalid_event``).
    """
    found: dict[str, str] = {}
    for header, value in headers:
        if header.startswith(_PREFIX):
            name = header.removeprefix(_PREFIX).decode("latin-1")
            if name in found:
                raise InvalidEvent(name, "stands there twice")
            found[name] = _unescape(name, value)
    return found


def _unescape(name: str, value: bytes) -> str:
    """Take a header's value out of its quotes, and undo its percent signs once."""
    if len(value) > 1 and value.startswith(b'"') and value.endswith(b'"'):
        value = _QUOTED_PAIR.sub(rb"\1", value[1:-1])
    if b"%" in value:
        if _BAD_PERCENT.search(value):
            raise InvalidEvent(name, "must write a percent sign as %25: in a header it begins an escape")
        value = unquote_to_bytes(value)
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InvalidEvent(name, "must be UTF-8 behind its percent signs") from error


def _is_utf8(media_type: str) -> bool:
    for parameter in media_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in _CHARSETS:
            return False
    return True


def _refuse(item: RecordedItem) -> None:
    """
    Refuse a single event for what it is.

    Raises:
        InvalidEvent, EventConflict: it is invalid or in conflict.
    """
    field_ = named_in_cloudevents(item.field or "")
    if item.status is Status.INVALID:
        raise InvalidEvent(field_, item.reason or "")
    if item.status is Status.CONFLICT:
        raise EventConflict(field=field_ or None, place=field_ or "it", rule=item.reason)


def _items(body: bytes, events: EventColumns, answer: RecordOutput) -> list[EventItem]:
    """Say what became of each event of a batch; *answer* names only those that were not accepted."""
    sources = itertools.repeat(events.sources) if isinstance(events.sources, str) else events.sources
    items = [
        EventItem(place, identifier, source, Status.ACCEPTED)
        for place, (identifier, source) in enumerate(zip(events.ids, sources, strict=False))
    ]
    texts = split_array(body) if events.invalid else []
    for one in answer.items:
        place, here = one.item, items[one.item]
        if events.invalid and place in events.invalid:
            items[place] = EventItem(place, *identify(texts[place]), one.status, one.reason, one.field)
        else:
            named = one.field and named_in_cloudevents(one.field)
            items[place] = EventItem(place, here.id, here.source, one.status, one.reason, named)
    return items


def _item(index: int, event: UsageEvent, item: RecordedItem) -> EventItem:
    named = None if item.field is None else named_in_cloudevents(item.field)
    return EventItem(index, event.id, event.source, item.status, item.reason, named)
