"""
Answer calls: from the bytes of a request to the bytes of the response, or to a refusal that says what was wrong.

    bytes ─ message ─ who is it ─ may it ─ input ─ operations.run ─ response
                                                   └─ a status, whatever went wrong before
"""

import re
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from google.protobuf.message import DecodeError

from tallystick.api.find_nul import NUL, find_nul
from tallystick.api.grpc.errors import BadMessage, told_of
from tallystick.api.grpc.methods import Method
from tallystick.api.grpc.read_message import read_message
from tallystick.api.name_message import name_message
from tallystick.api.recognise import Asked, Recogniser, RefusalBook, admit
from tallystick.errors import InvalidInput, TallystickError
from tallystick.journal.keep import IdReused
from tallystick.operations.run import IdNotAcceptable, Operations, as_input

_BOOK = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
_VISIBLE = re.compile(r"[!-~]{1,255}", re.ASCII)

_tell = structlog.get_logger()
Context = Any
"""A grpc.aio.ServicerContext, which has no types."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Answers calls on the operations table."""

    operations: Operations
    recogniser: Recogniser
    refusals: RefusalBook

    async def answer(self, method: Method, data: bytes, context: Context) -> bytes:
        """Answer a call; nothing that it holds makes this fail but by a status. One that is called off is not answered."""
        try:
            return await self._answer(method, data, context)
        except TallystickError as error:
            error.field = _as_sent(method, error)
            refused = error
        except Exception as error:  # noqa: BLE001 - the caller gets an answer and the operator the story
            _tell.error("call failed", method=method.name, story="".join(traceback.format_exception(error)))
            refused = TallystickError()
        await context.abort(*told_of(refused))
        raise AssertionError  # abort never comes back

    async def _answer(self, method: Method, data: bytes, context: Context) -> bytes:
        operation = self.operations.find(method.behind.operation)
        fields = _read(method, data)
        book = fields.pop("book", "")
        if not _BOOK.fullmatch(book):
            raise InvalidInput(field="book", rule="Name the book: small letters, digits and hyphens, a letter first")
        shown = _authorization(context.invocation_metadata())
        asked = Asked(operation.name, operation.scope, book)
        principal = await admit(self.recogniser, self.refusals, shown, asked)
        key, dry_run = fields.pop("message_id", ""), fields.pop("dry_run", False)
        fields = method.behind.read(fields)
        request = as_input(operation, fields)
        _refuse_nul(fields)
        told: list[tuple[str, str]] = []
        if not operation.reads:
            key = key or name_message(operation.name, request)
            if _VISIBLE.fullmatch(key):
                told.append(("message-id", key))
            context.set_trailing_metadata(tuple(told))
        answer = await self.operations.run(principal, book, operation.name, key, request, dry_run=dry_run)
        if answer.replayed:
            context.set_trailing_metadata((*told, ("idempotent-replayed", "true")))
        response = method.response()
        method.behind.write(response, answer.body)
        written: bytes = response.SerializeToString()
        return written


def _as_sent(method: Method, error: TallystickError) -> str | None:
    """Return what the request calls the field that is to blame; to the journal, a message's id is an id."""
    if error.field == "id" and error.code in {IdReused.code, IdNotAcceptable.code}:
        return "message_id"
    return method.behind.renamed.get(error.field or "", error.field)


def _read(method: Method, data: bytes) -> dict[str, Any]:
    message = method.request()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise BadMessage(method=method.name) from error
    return read_message(message)


def _authorization(metadata: Sequence[tuple[str, str | bytes]]) -> bytes | None:
    """
    Return what the caller shows.

    Raises:
        InvalidInput: it shows two, and two readers might take different ones (``invalid_input``).
    """
    shown = [value for name, value in metadata if name == "authorization"]
    if len(shown) > 1:
        raise InvalidInput(field="authorization", rule="The metadata is sent twice")
    if not shown:
        return None
    return shown[0].encode(errors="replace") if isinstance(shown[0], str) else shown[0]


def _refuse_nul(fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        found = find_nul(name, value)
        if found is not None:
            raise InvalidInput(field=found, rule=NUL)
