"""What a hostile or broken client sends: it gets a clear answer or is hung up on, and costs nobody else anything."""

import contextlib
import hashlib
import io
import json
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro
import httpx
import pytest
import pytest_asyncio

from tests.conformance.avro_client import (
    HANDSHAKE_RESPONSE,
    AvroClient,
    NettyClient,
    Refused,
    Sides,
    call_of,
    framed,
    handshake,
    read_answer,
    unframed,
    write,
)
from tests.scenarios.serving_up import (
    KEY,
    Up,
    calling,
    listening_addresses,
    own_directory,
    port_of,
    tallystick,
    up,
)

MIB = 1 << 20
SIDES = Sides()
PROTOCOL = json.loads(SIDES.text)
EVENT = {"id": "1", "customer": "hostile", "at": "2026-01-31T10:00:00Z"}


@dataclass(frozen=True, slots=True)
class Attacked:
    """A running `tallystick up`, with a client that behaves, connected before the others come."""

    running: Up
    key: str
    http: httpx.AsyncClient
    netty_port: int
    friend: NettyClient

    @property
    def avro(self) -> AvroClient:
        """Return a client over HTTP."""
        return AvroClient(self.http, self.key)

    def memory(self) -> int:
        """Return how many bytes of memory the server takes."""
        for line in Path(f"/proc/{self.running.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the server is gone")

    async def connect(self, *, shaken: bool) -> NettyClient:
        """Connect somebody else."""
        client = await NettyClient.connect(self.netty_port)
        if shaken:
            await client.shake(self.key)
        return client


@pytest_asyncio.fixture(scope="module")
async def server() -> AsyncIterator[Attacked]:
    """Serve; at the end nothing hostile is stored."""
    with own_directory() as directory:
        async with up(directory / "data", TALLYSTICK_AVRO_PORT="0") as running:
            key = KEY.findall(await running.hear(KEY.pattern))[0]
            port = port_of(await running.hear("^  avro "))
            friend = await NettyClient.connect(port)
            await friend.shake(key)
            async with httpx.AsyncClient(base_url=running.address, trust_env=False, timeout=20) as http:
                yield Attacked(running, key, http, port, friend)
            friend.close()


@pytest_asyncio.fixture(autouse=True)
async def unharmed(server: Attacked) -> AsyncIterator[None]:
    """After each attack others are served, no memory is gone, and nothing is stored."""
    before = server.memory()
    yield
    assert await server.friend.call("version", {})
    assert server.memory() - before < 64 * MIB
    headers = {"authorization": f"Bearer {server.key}"}
    stored = await server.http.get("/v1/books/main/usage/events", params={"customer": "hostile"}, headers=headers)
    assert stored.json()["items"] == []


def problem(answer: httpx.Response, status: int, code: str) -> None:
    """Require a refusal by HTTP's own means."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def told(answer: httpx.Response, message: str = "record") -> Refused:
    """Return the error that a call was answered with."""
    source = io.BytesIO(unframed(answer.content))
    fastavro.schemaless_reader(source, HANDSHAKE_RESPONSE, None)
    with pytest.raises(Refused) as refused:
        read_answer(SIDES, message, source)
    return refused.value


GOOD = handshake(SIDES, bytes(16), tell=True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0\0\0",
        struct.pack(">I", 100) + b"ten bytes.",
        struct.pack(">I", 2**31) + GOOD,
        struct.pack(">I", 2**32 - 1) + GOOD,
        framed(GOOD)[:-4],
        framed(GOOD) + b"more",
    ],
    ids=["nothing", "cut in a length", "cut", "2^31", "2^32-1", "without an end", "behind the end"],
)
async def test_frames_that_are_none_are_refused(server: Attacked, body: bytes) -> None:
    """Whatever length a frame claims, only what is there is looked at."""
    problem(await server.avro.post(body), 400, "avro.bad_frame")


async def test_a_frame_of_100_mb_is_refused_before_it_is_read(server: Attacked) -> None:
    """With its length told, unread; without, as soon as it is too much."""

    async def endless() -> AsyncIterator[bytes]:
        yield struct.pack(">I", 100 * MIB)
        for _ in range(100):
            yield bytes(MIB)

    problem(await server.avro.post(framed(bytes(100 * MIB))), 413, "avro.call_too_large")
    with contextlib.suppress(httpx.WriteError):  # it may hang up while we are still sending
        problem(await server.avro.post(endless()), 413, "avro.call_too_large")  # type: ignore[arg-type]  # as httpx takes it


@pytest.mark.parametrize("body", [b"\x80" * 500, b"GET / HTTP/1.1\r\n" * 9, bytes(15), bytes(16) + b"\x08"])
async def test_garbage_is_no_handshake(server: Attacked, body: bytes) -> None:
    """It is refused as what it is."""
    problem(await server.avro.post(framed(body)), 400, "avro.bad_handshake")


async def test_what_is_not_avro_is_refused(server: Attacked) -> None:
    """Another content type, another method, another path."""
    problem(await server.avro.post(b"{}", content_type="application/json"), 415, "rest.not_avro")
    problem(await server.http.get("/avro/main"), 405, "rest.method_not_allowed")
    problem(await server.http.post("/avro/NO"), 404, "rest.no_such_path")


async def test_a_hash_of_another_text_is_refused(server: Attacked) -> None:
    """Or one client could make another's calls be read wrongly."""
    wrong = Sides()
    wrong.hash = hashlib.md5(b"another", usedforsecurity=False).digest()
    call = call_of(SIDES, "record", {"source": "x", "events": [], "message_id": None})
    answer = await server.avro.post(framed(handshake(wrong, bytes(16), tell=True), call))
    assert answer.status_code == 400
    assert told(answer).code == "avro.bad_handshake"
    client = await server.connect(shaken=False)
    client.send(7, handshake(wrong, bytes(16), tell=True), call)
    assert b"avro.bad_handshake" in await client.ended()


def with_type(type_: object, *types: object) -> str:
    """Write a protocol whose record has a parameter of a type that is not ours."""
    request = [*PROTOCOL["messages"]["record"]["request"], {"name": "more", "type": type_}]
    messages = {"record": {"request": request, "response": "null"}}
    return json.dumps({"protocol": "P", "types": [PROTOCOL["types"][0], *types], "messages": messages})


def nested(depth: int) -> Any:  # noqa: ANN401 - JSON
    """Write arrays of arrays."""
    type_: Any = "int"
    for _ in range(depth):
        type_ = {"type": "array", "items": type_}
    return type_


def doubling(name: str, fields: int, count: int) -> list[Any]:
    """Write records that each hold the one before several times."""
    inner: list[Any] = [{"type": "record", "name": f"{name}0", "fields": [{"name": "a", "type": "int"}]}]
    for number in range(1, count):
        held = [{"name": f"f{each}", "type": f"{name}{number - 1}"} for each in range(fields)]
        inner.append({"type": "record", "name": f"{name}{number}", "fields": held})
    return inner


RECURSIVE = {"type": "record", "name": "R", "fields": [{"name": "next", "type": ["null", "R"]}]}
PROTOCOLS: dict[str, tuple[str, str]] = {
    "deep": (with_type(nested(40)), "nested"),
    "deeper than any parser": ("[" * 30_000 + "]" * 30_000, "JSON"),
    "recursive": (with_type(RECURSIVE), "contains itself"),
    "recursive by turns": (
        with_type("A", *({"type": "record", "name": one, "fields": [{"name": "x", "type": other}]} for one, other in ("AB", "BA"))),
        "contains itself",
    ),
    "growing without bounds": (with_type("D5", *doubling("D", 8, 6)), "made of more than"),
    "huge": (json.dumps({"protocol": "P", "doc": "x" * MIB}), "characters"),
    "no JSON": ("protocol P {}", "not JSON"),
    "no object": ("[]", "not a JSON object"),
    "wrong types": (json.dumps({"protocol": "P", "types": {}, "messages": []}), "types"),
}  # fmt: skip


@pytest.mark.parametrize("name", PROTOCOLS)
async def test_a_hostile_protocol_is_refused(server: Attacked, name: str) -> None:
    """Its author is told what is wrong with it."""
    text, why = PROTOCOLS[name]
    sides = Sides()
    sides.text, sides.hash = text, hashlib.md5(text.encode(), usedforsecurity=False).digest()
    call = call_of(SIDES, "record", {"source": "x", "events": [], "message_id": None})
    error = told(await server.avro.post(framed(handshake(sides, bytes(16), tell=True), call)))
    assert error.code == "avro.bad_protocol"
    assert why in str(error.error)


async def test_who_was_forgotten_is_asked_again(server: Attacked) -> None:
    """Only the last protocols are remembered, however many are shown."""
    client = server.avro
    await client.call("ping", {})
    sides = Sides()
    for number in range(200):
        sides.text = json.dumps({"protocol": f"P{number}", "messages": {}})
        sides.hash = hashlib.md5(sides.text.encode(), usedforsecurity=False).digest()
        answer = await server.avro.post(framed(handshake(sides, bytes(16), tell=True), call_of(sides, "", {})))
        assert answer.status_code == 200
    client.matches.clear()
    await client.call("ping", {})
    assert client.matches == ["NONE", "BOTH"]


ONE = write(
    SIDES.requests["record"],
    {
        "source": "x",
        "message_id": None,
        "events": [{**EVENT, "at": 0, "type": "t", "quantities": {}, "dimensions": {}}],
    },
)
HEAD = write("string", "x")
LONG = write("long", 2**62)
CALLS: dict[str, bytes] = {
    "cut": ONE[:-3],
    "left over": ONE + b"\0",
    "2^62 events": HEAD + LONG + b"\0" * 100,
    "2^62 events in a block": HEAD + write("long", -(2**62)) + write("long", 50) + b"\0" * 100,
    "a block of more bytes than there are": HEAD + write("long", -2) + write("long", 2**40) + b"\0" * 100,
    "a block of fewer than no bytes": HEAD + write("long", -2) + write("long", -5) + b"\0" * 100,
    "a text of 2^62 bytes": LONG + b"x",
    "a text of -1 bytes": write("long", -1) + b"\0" * 9,
    "a long of eleven bytes": b"\xff" * 11,
    "a branch that is none": HEAD + b"\0" + write("long", 5),
}


@pytest.mark.parametrize("name", CALLS)
async def test_calls_that_are_none_are_refused(server: Attacked, name: str) -> None:
    """Whatever they claim, no more is read than is there."""
    call = (
        write(fastavro.parse_schema({"type": "map", "values": "bytes"}), {}) + write("string", "record") + CALLS[name]
    )
    answer = await server.avro.post(framed(GOOD, call))
    assert told(answer).code == "avro.bad_call"
    client = await server.connect(shaken=True)
    client.send(3, call)
    assert b"avro.bad_call" in (await client.receive())[1]
    assert await client.call("version", {})
    client.close()


async def test_too_many_events_are_refused_as_over_rest(server: Attacked) -> None:
    """A batch has a bound; it is not read any further than shows that it is beyond."""
    event = {**EVENT, "at": 0, "type": "t", "quantities": {}, "dimensions": {}}
    with pytest.raises(Refused) as refused:
        await server.avro.call("record", {"source": "x", "events": [event] * 5_001, "message_id": None})
    assert refused.value.code == "invalid_input"
    assert refused.value.error["field"] == "events"


async def test_what_is_skipped_is_bounded(server: Attacked) -> None:
    """Fields that we do not know are read over, and not for ever."""
    empty = {"type": "record", "name": "E", "fields": []}
    for type_, value, code in (
        ({"type": "array", "items": "int"}, write("long", 4 * MIB) + bytes(4 * MIB) + b"\0", "avro.bad_call"),
        ({"type": "array", "items": empty}, write("long", 2**62) + b"\0", "invalid_input"),
        ({"type": "map", "values": "null"}, write("long", 2**61) + b"\0", "avro.bad_call"),
    ):
        sides = Sides()
        sides.text = with_type(type_)
        sides.hash = hashlib.md5(sides.text.encode(), usedforsecurity=False).digest()
        call = b"\0" + write("string", "record") + HEAD + b"\0" + b"\0" + value
        error = told(await server.avro.post(framed(handshake(sides, bytes(16), tell=True), call)))
        assert error.code == code, error


async def test_a_text_that_is_not_utf_8_costs_its_event_alone(server: Attacked) -> None:
    """Those beside it are stored, and it is told what is wrong with it."""
    good = {**EVENT, "id": "good", "customer": "neighbour"}
    client = server.avro
    events = [{**EVENT, "at": 0, "type": "t", "quantities": {}, "dimensions": {}, "id": f"XX{n}"} for n in range(4)]
    whole = write(SIDES.requests["record"], {"source": "x", "events": events, "message_id": None})
    whole = whole.replace(b"XX1", b"\xff\xfe1").replace(b"XX2", b"\0\0\0")
    whole = whole.replace(b"XX0", b"ok0").replace(b"hostile", b"unaware").replace(b"XX3", b"ok3")
    answer = await client.post(framed(GOOD, b"\0" + write("string", "record") + whole))
    source = io.BytesIO(unframed(answer.content))
    fastavro.schemaless_reader(source, HANDSHAKE_RESPONSE, None)
    recorded, _ = read_answer(SIDES, "record", source)
    assert [one["status"] for one in recorded["answers"]] == ["accepted", "invalid", "invalid", "accepted"]
    assert recorded["answers"][1] == {"status": "invalid", "field": "id", "rule": "must be UTF-8"}
    assert recorded["answers"][2]["rule"] == "must not contain a NUL"
    assert [one["status"] for one in await client.record([good])] == ["accepted"]


SOCKETS: dict[str, tuple[bytes, bool, bytes]] = {
    "garbage": (b"GET / HTTP/1.1\r\n\r\n" * 40, False, b""),
    "garbage in frames": (struct.pack(">iII", 1, 1, 40) + b"\x80" * 40, False, b""),
    "2^31 buffers": (struct.pack(">iI", 1, 2**31), False, b""),
    "a buffer of 2^31 bytes": (struct.pack(">iII", 1, 1, 2**31), False, b""),
    "2^31 buffers later": (struct.pack(">iI", 1, 2**31), True, b"avro.bad_frame"),
    "a buffer of 2^31 bytes later": (struct.pack(">iII", 1, 1, 2**31), True, b"avro.call_too_large"),
    "100 MB in pieces": (struct.pack(">iI", 1, 100) + (struct.pack(">I", MIB) + bytes(MIB)) * 9, True, b"avro.call_too_large"),
}  # fmt: skip


@pytest.mark.parametrize("name", SOCKETS)
async def test_a_socket_that_sends_what_it_may_not_is_hung_up_on(server: Attacked, name: str) -> None:
    """After a word about why, where it has shaken hands."""
    sent, shaken, said = SOCKETS[name]
    client = await server.connect(shaken=shaken)
    client.writer.write(sent)
    found = await client.ended()
    assert said in found
    assert bool(said) == bool(found)


async def test_a_message_that_is_cut_off_is_nobodys(server: Attacked) -> None:
    """Who hangs up in the middle has said nothing."""
    client = await server.connect(shaken=True)
    call = call_of(SIDES, "record", {"source": "x", "message_id": None, "events": [
        {**EVENT, "at": 0, "type": "t", "quantities": {}, "dimensions": {}}]})  # fmt: skip
    client.writer.write(struct.pack(">iII", 1, 1, len(call)) + call[:-1])
    client.writer.write_eof()
    assert await client.ended() == b""


async def test_a_stranger_on_a_socket_is_told_so_and_learns_nothing(server: Attacked) -> None:
    """Without a key, with a bad one, and with a good one for another book."""
    client = await server.connect(shaken=False)
    client.send(0, handshake(SIDES, bytes(16), tell=True), call_of(SIDES, "", {}))
    await client.receive()
    for meta, code in (
        ({}, "security.key_missing"),
        ({"authorization": b"Bearer tsk_" + b"x" * 43}, "security.key_invalid"),
        ({"authorization": f"Bearer {server.key}".encode(), "book": b"another"}, "security.other_book"),
        ({"authorization": f"Bearer {server.key}".encode(), "book": b"../main"}, "invalid_input"),
    ):
        client.send(1, call_of(SIDES, "version", {}, meta))
        with pytest.raises(Refused) as refused:
            read_answer(SIDES, "version", io.BytesIO((await client.receive())[1]))
        assert refused.value.code == code
    client.close()


async def test_sockets_listen_on_loopback_alone(server: Attacked) -> None:
    """Unless told: keys cross them in the clear."""
    assert listening_addresses({server.running.process.pid}) == {"0100007F"}


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("TALLYSTICK_AVRO_PORT", "abc", "TALLYSTICK_AVRO_PORT is 'abc'; it must be a number from 0 to 65535"),
        ("TALLYSTICK_AVRO_CONNECTIONS", "0", "TALLYSTICK_AVRO_CONNECTIONS is '0'; it must be a number, at least 1"),
        ("TALLYSTICK_MOST_CALL_BYTES", "8M", "TALLYSTICK_MOST_CALL_BYTES is '8M'; it must be a number of bytes"),
        ("TALLYSTICK_AVRO_PORT", "taken", "set TALLYSTICK_AVRO_PORT"),
    ],
)
async def test_a_setting_that_cannot_be_is_named(
    server: Attacked, tmp_path: Path, setting: str, value: str, said: str
) -> None:
    """And nothing is started."""
    told = str(server.netty_port) if value == "taken" else value
    refused = await tallystick("up", "--port", "0", data=tmp_path / "data", **{setting: told})
    assert said in refused.refusal()


async def test_a_server_killed_between_storing_and_answering_counts_once(tmp_path: Path) -> None:
    """Its client never hears of it and sends the same again: every event is known, and the message gets its first answer."""
    events = [{**EVENT, "id": f"{number}", "customer": "once", "at": number} for number in range(200)]
    whole = [
        {"type": "t", "quantities": {}, "dimensions": {}, "source": None, "status": None, "resource": None, **one}
        for one in events
    ]
    with own_directory() as directory:
        async with up(directory / "data", TALLYSTICK_AVRO_PORT="0") as running:
            key = KEY.findall(await running.hear(KEY.pattern))[0]
            client = await NettyClient.connect(port_of(await running.hear("^  avro ")))
            await client.shake(key)
            request = {"source": "x", "events": whole, "message_id": "batch 1"}
            async with calling(running, key) as caller:
                client.send(5, call_of(SIDES, "record", request))  # the answer stays unread
                await caller.await_(
                    "/usage/events", lambda page: len(page["items"]) == len(events), customer="once", limit=1000
                )
            await running.kill()
            client.close()
        async with up(directory / "data") as again, httpx.AsyncClient(base_url=again.address, trust_env=False) as http:
            avro = AvroClient(http, key)
            first = await avro.call("record", request)
            assert (first["accepted"], avro.meta) == (200, {"idempotent-replayed": b"true"})
            repeated = await avro.call("record", {**request, "message_id": "batch 2"})
            assert (repeated["accepted"], repeated["known"]) == (0, 200)
            async with calling(again, key) as caller:
                assert len((await caller.see("/usage/events", customer="once", limit=1000))["items"]) == len(events)
