"""What nobody should send over gRPC: each is told clearly, nothing is stored, and the connection serves on."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tallystick.api.grpc.generated import tallystick_pb2 as contract
from tallystick.api.grpc.serve import GrpcServer
from tallystick.security.keys import hash_of, make_key
from tests.conformance.grpc_calling import invoice
from tests.conftest import House

MIB = 1024 * 1024
SEED = 20_261_122


class Door:
    """A server of gRPC in front of the house, and a channel to it."""

    def __init__(self, house: House, key: str, channel: Any) -> None:  # noqa: ANN401 - the library has no types
        """Keep them."""
        self.house = house
        self.key = key
        self.channel = channel

    async def send(self, data: bytes, method: str = "RequestInvoice", **more: Any) -> bytes:  # noqa: ANN401 - as it has them
        """Call a method with bytes."""
        call = self.channel.unary_unary(f"/tallystick.v1.Invoices/{method}")
        metadata = more.pop("metadata", (("authorization", f"Bearer {self.key}"),))
        answer: bytes = await call(data, metadata=metadata, **{"timeout": 30, **more})
        return answer

    async def status(self, data: bytes) -> grpc.StatusCode:
        """Call a method, and return what came of it."""
        metadata = (("authorization", f"Bearer {self.key}"),)
        call = self.channel.unary_unary("/tallystick.v1.Invoices/RequestInvoice")(data, metadata=metadata, timeout=30)
        return await call.code()

    async def refused(
        self, data: bytes, method: str = "RequestInvoice", **more: object
    ) -> tuple[grpc.StatusCode, str | None]:
        """Call a method that must fail, and return its status and code."""
        with pytest.raises(grpc.aio.AioRpcError) as told:
            await self.send(data, method, **more)
        trailing = dict(told.value.trailing_metadata() or ())
        return told.value.code(), trailing.get("tallystick-code")

    async def works(self, reference: str) -> contract.RequestedInvoice:
        """Ask for an invoice, which must go well."""
        answer = contract.RequestedInvoice()
        answer.ParseFromString(await self.send(asking(reference)))
        return answer


def asking(reference: str) -> bytes:
    """Write a request."""
    written: bytes = contract.RequestInvoiceRequest(book="main", invoice=invoice(reference)).SerializeToString()
    return written


@pytest_asyncio.fixture
async def door(house: House) -> AsyncIterator[Door]:
    """Serve the house over gRPC."""
    key = make_key()
    scopes = ["invoicing:read", "invoicing:write"]
    await house.do("security.create_key", name="caller", scopes=scopes, sha256=hash_of(key).hex())
    server = GrpcServer("127.0.0.1", 0, 8 * MIB)
    await server.start(house.operations)
    async with grpc.aio.insecure_channel(server.place, options=[("grpc.max_send_message_length", -1)]) as channel:
        yield Door(house, key, channel)
    await server.stop()


async def test_bytes_that_are_no_message_are_refused(door: Door) -> None:
    """Random bytes, damaged requests, text that is not UTF-8: told as bad input, never as a failure of the server."""
    chance = random.Random(SEED)
    whole = asking("damaged")
    bad = [b"\xff" * 100, whole[:-1], b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\xc3\x28", bytes(1000)]
    assert {await door.refused(data) for data in bad} == {(grpc.StatusCode.INVALID_ARGUMENT, "grpc.bad_message")}
    ours = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE}
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        assert await door.status(bytes(damaged)) not in ours, (SEED, bytes(damaged))
    assert (await door.works("after damage")).total == 3_000


async def test_a_message_of_100_mb_is_refused(door: Door) -> None:
    """Before it is read, by its length; and one right at the limit is judged by what it says."""
    status, _ = await door.refused(b"\x0a" * (100 * MIB))
    assert status is grpc.StatusCode.RESOURCE_EXHAUSTED
    said = await door.refused(asking("memo") + b"\x7a" + b"\xff\xff\xff\x03" + bytes(8 * MIB - 4096))
    assert said == (grpc.StatusCode.INVALID_ARGUMENT, "grpc.bad_message")
    assert (await door.works("after 100 MB")).total == 3_000


async def test_keys_that_are_none_are_refused(door: Door) -> None:
    """Of another scheme, very long, or two at once, of which different readers might take different ones."""
    nobody = grpc.StatusCode.UNAUTHENTICATED
    for shown, code in (
        ((("authorization", "Basic x"),), (nobody, "security.key_missing")),
        ((("authorization", "Bearer " + "x" * 4_000),), (nobody, "security.key_invalid")),
        ((("authorization", f"Bearer {door.key}"),) * 2, (grpc.StatusCode.INVALID_ARGUMENT, "invalid_input")),
    ):
        assert await door.refused(asking("nobody"), metadata=shown) == code
    unknown = await door.refused(b"", "EraseInvoice")
    assert unknown == (grpc.StatusCode.UNIMPLEMENTED, None)


async def test_message_ids_are_bounded(door: Door) -> None:
    """Too long, with a line break, or one of the product's own: named as the request names it."""
    for key in ("x" * 256, "a\nb", "tallystick:1"):
        request = contract.RequestInvoiceRequest(book="main", message_id=key, invoice=invoice("id"))
        with pytest.raises(grpc.aio.AioRpcError) as told:
            await door.send(request.SerializeToString())
        trailing = dict(told.value.trailing_metadata())
        assert trailing["tallystick-code"] == "journal.id_not_acceptable"
        assert trailing["tallystick-field"] == "message_id"


async def test_a_call_whose_time_is_over_does_nothing_more(door: Door, owner: asyncpg.Connection) -> None:
    """What it was waiting for is called off with it, at its deadline or when its caller gives it up, and nothing is kept."""
    async with owner.transaction():
        await owner.execute("LOCK TABLE tallystick.invoice IN ACCESS EXCLUSIVE MODE")
        assert await door.refused(asking("late"), timeout=0.5) == (grpc.StatusCode.DEADLINE_EXCEEDED, None)
        given_up = asyncio.ensure_future(door.send(asking("late")))
        await _until_waiting(owner, 1)
        given_up.cancel()
        await asyncio.wait([given_up])
        assert given_up.cancelled()
        await _until_waiting(owner, 0)
    assert not (await door.works("late")).known


async def test_a_hundred_calls_at_once_are_answered(door: Door) -> None:
    """More than a connection may have under way: the rest wait their turn."""
    made = await asyncio.gather(*(door.works(f"at once {number}") for number in range(100)))
    assert len({one.id for one in made}) == len({one.number for one in made}) == 100


async def test_health_follows_the_store(house: House) -> None:
    """Serving while the store answers, and told to those who watch when it does not."""
    server = GrpcServer("127.0.0.1", 0, MIB)
    await server.start(house.operations)
    async with grpc.aio.insecure_channel(server.place) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        watched = health.Watch(health_pb2.HealthCheckRequest(service="tallystick.v1.Invoices"))
        assert (await watched.read()).status == health_pb2.HealthCheckResponse.SERVING
        await house.operations.pool.close()
        async with asyncio.timeout(10):
            assert (await watched.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert (
            await health.Check(health_pb2.HealthCheckRequest())
        ).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watched.cancel()
    await server.stop()


async def _until_waiting(connection: asyncpg.Connection, count: int) -> None:
    """Await that so many statements wait for a lock of another."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(10):
        while True:
            await connection.execute("SELECT pg_stat_clear_snapshot()")
            if await connection.fetchval(waiting) == count:
                return
            await asyncio.sleep(0.02)
