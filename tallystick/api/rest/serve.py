"""uvicorn as the house runs it: uvloop, httptools, no chatter, and an end to what heads and trailers may hold."""

import gc
import re
from asyncio import Event
from dataclasses import dataclass, field
from typing import cast

import httptools
import uvicorn
from starlette.types import ASGIApp, Message, Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from tallystick.api.rest.app import RestApp
from tallystick.api.rest.reply import Reply

MOST_HEAD_BYTES = 64 * 1024
"""How much a request may send on end that is not body: its head, and the trailers behind a body in chunks."""
KEEP_ALIVE_SECONDS = 75
_TOO_MUCH = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
MOST_SMALL_BODY_BYTES = 64 * 1024
"""A body up to this size is waited for before its request is looked at."""
_COMMON_METHODS = {b"GET", b"POST"}
_UNSAFE = re.compile(rb"[\0-\x08\n-\x1f\x7f]")
"""What the value of a header cannot hold: with a line's end in it, a caller could write headers of its own."""


@dataclass(slots=True)
class _SmallExchange:
    """
    A small request, which is answered when all of it is there, by one write.

    To uvicorn it is what its own exchanges are: those it starts, ends and lets follow one another by these attributes.
    """

    scope: Scope
    body: bytes = b""
    keep_alive: bool = True
    response_started: bool = False
    response_complete: bool = False
    disconnected: bool = False
    message_event: Event = field(default_factory=Event)

    async def receive(self) -> Message:
        """Hand the body over."""
        return {"type": "http.request", "body": self.body, "more_body": False}

    def write(self, reply: Reply, beside: list[tuple[bytes, bytes]]) -> bytes:
        """Write the reply as it goes over the line; *beside* are the headers that every reply has."""
        pieces = [STATUS_LINE[reply.status]]
        for name, value in (*beside, *reply.headers):
            if _UNSAFE.search(value):
                raise ValueError(f"no header can hold {value!r}")
            pieces += (name, b": ", value, b"\r\n")
        if not self.keep_alive:
            pieces.append(b"connection: close\r\n")
        pieces.append(b"content-length: %d\r\n\r\n" % len(reply.body))
        pieces.append(reply.body)
        return b"".join(pieces)


class BoundedHeadProtocol(HttpToolsProtocol):
    """
    HTTP that hangs up on a head or on trailers without end, which would otherwise be collected in memory for ever.

    Trailers are thrown away: nobody here reads them, and among the headers they could pass for some (RFC 9110 §6.5.1).

    Small requests on a connection that is at rest, which nearly all are, take a short way: no ASGI messages are made
    of them, and the reply is one write, which saves a quarter of what a request costs before and behind its operation.
    """

    _beside_body = True
    """The parser stands in a head, or behind a chunk's size, where the chunk follows or, behind the last, trailers."""
    _bytes_beside_body = 0
    _in_head = True
    _small: _SmallExchange | None = None

    def data_received(self, data: bytes) -> None:
        """Take in what arrived, and count it while it is neither body nor the whole of a head."""
        self._moved_on = False
        super().data_received(data)
        if self._beside_body and not self._moved_on:
            self._bytes_beside_body += len(data)
            if self._bytes_beside_body > MOST_HEAD_BYTES and not self.transport.is_closing():
                if self._in_head or not self.cycle.response_started:
                    self.transport.write(_TOO_MUCH)
                self.transport.close()

    def on_message_begin(self) -> None:
        """Begin to count."""
        self._in_head = self._beside_body = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take in a header; a trailer is thrown away."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop counting, since the body has a limit of its own, and see which way the request goes."""
        self._in_head = False
        self._move_on(beside_body=False)
        self._small = self._begin_small()
        if self._small is None:
            super().on_headers_complete()
        else:
            self.cycle = self._small  # type: ignore[assignment]  # it has all of a cycle that uvicorn looks at

    def _begin_small(self) -> _SmallExchange | None:
        """Return the exchange of a request that goes the short way, None for the others."""
        cycle: RequestResponseCycle | None = self.cycle
        parser, method = self.parser, self.parser.get_method()
        if (
            (cycle and not cycle.response_complete)
            or method not in _COMMON_METHODS
            or self.expect_100_continue
            or parser.should_upgrade()
        ):
            return None
        if parser.get_http_version() != "1.1" or not parser.should_keep_alive() or not isinstance(self.app, RestApp):
            return None
        length = 0
        for name, value in self.headers:
            if name == b"transfer-encoding":
                return None
            if name == b"content-length":
                length = int(value)
        if length > MOST_SMALL_BODY_BYTES:
            return None
        url = httptools.parse_url(self.url)
        if not self.app.replies_whole(url.path):
            return None
        self.scope["method"] = method.decode()
        self.scope["raw_path"], self.scope["query_string"] = url.path, url.query or b""
        return _SmallExchange(cast("Scope", self.scope))

    def on_chunk_header(self) -> None:
        """Begin to count: behind the last chunk's size there come trailers."""
        self._move_on(beside_body=True)

    def on_body(self, body: bytes) -> None:
        """Stop counting."""
        self._move_on(beside_body=False)
        if self._small is None:
            super().on_body(body)
        else:
            self._small.body += body

    def on_message_complete(self) -> None:
        """Be ready for the next head."""
        self._move_on(beside_body=True)
        if self._small is None:
            super().on_message_complete()
        else:
            task = self.loop.create_task(self._answer(self._small, self.app))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _answer(self, exchange: _SmallExchange, app: RestApp) -> None:
        """Answer; whatever keeps that from being done, the caller is not left waiting."""
        try:
            await self._reply(exchange, app)
        except BaseException:
            self.transport.close()
            raise

    async def _reply(self, exchange: _SmallExchange, app: RestApp) -> None:
        reply = await app.reply_to(exchange.scope, exchange.receive)
        if self.flow.write_paused:
            await self.flow.drain()
        if not isinstance(reply, Reply) or self.transport.is_closing():
            return
        exchange.keep_alive = exchange.keep_alive and not reply.hang_up
        exchange.response_started = exchange.response_complete = True
        self.transport.write(exchange.write(reply, self.server_state.default_headers))
        if not exchange.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _move_on(self, *, beside_body: bool) -> None:
        self._moved_on, self._beside_body, self._bytes_beside_body = True, beside_body, 0


def server_config(app: ASGIApp, *, host: str = "127.0.0.1", port: int = 8080) -> uvicorn.Config:
    """
    Say how the application is served.

    There is no access log: what a caller did is in the journal, and addresses with their queries are nobody's to keep.
    """
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=BoundedHeadProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=10,
    )


_ALLOCATIONS_A_ROUND = 10_000
"""Instead of 700: what a request makes is nearly all gone with it, by counting references, long before."""


def spare_the_collector() -> None:
    """
    Leave what the start has made out of all later rounds of the garbage collector: it stays for as long as the process.

    To go through it took a quarter of a second each time, in which nobody was answered.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS_A_ROUND, 10, 10)
