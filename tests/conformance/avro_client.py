"""
A client of Avro RPC over HTTP, written after the specification and sharing no code with the server.

It encodes and decodes by fastavro, from the contract that is checked in.
"""

import asyncio
import datetime as dt
import hashlib
import io
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fastavro
import httpx

CONTRACT = Path(__file__).parents[2] / "contracts" / "usage.avpr"
SECONDS = 20
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)

_MD5 = {"type": "fixed", "name": "MD5", "size": 16}
_META = ["null", {"type": "map", "values": "bytes"}]
HANDSHAKE_REQUEST = fastavro.parse_schema(
    {
        "type": "record",
        "name": "HandshakeRequest",
        "fields": [
            {"name": "clientHash", "type": _MD5},
            {"name": "clientProtocol", "type": ["null", "string"]},
            {"name": "serverHash", "type": "MD5"},
            {"name": "meta", "type": _META},
        ],
    }
)
HANDSHAKE_RESPONSE = fastavro.parse_schema(
    {
        "type": "record",
        "name": "HandshakeResponse",
        "fields": [
            {"name": "match", "type": {"type": "enum", "name": "Match", "symbols": ["BOTH", "CLIENT", "NONE"]}},
            {"name": "serverProtocol", "type": ["null", "string"]},
            {"name": "serverHash", "type": ["null", _MD5]},
            {"name": "meta", "type": _META},
        ],
    }
)
METADATA = fastavro.parse_schema({"type": "map", "values": "bytes"})


class Refused(Exception):
    """The call was answered with an error: a dict where the protocol declares it, else a string."""

    def __init__(self, error: Any) -> None:  # noqa: ANN401 - a dict or a string, as said
        """Keep it."""
        super().__init__(str(error))
        self.error = error

    @property
    def code(self) -> str:
        """Return the stable code."""
        return str(self.error["code"] if isinstance(self.error, dict) else self.error.partition(":")[0])


@dataclass
class Sides:
    """What a client knows of a protocol: its own text, and how each message is written and read."""

    text: str = field(default_factory=lambda: CONTRACT.read_text(encoding="utf-8"))

    def __post_init__(self) -> None:
        """Make each message's schemas self-contained, as fastavro wants them."""
        protocol = json.loads(self.text)
        self.hash = hashlib.md5(self.text.encode(), usedforsecurity=False).digest()
        named = {one["name"]: {**one, "type": one["type"].replace("error", "record")} for one in protocol["types"]}
        self.requests: dict[str, Any] = {}
        self.responses: dict[str, Any] = {}
        self.errors: dict[str, Any] = {}
        for name, message in protocol["messages"].items():
            request = {"type": "record", "name": f"{name}_request", "fields": message["request"]}
            self.requests[name] = fastavro.parse_schema(_whole(request, named, set()))
            self.responses[name] = fastavro.parse_schema(_whole(message["response"], named, set()))
            self.errors[name] = fastavro.parse_schema(_whole(["string", *message.get("errors", [])], named, set()))


def _whole(schema: Any, named: Mapping[str, Any], seen: set[str]) -> Any:  # noqa: ANN401 - JSON
    """Write each named type where it is first used."""
    if isinstance(schema, str) and schema in named and schema not in seen:
        seen.add(schema)
        return _whole(named[schema], named, seen)
    if isinstance(schema, list):
        return [_whole(one, named, seen) for one in schema]
    if isinstance(schema, dict):
        inner = {key: schema[key] for key in ("type", "items", "values", "fields") if key in schema}
        return {**schema, **{key: _whole(value, named, seen) for key, value in inner.items()}}
    return schema


def write(schema: Any, value: Any) -> bytes:  # noqa: ANN401 - what fastavro takes
    """Encode."""
    into = io.BytesIO()
    fastavro.schemaless_writer(into, schema, value)
    return into.getvalue()


def handshake(sides: Sides, server_hash: bytes, *, tell: bool, meta: dict[str, bytes] | None = None) -> bytes:
    """Write a handshake; *tell* sends the protocol along."""
    protocol = sides.text if tell else None
    request = {"clientHash": sides.hash, "clientProtocol": protocol, "serverHash": server_hash, "meta": meta}
    return write(HANDSHAKE_REQUEST, request)


def call_of(sides: Sides, message: str, request: dict[str, Any], meta: dict[str, bytes] | None = None) -> bytes:
    """Write a call without its handshake."""
    head = write(METADATA, meta or {}) + write("string", message)
    return head + (write(sides.requests[message], request) if message else b"")


def read_answer(sides: Sides, message: str, source: io.BytesIO) -> tuple[Any, dict[str, bytes]]:
    """Read what stands behind the handshake: the answer and its metadata; an error is raised."""
    meta = fastavro.schemaless_reader(source, METADATA, None)
    failed = source.read(1) == b"\1"
    schema = sides.errors[message] if failed else sides.responses[message]
    value = fastavro.schemaless_reader(source, schema, None)
    assert source.read() == b""
    if failed:
        raise Refused(value)
    return value, meta  # type: ignore[return-value]  # fastavro does not know what a schema makes


def framed(*pieces: bytes) -> bytes:
    """Frame a call for HTTP."""
    return b"".join(struct.pack(">I", len(piece)) + piece for piece in (*pieces, b""))


def unframed(body: bytes) -> bytes:
    """Take an answer out of its frames."""
    source, pieces = io.BytesIO(body), []
    while size := struct.unpack(">I", source.read(4))[0]:
        pieces.append(source.read(size))
        assert len(pieces[-1]) == size
    assert source.read() == b""
    return b"".join(pieces)


@dataclass
class AvroClient:
    """The holder of a key who calls over HTTP, as in ``AvroClient(httpx.AsyncClient(base_url=…), key)``."""

    http: httpx.AsyncClient
    key: str
    book: str = "main"
    source: str = "gateway"
    sides: Sides = field(default_factory=Sides)
    server_hash: bytes = bytes(16)
    matches: list[str] = field(default_factory=list)
    """What the server's handshakes said."""
    meta: dict[str, bytes] = field(default_factory=dict)
    """The metadata of the last answer."""

    async def record(self, events: Sequence[dict[str, Any]], message_id: str | None = None) -> list[dict[str, Any]]:
        """
        Record events that are written as for JSON; return ``status``, ``reason`` and ``field`` of each, in their order.

        Raises:
            Refused: the whole call was.
        """
        request = {"source": self.source, "events": [as_avro(one) for one in events], "message_id": message_id}
        recorded = await self.call("record", request)
        return [{"status": one["status"], "reason": one["rule"], "field": one["field"]} for one in recorded["answers"]]

    async def call(self, message: str, request: dict[str, Any], meta: dict[str, bytes] | None = None) -> Any:  # noqa: ANN401 - each message has its own
        """Call, and show the protocol when the server asks for it."""
        call = call_of(self.sides, message, request, meta)
        for tell in (False, True):
            answer = await self.post(framed(handshake(self.sides, self.server_hash, tell=tell), call))
            source = io.BytesIO(unframed(answer.content))
            said: Any = fastavro.schemaless_reader(source, HANDSHAKE_RESPONSE, None)
            self.matches.append(said["match"])
            self.server_hash = said["serverHash"] or self.server_hash
            if said["match"] != "NONE":
                value, self.meta = read_answer(self.sides, message, source)
                return value
        raise AssertionError("the server does not know the protocol it was just shown")

    async def post(self, body: bytes, **headers: str) -> httpx.Response:
        """Send a body as it is given."""
        named = {"content-type": "avro/binary", **{name.replace("_", "-"): value for name, value in headers.items()}}
        if self.key:
            named.setdefault("authorization", f"Bearer {self.key}")
        return await self.http.post(f"/avro/{self.book}", content=body, headers=named)


def as_avro(event: dict[str, Any]) -> dict[str, Any]:
    """
    Write an event of JSON as one of Avro: the instant in microseconds, and every field there.

    Raises:
        ValueError: no value of Avro says this: an instant without a zone, or finer than microseconds.
    """
    at = event["at"]
    return {
        "id": event["id"],
        "customer": event["customer"],
        "at": at if isinstance(at, int) else microseconds(at),
        "type": event.get("type", "http.request"),
        "quantities": event.get("quantities", {}),
        "dimensions": event.get("dimensions", {}),
        "source": event.get("source"),
        "status": event.get("status"),
        "resource": event.get("resource"),
    }


def microseconds(text: str) -> int:
    """Read an instant as JSON has it."""
    instant = dt.datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text} has no zone")
    if (
        len(text.partition(".")[2].rstrip("Z0123456789+-:"))
        or len(text.partition(".")[2].split("+")[0].rstrip("Z")) > 6
    ):
        raise ValueError(f"{text} is finer than microseconds")
    return (instant - EPOCH) // MICROSECOND


@dataclass
class NettyClient:
    """A connection in Netty's framing."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    sides: Sides = field(default_factory=Sides)

    @classmethod
    async def connect(cls, port: int) -> "NettyClient":
        """Connect to this machine."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, serial: int, *buffers: bytes) -> None:
        """Send a message."""
        self.writer.write(struct.pack(">iI", serial, len(buffers)))
        self.writer.writelines(struct.pack(">I", len(one)) + one for one in buffers)

    async def receive(self) -> tuple[int, bytes]:
        """Wait for an answer, and return its serial number and its bytes."""
        async with asyncio.timeout(SECONDS):
            serial, count = struct.unpack(">iI", await self.reader.readexactly(8))
            pieces = []
            for _ in range(count):
                (size,) = struct.unpack(">I", await self.reader.readexactly(4))
                pieces.append(await self.reader.readexactly(size))
        return serial, b"".join(pieces)

    async def shake(self, key: str) -> None:
        """Shake hands, and show the key for all calls to come."""
        meta = {"authorization": f"Bearer {key}".encode()}
        self.send(0, handshake(self.sides, bytes(16), tell=True, meta=meta), call_of(self.sides, "", {}))
        serial, answer = await self.receive()
        assert (serial, answer[-2:]) == (0, b"\0\0")

    async def call(self, message: str, request: dict[str, Any], serial: int = 1) -> Any:  # noqa: ANN401 - each message has its own
        """Call, and wait for the answer."""
        self.send(serial, call_of(self.sides, message, request))
        answered, answer = await self.receive()
        assert answered == serial
        return read_answer(self.sides, message, io.BytesIO(answer))[0]

    async def ended(self) -> bytes:
        """Wait until the server hangs up, and return what it said before."""
        async with asyncio.timeout(SECONDS):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""
            finally:
                self.close()

    def close(self) -> None:
        """Hang up."""
        self.writer.transport.abort()
