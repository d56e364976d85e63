"""
Answer calls: from the bytes behind the handshake to the bytes of the answer, whatever came of it.

    metadata ─ message ─ who is it ─ may it ─ parameters ─ operations.run ─ answer
                                                           └─ an error, whatever went wrong before

Whether a call came over HTTP or over a socket makes no difference here.
"""

import re
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import structlog

from tallystick import __version__
from tallystick.api.avro.binary import (
    read_metadata,
    read_string,
    write_long,
    write_metadata,
    write_optional,
    write_string,
)
from tallystick.api.avro.client_protocols import ClientProtocol, ClientProtocols
from tallystick.api.avro.errors import BadCall, BadFrame, BadHandshake, BadProtocol, CallTooLarge, UnknownMessage
from tallystick.api.avro.read_events import GivenEvents
from tallystick.api.avro.resolve import Flaw
from tallystick.api.recognise import NOBODY, Recogniser, RefusalBook
from tallystick.errors import InvalidInput, Kind, TallystickError
from tallystick.ids import uuid7
from tallystick.operations.run import Operations
from tallystick.operations.usage import RecordOutput
from tallystick.security.authorise import OtherBook, authorise
from tallystick.security.model import Principal
from tallystick.usage.totals.read import TotalsPage

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEY = re.compile(rb"[!-~]{1,255}")
_BOOK = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
_REFUSALS = {Kind.UNAUTHENTICATED, Kind.FORBIDDEN}
_SYSTEM = (BadFrame, BadHandshake, BadProtocol, BadCall, CallTooLarge, UnknownMessage)
"""What keeps a call from being understood; told as a string."""
_STATUSES = {
    name: write_long(place) for place, name in enumerate(("accepted", "known", "not_billable", "conflict", "invalid"))
}
_ACCEPTED = b"\0\0\0"
_REPLAYED = write_metadata({"idempotent-replayed": b"true"})
_NOTHING = b"\0"
"""An empty map."""

_tell = structlog.get_logger()
_recorded = msgspec.json.Decoder(RecordOutput)


@dataclass(frozen=True, slots=True)
class Shown:
    """What came with a call beside its bytes; each name is that of an entry of metadata."""

    entries: Mapping[str, bytes] = field(default_factory=dict)
    settled: frozenset[str] = frozenset()
    """What the call's own metadata cannot say otherwise."""

    def beside(self, metadata: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return what holds for a call with *metadata*."""
        own = {name: value for name, value in metadata.items() if name not in self.settled}
        return {**self.entries, **own}


@dataclass(slots=True)
class Calls:
    """Answers calls on the operations table."""

    operations: Operations
    recogniser: Recogniser
    refusals: RefusalBook
    protocols: ClientProtocols = field(default_factory=ClientProtocols)

    async def answer(self, protocol: ClientProtocol, data: bytes, at: int, shown: Shown) -> bytes:
        """Answer the call that begins at *at*; nothing that it holds makes this fail."""
        try:
            return await self._answer(protocol, data, at, shown)
        except TallystickError as error:
            return write_error(error)
        except Exception as error:  # noqa: BLE001 - the caller gets an answer and the operator the story
            _tell.error("call failed", story="".join(traceback.format_exception(error)))
            return write_error(TallystickError())

    async def recognise(self, authorization: bytes | None, operation: str, book: str) -> Principal:
        """
        Return who shows a key; that it was refused is recorded.

        Raises:
            KeyMissing, KeyInvalid: nobody knows who it is (``security.key_missing``, ``security.key_invalid``).
        """
        try:
            return await self.recogniser.recognise(authorization)
        except TallystickError as error:
            if error.kind in _REFUSALS:
                await self.refusals.record(NOBODY, operation, book, error)
            raise

    async def _answer(self, protocol: ClientProtocol, data: bytes, at: int, shown: Shown) -> bytes:
        try:
            metadata, at = read_metadata(data, at)
            name, at = read_string(data, at)
        except (IndexError, ValueError) as error:
            raise BadCall(rule=f"its head cannot be read ({error})") from error
        if not name:  # the handshake's own message, which anybody may send
            return _NOTHING + b"\0"
        message = _MESSAGES.get(name)
        if message is None:
            raise UnknownMessage(name=name[:80])
        metadata = shown.beside(metadata)
        book = _book(metadata.get("book"))
        principal = await self.recognise(metadata.get("authorization"), message.operation or "avro", book)
        book = book or principal.book or ""
        await self._authorise(principal, message, book)
        values = _read(protocol, name, data, at)
        return await message.answer(self, _Call(principal, book, values, metadata.get("idempotency-key")))

    async def _authorise(self, principal: Principal, message: "_Message", book: str) -> None:
        if not book:
            raise InvalidInput(field="book", rule="This key is of no book; name one in the metadata")
        try:
            if message.operation:
                authorise(principal, self.operations.find(message.operation).scope, book)
            elif principal.book not in {None, book}:
                raise OtherBook(field="book", book=book)
        except TallystickError as error:
            await self.refusals.record(principal.name, message.operation or "avro", book, error)
            raise


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that was understood."""

    principal: Principal
    book: str
    values: Mapping[str, Any]
    key: bytes | None


@dataclass(frozen=True, slots=True)
class _Message:
    """What stands behind a message."""

    operation: str
    """Empty: none."""
    answer: Callable[[Calls, _Call], Awaitable[bytes]]


def shown_key(data: bytes, at: int, shown: Shown) -> bytes | None:
    """
    Return the authorization that the call at *at*, of which there may be no more than the head, is shown with.

    Raises:
        BadCall: its metadata cannot be read (``avro.bad_call``).
    """
    try:
        metadata, _ = read_metadata(data, at)
    except (IndexError, ValueError) as error:
        raise BadCall(rule=f"its head cannot be read ({error})") from error
    return shown.beside(metadata).get("authorization")


def write_error(error: TallystickError) -> bytes:
    """Write the answer to a call that failed: what the protocol declares, or a string where it was not understood."""
    if isinstance(error, _SYSTEM) or error.kind is Kind.INTERNAL:
        return _NOTHING + b"\1\0" + write_string(f"{error.code}: {error.message}")
    parts = write_string(error.code), write_string(error.message), write_optional(error.field)
    return _NOTHING + b"\1\2" + b"".join(parts) + (b"\1" if error.kind.retry_helps else b"\0")


async def _record(calls: Calls, call: _Call) -> bytes:
    events: GivenEvents = call.values["events"]
    key = call.values["message_id"]
    if key is None and call.key is not None:
        if not _KEY.fullmatch(call.key):
            raise InvalidInput(field="idempotency-key", rule="Expected 1 to 255 visible ASCII characters")
        key = call.key.decode()
    source = call.values["source"]
    request = {"source": source, "events": events.columns(source), "door": "avro"}
    key = str(uuid7()) if key is None else key
    answer = await calls.operations.run(call.principal, call.book, "usage.record", key, request)
    head = _REPLAYED if answer.replayed else _NOTHING
    return head + b"\0" + _write_recorded(_recorded.decode(answer.body), len(events.rows))


def _write_recorded(output: RecordOutput, count: int) -> bytes:
    """Write an answer for each event, in their order."""
    counts = (output.accepted, output.known, output.not_billable, output.refused)
    pieces = [*map(write_long, counts), write_long(count)]
    place = 0
    for item in output.items:
        pieces.append(_ACCEPTED * (item.item - place))
        pieces += (_STATUSES[item.status], write_optional(item.field), write_optional(item.reason))
        place = item.item + 1
    pieces.append(_ACCEPTED * (count - place))
    pieces.append(b"\0")
    return b"".join(pieces)


async def _total(calls: Calls, call: _Call) -> bytes:
    values = call.values
    request = {
        "customer": values["customer"],
        "meter": values["meter"],
        "start_at": _instant(values, "start_at"),
        "end_at": _instant(values, "end_at"),
    }
    page: TotalsPage = await calls.operations.call(call.principal, call.book, "usage.totals", "", request)
    quantity, events = (page.items[0].quantity, page.items[0].events) if page.items else ("0", 0)
    return _NOTHING + b"\0" + write_string(quantity) + write_long(events)


async def _ping(_: Calls, __: _Call) -> bytes:
    return _NOTHING + b"\0"


async def _version(_: Calls, __: _Call) -> bytes:
    return _NOTHING + b"\0" + write_string(__version__)


_MESSAGES = {
    "record": _Message("usage.record", _record),
    "total": _Message("usage.totals", _total),
    "ping": _Message("", _ping),
    "version": _Message("", _version),
}


def _read(protocol: ClientProtocol, name: str, data: bytes, at: int) -> dict[str, Any]:
    read = protocol.reader(name)
    try:
        values, end = read(data, at)
    except (IndexError, ValueError) as error:
        raise BadCall(rule=str(error) if isinstance(error, ValueError) else "it ends too early") from error
    if end != len(data):
        raise BadCall(rule=f"{len(data) - end} bytes are left over")
    for field_, value in values.items():
        if isinstance(value, Flaw):
            raise InvalidInput(field=field_, rule=value.rule)
    return dict(values)


def _book(named: bytes | None) -> str:
    """Return the book that is named, empty if none is."""
    name = (named or b"").decode(errors="replace")
    if name and not _BOOK.fullmatch(name):
        raise InvalidInput(field="book", rule="There can be no book of this name")
    return name


def _instant(values: Mapping[str, Any], name: str) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=values[name])
    except OverflowError as error:
        raise InvalidInput(field=name, rule="must lie in the years 1 to 9999") from error
