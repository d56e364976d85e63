"""
CloudEvents 1.0 in JSON: one event a line, one object, or an array of them (the batch format).

``subject`` is the customer, ``type`` the type, ``time`` the instant; ``data`` holds quantities, status and resource.
CloudEvents promises that source and id together are unique, so together they are the event's id.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Annotated, ClassVar

import msgspec

from tallystick.errors import Kind, TallystickError
from tallystick.ids import id_of_content
from tallystick.usage.decode.decoded import Decoded, Malformed
from tallystick.usage.decode.open_file import Batch
from tallystick.usage.model import MAX_TEXT, GivenEvent, InvalidEvent, UsageEvent, check_event, name_flaw

MAX_DOCUMENT = 64 * 2**20
"""An array or a many-line object is read whole; one larger than this is refused. JSON lines know no such limit."""


class DocumentTooLarge(TallystickError):
    """A JSON array may have at most {limit} bytes; write one event a line instead."""

    code: ClassVar[str] = "usage.document_too_large"
    kind: ClassVar[Kind] = Kind.TOO_LARGE


class CloudEventData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a CloudEvent of usage carries."""

    quantities: dict[str, int | str] = {}
    status: int | None = None
    resource: str | None = None


class CloudEvent(msgspec.Struct, frozen=True):
    """The envelope; extension attributes are allowed in it (CloudEvents 1.0 §3) and not kept."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: Annotated[dt.datetime, msgspec.Meta(tz=True)]
    data: CloudEventData = CloudEventData()
    data_base64: str | None = None


_envelope = msgspec.json.Decoder(CloudEvent)
_batch = msgspec.json.Decoder(list[msgspec.Raw])


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


def decode_cloudevent(raw: bytes | msgspec.Raw) -> UsageEvent:
    """
    Read one CloudEvent.

    Raises:
        InvalidEvent: usage.invalid_event, naming field and rule.
    """
    try:
        envelope = _envelope.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise name_flaw(error) from error
    if envelope.specversion != "1.0":
        raise InvalidEvent("specversion", "must be 1.0")
    if envelope.data_base64 is not None:
        raise InvalidEvent("data_base64", "is not read; put the quantities into data, as JSON")
    for field, text in (("id", envelope.id), ("source", envelope.source)):
        if not text:
            raise InvalidEvent(field, "must not be empty")
    return check_event(
        GivenEvent(
            customer=envelope.subject,
            at=envelope.time,
            id=_identity(envelope.source, envelope.id),
            type=envelope.type,
            quantities=envelope.data.quantities,
            status=envelope.data.status,
            resource=envelope.data.resource,
        )
    )


def is_document(head: bytes) -> bool:
    """Say whether text that starts with *head* is one array or object over many lines, not an event a line."""
    start, line_break, _ = head.lstrip().partition(b"\n")
    return start.startswith(b"[") or (bool(line_break) and not start.rstrip().endswith(b"}"))


def document_batches(text: bytes, count: int) -> Iterator[Batch]:
    """Cut *text*, one CloudEvent or an array of them, into its elements; they are numbered like lines, from 1."""
    if text.lstrip().startswith(b"["):
        try:
            elements = [bytes(element) for element in _batch.decode(text)]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield Batch(1, [b""], {1: name_flaw(error).reason})
            return
    else:
        elements = [text]
    for start in range(0, len(elements), count):
        yield Batch(start + 1, elements[start : start + count], {})


def _identity(source: str, own: str) -> str:
    """Join source and id by a space, which no URI has; what that would make too long or unclear is hashed."""
    joined = f"{source} {own}"
    if len(joined) > MAX_TEXT or " " in source:
        if "\0" in joined:
            raise InvalidEvent("id", "must not contain a NUL")
        return str(id_of_content([source, own]))
    return joined
