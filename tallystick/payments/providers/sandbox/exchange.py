"""One HTTP request and its one answer, straight upon ASGI: what lies between costs more than all the sandbox does."""

import asyncio
import hmac
from typing import TypeVar
from urllib.parse import parse_qs

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from tallystick.payments.providers.sandbox.change import Refusal
from tallystick.payments.providers.sandbox.faults import Way

LARGEST_BODY = 64 * 1024
"""In bytes; the largest request has under 2 KiB."""

DROP_CONNECTION = "tallystick.drop_connection"
"""The extension of the ASGI scope whose ``now`` cuts the connection; the server supplies it."""

JSON = b"application/json"
HTML = b"text/html; charset=utf-8"

_Body = TypeVar("_Body")
_encoder = msgspec.json.Encoder()


class Exchange:
    """A request, and the way to answer it once."""

    __slots__ = ("_receive", "_send", "method", "path", "scope")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request of *scope*."""
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self._receive = receive
        self._send = send

    def header(self, name: bytes) -> bytes:
        """Return a header by its name in lower case; empty if there is none."""
        for header, value in self.scope["headers"]:
            if header == name:
                return bytes(value)
        return b""

    def query(self, name: str) -> str | None:
        """Return what the query gives for *name*, or None."""
        text: bytes = self.scope["query_string"]
        if not text:
            return None
        found = parse_qs(text.decode("utf-8", "replace"), keep_blank_values=True).get(name)
        return found[0] if found else None

    async def body(self) -> bytes:
        """
        Read what was sent.

        Raises:
            Refusal: it is too large.
        """
        message = await self._receive()
        content: bytes = message.get("body", b"")
        while message.get("more_body") and len(content) <= LARGEST_BODY:
            message = await self._receive()
            content += message.get("body", b"")
        if len(content) > LARGEST_BODY:
            raise Refusal(413, f"the body is larger than {LARGEST_BODY} bytes")
        return content

    async def read(self, decoder: "msgspec.json.Decoder[_Body]") -> _Body:
        """
        Read what was sent as JSON.

        Raises:
            Refusal: it is too large, no JSON, or not what is expected; the reason names field and rule.
        """
        try:
            return decoder.decode(await self.body())
        except msgspec.ValidationError as wrong:
            raise Refusal(422, str(wrong)) from wrong
        except (msgspec.DecodeError, UnicodeDecodeError) as unreadable:
            raise Refusal(400, f"the body is not JSON: {unreadable}") from unreadable

    async def answer(self, status: int, content: object) -> None:
        """Answer *content* as JSON."""
        await self.write(status, _encoder.encode(content))

    async def write(self, status: int, content: bytes, kind: bytes = JSON) -> None:
        """Answer the bytes *content*."""
        headers = [(b"content-type", kind), (b"content-length", b"%d" % len(content))]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": content})

    async def lose(self, way: Way, hang_seconds: float) -> None:
        """Let nobody hear the answer; a time-out hangs for *hang_seconds* or until the client has gone."""
        if way is Way.ERROR:
            await self.answer(500, {"reason": "ordered_error"})
            return
        if way is Way.DROP:
            self.scope["extensions"][DROP_CONNECTION]["now"]()
        try:
            await asyncio.wait_for(self._hung_up(), hang_seconds)
        except TimeoutError:
            await self.answer(504, {"reason": "ordered_timeout"})

    async def _hung_up(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


def behind_secret(app: ASGIApp, secret: str) -> ASGIApp:
    """Let nobody reach *app* but who shows *secret* as a bearer."""
    expected = b"Bearer " + secret.encode()

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        if not hmac.compare_digest(exchange.header(b"authorization"), expected):
            await exchange.answer(401, {"reason": "secret_not_accepted"})
            return
        await app(scope, receive, send)

    return guarded
