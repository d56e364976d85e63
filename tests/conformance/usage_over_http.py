"""Usage as CloudEvents over HTTP, written as callers write it."""

import json
from typing import Any
from urllib.parse import quote

import httpx

from tests.conformance.conftest import Rest

AT = "2015-05-17T10:05:03Z"
STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"


def cloud_event(identifier: str = "1", data: object = None, **attributes: object) -> dict[str, Any]:
    """Write a CloudEvent of usage, with *attributes* in place of the usual ones."""
    usual = {
        "specversion": "1.0",
        "id": identifier,
        "source": "/gateway",
        "type": "http.request",
        "subject": "acme",
        "time": AT,
        "data": {"quantities": {"bytes": 7}} if data is None else data,
    }
    return usual | attributes


async def send_single(rest: Rest, event: object, media_type: str = STRUCTURED) -> httpx.Response:
    """Send one event in structured mode; bytes go as they are."""
    return await rest.send("/events", as_json(event), content_type=media_type)


async def send_batch(rest: Rest, *events: object) -> httpx.Response:
    """Send a batch; an event that is bytes stands in it as it is."""
    body = b"[%b]" % b",".join(as_json(event) for event in events)
    return await rest.send("/events", body, content_type=BATCHED)


async def send_binary(rest: Rest, event: dict[str, Any], **headers: str) -> httpx.Response:
    """Send one event in binary mode: its attributes as headers, written as the HTTP binding says."""
    attributes = {
        f"ce_{name}": quote(str(value), safe="/:+,;=@!$&'()*?") for name, value in event.items() if name != "data"
    }
    body = as_json(event["data"]) if "data" in event else b""
    return await rest.send("/events", body, **{"content_type": "application/json", **attributes, **headers})


def as_json(value: object) -> bytes:
    """Write *value*, unless it is written already."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


async def stored(rest: Rest) -> list[str]:
    """Return the ids of the events that are stored, in order."""
    async with rest.house.operations.pool.acquire() as connection:
        rows = await connection.fetch("SELECT event_id FROM usage_event ORDER BY event_id")
    return [row[0] for row in rows]
