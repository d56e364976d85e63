"""Avro RPC as others speak it: avsc in Node, and the official Python library, each a process that calls `tallystick up`."""

import asyncio
import copy
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.installed_avsc import installed_avsc
from tests.scenarios.serving_up import KEY, SECONDS, own_directory, port_of, up

PEERS = Path(__file__).parent / "avro_peers"
ROOT = Path(__file__).parents[2]
CONTRACT = json.loads((ROOT / "contracts" / "usage.avpr").read_text(encoding="utf-8"))
MICROSECOND = 1_769_853_600_000_000
"""2026-01-31T10:00:00Z."""
NETTY, HTTP, PYTHON = "avsc over netty", "avsc over http", "python over http"
CALLS = 50


@pytest.fixture(scope="session")
def avsc() -> Path:
    """Return a directory with avsc in it."""
    return installed_avsc()


@dataclass(frozen=True, slots=True)
class Served:
    """A running `tallystick up`, and who may call it."""

    http: str
    netty: int
    key: str
    avsc: Path

    async def call(self, peer: str, protocol: Any, calls: list[tuple[str, Any]], **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """Let a peer make calls, and return what it says of them."""
        made = [{"message": message, "request": request} for message, request in calls]
        task = {"protocol": protocol, "key": self.key, "calls": made, **more}
        command, where = ["node", str(PEERS / "peer.js")], self.avsc
        if peer == NETTY:
            task["netty"] = {"port": self.netty}
        elif peer == HTTP:
            task["http"] = f"{self.http}/avro/main"
        else:
            task |= {"host": "127.0.0.1", "port": port_of(self.http), "path": "/avro/main"}
            command, where = [sys.executable, str(PEERS / "peer.py")], PEERS
        process = await asyncio.create_subprocess_exec(
            *command, cwd=where, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        async with asyncio.timeout(SECONDS):
            out, err = await process.communicate(json.dumps(task).encode())
        assert process.returncode == 0, err.decode()
        found: dict[str, Any] = json.loads(out)
        return found

    async def stored(self, customer: str) -> list[dict[str, Any]]:
        """Return the events of a customer."""
        headers = {"authorization": f"Bearer {self.key}"}
        async with httpx.AsyncClient(base_url=self.http, headers=headers, trust_env=False) as client:
            answer = await client.get("/v1/books/main/usage/events", params={"customer": customer, "limit": 1000})
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items


@pytest_asyncio.fixture(scope="module")
async def served(avsc: Path) -> AsyncIterator[Served]:
    """Serve, with a port for plain sockets."""
    with own_directory() as directory:
        async with up(directory / "data", TALLYSTICK_AVRO_PORT="0") as running:
            key = KEY.findall(await running.hear(KEY.pattern))[0]
            netty = await running.hear("^  avro ")
            yield Served(running.address, port_of(netty), key, avsc)


def event(customer: str, number: int = 1, **changed: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of any type
    """Write an event, with what is *changed*."""
    whole = {
        "id": f"event {number}",
        "customer": customer,
        "at": MICROSECOND + number,
        "type": "http.request",
        "quantities": {"bytes": number},
        "dimensions": {},
        "source": None,
        "status": 200,
        "resource": "/a",
    }
    return whole | changed


def batch(*events: dict[str, Any], source: str, message_id: str | None = None) -> tuple[str, dict[str, Any]]:
    """Write a call that records events."""
    return "record", {"source": source, "events": list(events), "message_id": message_id}


@pytest.mark.parametrize("peer", [NETTY, HTTP, PYTHON])
async def test_a_peer_records_usage(served: Served, peer: str) -> None:
    """Each event is answered by itself, and a repeat is known."""
    good, unbilled = event(peer), event(peer, 2, status=404)
    calls = [batch(good, unbilled, event(peer, 3, quantities={"bytes": -1}), source=peer), batch(good, source=peer)]
    found = await served.call(peer, CONTRACT, calls, inTurn=True)
    first, again = (one["answer"] for one in found["answers"])
    assert [one["status"] for one in first["answers"]] == ["accepted", "not_billable", "invalid"]
    assert first["answers"][2] == {"status": "invalid", "field": "quantities.bytes", "rule": "must not be negative"}
    assert [one["status"] for one in again["answers"]] == ["known"]
    assert [one["id"] for one in await served.stored(peer)] == ["event 1"]


@pytest.mark.parametrize("peer", [NETTY, HTTP, PYTHON])
async def test_a_client_with_another_protocol_is_understood(served: Served, peer: str) -> None:
    """One has a field that we do not know, lacks those that it need not have, and has other names for two."""
    newer = evolved(lambda fields: fields.insert(2, {"name": "colour", "type": ["null", "string"], "default": None}))
    older = evolved(lambda fields: fields.__delitem__(slice(3, None)))
    renamed = evolved(_rename)
    source = f"evolved {peer}"
    whole = event(source)
    plain = {name: whole[name] for name in ("id", "customer", "at")}
    calls = {
        "newer": (newer, {**whole, "id": "newer", "colour": "red"}),
        "older": (older, {**plain, "id": "older"}),
        "renamed": (renamed, {**{k: v for k, v in whole.items() if k not in {"customer", "type"}}, "id": "renamed",
                              "subject": source, "kind": "call"}),
    }  # fmt: skip
    for name, (protocol, one) in calls.items():
        found = await served.call(peer, protocol, [batch(one, source=source)])
        assert found["answers"][0]["answer"]["accepted"] == 1, (name, found)
    stored = {one["id"]: (one["type"], one["quantities"]) for one in await served.stored(source)}
    assert stored == {
        "newer": ("http.request", {"bytes": 1}),
        "older": ("http.request", {}),
        "renamed": ("call", {"bytes": 1}),
    }


def evolved(change: Any) -> dict[str, Any]:  # noqa: ANN401 - changes a list of fields
    """Return our protocol with other fields of an event."""
    protocol = copy.deepcopy(CONTRACT)
    change(next(one for one in protocol["types"] if one["name"] == "UsageEvent")["fields"])
    return dict(protocol)


def _rename(fields: list[dict[str, Any]]) -> None:
    """Call the customer as we know it from our alias, and the type as the client's own alias explains."""
    for field in fields:
        if field["name"] == "customer":
            field["name"] = "subject"
        elif field["name"] == "type":
            field |= {"name": "kind", "aliases": ["type"]}


async def test_a_field_that_must_be_there_is_missed_by_name(served: Served) -> None:
    """The client's developer is told what its protocol lacks, as an error of the system."""
    lacking = evolved(lambda fields: fields.__delitem__(0))
    one = {name: value for name, value in event("lacking").items() if name != "id"}
    found = await served.call(PYTHON, lacking, [batch(one, source="lacking"), ("version", {})])
    refused, version = found["answers"]
    assert refused["error"].startswith("avro.bad_protocol: ")
    assert "record.events.* lacks the field id" in refused["error"]
    assert version["answer"]


async def test_fifty_calls_are_under_way_on_one_socket(served: Served) -> None:
    """All are sent before the first is answered, and each gets its own answer."""
    calls = [
        batch(*(event("crowd", 20 * call + number) for number in range(20)), source=f"crowd {call}")
        for call in range(CALLS)
    ]
    found = await served.call(NETTY, CONTRACT, [*calls, ("ping", {})])
    assert [one.get("answer", one)["accepted"] for one in found["answers"][:-1]] == [20] * CALLS
    assert found["handshakes"][-1] == "BOTH"
    assert found["order"][-1] != CALLS, "the ping was kept waiting by those before it"
    assert len(await served.stored("crowd")) == 20 * CALLS


@pytest.mark.parametrize("peer", [NETTY, HTTP, PYTHON])
async def test_a_refusal_is_the_declared_error(served: Served, peer: str) -> None:
    """With its stable code, the field to blame, and whether to try again."""
    asked = {"customer": "x", "meter": "no such meter", "start_at": 0, "end_at": 1}
    found = await served.call(peer, CONTRACT, [("total", asked), batch(source="x"), ("ping", {})], inTurn=True)
    total, empty, ping = found["answers"]
    assert {"code", "message", "field", "retry"} <= total["error"].keys()
    assert (empty["error"]["code"], empty["error"]["field"]) == ("invalid_input", "events")
    assert ping["answer"] is None


@pytest.mark.parametrize("peer", [NETTY, HTTP, PYTHON])
async def test_a_bad_key_is_refused_with_its_code(served: Served, peer: str) -> None:
    """As from REST."""
    stranger = Served(served.http, served.netty, "tsk_" + "x" * 43, served.avsc)
    found = await stranger.call(peer, CONTRACT, [batch(event("stranger"), source="stranger")])
    assert found["answers"][0]["error"]["code"] == "security.key_invalid"


async def test_a_meter_is_read(served: Served) -> None:
    """A total over Avro is what the meter reads."""
    headers = {"authorization": f"Bearer {served.key}"}
    meter = {"code": "volume", "name": "Volume", "event_type": "download", "aggregation": "sum", "quantity": "bytes"}
    async with httpx.AsyncClient(base_url=served.http, headers=headers, trust_env=False) as client:
        assert (await client.post("/v1/books/main/meters", json=meter)).status_code == 200
    events = [event("reader", number, type="download") for number in (1, 2, 3)]
    asked = {"customer": "reader", "meter": "volume", "start_at": MICROSECOND, "end_at": MICROSECOND + 3}
    found = await served.call(NETTY, CONTRACT, [batch(*events, source="reader"), ("total", asked)], inTurn=True)
    assert found["answers"][1]["answer"] == {"quantity": "3", "events": 2}


def test_the_contract_for_people_is_the_one_for_machines(avsc: Path) -> None:
    """contracts/usage.avdl describes contracts/usage.avpr, to the last word of its documentation."""
    command = ["node", str(PEERS / "read_idl.js"), str(ROOT / "contracts" / "usage.avdl")]
    read = subprocess.run(command, cwd=avsc, capture_output=True, text=True, check=True)
    assert json.loads(read.stdout) == CONTRACT
