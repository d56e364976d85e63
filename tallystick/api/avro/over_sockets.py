"""
Avro RPC over plain sockets, in Netty's framing: many calls under way on one connection, answered as they are done.

    message ── serial number, 4 bytes ─ number of buffers, 4 bytes ─ each: its length, 4 bytes, and its bytes
    first   ── the handshake, and a call
    others  ── a call

An answer has the serial number of its call. The handshake stands in the first message, and in those after it until the
server knows the client's protocol. Everything is bounded: connections, what they may send, how long that may take, how
many calls are under way; a caller that goes beyond gets an answer where there can be one, and is hung up on.

Until a client has shown a good key it is a stranger: its bounds are so narrow that all strangers together take nothing
from those who are known, and where every connection is taken, the stranger who came first gives way.
"""

import asyncio
import contextlib
import socket
from dataclasses import dataclass, field
from struct import Struct

import structlog

from tallystick.api.avro.answer_calls import Calls, Shown, shown_key, write_error
from tallystick.api.avro.client_protocols import ClientProtocol, refusing_handshake
from tallystick.api.avro.errors import BadFrame, BadHandshake, BadProtocol, CallsBusy, CallTooLarge
from tallystick.api.avro.handshake import read_handshake
from tallystick.api.avro.over_http import MOST_CALL_BYTES
from tallystick.errors import TallystickError
from tallystick.security.model import Principal

MOST_CONNECTIONS = 256
MOST_UNDER_WAY = 64
"""So many calls of one connection are answered at once; more of them wait in its socket."""
MOST_BUFFERS = 65_536
MOST_HELD_BYTES = 256 * 1024 * 1024
"""How much all connections together may have sent that is not answered yet."""
MESSAGE_SECONDS = 60
"""So long a handshake may fail to come, a message that has begun to be whole, and an answer to be taken."""
STRANGERS_BYTES = 64 * 1024
"""So much of a message is read before it must have shown a good key; keys stand at its head."""
STRANGERS_SECONDS = 10
"""So soon after it connects a client must have shown one."""
_READ_AT_ONCE = 256 * 1024
_LINGER_SECONDS = 2
_CLOSE_SECONDS = 10

_head = Struct(">iI")
_length = Struct(">I")
_tell = structlog.get_logger()


@dataclass(slots=True)
class AvroOverSockets:
    """The connections of one listening socket."""

    calls: Calls
    most_bytes: int = MOST_CALL_BYTES
    most_connections: int = MOST_CONNECTIONS
    seconds: float = MESSAGE_SECONDS
    strangers_seconds: float = STRANGERS_SECONDS
    _held_bytes: int = 0
    _connections: dict["asyncio.Task[None]", "_Connection"] = field(default_factory=dict)
    _server: asyncio.Server | None = None

    async def start(self, listener: socket.socket) -> None:
        """Begin to take connections."""
        self._server = await asyncio.start_server(self._connected, sock=listener, limit=_READ_AT_ONCE)

    async def stop(self) -> None:
        """Take no more connections; give those that are there a moment to have their answers, and end them."""
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections, timeout=_CLOSE_SECONDS)

    def reserve(self, size: int) -> bool:
        """Make room for *size* bytes of a message; False: there is none."""
        if self._held_bytes + size > MOST_HELD_BYTES:
            return False
        self._held_bytes += size
        return True

    def release(self, size: int) -> None:
        """Give room back."""
        self._held_bytes -= size

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or (len(self._connections) >= self.most_connections and not self._turn_out_a_stranger()):
            _tell.warning("connection refused", door="avro", most=self.most_connections)
            writer.transport.abort()
            return
        self._connections[task] = connection = _Connection(self, reader, writer)
        try:
            await connection.serve()
        except asyncio.CancelledError:
            pass  # by `stop`, which waits for this task, or as a stranger: neither needs telling
        finally:
            self._connections.pop(task, None)

    def _turn_out_a_stranger(self) -> bool:
        """Hang up on the stranger who came first; False: there is none."""
        found = next((task for task, connection in self._connections.items() if not connection.known), None)
        if found is None:
            return False
        self._connections.pop(found).writer.transport.abort()
        found.cancel()
        return True


@dataclass(slots=True)
class _Connection:
    """One client."""

    door: AvroOverSockets
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    known: bool = False
    """It has shown a good key."""
    protocol: ClientProtocol | None = None
    shown: Shown = field(default_factory=Shown)
    answering: set["asyncio.Task[None]"] = field(default_factory=set)
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_UNDER_WAY))
    patience: asyncio.Timeout = field(default_factory=lambda: asyncio.timeout(None))
    """Runs out on a stranger."""

    async def serve(self) -> None:
        """Take calls until the client hangs up, or does what it may not; those under way are answered."""
        _watch(self.writer)
        try:
            async with asyncio.timeout(self.door.strangers_seconds) as self.patience:
                while True:
                    serial, call = await self._message()
                    begun = False
                    try:
                        begun = await self._take(serial, call)
                    finally:
                        if not begun:
                            self.door.release(len(call))
        except (asyncio.IncompleteReadError, TimeoutError, ConnectionError):
            pass
        except _HangUp:
            pass
        finally:
            await self._end()

    async def _take(self, serial: int, call: bytes) -> bool:
        """Begin to answer a message, if it has a call."""
        if self.protocol is None:
            return await self._shake(serial, call)
        await self._begin(serial, b"", self.protocol, call, 0)
        return True

    async def _shake(self, serial: int, call: bytes) -> bool:
        try:
            request, at = read_handshake(call)
        except BadHandshake as error:
            raise _HangUp from error
        try:
            protocol, handshake = self.door.calls.protocols.shake(request)
        except (BadHandshake, BadProtocol) as error:
            await self._send(serial, refusing_handshake(request) + write_error(error))
            await self._linger()
            raise _HangUp from error
        if protocol is None:
            await self._send(serial, handshake)
            return False
        self.protocol = protocol
        self.shown = Shown(request.metadata)
        await self._begin(serial, handshake, protocol, call, at)
        return True

    async def _begin(self, serial: int, head: bytes, protocol: ClientProtocol, call: bytes, at: int) -> None:
        """Begin to answer a call, as soon as there is a place for one."""
        if not self.known:
            with contextlib.suppress(TallystickError):  # which the answer to the call tells
                self._welcome(await self.door.calls.recogniser.recognise(shown_key(call, at, self.shown)))
        await self.places.acquire()
        task = asyncio.create_task(self._answer(serial, head, protocol, call, at))
        self.answering.add(task)

        def done(_: object) -> None:
            self.answering.discard(task)
            self.places.release()
            self.door.release(len(call))

        task.add_done_callback(done)

    async def _answer(self, serial: int, head: bytes, protocol: ClientProtocol, call: bytes, at: int) -> None:
        answer = await self.door.calls.answer(protocol, call, at, self.shown)
        with contextlib.suppress(ConnectionError, TimeoutError):
            await self._send(serial, head + answer)

    async def _send(self, serial: int, answer: bytes) -> None:
        self.writer.write(b"%b%b%b" % (_head.pack(serial, 1), _length.pack(len(answer)), answer))
        try:
            async with asyncio.timeout(self.door.seconds):
                await self.writer.drain()
        except TimeoutError:
            self.writer.transport.abort()
            raise

    async def _message(self) -> tuple[int, bytes]:
        """Wait for a message and read it whole."""
        first = await self.reader.readexactly(1)
        async with asyncio.timeout(self.door.seconds):
            head = first + await self.reader.readexactly(_head.size - 1)
            serial, count = _head.unpack(head)
            if count > MOST_BUFFERS:
                await self._refuse(serial, BadFrame(rule=f"a message has more than {MOST_BUFFERS} buffers"))
            return serial, await self._buffers(serial, count)

    async def _buffers(self, serial: int, count: int) -> bytes:
        pieces: list[bytes] = []
        size = 0
        try:
            for _ in range(count):
                (length,) = _length.unpack(await self.reader.readexactly(_length.size))
                if size + length > self.door.most_bytes:
                    await self._refuse(serial, CallTooLarge(limit=self.door.most_bytes))
                if not self.known and size + length > STRANGERS_BYTES:
                    head = max(STRANGERS_BYTES - size, 0)
                    pieces.append(await self._reserved(serial, head))
                    size, length = size + head, length - head
                    await self._require_known(serial, b"".join(pieces))
                pieces.append(await self._reserved(serial, length))
                size += length
        except BaseException:
            self.door.release(size)
            raise
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _reserved(self, serial: int, length: int) -> bytes:
        """Read so many bytes of a message, if there is room for them."""
        if not self.door.reserve(length):
            await self._refuse(serial, CallsBusy())
        try:
            return await self.reader.readexactly(length)
        except BaseException:
            self.door.release(length)
            raise

    async def _require_known(self, serial: int, head: bytes) -> None:
        """Find at the head of a message a good key; tell a stranger what is wrong with it, and hang up."""
        handshake, at, shown = b"", 0, self.shown
        try:
            if self.protocol is None:
                request, at = read_handshake(head)
                _, handshake = self.door.calls.protocols.shake(request)
                shown = Shown(request.metadata)
            self._welcome(await self.door.calls.recognise(shown_key(head, at, shown), "avro", ""))
        except (BadHandshake, BadProtocol) as error:
            raise _HangUp from error
        except TallystickError as error:
            await self._send(serial, handshake + write_error(error))
            await self._linger()
            raise _HangUp from error

    def _welcome(self, _: Principal) -> None:
        """Bound somebody who is known by no more than holds for all."""
        self.known = True
        self.patience.reschedule(None)

    async def _refuse(self, serial: int, error: TallystickError) -> None:
        """Say what is wrong with a message that is not read to its end, if the client can be told, and hang up."""
        if self.protocol is not None:
            await self._send(serial, write_error(error))
            await self._linger()
        raise _HangUp

    async def _linger(self) -> None:
        """
        Throw away what the client still sends, for a moment, so that it gets to read the answer.

        A connection closed over unread bytes is reset, and a reset takes the answer with it.
        """
        with contextlib.suppress(TimeoutError, OSError):
            self.writer.write_eof()
            async with asyncio.timeout(_LINGER_SECONDS):
                while await self.reader.read(_READ_AT_ONCE):
                    pass

    async def _end(self) -> None:
        """Give every call its answer, and close."""
        if self.answering:
            await asyncio.wait(self.answering, timeout=_CLOSE_SECONDS)
        for task in self.answering:
            task.cancel()
        self.writer.close()
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(1):
                await self.writer.wait_closed()


class _HangUp(Exception):
    """The client did what ends its connection."""


def _watch(writer: asyncio.StreamWriter) -> None:
    """Let the system find out about clients that are gone without a word."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
