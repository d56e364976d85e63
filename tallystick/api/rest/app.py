"""
The REST application: one ASGI callable made from the operations table.

    path ─ who is it ─ may it ─ input ─ operations.run ─ answer
                                                         └─ a problem, whatever went wrong before

It is plain ASGI: a look-up of the path and a decoded struct are all that stands before the operation.
"""

import re
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from tallystick.api.avro.answer_calls import Calls
from tallystick.api.avro.over_http import AVRO, MOST_CALL_BYTES, AvroOverHttp
from tallystick.api.name_message import name_message
from tallystick.api.recognise import Asked, Recogniser, RefusalBook, admit
from tallystick.api.rest.cloudevents import EVENTS, CloudEventsDoor
from tallystick.api.rest.cloudevents import SCOPE as EVENTS_SCOPE
from tallystick.api.rest.errors import BodyTooLarge, CallerGone, MethodNotAllowed
from tallystick.api.rest.export_usage import SCOPE as EXPORT_SCOPE
from tallystick.api.rest.export_usage import USAGE_EXPORT, UsageExports, UsageReply
from tallystick.api.rest.fixed_paths import LOG, fixed_paths, read_log
from tallystick.api.rest.invoice_files import INVOICE_FILE, answer_file
from tallystick.api.rest.invoice_files import SCOPE as FILES_SCOPE
from tallystick.api.rest.mass_transfers import MASS, METHODS, MOST_BYTES, SCOPES, MassReply, MassTransfers
from tallystick.api.rest.provider_webhooks import MOST_BYTES as MOST_WEBHOOK_BYTES
from tallystick.api.rest.provider_webhooks import PROVIDER_WEBHOOK, WebhookDoor
from tallystick.api.rest.read_input import read_query
from tallystick.api.rest.reply import Headers, Reply, json_reply, problem_reply
from tallystick.api.rest.routes import Found, Routes, not_allowed
from tallystick.api.rest.slip_files import FIND_SLIP, SLIP_FILE, answer_barcode
from tallystick.api.rest.slip_files import SCOPE as SLIPS_SCOPE
from tallystick.errors import InvalidInput, Kind, TallystickError
from tallystick.operations.render_documents import READ, Documents
from tallystick.operations.run import Operations
from tallystick.security.model import Principal

MOST_BODY_BYTES = 8 * 1024 * 1024
_LOOKED_AT = {b"authorization", b"idempotency-key", b"content-length"}
_KEY = re.compile(rb"[!-~]{1,255}")
_REPLAYED = (b"idempotent-replayed", b"true")

_tell = structlog.get_logger()


def make_app(
    operations: Operations,
    *,
    most_body_bytes: int = MOST_BODY_BYTES,
    most_import_bytes: int = MOST_BYTES,
    most_call_bytes: int = MOST_CALL_BYTES,
    templates: Path | None = None,
) -> ASGIApp:
    """
    Make the application that offers everything in the table of *operations*, each body up to *most_body_bytes*.

    A file of transfers may have *most_import_bytes*, and a call of Avro RPC *most_call_bytes*. Documents are made by the
    template in *templates*, where there is one.
    """
    recogniser = Recogniser(operations.pool, operations.clock)
    refusals = RefusalBook(operations.pool, operations.clock)
    routes = Routes()
    for operation in (one for one in operations.table.values() if one.route):
        routes.add(operation)
    return RestApp(
        operations,
        routes,
        recogniser,
        refusals,
        fixed_paths(operations),
        MassTransfers(operations, most_import_bytes),
        UsageExports(operations),
        Documents(operations, templates),
        CloudEventsDoor(operations),
        AvroOverHttp(Calls(operations, recogniser, refusals), most_call_bytes),
        WebhookDoor(operations, min(MOST_WEBHOOK_BYTES, most_body_bytes)),
        most_body_bytes,
    )


@dataclass(frozen=True, slots=True)
class RestApp:
    """The operations table as an ASGI application."""

    operations: Operations
    routes: Routes
    recogniser: Recogniser
    refusals: RefusalBook
    fixed: dict[str, Callable[[], Awaitable[Reply]]]
    """What anyone may read, by path."""
    mass: MassTransfers
    exports: UsageExports
    documents: Documents
    events: CloudEventsDoor
    avro: AvroOverHttp
    webhooks: WebhookDoor
    most_body_bytes: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await _live(scope, receive, send)
            return
        reply = await self.reply_to(scope, receive)
        if reply is not None:
            await reply.send(receive, send)

    def replies_whole(self, path: bytes) -> bool:
        """
        Say whether the answer at *path* is made whole before it goes out, as all are but files of transfers and of usage.

        Calls of Avro RPC are read as those are, since they have their own limit to how long a body may take.
        """
        text = path.decode("latin-1")
        return not path.startswith(AVRO) and MASS.fullmatch(text) is None and USAGE_EXPORT.fullmatch(text) is None

    async def reply_to(self, scope: Scope, receive: Receive) -> Reply | MassReply | UsageReply | None:
        """Make the reply to one request, whatever comes of it; None when the caller is gone."""
        try:
            return await self._answer(scope, receive)
        except CallerGone:
            return None
        except MethodNotAllowed as error:
            return problem_reply(error, [(b"allow", error.allowed.encode())])
        except TallystickError as error:
            return problem_reply(error, hang_up=error.kind is Kind.TOO_LARGE)
        except Exception as error:  # noqa: BLE001 - the caller gets an answer and the operator the story
            _tell_of(error, scope)
            return problem_reply(TallystickError())

    async def _answer(self, scope: Scope, receive: Receive) -> Reply | MassReply | UsageReply:
        path: str = scope["raw_path"].decode("latin-1")
        if path in self.fixed:
            if scope["method"] not in {"GET", "HEAD"}:
                raise not_allowed(path, scope["method"], {"GET"})
            return await self.fixed[path]()
        if scope["raw_path"].startswith(AVRO):
            return await self.avro.answer(scope, receive)
        headers = _headers(scope)
        beside = await self._answer_beside(scope, receive, path, headers)
        if beside is not None:
            return beside
        found = self.routes.find(scope["method"], path)
        operation = found.route.operation
        principal = await self._admit(headers, operation.scope, operation.name, found.book)
        if found.route.method == "GET":
            request = found.route.reader.from_query(scope["query_string"], found.fields)
            answer = await self.operations.run(principal, found.book, operation.name, "", request)
            return json_reply(answer.body)
        return await self._change(scope, receive, found, principal, headers)

    async def _answer_beside(
        self, scope: Scope, receive: Receive, path: str, headers: dict[bytes, bytes]
    ) -> Reply | MassReply | UsageReply | None:
        """Answer at a path below a book that is no operation's: its log, files, CloudEvents."""
        log = LOG.fullmatch(path)
        if log is not None:
            if scope["method"] not in {"GET", "HEAD"}:
                raise not_allowed(path, scope["method"], {"GET"})
            await self._admit(headers, "ledger:read", "ledger.log", log["book"])
            return await read_log(self.operations, log["book"], log["what"])
        mass = MASS.fullmatch(path)
        if mass is not None:
            what = mass["what"]
            if scope["method"] != METHODS[what]:
                raise not_allowed(path, scope["method"], {METHODS[what]})
            principal = await self._admit(headers, SCOPES[what], f"ledger.{what}", mass["book"])
            return await self.mass.answer(scope, receive, principal, mass["book"], what)
        export = USAGE_EXPORT.fullmatch(path)
        if export is not None:
            if scope["method"] not in {"GET", "HEAD"}:
                raise not_allowed(path, scope["method"], {"GET"})
            principal = await self._admit(headers, EXPORT_SCOPE, "usage.export", export["book"])
            return await self.exports.answer(scope, receive, principal, export["book"])
        file = INVOICE_FILE.fullmatch(path) or SLIP_FILE.fullmatch(path)
        if file is not None:
            return await self._file(scope, file, headers)
        events = EVENTS.fullmatch(path)
        if events is not None:
            if scope["method"] != "POST":
                raise not_allowed(path, scope["method"], {"POST"})
            principal = await self._admit(headers, EVENTS_SCOPE, "usage.record", events["book"])
            dry_run = _dry_run(scope["query_string"])
            body = await self._body(receive, headers)
            return await self.events.answer(principal, events["book"], scope["headers"], body, dry_run=dry_run)
        return await self._hear(scope, receive, path, headers)

    async def _hear(
        self, scope: Scope, receive: Receive, path: str, headers: dict[bytes, bytes]
    ) -> Reply | None:  # fmt: skip
        """Answer at the path where payment providers tell of what happens; their signature stands for a key."""
        told = PROVIDER_WEBHOOK.fullmatch(path)
        if told is None:
            return None
        if scope["method"] != "POST":
            raise not_allowed(path, scope["method"], {"POST"})
        said = headers.get(b"content-length")
        length = None if said is None else int(said)
        return await self.webhooks.answer(
            told, scope["headers"], length, lambda most: self._body(receive, headers, most)
        )

    async def _file(self, scope: Scope, file: re.Match[str], headers: dict[bytes, bytes]) -> Reply:
        if scope["method"] not in {"GET", "HEAD"}:
            raise not_allowed(file[0], scope["method"], {"GET"})
        if file.re is SLIP_FILE:
            principal = await self._admit(headers, SLIPS_SCOPE, FIND_SLIP, file["book"])
            return await answer_barcode(self.operations, principal, file, scope["headers"])
        principal = await self._admit(headers, FILES_SCOPE, READ, file["book"])
        return await answer_file(self.documents, principal, file, scope["headers"])

    async def _change(
        self, scope: Scope, receive: Receive, found: Found, principal: Principal, headers: dict[bytes, bytes]
    ) -> Reply:
        operation = found.route.operation
        dry_run = _dry_run(scope["query_string"])
        key = _sent_key(headers)
        body = await self._body(receive, headers)
        request = found.route.reader.from_body(body, found.fields)
        if operation.reads:
            return json_reply((await self.operations.run(principal, found.book, operation.name, "", request)).body)
        key = key or name_message(operation.name, request)
        named = key.encode()
        own: Headers = [(b"idempotency-key", named)] if _KEY.fullmatch(named) else []
        try:
            answer = await self.operations.run(principal, found.book, operation.name, key, request, dry_run=dry_run)
        except TallystickError as error:
            return problem_reply(error, own)
        if answer.replayed:
            own.append(_REPLAYED)
        return json_reply(answer.body, own)

    async def _admit(self, headers: dict[bytes, bytes], scope: str, operation: str, book: str) -> Principal:
        """
        Return who asks, if it may.

        Raises:
            KeyMissing, KeyInvalid: nobody knows who it is (``security.key_missing``, ``security.key_invalid``).
            OtherBook, ScopeMissing: it may not (``security.other_book``, ``security.scope_missing``).
        """
        shown = headers.get(b"authorization")
        return await admit(self.recogniser, self.refusals, shown, Asked(operation, scope, book))

    async def _body(self, receive: Receive, headers: dict[bytes, bytes], most: int | None = None) -> bytes:
        """
        Read the whole body, or as little of it as shows that it has more than *most* bytes; None: than any may have.

        Raises:
            BodyTooLarge: it is (``rest.body_too_large``).
        """
        limit = self.most_body_bytes if most is None else most
        if int(headers.get(b"content-length", b"0")) > limit:
            raise BodyTooLarge(limit=limit)
        message = await receive()
        parts = []
        length = 0
        while message["type"] == "http.request":
            parts.append(message["body"])
            length += len(message["body"])
            if length > limit:
                raise BodyTooLarge(limit=limit)
            if not message["more_body"]:
                return b"".join(parts)
            message = await receive()
        raise CallerGone


def _tell_of(error: Exception, scope: Scope) -> None:
    """Log a failure of our own, without the query and without the values of variables: keys are among them."""
    story = "".join(traceback.format_exception(error))
    _tell.error("request failed", method=scope["method"], path=scope["raw_path"].decode("latin-1"), story=story)


async def _live(scope: Scope, receive: Receive, send: Send) -> None:
    """Follow the server's life; whoever composes the program opens and closes what the application uses."""
    if scope["type"] != "lifespan":
        await send({"type": "websocket.close"})
        return
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _headers(scope: Scope) -> dict[bytes, bytes]:
    """
    Pick out the headers that are looked at.

    Raises:
        InvalidInput: one of them was sent twice, and two readers might take different ones (``invalid_input``).
    """
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in _LOOKED_AT:
            if name in found:
                raise InvalidInput(field=name.decode(), rule="The header is sent twice")
            found[name] = value
    return found


def _dry_run(query: bytes) -> bool:
    """
    Read the query of a change: ``dry_run`` and nothing else.

    Raises:
        InvalidInput: there is something else (``invalid_input``).
    """
    given = read_query(query)
    for name, value in given:
        if name != "dry_run":
            raise InvalidInput(field=name, rule=f"The query contains unknown field `{name}`")
        if value not in {"true", "false"}:
            raise InvalidInput(field=name, rule="Expected true or false")
    return ("dry_run", "true") in given


def _sent_key(headers: dict[bytes, bytes]) -> str | None:
    """
    Return the caller's own idempotency key, None when it sent none.

    Raises:
        InvalidInput: it is not 1 to 255 visible ASCII characters (``invalid_input``).
    """
    sent = headers.get(b"idempotency-key")
    if sent is None:
        return None
    if not _KEY.fullmatch(sent):
        raise InvalidInput(field="idempotency-key", rule="Expected 1 to 255 visible ASCII characters")
    return sent.decode()
