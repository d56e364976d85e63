"""The ways usage comes in, each as its callers use it, and what each answers, told in one form."""

import csv
import io
import itertools
import json
import re
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import httpx
import pyarrow as pa
from pyarrow import parquet

from tallystick.operations.import_usage import ImportReport, import_usage
from tallystick.security.model import OPERATOR
from tests.conformance.avro_client import CONTRACT, AvroClient, as_avro
from tests.conformance.conftest import Rest
from tests.conformance.usage_over_http import cloud_event, send_batch, send_binary, send_single

Event = dict[str, Any]
"""An event as the JSON door takes it, each with its own source."""
_numbers = itertools.count(1)
_CANONICAL = {"subject": "customer", "time": "at"}
_PROBLEM = re.compile(r"(?:Not a usage event|Another event is stored): (\S+) (.*)\.", re.DOTALL)
_UTC = {"type": "long", "logicalType": "timestamp-micros"}
_RECORD = json.loads(CONTRACT.read_text(encoding="utf-8"))["types"][0]
_RECORD["fields"] = [one | ({"type": _UTC} if one["name"] == "at" else {}) for one in _RECORD["fields"]]


@dataclass(frozen=True)
class Told:
    """What a door said of one event, with fields called as the JSON door calls them."""

    status: str
    reason: str | None = None
    field: str | None = None


Send = Callable[[Rest, Sequence[Event]], Awaitable[list[Told]]]


@dataclass(frozen=True)
class Door:
    """One way in."""

    name: str
    send: Send
    cannot_say: frozenset[str] = field(default=frozenset())
    """What this way has no words for: its scenarios are left out."""


def usage_event(identifier: str = "1", **fields: object) -> Event:
    """Write an event, with *fields* in place of the usual ones."""
    usual = {
        "id": identifier,
        "source": "gateway",
        "customer": "acme",
        "type": "http.request",
        "at": "2015-05-17T10:05:03Z",
        "quantities": {"bytes": "7"},
    }
    return usual | fields


async def by_json(rest: Rest, events: Sequence[Event]) -> list[Told]:
    """Send one message of the JSON interface."""
    answer = (await rest.post("/usage/events", source="unused", events=events)).json()
    found = {one["item"]: Told(one["status"], one.get("reason"), one.get("field")) for one in answer["items"]}
    return [found.get(place, Told("accepted")) for place in range(len(events))]


async def by_single(rest: Rest, events: Sequence[Event]) -> list[Told]:
    """Send each event as a CloudEvent in structured mode."""
    return [_of_single(await send_single(rest, _as_cloud_event(event))) for event in events]


async def by_binary(rest: Rest, events: Sequence[Event]) -> list[Told]:
    """Send each event as a CloudEvent in binary mode."""
    return [_of_single(await send_binary(rest, _as_cloud_event(event))) for event in events]


async def by_batch(rest: Rest, events: Sequence[Event]) -> list[Told]:
    """Send a batch of CloudEvents."""
    answer = (await send_batch(rest, *map(_as_cloud_event, events))).json()
    assert [one["index"] for one in answer["items"]] == list(range(len(events)))
    return [Told(one["status"], one.get("reason"), _canonical(one.get("field"))) for one in answer["items"]]


async def by_avro(rest: Rest, events: Sequence[Event]) -> list[Told]:
    """Call Avro RPC over HTTP."""
    client = AvroClient(rest.client, rest.client.headers["authorization"].removeprefix("Bearer "), source="unused")
    return [Told(**answer) for answer in await client.record(events)]


async def by_json_lines(rest: Rest, events: Sequence[Event]) -> list[Told]:
    """Import a file of JSON lines."""
    return await _import(rest, events, "".join(json.dumps(event) + "\n" for event in events))


async def by_cloudevents_lines(rest: Rest, events: Sequence[Event]) -> list[Told]:
    """Import a file with one CloudEvent a line."""
    return await _import(rest, events, "".join(json.dumps(_as_cloud_event(event)) + "\n" for event in events))


async def by_csv(rest: Rest, events: Sequence[Event]) -> list[Told]:
    """Import a CSV file."""
    rows = [_as_row(event) for event in events]
    header = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return await _import(rest, events, text.getvalue(), lines_before=1)


async def by_avro_file(rest: Rest, events: Sequence[Event]) -> list[Told]:
    """Import a file of Avro records."""
    into = io.BytesIO()
    fastavro.writer(into, _RECORD, [as_avro(event) for event in events])
    return await _import(rest, events, into.getvalue())


async def by_parquet(rest: Rest, events: Sequence[Event]) -> list[Told]:
    """Import a Parquet file, whose quantities are columns of decimals."""
    given = [as_avro(event) for event in events]
    columns: dict[str, pa.Array] = {
        name: pa.array([event[name] for event in given], pa.string())
        for name in ("id", "customer", "type", "source", "resource")
    }
    columns["at"] = pa.array([event["at"] for event in given], pa.timestamp("us", "UTC"))
    columns["status"] = pa.array([event["status"] for event in given], pa.int32())
    for kind, read, of in (("quantities", Decimal, pa.decimal256(70, 30)), ("dimensions", str, pa.string())):
        for name in dict.fromkeys(name for event in given for name in event[kind]):
            values = [read(event[kind][name]) if name in event[kind] else None for event in given]
            columns[name] = pa.array(values, of)
    into = io.BytesIO()
    parquet.write_table(pa.table(columns), into)
    return await _import(rest, events, into.getvalue())


DOORS = [
    Door("json", by_json),
    Door("cloudevents-structured", by_single),
    Door("cloudevents-binary", by_binary),
    Door("cloudevents-batch", by_batch),
    Door("avro", by_avro, frozenset({"instant as text"})),
    Door("file-json-lines", by_json_lines),
    Door("file-cloudevents", by_cloudevents_lines),
    Door("file-csv", by_csv, frozenset({"id", "an empty text"})),
    Door("file-avro", by_avro_file, frozenset({"instant as text"})),
    Door("file-parquet", by_parquet, frozenset({"instant as text", "number as text"})),
]


def _as_cloud_event(event: Event) -> dict[str, Any]:
    names = {"id": "id", "source": "source", "type": "type", "customer": "subject", "at": "time"}
    data = {name: value for name, value in event.items() if name not in names}
    return cloud_event(data=data, **{names[name]: value for name, value in event.items() if name in names})


def _as_row(event: Event) -> dict[str, object]:
    row = {name: value for name, value in event.items() if name not in {"quantities", "dimensions"}}
    quantities: dict[str, object] = event["quantities"]
    return row | quantities | {f"dimensions.{name}": value for name, value in event.get("dimensions", {}).items()}


def _of_single(answer: httpx.Response) -> Told:
    """Read the answer to a single event, a problem where it was refused."""
    said = answer.json()
    if answer.status_code == 200:
        return Told(said["status"], said.get("reason"))
    found = _PROBLEM.fullmatch(said["detail"])
    assert found is not None, said
    assert found[1] == said["field"]
    return Told({400: "invalid", 409: "conflict"}[answer.status_code], found[2], _canonical(found[1]))


async def _import(
    rest: Rest, events: Sequence[Event], content: str | bytes, source: str = "unused", *, lines_before: int = 0
) -> list[Told]:
    with tempfile.TemporaryDirectory(prefix="tallystick-doors-") as directory:
        path = Path(directory) / f"usage-{next(_numbers)}"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        report = await import_usage(rest.house.operations, OPERATOR, "main", path, source=source, complete=True)
    malformed = {one.line - lines_before - 1: _split(one.reason) for one in report.malformed_lines}
    found = {place: Told("invalid", reason, name) for place, (name, reason) in malformed.items()}
    for refused in report.refused_events:
        name, reason = _split(refused.reason)
        (place,) = (place for place, one in enumerate(events) if one["id"] == refused.id and place not in found)
        found[place] = Told(refused.status.value, reason, name)
    rest_ = [place for place in range(len(events)) if place not in found]
    return [found.get(place) or _of_report(report, len(rest_)) for place in range(len(events))]


def _of_report(report: ImportReport, count: int) -> Told:
    """Say what became of each of *count* events that a report only counts: the same of all of them."""
    if report.accepted == count:
        return Told("accepted")
    if report.known == count:
        return Told("known")
    (reason,) = report.not_billable
    assert report.not_billable.total() == count
    return Told("not_billable", reason)


def _split(reason: str) -> tuple[str | None, str]:
    name, _, rule = reason.partition(" ")
    return _canonical(name), rule


def _canonical(name: str | None) -> str | None:
    """Return what the JSON door calls a field."""
    if name is None:
        return None
    return _CANONICAL.get(name, name.removeprefix("data."))
