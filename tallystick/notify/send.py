"""
Send: one POST over a connection that was made to a judged address, and what came back.

A client of our own on `httptools`, which uvicorn brings along: a general one would look names up again by itself, follow
redirects, honour proxies and keep what it is sent, each of which has to be forbidden it, and takes ten times as long a request.
"""

import asyncio
import contextlib
import email.utils
import ssl
from collections import deque
from dataclasses import dataclass, field
from typing import cast

import httptools

from tallystick.clock import Clock
from tallystick.notify.judge_address import Address, NotReached, Reach, Target

MOST_KEPT = 200
"""So many bytes of an answer are kept."""
_MOST_READ = 64 * 1024
"""After so many bytes, headers included, the answer is cut off."""
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 15.0
_LONGEST_IDLE = 20.0
_LONGEST_LIFE = 60.0
"""A connection is made anew now and then, so that a name that moves is followed."""
_LONGEST_WAIT_SECONDS = 10**7
_TOOK = range(200, 300)
_FINAL = 200
"""A status below it says that another will follow."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What an endpoint answered."""

    status: int
    text: str
    """The beginning of its body."""
    retry_after: int | None
    """Seconds it asked to wait."""

    @property
    def took(self) -> bool:
        """Say whether it took the event."""
        return self.status in _TOOK


class _Connection(asyncio.Protocol):
    """One connection, which carries one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.usable = False
        self.heard = False
        """Whether anything came back to the request under way."""
        self._parser: httptools.HttpResponseParser | None = None
        self._answered: asyncio.Future[int] | None = None
        self._read = 0
        self._body = bytearray()
        self._retry_after: bytes | None = None
        self.made_at = self.used_at = asyncio.get_running_loop().time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.usable = True

    async def ask(self, request: bytes) -> tuple[int, bytes, bytes | None]:
        """Send a request; return status, beginning of the body and what ``Retry-After`` says."""
        self._answered = asyncio.get_running_loop().create_future()
        self._parser, self._read, self.heard, self._retry_after = httptools.HttpResponseParser(self), 0, False, None
        self._body.clear()
        if self.transport is None or not self.usable:
            raise NotReached("the connection was closed")
        self.transport.write(request)
        status = await self._answered
        self.used_at = asyncio.get_running_loop().time()
        return status, bytes(self._body), self._retry_after

    def data_received(self, data: bytes) -> None:
        parser, answered = self._parser, self._answered
        if parser is None or answered is None or answered.done():
            self.close()  # nobody asked for this
            return
        self.heard = True
        self._read += len(data)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail("what came back is no HTTP answer")
            return
        if self._read > _MOST_READ and not answered.done():
            self._cut()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after":
            self._retry_after = value

    def on_body(self, body: bytes) -> None:
        if len(self._body) < MOST_KEPT:
            self._body += body[: MOST_KEPT - len(self._body)]

    def on_message_complete(self) -> None:
        if self._parser is None or self._answered is None or self._answered.done():
            return
        status = self._parser.get_status_code()
        if status < _FINAL:  # it says that it will answer
            return
        if not self._parser.should_keep_alive():
            self.close()
        self._answered.set_result(status)

    def _cut(self) -> None:
        """Answer with the status of an answer that does not end, where it got as far as that."""
        self.close()
        status = self._parser.get_status_code() if self._parser is not None else 0
        if self._answered is None or self._answered.done():
            return
        if status >= _FINAL:
            self._answered.set_result(status)
        else:
            self._fail(f"the answer has no end of its headers within {_MOST_READ} bytes")

    def _fail(self, why: str) -> None:
        self.close()
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(NotReached(why))

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.usable = False
        parser, answered = self._parser, self._answered
        if parser is not None and answered is not None and not answered.done():
            # A body without a length ends with the connection: its status was said.
            status = parser.get_status_code() if self.heard else 0
            if status >= _FINAL:
                answered.set_result(status)
            else:
                answered.set_exception(NotReached("the connection was closed before there was an answer"))

    def close(self) -> None:
        self.usable = False
        if self.transport is not None:
            self.transport.abort()


@dataclass(slots=True)
class Sender:
    """Sends to one endpoint, over connections that are kept for the next request."""

    target: Target
    reach: Reach
    clock: Clock
    tls: ssl.SSLContext | None = None
    _idle: deque[_Connection] = field(default_factory=deque)
    _finding: "asyncio.Task[Address] | None" = None
    """The look-up under way, which all wait for that need a connection meanwhile."""

    async def post(self, headers: dict[str, str], body: bytes) -> Reply:
        """
        Post *body* and return the answer, whatever it is; redirects are answers too.

        Raises:
            NotReached: there was none, in time or at all.
        """
        request = self._request(headers, body)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await self._post(request)
        except TimeoutError:
            raise NotReached(f"no answer within {_ANSWER_SECONDS:.0f} seconds") from None

    def close(self) -> None:
        """Close what is kept open."""
        while self._idle:
            self._idle.pop().close()
        if self._finding is not None:
            self._finding.cancel()

    async def _post(self, request: bytes) -> Reply:
        while (connection := self._take_idle()) is not None:
            try:
                return await self._ask(connection, request)
            except NotReached:
                if connection.heard:
                    raise
                # It was closed while it lay idle: the request goes out anew.
        return await self._ask(await self._connect(), request)

    async def _ask(self, connection: _Connection, request: bytes) -> Reply:
        try:
            status, body, retry_after = await connection.ask(request)
        except BaseException:
            connection.close()
            raise
        if connection.usable:
            self._idle.append(connection)
        return Reply(status, printable(body), _seconds(retry_after, self.clock))

    def _take_idle(self) -> _Connection | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if (
                connection.usable
                and now - connection.used_at < _LONGEST_IDLE
                and now - connection.made_at < _LONGEST_LIFE
            ):
                return connection
            connection.close()
        return None

    async def _connect(self) -> _Connection:
        address = await self._find()
        tls = None
        if self.target.tls:
            tls = self.tls = self.tls or ssl.create_default_context()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, connection = await asyncio.get_running_loop().create_connection(
                    _Connection,
                    str(address),
                    self.target.port,
                    ssl=tls,
                    server_hostname=self.target.host if tls is not None else None,
                )
        except TimeoutError:
            raise NotReached(f"{address} takes no connection within {_CONNECT_SECONDS:.0f} seconds") from None
        except ssl.SSLError as error:
            raise NotReached(f"TLS: {getattr(error, 'verify_message', '') or error.reason or error}") from error
        except OSError as error:
            raise NotReached(f"{address} takes no connection: {error.strerror or error}") from error
        return connection

    async def _find(self) -> Address:
        if self._finding is None or self._finding.done():
            self._finding = asyncio.create_task(self.reach.find(self.target))
            self._finding.add_done_callback(lambda found: found.cancelled() or found.exception())  # if all went away
        return await asyncio.shield(self._finding)

    def _request(self, headers: dict[str, str], body: bytes) -> bytes:
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return (
            f"POST {self.target.path} HTTP/1.1\r\nhost: {self.target.authority}\r\nuser-agent: Tallystick\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n{head}\r\n"
        ).encode("ascii") + body


def printable(body: bytes) -> str:
    """Return the beginning of an answer as text that can be kept and shown."""
    text = body[:MOST_KEPT].decode(errors="replace")
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


def _seconds(retry_after: bytes | None, clock: Clock) -> int | None:
    """Read ``Retry-After``, seconds or a date (RFC 9110 §10.2.3); what is neither is as if it were not there."""
    if retry_after is None:
        return None
    text = retry_after.decode("latin-1").strip()
    if text.isdecimal() and text.isascii():
        return min(int(text[:12]), _LONGEST_WAIT_SECONDS)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        until = email.utils.parsedate_to_datetime(text)
        return max(0, min(int((until - clock.now()).total_seconds()), _LONGEST_WAIT_SECONDS))
    return None
