"""Small requests take a short way through the server, which nobody who asks can tell from the long one."""

import asyncio
import contextlib
import gc
import json
import logging
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
import uvicorn
import uvloop

from tallystick.api.rest.app import RestApp, make_app
from tallystick.api.rest.reply import Reply
from tallystick.api.rest.serve import server_config
from tallystick.clock import SystemClock
from tallystick.operations.model import Call
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tests.conformance.conftest import Rest, listening, transfer

KIB = 1024
HEALTH = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"


@dataclass(frozen=True)
class Told:
    """An answer as it came over the line."""

    status: int
    headers: list[bytes]
    """As they were sent."""
    body: bytes

    @property
    def closes(self) -> bool:
        """Say whether the connection ends with it."""
        return b"connection: close" in self.headers

    def json(self) -> Any:  # noqa: ANN401 - whatever was answered
        """Read the body."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Line:
    """A connection, byte by byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, *pieces: bytes) -> None:
        """Send each piece in a packet of its own, and let the server take it before the next."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            for _ in range(3):  # client and server share the event loop, which so turns to the server
                await asyncio.sleep(0)

    async def answer(self, *, bodiless: bool = False) -> Told:
        """Read one answer."""
        async with asyncio.timeout(5):
            first, *headers = (await self.reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[:-2]
            length = next(int(one.split(b": ")[1]) for one in headers if one.startswith(b"content-length: "))
            body = b"" if bodiless else await self.reader.readexactly(length)
        return Told(int(first.split(b" ")[1]), headers, body)

    async def ended(self) -> bool:
        """Say whether the server ends the connection, with nothing more to say."""
        return await asyncio.wait_for(self.reader.read(), 5) == b""

    async def hang_up(self) -> None:
        """Hang up."""
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Line]:
    """Connect."""
    line = Line(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield line
    finally:
        await line.hang_up()


def post(rest: Rest, body: bytes, *more: str, version: str = "1.1", path: str = "/transfers") -> bytes:
    """Write a change."""
    return asked(rest, "POST", path, f"content-length: {len(body)}", *more, version=version) + body


def asked(rest: Rest, method: str, path: str, *more: str, version: str = "1.1") -> bytes:
    """Write a head."""
    known = f"authorization: {rest.client.headers['authorization']}"
    return "\r\n".join([f"{method} /v1/books/main{path} HTTP/{version}", "host: x", known, *more, "", ""]).encode()


def in_chunks(body: bytes) -> bytes:
    """Write a body in two chunks."""
    pieces = [piece for piece in (body[:7], body[7:]) if piece]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def cents(amount: int) -> bytes:
    """Write a transfer of so many cents to Ada."""
    return json.dumps(transfer(amount=amount)).encode()


async def balance(rest: Rest) -> int:
    """Return what Ada has."""
    return cast("int", (await rest.get("/balance", account="ada")).json()["balance"])


@pytest.fixture
def quiet() -> Iterator[None]:
    """See to it that no error was told the operator: a caller that misbehaves is no failure of the server."""
    told: list[str] = []

    def look(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.ERROR:
            told.append(record.getMessage())
        return True

    loggers = [logging.getLogger(name) for name in ("uvicorn.error", "asyncio")]
    for logger in loggers:
        logger.addFilter(look)  # a handler would be thrown out when the server sets up its log
    yield
    gc.collect()  # a task that failed unheard is told of when it is thrown away
    for logger in loggers:
        logger.removeFilter(look)
    assert told == []


@dataclass
class Held:
    """Transfers that are held up in their transaction until they are let go."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    posted: asyncio.Event = field(default_factory=asyncio.Event)

    async def together(self, call: Call, requests: Sequence[Any]) -> Sequence[object]:
        """Wait, and do what is always done."""
        self.begun.set()
        await self.let_go.wait()
        usual = TABLE["ledger.transfer"].together
        assert usual is not None
        values = await usual(call, requests)
        self.posted.set()
        return values

    @contextlib.contextmanager
    def let_go_at_end(self) -> Iterator[None]:
        """Let them go, also when the test fails meanwhile."""
        try:
            yield
        finally:
            self.let_go.set()

    def operations(self, rest: Rest) -> Operations:
        """Return the operations of the house with these transfers."""
        held = replace(TABLE["ledger.transfer"], together=self.together)
        return Operations(rest.house.operations.pool, SystemClock(), {**TABLE, held.name: held})


@pytest.mark.usefixtures("quiet")
async def test_requests_in_one_packet_are_answered_in_their_order(rest: Rest) -> None:
    """Two or fifty: the first goes the short way, the others wait behind it, and afterwards all is as before."""
    async with connected(rest.port) as line:
        for count in (2, 50):
            sent = [cents(1000 + nth) for nth in range(count)]
            await line.send(b"".join(post(rest, body) for body in sent))
            answers = [await line.answer() for _ in sent]
            assert [(one.status, one.closes) for one in answers] == [(200, False)] * count
            assert [one.json()["id"] for one in answers] == [json.loads(body)["id"] for body in sent]
        mixed = HEALTH + post(rest, cents(0)) + asked(rest, "HEAD", "/balance?account=ada") + HEALTH
        await line.send(mixed)
        statuses = [(await line.answer(bodiless=nth == 2)).status for nth in range(4)]
        assert statuses == [200, 400, 200, 200]
    assert await balance(rest) == sum(1000 + nth for count in (2, 50) for nth in range(count))


@pytest.mark.usefixtures("quiet")
async def test_a_request_may_come_in_any_two_pieces(rest: Rest) -> None:
    """Wherever a packet ends, in the head or in the body, the request is the same one, and is done once."""
    body = cents(5)
    request = post(rest, body)
    async with connected(rest.port) as line:
        await line.send(request)
        first = await line.answer()
        for at in range(1, len(request)):
            await line.send(request[:at], request[at:])
            again = await line.answer()
            assert (again.status, again.body) == (200, first.body), at
    assert await balance(rest) == 5


@pytest.mark.usefixtures("quiet")
async def test_a_body_may_come_byte_by_byte_behind_its_head(rest: Rest) -> None:
    """Nothing is answered before all of it is there."""
    body = cents(5)
    head = post(rest, body).removesuffix(body)
    async with connected(rest.port) as line:
        await line.send(head, *(bytes([one]) for one in body[:-1]))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(line.reader.read(1), 0.05)
        await line.send(body[-1:])
        assert (await line.answer()).status == 200
    assert await balance(rest) == 5


@pytest.mark.usefixtures("quiet")
async def test_both_ways_give_the_same_answer(rest: Rest) -> None:
    """Status, headers, their order and the body are the same to the byte, whichever way a request goes."""
    known = cents(5)
    async with connected(rest.port) as line:
        await line.send(post(rest, known))
        assert (await line.answer()).status == 200
        for method, path, body in (
            ("POST", "/transfers", known),
            ("POST", "/transfers", cents(0)),
            ("POST", "/transfers", b"nonsense"),
            ("POST", "/transfers", b""),
            ("POST", "/transfers?dryrun=1", known),
            ("POST", "/balance", b"{}"),
            ("POST", "/nowhere", b"{}"),
            ("GET", "/balance?account=ada", b""),
            ("GET", "/balance?account=%FF", b""),
            ("GET", "/balance?account=nobody", b""),
            ("GET", "/transfers/" + json.loads(known)["id"], b""),
        ):
            short = asked(rest, method, path, *([f"content-length: {len(body)}"] if method == "POST" else []))
            long = asked(rest, method, path, "transfer-encoding: chunked")
            stranger = b"authorization: Bearer tsk_unknown\r\n"
            for change in ((b"", b""), (rest.client.headers["authorization"].encode(), stranger[15:-2])):
                await line.send(short.replace(*change) if change[0] else short, body)
                by_short = await line.answer()
                await line.send((long.replace(*change) if change[0] else long) + in_chunks(body))
                assert await line.answer() == by_short, (method, path, body)
    assert await balance(rest) == 5


@pytest.mark.usefixtures("quiet")
async def test_odd_addresses_are_told_the_same_both_ways(rest: Rest) -> None:
    """A path that is none is refused alike, not by one way alone."""
    for address in (b"/v1/books/main/accounts/caf\xe9", b"/%zz", b"http://x/health", b"http://x", b"//", b"/health#x"):
        told = []
        for more in (b"", b"transfer-encoding: chunked\r\n"):
            async with connected(rest.port) as line:
                await line.send(b"GET " + address + b" HTTP/1.1\r\nhost: x\r\n" + more + b"\r\n")
                if more:
                    await line.send(b"0\r\n\r\n")
                first = await asyncio.wait_for(line.reader.readline(), 5)
                told.append(first)
        assert told[0] == told[1], address


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_whoever_wants_the_connection_closed_has_it_closed(rest: Rest, version: str) -> None:
    """With `connection: close`, and in HTTP/1.0 without being asked, the answer is the last."""
    async with connected(rest.port) as line:
        more = ["connection: close"] if version == "1.1" else []
        await line.send(post(rest, cents(5), *more, version=version))
        answer = await line.answer()
        assert (answer.status, answer.closes) == (200, True)
        assert await line.ended()
    assert await balance(rest) == 5


@pytest.mark.usefixtures("quiet")
async def test_all_other_requests_go_as_they_always_did(rest: Rest) -> None:
    """HEAD, OPTIONS, PUT, `Expect` and chunks are answered between small requests, on the same connection."""
    body = cents(5)
    async with connected(rest.port) as line:
        for method, status in (("HEAD", 200), ("OPTIONS", 405), ("PUT", 405)):
            await line.send(asked(rest, method, "/balance?account=ada"))
            assert (await line.answer(bodiless=method == "HEAD")).status == status
            await line.send(HEALTH)
            assert (await line.answer()).status == 200
        await line.send(asked(rest, "POST", "/transfers", f"content-length: {len(body)}", "expect: 100-continue"))
        assert await asyncio.wait_for(line.reader.readuntil(b"\r\n\r\n"), 5) == b"HTTP/1.1 100 Continue\r\n\r\n"
        await line.send(body)
        first = await line.answer()
        await line.send(asked(rest, "POST", "/transfers", "transfer-encoding: chunked"), in_chunks(body))
        again = await line.answer()
        assert (first.status, first.body) == (again.status, again.body)
        assert b"idempotent-replayed: true" in again.headers
        await line.send(HEALTH)
        assert (await line.answer()).status == 200
    assert await balance(rest) == 5


@pytest.mark.usefixtures("quiet")
async def test_a_body_of_any_size_is_one(rest: Rest) -> None:
    """One that goes the short way and one that does not, with the limit between them; a refusal ends no connection."""
    async with connected(rest.port) as line:
        for size in (63 * KIB, 64 * KIB, 64 * KIB + 1, 65 * KIB):
            await line.send(post(rest, cents(5).ljust(size)))
            assert (await line.answer()).status == 200, size
            await line.send(post(rest, b"nonsense".ljust(size)))
            refused = await line.answer()
            assert (refused.status, refused.closes) == (400, False), size
    assert await balance(rest) == 20


async def test_a_body_over_the_limit_is_the_last(rest: Rest) -> None:
    """Where the limit is below what goes the short way, its answer is read all the same, and ends the connection."""
    async with listening(make_app(rest.house.operations, most_body_bytes=KIB)) as port, connected(port) as line:
        await line.send(post(rest, cents(5).ljust(2 * KIB)))
        answer = await line.answer()
        assert (answer.status, answer.json()["code"], answer.closes) == (413, "rest.body_too_large", True)
        assert await line.ended()
    assert await balance(rest) == 0


@pytest.mark.usefixtures("quiet")
async def test_half_a_request_is_none(rest: Rest) -> None:
    """Whoever hangs up before the end, in the head or in the body, has changed nothing and troubled nobody."""
    body = cents(5)
    request = post(rest, body)
    for length in (1, 30, len(request) - len(body), len(request) - 1):
        async with connected(rest.port) as line:
            await line.send(request[:length])
    async with connected(rest.port) as line:
        await line.send(request)
        answer = await line.answer()
        assert (answer.status, b"idempotent-replayed: true" in answer.headers) == (200, False)
    assert await balance(rest) == 5


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("behind", [b"", HEALTH, HEALTH * 2], ids=["alone", "one more", "two more"])
async def test_whoever_hangs_up_before_its_answer_finds_it_later(rest: Rest, behind: bytes) -> None:
    """The transfer is posted once, whatever was sent behind it, and a repeat is told what the first was not."""
    held, request = Held(), post(rest, cents(5))
    async with listening(make_app(held.operations(rest))) as port:
        with held.let_go_at_end():
            async with connected(port) as line:
                await line.send(request + behind)
                await asyncio.wait_for(held.begun.wait(), 5)
            async with connected(port) as other:  # answered only after the server has seen the first go
                await other.send(HEALTH)
                assert (await other.answer()).status == 200
        await asyncio.wait_for(held.posted.wait(), 5)
        async with connected(port) as line:
            await line.send(request)
            answer = await line.answer()
            assert (answer.status, b"idempotent-replayed: true" in answer.headers) == (200, True)
    assert await balance(rest) == 5


@pytest.mark.usefixtures("quiet")
async def test_a_server_that_stops_answers_what_is_under_way(rest: Rest) -> None:
    """The one being made and the one behind it are answered, and with the last the connection ends."""
    held = Held()
    config = server_config(make_app(held.operations(rest)), port=0)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    port = server.servers[0].sockets[0].getsockname()[1]
    async with connected(port) as alone, connected(port) as followed, connected(port) as idle:
        with held.let_go_at_end():
            await idle.send(HEALTH)
            assert (await idle.answer()).status == 200
            await alone.send(post(rest, cents(5)))
            await followed.send(post(rest, cents(6)) + HEALTH)
            await asyncio.wait_for(held.begun.wait(), 5)
            stopping = asyncio.create_task(server.shutdown())
            assert await idle.ended()
        told = [await alone.answer(), await followed.answer(), await followed.answer()]
        assert [(one.status, one.closes) for one in told] == [(200, True), (200, False), (200, True)]
        assert await alone.ended()
        assert await followed.ended()
        await stopping
    assert await balance(rest) == 11


@pytest.mark.usefixtures("quiet")
async def test_a_connection_that_ends_under_an_answer_is_no_failure(rest: Rest) -> None:
    """Nonsense behind two good requests ends the connection; the first answer then has nowhere to go, on uvloop too."""
    begun, let_go = threading.Event(), threading.Event()

    async def dawdle() -> Reply:
        begun.set()
        await asyncio.to_thread(let_go.wait, 5)
        return Reply(200, [], b"late")

    app = replace(cast("RestApp", make_app(rest.house.operations)), fixed={"/health": dawdle})

    async def talk() -> bytes:
        async with listening(app) as port, connected(port) as line:
            await line.send(HEALTH + HEALTH + b"nonsense\r\n\r\n")
            try:
                return await asyncio.wait_for(line.reader.read(), 5)
            finally:
                let_go.set()

    said = await asyncio.to_thread(uvloop.run, talk())
    assert begun.is_set()
    assert said.startswith(b"HTTP/1.1 400 ")
