"""Replies: a status, headers and a body, and how they are sent."""

import asyncio
from dataclasses import dataclass, field

import msgspec
from starlette.types import Receive, Send

from tallystick.api.errors import headers_of, problem_of
from tallystick.errors import TallystickError

Headers = list[tuple[bytes, bytes]]

_LINGER_SECONDS = 2
_NO_STORE = (b"cache-control", b"no-store")
_JSON = (b"content-type", b"application/json")


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back; with *hang_up* the connection ends with it, since an unread body stands in its way."""

    status: int
    headers: Headers
    body: bytes
    hang_up: bool = field(default=False)

    async def send(self, receive: Receive, send: Send) -> None:
        """Send everything."""
        headers = [*self.headers, (b"content-length", str(len(self.body)).encode())]
        if self.hang_up:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        if self.hang_up:
            await send({"type": "http.response.body", "body": self.body, "more_body": True})
            await _linger(receive)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        await send({"type": "http.response.body", "body": self.body})


def json_reply(body: bytes, headers: Headers | None = None) -> Reply:
    """Answer with JSON that nobody in between may keep."""
    return Reply(200, [_JSON, _NO_STORE, *(headers or [])], body)


def problem_reply(error: TallystickError, headers: Headers | None = None, *, hang_up: bool = False) -> Reply:
    """Answer with problem details."""
    problem = problem_of(error)
    own = [(name.encode(), value.encode()) for name, value in headers_of(error).items()]
    return Reply(problem.status, [*own, _NO_STORE, *(headers or [])], msgspec.json.encode(problem), hang_up)


async def _linger(receive: Receive) -> None:
    """
    Throw away what the caller still sends, for a moment, so that it gets to read the answer.

    A connection closed over unread bytes is reset, and a reset takes the answer with it.
    """
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            while (message := await receive())["type"] == "http.request" and message.get("more_body", False):
                pass
    except TimeoutError:
        return
