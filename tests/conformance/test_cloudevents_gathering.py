"""Single events that arrive together share a message, which none of those who sent them can tell."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import httpx

from tallystick.api.rest.app import RestApp, make_app
from tallystick.clock import SystemClock
from tallystick.db.connect import StoreUnreachable
from tallystick.operations.model import Call
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tests.conformance.conftest import Rest, listening
from tests.conformance.test_rest_short_way import connected
from tests.conformance.usage_over_http import STRUCTURED, as_json, cloud_event, stored

USUAL = TABLE["usage.record"]


@dataclass
class Watched:
    """Recording as always, but for what a test wants to happen before."""

    fails: dict[str, Exception] = field(default_factory=dict)
    """By the id of an event, how a message with it fails."""
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    messages: list[list[str]] = field(default_factory=list)
    """The ids of the events of each message, in the order in which they began."""
    app: RestApp | None = None

    async def has_arrived(self, count: int) -> None:
        """Let the server, which shares the event loop, take in requests until so many events wait or are under way."""
        assert self.app is not None
        queues = self.app.events.gatherer._queues
        async with asyncio.timeout(10):
            while sum(len(queue.waiting) + queue.under_way for queue in queues.values()) < count:  # noqa: ASYNC110 - nobody is told of those that wait
                await asyncio.sleep(0)

    async def all_are_through(self) -> None:
        """Wait until no event waits or is under way."""
        assert self.app is not None
        async with asyncio.timeout(10):
            while self.app.events.gatherer._queues:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0)

    async def verb(self, call: Call, request: Any) -> object:  # noqa: ANN401 - the operation's own input
        """Look at the message, wait until it is let go, and do what is always done."""
        self.messages.append(request.events.ids)
        self.begun.set()
        await self.let_go.wait()
        for identifier in request.events.ids:
            if identifier in self.fails:
                raise self.fails[identifier]
        assert USUAL.verb is not None
        return await USUAL.verb(call, request)

    @asynccontextmanager
    async def serving(self, rest: Rest) -> AsyncIterator[httpx.AsyncClient]:
        """Serve the house with this recording."""
        table = {**TABLE, USUAL.name: replace(USUAL, verb=self.verb)}
        operations = Operations(rest.house.operations.pool, SystemClock(), table)
        self.app = cast("RestApp", make_app(operations))
        async with (
            listening(self.app) as port,
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}", headers=rest.client.headers, timeout=20, trust_env=False
            ) as client,
        ):
            try:
                yield client
            finally:
                self.let_go.set()


def send(client: httpx.AsyncClient, event: dict[str, Any], **headers: str) -> "asyncio.Task[httpx.Response]":
    """Send an event, and go on meanwhile."""
    named = {"content-type": STRUCTURED, **headers}
    return asyncio.create_task(client.post("/v1/books/main/events", content=as_json(event), headers=named))


async def held(watched: Watched, client: httpx.AsyncClient, *events: dict[str, Any]) -> list[httpx.Response]:
    """Send an event that is held up, the others behind it, and let all go once they have arrived."""
    first = send(client, cloud_event("first"))
    await watched.begun.wait()
    others = [send(client, event) for event in events]
    await watched.has_arrived(1 + len(events))
    watched.let_go.set()
    return await asyncio.gather(first, *others)


async def test_events_that_wait_share_a_message(rest: Rest) -> None:
    """While two messages are under way all that arrives waits for the third, and each event is answered for itself."""
    watched = Watched()
    async with watched.serving(rest) as client:
        events = [cloud_event(str(number), {"status": 404} if number % 5 == 0 else None) for number in range(40)]
        answers = await held(watched, client, *events)
    assert [len(message) for message in watched.messages] == [1, 1, 39]
    assert sorted(one for message in watched.messages for one in message) == sorted(["first", *map(str, range(40))])
    assert [answer.json()["id"] for answer in answers] == ["first", *map(str, range(40))]
    assert [answer.json()["status"] for answer in answers[1:]] == [
        "not_billable" if number % 5 == 0 else "accepted" for number in range(40)
    ]
    assert len(await stored(rest)) == 33
    async with rest.house.operations.pool.acquire() as connection:
        kept = await connection.fetchval("SELECT count(*) FROM message WHERE operation = 'usage.record'")
    assert kept == len(watched.messages)


async def test_one_that_fails_spoils_nothing_for_those_it_was_gathered_with(rest: Rest) -> None:
    """Each is tried alone: the others are stored and answered, and the one is told that something failed here."""
    watched = Watched(fails={"7": RuntimeError("nobody foresaw this")})
    async with watched.serving(rest) as client:
        answers = await held(watched, client, *(cloud_event(str(number)) for number in range(10)))
    assert [answer.status_code for answer in answers] == [200] * 8 + [500] + [200] * 2
    assert "foresaw" not in answers[8].text
    assert await stored(rest) == [*"01234568", "9", "first"]
    assert [len(message) for message in watched.messages] == [1, 1, 9] + [1] * 9


async def test_when_the_store_is_away_all_are_told_at_once(rest: Rest) -> None:
    """Nobody is tried alone: the answer is to come again, and what came again is stored once."""
    watched = Watched(fails={str(number): StoreUnreachable() for number in range(10)})
    events = [cloud_event(str(number)) for number in range(10)]
    async with watched.serving(rest) as client:
        answers = await held(watched, client, *events)
        assert [answer.status_code for answer in answers] == [200] + [503] * 10
        assert {answer.headers["retry-after"] for answer in answers[1:]} == {"1"}
        assert {(answer.json()["code"], answer.json()["retry"]) for answer in answers[1:]} == {
            ("store.unreachable", True)
        }
        assert [len(message) for message in watched.messages] == [1, 1, 9]
        watched.fails.clear()
        again = [(await send(client, event)).json()["status"] for event in events]
    assert again == ["accepted"] * 10


async def test_callers_never_share_a_message(rest: Rest) -> None:
    """What one sends is recorded as sent by that one."""
    watched = Watched()
    other = f"Bearer {(await rest.new_key('usage:write')).key}"
    async with watched.serving(rest) as client:
        sending = [send(client, cloud_event(f"mine {number}")) for number in range(10)]
        sending += [send(client, cloud_event(f"theirs {number}"), authorization=other) for number in range(10)]
        watched.let_go.set()
        assert {answer.json()["status"] for answer in await asyncio.gather(*sending)} == {"accepted"}
    assert all(len({identifier.split()[0] for identifier in message}) == 1 for message in watched.messages)
    async with rest.house.operations.pool.acquire() as connection:
        senders = await connection.fetch("SELECT DISTINCT principal FROM message WHERE operation = 'usage.record'")
    assert len(senders) == 2


async def test_whoever_hangs_up_before_the_answer_finds_the_event_known(rest: Rest) -> None:
    """The event is stored, and those gathered with it are answered."""
    watched = Watched()
    async with watched.serving(rest) as client:
        first = send(client, cloud_event("first"))
        await watched.begun.wait()
        body = as_json(cloud_event("unheard"))
        head = f"POST /v1/books/main/events HTTP/1.1\r\nhost: x\r\nauthorization: {rest.client.headers['authorization']}\r\n"
        async with connected(client.base_url.port or 0) as line:
            await line.send(f"{head}content-type: {STRUCTURED}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
            await watched.has_arrived(2)
        watched.let_go.set()
        assert (await first).json()["status"] == "accepted"
        await watched.all_are_through()
        assert (await send(client, cloud_event("unheard"))).json()["status"] == "known"
