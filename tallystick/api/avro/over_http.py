"""
Avro RPC over HTTP: each POST is a call with its handshake, framed as the specification has it ("HTTP as Transport").

A caller that is not recognised gets HTTP's own status for that, as from REST, with the refusal in Avro as the body:
whatever stands between sees the one, and the client's library the other.
"""

import asyncio
import re
from dataclasses import dataclass
from struct import Struct

from starlette.types import Receive, Scope

from tallystick.api.avro.answer_calls import Calls, Shown, write_error
from tallystick.api.avro.client_protocols import OWN_TEXT, refusing_handshake
from tallystick.api.avro.errors import BadFrame, BadHandshake, BadProtocol, CallTooLarge
from tallystick.api.avro.handshake import read_handshake
from tallystick.api.errors import status_of
from tallystick.api.rest.errors import CallerGone, MethodNotAllowed, NoSuchPath, NotAvro
from tallystick.api.rest.reply import Reply, problem_reply
from tallystick.errors import InvalidInput, TallystickError

AVRO = b"/avro/"
"""How the paths of this door begin."""
PATH = re.compile(r"/avro/(?P<book>[a-z][a-z0-9-]{0,62})", re.ASCII)
CONTRACT = "/avro/usage.avpr"
"""Where anybody may read the protocol; no book has such a name."""
MEDIA_TYPE = b"avro/binary"
MOST_CALL_BYTES = 8 * 1024 * 1024
MOST_UNKNOWN_BYTES = 128 * 1024
"""How much is read of somebody who is not recognised: a handshake, so that the refusal can be told in Avro."""
BODY_SECONDS = 60
"""A body that is not there after so long is waited for no more."""
_HEADERS = [(b"content-type", MEDIA_TYPE), (b"cache-control", b"no-store")]
_LOOKED_AT = {b"authorization", b"idempotency-key", b"content-length", b"content-type"}
_SETTLED = frozenset({"book", "authorization"})
"""What the path and the headers say; the metadata of a call cannot say otherwise."""
_length = Struct(">I")


@dataclass(slots=True)
class AvroOverHttp:
    """The calls over HTTP, a path of the REST server's port."""

    calls: Calls
    most_bytes: int = MOST_CALL_BYTES
    seconds: float = BODY_SECONDS

    async def answer(self, scope: Scope, receive: Receive) -> Reply:
        """
        Answer one call.

        Raises:
            TallystickError: what came is no call of Avro RPC at all (``avro.…``, ``rest.…``).
        """
        path = scope["raw_path"].decode("latin-1")
        if path == CONTRACT:
            return _contract(scope["method"])
        found = PATH.fullmatch(path)
        if found is None:
            raise NoSuchPath(path=path)
        if scope["method"] != "POST":
            raise MethodNotAllowed(path=path, method=scope["method"], allowed="POST")
        headers = _headers(scope)
        if headers.get(b"content-type", b"").split(b";")[0].strip().lower() != MEDIA_TYPE:
            raise NotAvro(field="content-type")
        shown = {"book": found["book"].encode()}
        for name in (b"authorization", b"idempotency-key"):
            if name in headers:
                shown[name.decode()] = headers[name]
        try:
            await self.calls.recognise(headers.get(b"authorization"), "avro", found["book"])
        except TallystickError as error:
            return await self._refuse(error, receive, headers)
        call = unframe(await self._body(receive, headers, self.most_bytes))
        return await self._answer_call(call, Shown(shown, _SETTLED))

    async def _answer_call(self, call: bytes, shown: Shown) -> Reply:
        request, at = read_handshake(call)
        try:
            protocol, handshake = self.calls.protocols.shake(request)
        except (BadHandshake, BadProtocol) as error:
            return _reply(refusing_handshake(request) + write_error(error), status_of(error))
        if protocol is None:
            return _reply(handshake)
        return _reply(handshake + await self.calls.answer(protocol, call, at, shown))

    async def _refuse(self, error: TallystickError, receive: Receive, headers: dict[bytes, bytes]) -> Reply:
        """Refuse a caller; in Avro, if it begins as a call does."""
        try:
            request, _ = read_handshake(unframe(await self._body(receive, headers, MOST_UNKNOWN_BYTES)))
        except CallTooLarge:
            return problem_reply(error, hang_up=True)
        except (BadFrame, BadHandshake):
            return problem_reply(error)
        reply = _reply(refusing_handshake(request) + write_error(error), status_of(error))
        reply.headers.append((b"www-authenticate", b'Bearer realm="tallystick"'))
        return reply

    async def _body(self, receive: Receive, headers: dict[bytes, bytes], most: int) -> bytes:
        """
        Read the whole body, or as little of it as shows that it is too large.

        Raises:
            CallTooLarge: it is (``avro.call_too_large``).
            CallerGone: it did not come.
        """
        if int(headers.get(b"content-length", b"0")) > most:
            raise CallTooLarge(limit=most)
        parts, length = [], 0
        try:
            async with asyncio.timeout(self.seconds):
                while (message := await receive())["type"] == "http.request":
                    parts.append(message["body"])
                    length += len(message["body"])
                    if length > most:
                        raise CallTooLarge(limit=most)
                    if not message["more_body"]:
                        return b"".join(parts)
        except TimeoutError as error:
            raise BadFrame(rule=f"its body was not there after {self.seconds} seconds") from error
        raise CallerGone


def unframe(body: bytes) -> bytes:
    """
    Take a call out of its frames: each a length of four bytes and so many bytes, a length of zero at the end.

    Raises:
        BadFrame: they are cut off, or something stands behind the end (``avro.bad_frame``).
    """
    pieces, at, size = [], 0, len(body)
    while True:
        if at + 4 > size:
            raise BadFrame(rule="it ends without a frame of no bytes")
        (length,) = _length.unpack_from(body, at)
        at += 4
        if length == 0:
            break
        if at + length > size:
            raise BadFrame(rule=f"a frame says that it has {length} bytes, and {size - at} are there")
        pieces.append(body[at : at + length])
        at += length
    if at != size:
        raise BadFrame(rule=f"{size - at} bytes stand behind its end")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def frame(answer: bytes) -> bytes:
    """Put an answer into a frame."""
    return b"%b%b\0\0\0\0" % (_length.pack(len(answer)), answer)


def _contract(method: str) -> Reply:
    if method not in {"GET", "HEAD"}:
        raise MethodNotAllowed(path=CONTRACT, method=method, allowed="GET")
    return Reply(200, [(b"content-type", b"application/json")], OWN_TEXT.encode())


def _reply(answer: bytes, status: int = 200) -> Reply:
    return Reply(status, [*_HEADERS], frame(answer))


def _headers(scope: Scope) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in _LOOKED_AT:
            if name in found:
                raise InvalidInput(field=name.decode(), rule="The header is sent twice")
            found[name] = value
    return found
