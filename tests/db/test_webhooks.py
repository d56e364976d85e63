"""Webhooks: what was told arrives, signed, in order, again if need be, and nowhere it must not."""

import asyncio
import base64
import contextlib
import datetime as dt
import json
import signal
import sys
import threading
import uuid
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tallystick.clock import MovedClock
from tallystick.errors import InvalidInput
from tallystick.notify import judge_address
from tallystick.notify import replay as replaying
from tallystick.notify.derive_secret import WebhookKeyLost
from tallystick.notify.judge_address import Reach
from tallystick.notify.replay import TooManyToReplay
from tallystick.notify.set_endpoint import EndpointDisabled, OverlapRunning, UnknownEndpoint
from tests.conftest import House
from tests.db.telling import attempted, numbers_of, paid, sending, sinking, start_sink, states, tell_all, until, worker


def verify(secret: str, request: dict[str, Any]) -> Any:  # noqa: ANN401 - whatever was signed
    """Check a request as a receiver does, with the library of the format."""
    return Webhook(secret).verify(request["body"], request["headers"])


async def test_an_event_arrives_signed(house: House, pool: asyncpg.Pool, tmp_path: Path) -> None:
    """The library of Standard Webhooks accepts what is sent, and refuses it under another secret or with another byte."""
    async with sinking() as sink:
        webhooks = worker(house.operations, tmp_path)
        made = await house.do("webhooks.set_endpoint", url=sink.url("ok"))
        assert made.warning is None
        await tell_all(pool, [paid("a", 7)])
        async with sending(webhooks):
            [request] = await sink.take(1)
            await until(house, made.endpoint_id, delivered=1)
    body = verify(made.secret, request)
    assert (body["type"], body["subject"], body["book"]) == ("invoice.partly_paid", "invoice/a", "main")
    assert body["data"]["outstanding"] == 7
    assert request["headers"]["content-type"] == "application/json"
    other = "whsec_" + base64.b64encode(b"o" * 32).decode()
    with pytest.raises(WebhookVerificationError):
        verify(other, request)
    with pytest.raises(WebhookVerificationError):
        verify(made.secret, {**request, "body": request["body"].replace("acme", "acmf")})
    page = await house.do("webhooks.deliveries", endpoint_id=str(made.endpoint_id))
    [event] = (await house.do("events.list")).items
    assert str(page.items[0].event_id) == request["headers"]["webhook-id"] == str(event.event_id)
    assert (page.items[0].status, page.items[0].attempts) == (204, 1)


async def test_a_secret_is_shown_once_and_stored_nowhere(
    house: House, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    """No table holds the secret, the answer that is kept neither; the key it comes from is for its owner's eyes alone."""
    worker(house.operations, tmp_path)
    made = await house.do("webhooks.set_endpoint", "same", url="https://example.com/hooks")
    again = await house.do("webhooks.set_endpoint", "same", url="https://example.com/hooks")
    assert made.secret == again.secret
    kept = await owner.fetchval("SELECT string_agg(convert_from(answer, 'UTF8'), '') FROM message")
    assert made.secret not in kept
    assert "whsec_" not in kept
    changed = await house.do(
        "webhooks.set_endpoint",
        endpoint_id=str(made.endpoint_id),
        url="https://example.com/hooks",
        types=["invoice.paid"],
    )
    assert changed.secret is None
    listed = (await house.do("webhooks.list")).items[0]
    assert not hasattr(listed, "secret")
    assert listed.types == ["invoice.paid"]
    path = tmp_path / "keys" / "webhooks"
    assert path.stat().st_mode & 0o777 == 0o600
    house.operations.clock = MovedClock(dt.datetime.now(dt.UTC) + dt.timedelta(days=2))
    late = await house.do("webhooks.set_endpoint", "same", url="https://example.com/hooks")
    assert late.secret is None


async def test_after_a_rotation_both_secrets_sign_for_a_while(house: House, pool: asyncpg.Pool, tmp_path: Path) -> None:
    """A receiver with either secret accepts what comes during the overlap, and only with the new one after it."""
    async with sinking() as sink:
        webhooks = worker(house.operations, tmp_path)
        house.operations.clock = clock = MovedClock(dt.datetime.now(dt.UTC))
        made = await house.do("webhooks.set_endpoint", url=sink.url("ok"))
        rotated = await house.do("webhooks.rotate_secret", endpoint_id=str(made.endpoint_id), overlap_seconds=60)
        assert rotated.secret != made.secret
        with pytest.raises(OverlapRunning):
            await house.do("webhooks.rotate_secret", endpoint_id=str(made.endpoint_id))
        async with sending(webhooks):
            await tell_all(pool, [paid("a", 1)])
            clock.advance(clock.now() + dt.timedelta(seconds=10))
            [first] = await sink.take(1)
            clock.advance(clock.now() + dt.timedelta(seconds=60))
            await tell_all(pool, [paid("a", 2)])
            second = (await sink.take(2))[1]
    assert len(first["headers"]["webhook-signature"].split()) == 2
    verify(made.secret, first)
    verify(rotated.secret, first)
    verify(rotated.secret, second)
    with pytest.raises(WebhookVerificationError):
        verify(made.secret, second)


async def test_another_key_signs_nothing(house: House, pool: asyncpg.Pool, tmp_path: Path) -> None:
    """A node without the key the secrets come from sends nothing, instead of what receivers would refuse."""
    async with sinking() as sink:
        worker(house.operations, tmp_path / "one")
        made = await house.do("webhooks.set_endpoint", url=sink.url("ok"))
        await tell_all(pool, [paid("a", 1)])
        stranger = worker(house.operations, tmp_path / "two")
        with pytest.raises(WebhookKeyLost):
            await house.do("webhooks.rotate_secret", endpoint_id=str(made.endpoint_id))
        async with sending(stranger):
            await asyncio.sleep(0.3)
        assert await states(house, made.endpoint_id) == {"pending": 1}
        async with sending(worker(house.operations, tmp_path / "one")):
            await sink.take(1)


async def test_only_the_types_asked_for_arrive(house: House, pool: asyncpg.Pool, tmp_path: Path) -> None:
    """An endpoint that wants some types is told of no other; the events are kept all the same."""
    async with sinking() as sink:
        webhooks = worker(house.operations, tmp_path)
        made = await house.do("webhooks.set_endpoint", url=sink.url("ok"), types=["invoice.paid"])
        told = paid("a", 0)
        await tell_all(pool, [told, type(told)("invoice.paid", told.subject, told.data)])
        async with sending(webhooks):
            assert await sink.types(1) == ["invoice.paid"]
            await until(house, made.endpoint_id, delivered=1)
    assert len((await house.do("events.list")).items) == 2


async def test_events_of_a_subject_arrive_in_order(house: House, pool: asyncpg.Pool, tmp_path: Path) -> None:
    """Thirty subjects with ten events each, sent side by side: each subject's come one after the other, in their order."""
    async with sinking() as sink:
        webhooks = worker(house.operations, tmp_path)
        await house.do("webhooks.set_endpoint", url=sink.url("ok"))
        for number in range(10):
            await tell_all(pool, [paid(f"s{subject}", number) for subject in range(30)])
        async with sending(webhooks):
            came = numbers_of(await sink.take(300))
    for subject in range(30):
        assert [number for name, number in came if name == f"s{subject}"] == list(range(10))


async def test_an_event_waits_for_the_one_before_it(house: House, pool: asyncpg.Pool, tmp_path: Path) -> None:
    """While an event of a subject is refused, the next of that subject is not sent, and other subjects go on."""
    async with sinking() as sink:
        webhooks = worker(house.operations, tmp_path)
        made = await house.do("webhooks.set_endpoint", url=sink.url("refuse/invoice.paid"))
        told = paid("a", 0)
        await tell_all(pool, [type(told)("invoice.paid", told.subject, told.data), paid("a", 1), paid("b", 2)])
        async with sending(webhooks):
            await until(house, made.endpoint_id, delivered=1, pending=2)
            assert sorted(await sink.types(2)) == ["invoice.paid", "invoice.partly_paid"]
            [waits, failed] = (
                await house.do("webhooks.deliveries", endpoint_id=str(made.endpoint_id), state="pending")
            ).items
            assert (waits.attempts, failed.attempts, failed.status) == (0, 1, 500)
            assert dt.timedelta(seconds=4) < failed.due_at - failed.attempted_at < dt.timedelta(seconds=7)
            changed = await house.do("webhooks.set_endpoint", endpoint_id=str(made.endpoint_id), url=sink.url("ok"))
            assert changed.url.endswith("/ok")
            await until(house, made.endpoint_id, delivered=3)
            assert numbers_of(await sink.take(4))[2:] == [("a", 0), ("a", 1)]


async def test_an_endpoint_that_comes_back_gets_everything(house: House, pool: asyncpg.Pool, tmp_path: Path) -> None:
    """Nothing listens, then something does: all that was told meanwhile arrives, in order, as soon as one event gets through."""
    sink = await start_sink()
    port = sink.port
    await sink.stop()
    webhooks = worker(house.operations, tmp_path)
    house.operations.clock = clock = MovedClock(dt.datetime.now(dt.UTC))
    made = await house.do("webhooks.set_endpoint", url=f"http://127.0.0.1:{port}/ok")
    await tell_all(pool, [paid(f"s{number % 10}", number) for number in range(100)])
    clock.advance(clock.now() + dt.timedelta(seconds=5))
    async with sending(webhooks):
        async with asyncio.timeout(10):
            while (state := (await house.do("webhooks.list")).items[0]).paused_until is None:  # noqa: ASYNC110 - a worker does it
                await asyncio.sleep(0.02)
        assert state.failures >= 5
        tried = (await house.do("webhooks.deliveries", endpoint_id=str(made.endpoint_id), limit=1000)).items
        assert 5 <= sum(one.attempts for one in tried) <= 10  # and not each of the hundred
        assert any("takes no connection" in (one.answer or "") for one in tried)
        async with sinking(port) as back:
            clock.advance(clock.now() + dt.timedelta(minutes=10))
            await until(house, made.endpoint_id, delivered=100)
            came = numbers_of(await back.take(100))
    for subject in range(10):
        assert [number for name, number in came if name == f"s{subject}"] == list(range(subject, 100, 10))
    assert (await house.do("webhooks.list")).items[0].failures == 0


async def test_an_endpoint_that_fails_for_five_days_is_disabled_and_the_others_hear_of_it(
    house: House, pool: asyncpg.Pool, tmp_path: Path
) -> None:
    """After five days of nothing but failures it is sent nothing more; enabled again it gets what waited."""
    async with sinking() as sink:
        webhooks = worker(house.operations, tmp_path)
        house.operations.clock = clock = MovedClock(dt.datetime.now(dt.UTC))
        failing = await house.do("webhooks.set_endpoint", url=sink.url("status/500"))
        await house.do("webhooks.set_endpoint", url=sink.url("ok"), types=["endpoint.disabled"])
        await tell_all(pool, [paid("a", 1)])
        clock.advance(clock.now() + dt.timedelta(seconds=5))
        async with sending(webhooks):
            for day in range(5):
                await attempted(house, failing.endpoint_id, 1 + day)
                clock.advance(clock.now() + dt.timedelta(days=1, minutes=10))
            async with asyncio.timeout(10):
                while (found := (await house.do("webhooks.list")).items[0]).state != "disabled":  # noqa: ASYNC110 - a worker does it
                    await asyncio.sleep(0.02)
            clock.advance(clock.now() + dt.timedelta(seconds=1))
            notice = json.loads((await sink.take(7))[6]["body"])
        assert found.reason == "nothing sent to it went well for 5 days"
        assert (notice["type"], notice["data"]["endpoint_id"]) == ("endpoint.disabled", str(failing.endpoint_id))
        assert notice["data"]["failing_since"] is not None
        await tell_all(pool, [paid("b", 2)])
        assert await states(house, failing.endpoint_id) == {"pending": 1}
        with pytest.raises(EndpointDisabled):
            await house.do("webhooks.test", endpoint_id=str(failing.endpoint_id))
        await house.do("webhooks.set_endpoint", endpoint_id=str(failing.endpoint_id), url=sink.url("ok"))
        await house.do("webhooks.enable", endpoint_id=str(failing.endpoint_id))
        async with sending(webhooks):
            await until(house, failing.endpoint_id, delivered=1)


async def test_an_event_is_given_up_after_three_days_if_the_endpoint_took_others(
    house: House, pool: asyncpg.Pool, tmp_path: Path
) -> None:
    """What an endpoint refuses for three days, while it takes other things, no longer holds its subject up."""
    async with sinking() as sink:
        webhooks = worker(house.operations, tmp_path)
        house.operations.clock = clock = MovedClock(dt.datetime.now(dt.UTC))
        made = await house.do("webhooks.set_endpoint", url=sink.url("refuse/invoice.paid"))
        told = paid("a", 0)
        await tell_all(pool, [type(told)("invoice.paid", told.subject, told.data), paid("a", 1), paid("b", 2)])
        clock.advance(clock.now() + dt.timedelta(seconds=5))
        async with sending(webhooks):
            await until(house, made.endpoint_id, delivered=1, pending=2)
            await attempted(house, made.endpoint_id, 2)
            clock.advance(clock.now() + dt.timedelta(days=3))
            await until(house, made.endpoint_id, delivered=2, given_up=1)
            assert numbers_of(await sink.take(4))[2:] == [("a", 0), ("a", 1)]


async def test_an_endpoint_that_is_gone_is_disabled_at_once(house: House, pool: asyncpg.Pool, tmp_path: Path) -> None:
    """410 means: never again."""
    async with sinking() as sink:
        webhooks = worker(house.operations, tmp_path)
        await house.do("webhooks.set_endpoint", url=sink.url("status/410"))
        await tell_all(pool, [paid("a", 1)])
        async with sending(webhooks):
            await sink.take(1)
            async with asyncio.timeout(10):
                while (found := (await house.do("webhooks.list")).items[0]).state != "disabled":  # noqa: ASYNC110 - a worker does it
                    await asyncio.sleep(0.02)
    assert found.reason == "it answered 410 Gone"


async def test_who_asks_to_wait_is_waited_for(house: House, pool: asyncpg.Pool, tmp_path: Path) -> None:
    """Retry-After puts off the event, and with 429 the whole endpoint."""
    async with sinking() as sink:
        webhooks = worker(house.operations, tmp_path)
        made = await house.do("webhooks.set_endpoint", url=sink.url("status/429?retry-after=3000"))
        await tell_all(pool, [paid("a", 1)])
        async with sending(webhooks):
            await attempted(house, made.endpoint_id, 1)
    found = (await house.do("webhooks.list")).items[0]
    [delivery] = (await house.do("webhooks.deliveries", endpoint_id=str(made.endpoint_id))).items
    assert delivery.due_at - delivery.attempted_at >= dt.timedelta(seconds=2990)
    assert found.paused_until == delivery.due_at
    assert delivery.status == 429
    assert delivery.answer.startswith("no")
    assert len(delivery.answer.encode()) <= 400


async def test_a_slow_endpoint_holds_no_other_up(house: House, pool: asyncpg.Pool, tmp_path: Path) -> None:
    """While one endpoint takes a second for each event, another has had all of them."""
    async with sinking() as sink:
        webhooks = worker(house.operations, tmp_path)
        slow = await house.do("webhooks.set_endpoint", url=sink.url("slow/1"))
        quick = await house.do("webhooks.set_endpoint", url=sink.url("ok"))
        await tell_all(pool, [paid(f"s{number}", number) for number in range(200)])
        async with sending(webhooks):
            await until(house, quick.endpoint_id, delivered=200)
            waiting = await states(house, slow.endpoint_id)
    assert waiting["pending"] >= 150


async def test_two_workers_never_interleave_a_subject(
    house: House, database_url: str, pool: asyncpg.Pool, tmp_path: Path
) -> None:
    """Two processes' workers on one outbox: every event once, and each subject's in order."""
    async with sinking() as sink:
        one, two = worker(house.operations, tmp_path), worker(house.operations, tmp_path)
        made = await house.do("webhooks.set_endpoint", url=sink.url("ok"))
        async with sending(one), sending(two):
            for number in range(15):
                await tell_all(pool, [paid(f"s{subject}", number) for subject in range(10)])
            came = numbers_of(await sink.take(150))
            await until(house, made.endpoint_id, delivered=150)
    assert len(set(came)) == 150
    for subject in range(10):
        assert [number for name, number in came if name == f"s{subject}"] == list(range(15))


async def test_what_was_sent_and_not_marked_is_sent_again_under_the_same_id(
    house: House, pool: asyncpg.Pool, tmp_path: Path
) -> None:
    """The worker is gone between the sending and the marking: the next sends it again, and the receiver can tell."""
    async with sinking() as sink:
        webhooks = worker(house.operations, tmp_path)
        made = await house.do("webhooks.set_endpoint", url=sink.url("slow/0.3"))
        await tell_all(pool, [paid("a", 1)])
        async with sending(webhooks):
            await sink.take(1)  # it has come, and is not answered yet
        assert await states(house, made.endpoint_id) == {"pending": 1}
        async with sending(worker(house.operations, tmp_path)):
            first, second = await sink.take(2)
            await until(house, made.endpoint_id, delivered=1)
    assert first["headers"]["webhook-id"] == second["headers"]["webhook-id"]
    assert first["body"] == second["body"]


@contextlib.asynccontextmanager
async def sending_process(database_url: str, key: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Give a process that sends as soon as a line is written to it, and is killed in the end."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.db.sending_process", database_url, str(key), cwd=Path(__file__).parents[2],
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield child
    finally:
        await kill(child)


async def begin(child: asyncio.subprocess.Process) -> None:
    """Let a process send."""
    assert child.stdin is not None
    assert child.stdout is not None
    assert await child.stdout.readline() == b"ready\n"
    child.stdin.write(b"\n")


async def kill(child: asyncio.subprocess.Process) -> None:
    """End it without a word; a second time does nothing."""
    if child.returncode is None:
        child.kill()
    assert await child.wait() == -signal.SIGKILL


async def test_a_killed_process_loses_nothing_and_keeps_the_order(
    house: House, database_url: str, pool: asyncpg.Pool, tmp_path: Path
) -> None:
    """Killed between sending and marking: another process goes on at once, from what was not marked, subject by subject."""
    async with sinking() as sink:
        worker(house.operations, tmp_path)
        made = await house.do("webhooks.set_endpoint", url=sink.url("slow/0.02"))
        for number in range(10):
            await tell_all(pool, [paid(f"s{subject}", number) for subject in range(20)])
        key = tmp_path / "keys" / "webhooks"
        async with sending_process(database_url, key) as first, sending_process(database_url, key) as second:
            await begin(first)
            await sink.take(50)
            await kill(first)
            before = len(sink.received)
            await begin(second)
            await until(house, made.endpoint_id, delivered=200)
    came = numbers_of(sink.received)
    assert before < 200 <= len(came)
    for subject in range(20):
        numbers = [number for name, number in came if name == f"s{subject}"]
        firsts = list(dict.fromkeys(numbers))
        assert firsts == list(range(10))
        falls = [place for place, (one, next_) in enumerate(pairwise(numbers)) if next_ <= one]
        assert len(falls) <= 1  # where the second process took over
    ids: dict[str, set[str]] = {}
    for one in sink.received:
        ids.setdefault(one["headers"]["webhook-id"], set()).add(one["body"])
    assert len(ids) == 200
    assert all(len(bodies) == 1 for bodies in ids.values())


async def test_what_a_clock_ahead_of_ours_told_is_not_overtaken(
    house: House, pool: asyncpg.Pool, tmp_path: Path
) -> None:
    """A node whose clock is an hour ahead told first, another told next of the same subject: they arrive in that order."""
    async with sinking() as sink:
        webhooks = worker(house.operations, tmp_path)
        await house.do("webhooks.set_endpoint", url=sink.url("ok"))
        await tell_all(pool, [paid("a", 1)], ahead=dt.timedelta(hours=1))
        await tell_all(pool, [paid("a", 2)])
        async with sending(webhooks):
            assert numbers_of(await sink.take(2)) == [("a", 1), ("a", 2)]


async def test_a_replay_makes_no_storm(house: House, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits already is not put to the endpoint again, and there is a bound to what is replayed in one go."""
    made = await house.do("webhooks.set_endpoint", url="https://example.com/hooks")
    await tell_all(pool, [paid("a", number) for number in range(5)])
    asked = {"endpoint_id": str(made.endpoint_id), "start_at": "2000-01-01T00:00:00Z"}
    assert (await house.do("webhooks.replay", **asked)).pending == 5
    assert (await house.do("webhooks.replay", **asked)).pending == 5
    monkeypatch.setattr(replaying, "MOST_REPLAYED", 4)
    with pytest.raises(TooManyToReplay):
        await house.do("webhooks.replay", **asked)


async def test_a_name_that_does_not_resolve_holds_one_thread(
    house: House, pool: asyncpg.Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many events wait for a name, it is looked up once at a time, and another endpoint is sent to meanwhile."""
    looked: list[str] = []
    resolved = threading.Event()

    def look_up(host: str, port: int) -> list[Any]:
        looked.append(f"{host}:{port}")
        resolved.wait(30)
        return []

    monkeypatch.setattr(judge_address, "_look_up", look_up)
    async with sinking() as sink:
        webhooks = worker(house.operations, tmp_path)
        for url in ("https://slow.example/", sink.url("ok")):
            resolved.set()
            await house.do("webhooks.set_endpoint", url=url)
        resolved.clear()
        looked.clear()
        await tell_all(pool, [paid(f"s{number}", number) for number in range(40)])
        try:
            async with sending(webhooks):
                await sink.take(40)
                async with asyncio.timeout(10):
                    while not looked:  # noqa: ASYNC110 - a worker does it
                        await asyncio.sleep(0.02)
                await asyncio.sleep(0)  # whoever else would look it up has begun to by now
                assert looked == ["slow.example:443"]
        finally:
            resolved.set()


async def test_events_are_replayed(house: House, pool: asyncpg.Pool, tmp_path: Path) -> None:
    """By time, by type and by id, under the ids they had; an endpoint set later can catch up so."""
    async with sinking() as sink:
        webhooks = worker(house.operations, tmp_path)
        await tell_all(pool, [paid("a", number) for number in range(5)])
        made = await house.do("webhooks.set_endpoint", url=sink.url("ok"))
        identity = {"endpoint_id": str(made.endpoint_id)}
        ids = [str(one.event_id) for one in (await house.do("events.list")).items]
        since = (dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)).isoformat()
        answered = await house.do("webhooks.replay", **identity, start_at=since)
        assert answered.pending == 5
        async with sending(webhooks):
            came = await sink.take(5)
            assert numbers_of(came) == [("a", number) for number in range(5)]
            assert {one["headers"]["webhook-id"] for one in came} == set(ids)
            await until(house, made.endpoint_id, delivered=5)
            await house.do("webhooks.replay", **identity, events=[ids[3]])
            assert (await sink.take(6))[5]["headers"]["webhook-id"] == ids[3]
            await house.do("webhooks.replay", **identity, start_at=since, types=["invoice.paid"])
            await house.do("webhooks.test", **identity)
            assert (await sink.types(7))[6] == "webhook.test"
            await until(house, made.endpoint_id, delivered=7)


async def test_what_waits_can_be_skipped(house: House, pool: asyncpg.Pool, tmp_path: Path) -> None:
    """A disabled endpoint keeps what waits for it, until it is enabled with or without it."""
    async with sinking() as sink:
        webhooks = worker(house.operations, tmp_path)
        made = await house.do("webhooks.set_endpoint", url=sink.url("ok"))
        await tell_all(pool, [paid("a", 1)])
        disabled = await house.do("webhooks.disable", endpoint_id=str(made.endpoint_id))
        assert (disabled.state, disabled.reason) == ("disabled", "by hand")
        await tell_all(pool, [paid("a", 2)])
        await house.do("webhooks.enable", endpoint_id=str(made.endpoint_id), skip=True)
        await tell_all(pool, [paid("a", 3)])
        async with sending(webhooks):
            assert numbers_of(await sink.take(1)) == [("a", 3)]
            await until(house, made.endpoint_id, skipped=1, delivered=1)


async def test_what_piled_up_is_worked_off(house: House, pool: asyncpg.Pool, tmp_path: Path) -> None:
    """More than is taken at a time is worked off in one go, each event once."""
    async with sinking() as sink:
        webhooks = worker(house.operations, tmp_path)
        await house.do("webhooks.set_endpoint", url=sink.url("ok"))
        await tell_all(pool, [paid(f"s{number % 400}", number) for number in range(1500)])
        async with sending(webhooks):
            assert len({one["headers"]["webhook-id"] for one in await sink.take(1500)}) == 1500


@pytest.mark.parametrize(
    ("way", "answer"),
    [
        ("redirect", ""),
        ("garbage", "what came back is no HTTP answer"),
        ("close", "the connection was closed before there was an answer"),
    ],
)
async def test_what_is_no_success_is_a_failure(
    house: House, pool: asyncpg.Pool, tmp_path: Path, way: str, answer: str
) -> None:
    """A redirect is not followed; what is no HTTP is told as such."""
    async with sinking() as sink:
        webhooks = worker(house.operations, tmp_path)
        made = await house.do("webhooks.set_endpoint", url=sink.url(way))
        await tell_all(pool, [paid("a", 1)])
        async with sending(webhooks):
            await sink.take(1)
            await attempted(house, made.endpoint_id, 1)
    [one] = (await house.do("webhooks.deliveries", endpoint_id=str(made.endpoint_id))).items
    assert one.answer == answer
    assert one.state == "pending"
    assert len(sink.received) == 1


async def test_an_answer_without_end_is_cut_off(house: House, pool: asyncpg.Pool, tmp_path: Path) -> None:
    """Whoever answers for ever has said its status, and gets no more of our memory."""
    async with sinking() as sink:
        webhooks = worker(house.operations, tmp_path)
        made = await house.do("webhooks.set_endpoint", url=sink.url("endless"))
        await tell_all(pool, [paid("a", 1)])
        async with sending(webhooks):
            await until(house, made.endpoint_id, delivered=1)
    [one] = (await house.do("webhooks.deliveries", endpoint_id=str(made.endpoint_id))).items
    assert one.answer == "x" * 200


async def test_addresses_that_are_not_allowed_are_not_connected_to(
    house: House, pool: asyncpg.Pool, tmp_path: Path
) -> None:
    """A name or number of this machine is refused before any connection, and the delivery says why."""
    async with sinking() as sink:
        webhooks = worker(house.operations, tmp_path, Reach())
        for host in ("127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"):
            url = f"http://{host}:{sink.port}/ok"
            made = await house.do("webhooks.set_endpoint", url=url)
            assert "TALLYSTICK_WEBHOOK_ALLOW" in made.warning, url
        await tell_all(pool, [paid("a", 1)])
        async with sending(webhooks):
            async with asyncio.timeout(10):
                while any(one.failures != 1 for one in (await house.do("webhooks.list")).items):  # noqa: ASYNC110 - a worker does it
                    await asyncio.sleep(0.02)
    for one in (await house.do("webhooks.list")).items:
        [delivery] = (await house.do("webhooks.deliveries", endpoint_id=str(one.endpoint_id))).items
        assert "TALLYSTICK_WEBHOOK_ALLOW does not allow it" in delivery.answer


_BAD_ENDPOINTS: list[tuple[dict[str, Any], str]] = [
    ({"url": "ftp://example.com/x"}, "url"),
    ({"url": "https://user:pass@example.com/"}, "url"),
    ({"url": "https://example.com:25/"}, "url"),
    ({"url": "https://example.com:0/"}, "url"),
    ({"url": "https://example.com:99999/"}, "url"),
    ({"url": "https://example.com/#x"}, "url"),
    ({"url": "https://exa mple.com/"}, "url"),
    ({"url": "https://example.com/\r\nx: y"}, "url"),
    ({"url": "https://exämple.com/"}, "url"),
    ({"url": "https:///path-alone"}, "url"),
    ({"url": "https://[::1/"}, "url"),
    ({"url": "https://example.com\\@evil.org/"}, "url"),
    ({"url": "x"}, "url"),
    ({"url": "https://e.com/" + "x" * 2048}, "url"),
    ({"url": "https://example.com/", "types": ["invoice.paid", "invoice.pain"]}, "types[1]"),
    ({"url": "https://example.com/", "types": []}, "types"),
    ({"url": "https://example.com/", "description": "a\0b"}, "description"),
    ({"url": "https://example.com/", "secret": "mine"}, "secret"),
]


async def test_bad_endpoints_are_refused(house: House) -> None:
    """Each refusal names the field."""
    for fields, field in _BAD_ENDPOINTS:
        with pytest.raises(InvalidInput) as refused:
            await house.do("webhooks.set_endpoint", **fields)
        assert refused.value.field == field, fields


async def test_bad_replays_are_refused(house: House) -> None:
    """A replay names what to send, of an endpoint that there is."""
    made = await house.do("webhooks.set_endpoint", url="https://example.com/")
    identity = {"endpoint_id": str(made.endpoint_id)}
    for fields, field in (
        ({}, "start_at"),
        ({"start_at": "2024-01-01T00:00:00Z", "end_at": "2023-01-01T00:00:00Z"}, "end_at"),
        ({"start_at": "0001-01-01T00:00:00Z"}, "start_at"),
        ({"start_at": "2024-01-01T00:00:00"}, "start_at"),
        ({"start_at": "2024-01-01T00:00:00Z", "types": ["nothing.happened"]}, "types[0]"),
    ):
        with pytest.raises(InvalidInput) as refused:
            await house.do("webhooks.replay", **identity, **fields)
        assert refused.value.field == field
    with pytest.raises(UnknownEndpoint):
        await house.do("webhooks.replay", endpoint_id=str(uuid.uuid4()), start_at="2024-01-01T00:00:00Z")


async def test_an_event_that_is_not_what_its_type_says_is_not_told(pool: asyncpg.Pool, house: House) -> None:
    """The list of types is closed, and the data of each are what its page says."""
    told = paid("a", 1)
    for wrong in (type(told)("invoice.lost", told.subject, told.data), type(told)(told.type, told.subject, {"x": 1})):
        with pytest.raises(ValueError, match=r"invoice\."):
            await tell_all(pool, [wrong])
    assert (await house.do("events.list")).items == []
