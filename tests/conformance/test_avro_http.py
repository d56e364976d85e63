"""Avro RPC over HTTP: the handshake, the calls and their answers, as the specification has them."""

import asyncio
import contextlib
import hashlib
import io
import json
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import fastavro
import httpx
import pytest
import pytest_asyncio

from tallystick import __version__
from tallystick.api.avro.answer_calls import Calls
from tallystick.api.avro.over_sockets import STRANGERS_BYTES, AvroOverSockets
from tallystick.api.recognise import Recogniser, RefusalBook
from tallystick.api.rest.app import RestApp, make_app
from tests.conformance.avro_client import (
    HANDSHAKE_RESPONSE,
    AvroClient,
    NettyClient,
    Refused,
    Sides,
    as_avro,
    call_of,
    framed,
    handshake,
    read_answer,
    unframed,
)
from tests.conformance.conftest import Rest, listening
from tests.conftest import House


@pytest_asyncio.fixture
async def avro(rest: Rest) -> AsyncIterator[AvroClient]:
    """Speak Avro to a fresh book, with a key to everything."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{rest.port}", timeout=20, trust_env=False) as http:
        yield AvroClient(http, (await rest.new_key("*")).key)


def event(number: int = 1, **changed: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of any type
    """Write an event of Ada's, with what is *changed*."""
    return {
        "id": f"event {number}",
        "customer": "ada",
        "at": "2026-01-31T10:00:00Z",
        "quantities": {"bytes": 7},
    } | changed


async def test_events_are_recorded_once(avro: AvroClient) -> None:
    """The first time they are accepted, and ever after they are known."""
    first = await avro.record([event(1), event(2)])
    assert [one["status"] for one in first] == ["accepted", "accepted"]
    again = await avro.record([event(1), event(3)])
    assert [one["status"] for one in again] == ["known", "accepted"]
    assert avro.matches[:3] == ["NONE", "BOTH", "BOTH"]


async def test_a_repeated_message_gets_its_first_answer(avro: AvroClient) -> None:
    """Whether its id stands in the call, in its metadata or in the header; with other events under it, it is a conflict."""
    first = await avro.record([event(1)], "batch 1")
    assert await avro.record([event(1)], "batch 1") == first
    assert avro.meta == {"idempotent-replayed": b"true"}
    with pytest.raises(Refused) as refused:
        await avro.record([event(2)], "batch 1")
    assert (refused.value.code, refused.value.error["retry"]) == ("journal.id_reused", False)
    request = {"source": avro.source, "events": [as_avro(event(3))], "message_id": None}
    for _ in range(2):
        recorded = await avro.call("record", request, {"idempotency-key": b"batch 3".replace(b" ", b"-")})
        assert recorded["accepted"] == 1
    call = framed(handshake(avro.sides, avro.server_hash, tell=True), call_of(avro.sides, "record", request))
    again = await avro.post(call, idempotency_key="batch-3")
    assert b"idempotent-replayed" in again.content


async def test_who_is_not_recognised_is_told_twice(avro: AvroClient) -> None:
    """By HTTP's own status, for whatever stands between, and in Avro, for the client's library."""
    for key, code in (("", "security.key_missing"), ("tsk_" + "x" * 43, "security.key_invalid")):
        stranger = AvroClient(avro.http, key, sides=avro.sides)
        with pytest.raises(Refused) as refused:
            await stranger.record([event()])
        assert refused.value.code == code
        headers = {"authorization": f"Bearer {key}" if key else "none of Bearer"}
        answer = await avro.post(framed(handshake(avro.sides, bytes(16), tell=False)), **headers)
        assert (answer.status_code, answer.headers["content-type"]) == (401, "avro/binary")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        large = await avro.post(bytes(1 << 20), **headers)
        assert (large.status_code, large.json()["code"]) == (401, "security.key_missing" if not key else code)


async def test_who_may_not_is_told_so_and_it_is_recorded(
    avro: AvroClient, rest: Rest, owner: asyncpg.Connection
) -> None:
    """A key that may read usage may not write it, and no key speaks for another book."""
    reader = AvroClient(avro.http, (await rest.new_key("usage:read")).key, sides=avro.sides)
    with pytest.raises(Refused) as refused:
        await reader.record([event()])
    assert refused.value.code == "security.scope_missing"
    assert await reader.call("version", {}) == __version__
    abroad = AvroClient(avro.http, avro.key, book="another", sides=avro.sides)
    with pytest.raises(Refused) as refused:
        await abroad.call("ping", {})
    assert refused.value.code == "security.other_book"
    recorded = {row["code"] for row in await owner.fetch("SELECT code FROM tallystick.refused_access")}
    assert recorded == {"security.scope_missing", "security.other_book"}


async def test_a_client_that_was_told_nothing_learns_the_protocol(avro: AvroClient) -> None:
    """As any client may whose guess is wrong."""
    call = framed(handshake(avro.sides, bytes(16), tell=True), call_of(avro.sides, "", {}))
    source = io.BytesIO(unframed((await avro.post(call)).content))
    said: Any = fastavro.schemaless_reader(source, HANDSHAKE_RESPONSE, None)
    assert said["match"] == "CLIENT"
    assert said["serverHash"] == hashlib.md5(said["serverProtocol"].encode(), usedforsecurity=False).digest()
    assert json.loads(said["serverProtocol"]) == json.loads(avro.sides.text)


async def test_the_contract_is_told_to_anybody(avro: AvroClient) -> None:
    """It is the one that is checked in."""
    answer = await avro.http.get("/avro/usage.avpr")
    assert (answer.status_code, answer.json()) == (200, json.loads(avro.sides.text))
    assert (await avro.http.post("/avro/usage.avpr")).status_code == 405


async def test_a_message_that_we_do_not_have_is_an_error_of_the_system(avro: AvroClient) -> None:
    """A string, as the specification has it."""
    avro.sides = Sides(
        json.dumps({**json.loads(avro.sides.text), "messages": {"other": {"request": [], "response": "null"}}})
    )
    with pytest.raises(Refused) as refused:
        await avro.call("other", {})
    assert str(refused.value.error).startswith("avro.unknown_message: ")


async def test_a_body_that_does_not_come_is_not_waited_for(house: House, rest: Rest) -> None:
    """After a while, which the test makes short."""
    app = make_app(house.operations)
    assert isinstance(app, RestApp)
    app.avro.seconds = 0.1
    key = (await rest.new_key("*")).key
    async with listening(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST /avro/main HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-type: avro/binary\r\n"
        writer.write(f"{head}content-length: 1000\r\n\r\nslow".encode())
        async with asyncio.timeout(10):
            answer = await reader.readuntil(b"\r\n\r\n")
        assert b" 400 " in answer
        writer.close()


@contextlib.asynccontextmanager
async def on_sockets(house: House, **bounds: Any) -> AsyncIterator[int]:  # noqa: ANN401 - fields of the door
    """Speak Avro on plain sockets; give the port."""
    operations = house.operations
    refusals = RefusalBook(operations.pool, operations.clock)
    door = AvroOverSockets(Calls(operations, Recogniser(operations.pool, operations.clock), refusals), **bounds)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await door.start(listener)
        try:
            yield listener.getsockname()[1]
        finally:
            await door.stop()


async def test_a_stranger_is_not_waited_for(house: House, rest: Rest) -> None:
    """Who shows no key is hung up on soon, whatever else it says; who has shown one may rest."""
    key = (await rest.new_key("*")).key
    async with on_sockets(house, strangers_seconds=0.3) as port:
        silent, chatting, known = [await NettyClient.connect(port) for _ in range(3)]
        await known.shake(key)
        chatting.send(0, handshake(chatting.sides, bytes(16), tell=True), call_of(chatting.sides, "", {}))
        await chatting.receive()
        assert await silent.ended() == b""
        assert await chatting.ended() == b""
        assert await known.call("version", {}) == __version__
        known.close()


@pytest.mark.parametrize("shown", ["", "Bearer tsk_nobodys"])
async def test_no_more_of_a_message_than_its_head_is_read_from_a_stranger(house: House, shown: str) -> None:
    """A key stands at the head, so that strangers need no room, and one who has none is told so at once."""
    async with on_sockets(house) as port:
        client = await NettyClient.connect(port)
        head = handshake(client.sides, bytes(16), tell=True, meta={"authorization": shown.encode()})
        client.writer.write(struct.pack(">iII", 7, 1, 8_000_000) + head.ljust(STRANGERS_BYTES, b"\0"))
        serial, answer = await client.receive()
        assert serial == 7
        assert (b"security.key_invalid" if shown else b"security.key_missing") in answer
        assert await client.ended() == b""


@pytest.mark.parametrize("in_handshake", [True, False])
async def test_a_first_call_that_shows_its_key_may_be_as_large_as_any(
    house: House, rest: Rest, *, in_handshake: bool
) -> None:
    """Clients send their first call together with the handshake; the key stands in either's metadata."""
    meta = {"authorization": f"Bearer {(await rest.new_key('*')).key}".encode()}
    async with on_sockets(house) as port:
        client = await NettyClient.connect(port)
        shaking = handshake(client.sides, bytes(16), tell=True, meta=meta if in_handshake else None)
        request = {"source": "x", "events": [as_avro(event(one)) for one in range(2000)], "message_id": None}
        call = call_of(client.sides, "record", request, None if in_handshake else meta)
        assert len(call) > STRANGERS_BYTES
        client.send(1, shaking + call)
        _, answer = await client.receive()
        source = io.BytesIO(answer)
        fastavro.schemaless_reader(source, HANDSHAKE_RESPONSE, None)
        assert read_answer(client.sides, "record", source)[0]["accepted"] == 2000
        client.close()


async def test_strangers_give_way_to_whoever_comes(house: House, rest: Rest) -> None:
    """They can take every connection, and keep nobody out who has a key."""
    key = (await rest.new_key("*")).key
    async with on_sockets(house, most_connections=3) as port:
        known = await NettyClient.connect(port)
        await known.shake(key)
        strangers = [await NettyClient.connect(port) for _ in range(4)]
        assert [await one.ended() for one in strangers[:2]] == [b"", b""]
        late = await NettyClient.connect(port)
        await late.shake(key)
        for client in (known, late):
            assert await client.call("version", {}) == __version__
        for client in (known, late, *strangers):
            client.close()


async def test_slow_connections_are_ended(house: House, rest: Rest) -> None:
    """One that does not shake hands, and one that stops in the middle of a message; one at rest is left alone."""
    key = (await rest.new_key("*")).key
    async with on_sockets(house, seconds=0.2, strangers_seconds=0.2) as port:
        quiet, rested, slow = [await NettyClient.connect(port) for _ in range(3)]
        await rested.shake(key)
        await slow.shake(key)
        slow.writer.write(b"\0\0\0\1\0\0\0\1\0\0\0\x64half")
        assert await quiet.ended() == b""
        assert await slow.ended() == b""
        assert await rested.call("version", {}) == __version__
        rested.close()


async def test_connections_are_counted(house: House, rest: Rest) -> None:
    """Beyond the bound nobody is let in; who is in stays, and makes room by leaving."""
    key = (await rest.new_key("*")).key
    async with on_sockets(house, most_connections=1) as port:
        first = await NettyClient.connect(port)
        await first.shake(key)
        assert await (await NettyClient.connect(port)).ended() == b""
        assert await first.call("version", {}) == __version__
        first.writer.write_eof()
        assert await first.ended() == b""
        second = await NettyClient.connect(port)
        await second.shake(key)
        second.close()


async def test_a_stop_lets_calls_have_their_answers(house: House, rest: Rest) -> None:
    """What was under way when the server was told to end is answered before it hangs up."""
    key = (await rest.new_key("*")).key
    async with on_sockets(house) as port:
        client = await NettyClient.connect(port)
        await client.shake(key)
        request = {"source": "x", "events": [as_avro(event(one)) for one in range(500)], "message_id": None}
        client.send(9, call_of(client.sides, "record", request), b"")
        client.send(10, call_of(client.sides, "", {}))
        assert await client.receive() == (10, b"\0\0")
    serial, answer = await client.receive()
    assert (serial, read_answer(client.sides, "record", io.BytesIO(answer))[0]["accepted"]) == (9, 500)
    assert await client.ended() == b""
