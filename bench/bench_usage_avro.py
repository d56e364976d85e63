"""
Avro RPC over HTTP: calls of 1,000 events on 4 connections that stay open, each answered when it is stored for good.

The server is a process of its own with the embedded PostgreSQL and durable commits; the load generator is this process,
on the same machine, and has written its calls before the clock runs.
"""

import asyncio
import hashlib
import io
import json
import random
import struct
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import fastavro
import httpx

from bench.cloud_events import CUSTOMERS, PER_BATCH, open_gateway_book
from bench.load_http import Measured, measure, served
from bench.table import Report
from tallystick.clock import SystemClock
from tallystick.db.embedded import serving
from tallystick.db.migrate import migrate
from tallystick.ids import uuid7

IDS = ("usage_avro",)
CONNECTIONS = 4
CALLS_BEFORE = 450
"""So many calls are written before the clock runs."""
_PROTOCOL = (Path(__file__).parents[1] / "contracts" / "usage.avpr").read_text(encoding="utf-8")
_HEAD = (
    b"POST /avro/main HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\n"
    b"content-type: avro/binary\r\ncontent-length: %d\r\n\r\n"
)
_MD5 = 16
_RECORD = b"\0" + b"\x0crecord"
"""No metadata, and the name of the message."""


class NotStored(Exception):
    """Fewer events are stored than were answered."""


async def run(_: set[str], report: Report) -> None:
    """Measure in a fresh directory."""
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as directory:
        async with serving(Path(directory)) as store:
            await migrate(store.url)
            key = await open_gateway_book(store.url)
            async with served(store, directory) as (port, watched):
                meter = await asyncio.to_thread(_shake, key, port)
                measured = await asyncio.to_thread(
                    measure, port, meter.call, watched, connections=CONNECTIONS, written_before=CALLS_BEFORE
                )
            await _require_stored(store.url, measured)
    report(measured.as_result("usage_avro", {}, unit="events/s", each=PER_BATCH))


def _request_schema() -> Any:  # noqa: ANN401 - fastavro's
    """Make the parameters of ``record`` a schema that names nothing outside it."""
    protocol = json.loads(_PROTOCOL)
    event = next(one for one in protocol["types"] if one["name"] == "UsageEvent")
    fields = json.loads(
        json.dumps(protocol["messages"]["record"]["request"]).replace('"UsageEvent"', json.dumps(event))
    )
    return fastavro.parse_schema({"type": "record", "name": "record", "fields": fields})


@dataclass(slots=True)
class Meter:
    """Something that reports usage in Avro."""

    key: str
    handshake: bytes
    schema: Any = field(default_factory=_request_schema)
    now: int = field(default_factory=lambda: int(SystemClock().now().timestamp() * 1_000_000))

    def call(self) -> bytes:
        """Write a request with a call of ``PER_BATCH`` events."""
        events = [self._event() for _ in range(PER_BATCH)]
        into = io.BytesIO()
        fastavro.schemaless_writer(into, self.schema, {"source": "meter", "events": events, "message_id": None})
        return _framed(self.key, self.handshake + _RECORD + into.getvalue())

    def _event(self) -> dict[str, Any]:
        return {
            "id": str(uuid7()),
            "customer": f"customer-{random.randrange(CUSTOMERS)}",
            "at": self.now - random.randrange(3_600_000_000),
            "type": "http.request",
            "quantities": {"bytes": random.randrange(100_000), "seconds": f"0.{random.randrange(1, 1_000):03}"},
            "dimensions": {},
            "source": None,
            "status": 200,
            "resource": "/v1/search",
        }


def _shake(key: str, port: int) -> Meter:
    """Show the server the protocol, as a client does once; return what makes calls of it."""
    text = _PROTOCOL.encode()
    own = hashlib.md5(text, usedforsecurity=False).digest()
    shown = own + b"\2" + _long(len(text)) + text + bytes(_MD5) + b"\0"
    answer = _post(key, port, shown + b"\0\0")
    server = answer[-_MD5 - 3 : -3]  # before the metadata of the handshake and the answer to nothing
    meter = Meter(key, own + b"\0" + server + b"\0")
    settled = _post(key, port, meter.handshake + b"\0\0")
    if not settled.startswith(b"\0\0\0\0"):
        raise ConnectionError(f"the handshake did not match: {settled[:40]!r}")
    return meter


def _framed(key: str, call: bytes) -> bytes:
    body = struct.pack(">I", len(call)) + call + bytes(4)
    return _HEAD % (key.encode(), len(body)) + body


def _post(key: str, port: int, call: bytes) -> bytes:
    """Make one call, and return the answer without its frame."""
    body = struct.pack(">I", len(call)) + call + bytes(4)
    headers = {"authorization": f"Bearer {key}", "content-type": "avro/binary"}
    return httpx.post(f"http://127.0.0.1:{port}/avro/main", content=body, headers=headers, trust_env=False).content[
        4:-4
    ]


def _long(value: int) -> bytes:
    into = io.BytesIO()
    fastavro.schemaless_writer(into, {"type": "long"}, value)
    return into.getvalue()


async def _require_stored(url: str, measured: Measured) -> None:
    connection = await asyncpg.connect(url)
    try:
        stored = await connection.fetchval("SELECT count(*) FROM tallystick.usage_event")
    finally:
        await connection.close()
    if stored < len(measured.latencies) * PER_BATCH:
        raise NotStored(stored, len(measured.latencies))
