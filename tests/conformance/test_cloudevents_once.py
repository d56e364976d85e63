"""Each event counts once: replayed, sent by many processes at once, or sent again after a server died unheard."""

import asyncio
import contextlib
import json
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.conformance.conftest import Rest
from tests.conformance.test_rest_short_way import connected
from tests.conformance.usage_doors import DOORS, Event, usage_event
from tests.conformance.usage_over_http import BATCHED, STRUCTURED, as_json, cloud_event, stored

ROOT = Path(__file__).parents[2]


@dataclass
class DeafeningStore:
    """
    A way to the store that loses the answer to a commit, once it is told to.

    Whoever waits for that answer waits for ever, and the commit is done.
    """

    socket: str
    deafens: bool = True
    committed: asyncio.Event = field(default_factory=asyncio.Event)
    """The store has answered a commit, and nobody has heard it."""

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry a connection's bytes both ways."""
        from_store, to_store = await asyncio.open_unix_connection(self.socket)
        deaf = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._ask(reader, to_store, deaf))
                both.create_task(self._answer(from_store, writer, deaf))
        except* ConnectionError:
            pass
        finally:
            writer.close()
            to_store.close()

    async def _ask(self, reader: asyncio.StreamReader, to_store: asyncio.StreamWriter, deaf: asyncio.Event) -> None:
        while asked := await reader.read(65_536):
            if self.deafens and b"COMMIT;" in asked:
                deaf.set()
            to_store.write(asked)
            await to_store.drain()
        to_store.close()

    async def _answer(
        self, from_store: asyncio.StreamReader, writer: asyncio.StreamWriter, deaf: asyncio.Event
    ) -> None:
        while answered := await from_store.read(65_536):
            if deaf.is_set():
                self.committed.set()
            else:
                writer.write(answered)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def deafening(url: str) -> AsyncIterator[tuple[DeafeningStore, str]]:
    """Stand between a server and the store at *url*; give the address that leads through here."""
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    store = DeafeningStore(f"{query['host']}/.s.PGSQL.{query.get('port', '5432')}")
    between = await asyncio.start_server(store.connect, "127.0.0.1", 0)
    port = between.sockets[0].getsockname()[1]
    async with between:
        yield store, f"postgresql://{query.get('user', parts.username)}@127.0.0.1:{port}{parts.path}"


@contextlib.asynccontextmanager
async def serving(url: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """Serve as a process of its own; what is left of it at the end is killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.conformance.serving_process", url, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            yield process, int(await process.stdout.readline())
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def request(rest: Rest, body: bytes, media_type: str) -> bytes:
    """Write a request with events."""
    known = rest.client.headers["authorization"]
    head = f"POST /v1/books/main/events HTTP/1.1\r\nhost: x\r\nauthorization: {known}\r\ncontent-type: {media_type}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def test_what_was_committed_and_never_answered_is_known_when_it_is_sent_again(
    rest: Rest, database_url: str
) -> None:
    """The server is killed after the store has committed and before anybody heard of it: nothing is lost or counted twice."""
    batch = [cloud_event(f"of a batch {number}") for number in range(20)]
    for media_type, content, count in ((STRUCTURED, cloud_event("single"), 1), (BATCHED, batch, 20)):
        sent = request(rest, as_json(content), media_type)
        before = len(await stored(rest))
        async with deafening(database_url) as (store, url), serving(url) as (process, port), connected(port) as line:
            await line.send(sent)
            await store.committed.wait()
            process.kill()
            await process.wait()
            assert await line.ended()
        assert len(await stored(rest)) == before + count
        async with connected(rest.port) as line:
            await line.send(sent)
            answer = (await line.answer()).json()
        statuses = [item["status"] for item in answer.get("items", [answer])]
        assert statuses == ["known"] * count
        assert len(await stored(rest)) == before + count


async def test_four_processes_that_send_overlapping_halves_count_each_event_once(rest: Rest, tmp_path: Path) -> None:
    """They meet on the same events at the same time, in batches and singly; each event is accepted of one of them."""
    count = 400
    events = [cloud_event(str(number), subject=f"customer-{number % 7}") for number in range(count)]
    (tmp_path / "events.json").write_text(json.dumps(events))
    key = (await rest.new_key("usage:write")).key
    sending = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.conformance.sending_process", str(rest.port), key,
            str(tmp_path / "events.json"), str(first), str(first + count // 2),
            stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        )
        for first in range(0, count, count // 4)
    ]  # fmt: skip
    said = await asyncio.gather(*(process.communicate() for process in sending))
    assert [process.returncode for process in sending] == [0] * 4
    assert sum((Counter(json.loads(out)) for out, _ in said), Counter()) == {"accepted": count, "known": count}
    assert await stored(rest) == sorted(str(number) for number in range(count))


async def test_a_replay_through_any_door_in_any_order_counts_nothing_again(rest: Rest) -> None:
    """Every event comes in by some door, and again by others; the sums are those of the events themselves."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - whoever sees it fail wants to see it again
    chance = random.Random(seed)
    events = [usage_event(str(number), quantities={"bytes": str(number)}) for number in range(60)]
    for _ in range(12):
        some: list[Event] = chance.sample(events, chance.randint(1, 20))
        door = chance.choice(DOORS)
        if not door.name.startswith("file"):
            await door.send(rest, some)
        else:  # a report names no single event that was accepted
            await asyncio.gather(*(door.send(rest, [event]) for event in some))
    await DOORS[0].send(rest, events)
    assert await stored(rest) == sorted(str(number) for number in range(60))
    summary = (
        await rest.get(
            "/usage/summary", start_at="2015-01-01T00:00:00Z", end_at="2016-01-01T00:00:00Z", quantity="bytes"
        )
    ).json()
    assert (summary["events"], summary["quantity"]) == (60, str(sum(range(60))))
