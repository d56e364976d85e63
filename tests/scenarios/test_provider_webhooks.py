"""What a payment provider tells by webhook is believed only from it, kept once, and only ever makes us ask."""

import asyncio
import datetime as dt
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import asyncpg
import httpx
import msgspec
import pytest_asyncio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tallystick.api.rest.app import RestApp, make_app
from tallystick.api.rest.provider_webhooks import MOST_BYTES, MOST_LONG
from tallystick.clock import SystemClock
from tallystick.db.embedded import EmbeddedServer
from tallystick.ids import uuid7
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.payments.providers.protocol import CreateRequest, PaymentType, ProviderEvent, ProviderUnreachable
from tallystick.payments.providers.registry import Providers
from tallystick.payments.providers.sandbox.change import Call
from tallystick.payments.providers.sandbox.faults import Fault, FaultKind, Twist
from tallystick.payments.providers.sandbox.sign import sign, webhook_secret
from tests.conformance.conftest import listening
from tests.conftest import House
from tests.db.test_repayments_at_once import require_the_same_anew
from tests.scenarios.giving_back import Counter, open_counter
from tests.scenarios.paying import Till

PATH = "/v1/books/main/providers/sandbox/webhook"


@dataclass(slots=True)
class Ear:
    """An application that remembers how each webhook was answered, for who waits for the next one."""

    app: ASGIApp
    statuses: list[int] = field(default_factory=list)
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does."""

        async def note(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start":
                self.statuses.append(message["status"])
                self._more.set()

        await self.app(scope, receive, note)

    async def wait_for(self, count: int) -> list[int]:
        """Wait until so many were answered, and return how."""
        async with asyncio.timeout(30):
            while len(self.statuses) < count:
                self._more.clear()
                await self._more.wait()
        return self.statuses


@dataclass(slots=True)
class Door:
    """A served shop, whose webhooks come from the sandbox, or from whoever knows its secret."""

    counter: Counter
    ear: Ear
    client: httpx.AsyncClient
    secret: str

    async def send(self, body: bytes, headers: Mapping[str, str], path: str = PATH) -> httpx.Response:
        """Send a webhook."""
        return await self.client.post(path, content=body, headers=dict(headers))

    async def tell(self, path: str = PATH, /, **changed: object) -> httpx.Response:
        """Send a webhook that is genuine."""
        body = event(**changed)
        return await self.send(body, self.signed(body), path)

    def signed(self, body: bytes, at: dt.datetime | None = None) -> dict[str, str]:
        """Sign a webhook as the sandbox does."""
        told = msgspec.json.decode(body)
        return sign(webhook_secret(self.secret), str(told["id"]), at or SystemClock().now(), body)

    async def heard(self) -> list[Any]:
        """Return what is kept of what was heard."""
        return list((await self.counter.shop.do("payments.heard", limit=1000)).items)


def event(**changed: object) -> bytes:
    """Write an event about a transaction that nobody knows, with what is *changed*."""
    told: dict[str, object] = {
        "id": f"evt_{uuid7()}",
        "kind": "transaction",
        "type": "transaction.captured",
        "subject": "sbx_unknown",
        "transaction_id": None,
        "occurred_at": "2015-06-02T10:00:00Z",
    }
    return msgspec.json.encode(told | changed)


@pytest_asyncio.fixture
async def door(house: House, till: Till) -> AsyncIterator[Door]:
    """Serve a shop to the sandbox."""
    async with open_counter(house, till) as counter:
        ear = Ear(make_app(counter.shop.operations))
        async with (
            listening(cast("ASGIApp", ear)) as port,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False) as client,
        ):
            await counter.shop.control.send_webhooks_to(f"http://127.0.0.1:{port}{PATH}")
            try:
                yield Door(counter, ear, client, till.secret)
            finally:
                await counter.shop.control.send_webhooks_to(None)


async def test_what_the_sandbox_tells_comes_about(door: Door) -> None:
    """A dispute that it tells of is open here, and then won, without anybody asking."""
    paid = await door.counter.pay()
    await door.ear.wait_for(2)
    opened = await door.counter.shop.control.open_dispute(str(paid.transaction_id))
    await door.ear.wait_for(3)
    await door.counter.shop.work()
    assert [one.status for one in await door.counter.disputes()] == ["open"]
    await door.counter.shop.control.decide_dispute(opened.id, won=True)
    await door.ear.wait_for(4)
    await door.counter.shop.work()
    assert [one.status for one in await door.counter.disputes()] == ["won"]
    assert set(door.ear.statuses) == {200}
    await door.counter.require_agreement()


async def test_a_webhook_makes_an_unknown_outcome_known_at_once(door: Door) -> None:
    """The answer to the capture was lost; the provider tells, is asked, and the payment settles without waiting."""
    started = await door.counter.shop.start()
    await door.counter.shop.control.order([Fault(Call.CAPTURE, FaultKind.DROP_AFTER)])
    await door.counter.shop.post(started)
    await door.ear.wait_for(2)
    await door.counter.shop.work()
    assert (await door.counter.shop.reread_payment(started)).status == "settled"
    await door.counter.require_agreement()


async def test_one_that_comes_before_the_answer_is_about_nothing_yet(door: Door) -> None:
    """The provider tells of a transaction before we have noted its answer: it is nobody's, until the payment is opened."""
    shop = door.counter.shop
    await shop.rest()
    started = await shop.start()
    created = await shop.provider.create(
        CreateRequest(
            str(started.payment_id), started.amount, "USD", shop.request["user"], shop.request["email"],
            PaymentType(shop.request["payment_type"]),
        )
    )  # fmt: skip
    await door.ear.wait_for(1)
    assert [(one.subject, one.unknown) for one in await door.heard()] == [(created.id, True)]
    await door.counter.live()
    await door.counter.shop.work()
    assert (await door.counter.shop.reread_payment(started)).status == "opened"
    await door.counter.shop.wait_and_work(5)
    assert [(one.subject, one.unknown) for one in await door.heard()] == [(created.id, False)]


async def test_twice_late_and_the_wrong_way_round_is_all_the_same(door: Door) -> None:
    """However the sandbox's webhooks come, each is kept once and each dispute is noted as it stands."""
    paid = await door.counter.pay()
    await door.ear.wait_for(2)
    await door.counter.shop.control.order(webhooks=[Twist.DUPLICATE, Twist.LATE, Twist.OUT_OF_ORDER, Twist.DUPLICATE])
    before = len(door.ear.statuses)
    ended = {}
    for won in (True, False):
        opened = await door.counter.shop.control.open_dispute(str(paid.transaction_id), 30)
        await door.counter.shop.control.decide_dispute(opened.id, won=won)
        ended[opened.id] = "won" if won else "lost"
    await door.ear.wait_for(before + 6)
    await door.counter.shop.work()
    assert {one.provider_dispute_id: one.status for one in await door.counter.disputes()} == ended
    heard = await door.heard()
    assert len({one.event_id for one in heard}) == len(heard) == 2 + 4
    assert set(door.ear.statuses) == {200}
    await door.counter.require_agreement()


async def test_a_forged_one_changes_nothing_and_the_genuine_one_behind_it_counts(door: Door) -> None:
    """Somebody else tells of the same event first: refused, and the provider's own is heard."""
    paid = await door.counter.pay()
    before = len(await door.ear.wait_for(2))
    await door.counter.shop.control.order(webhooks=[Twist.FORGED])
    await door.counter.shop.control.open_dispute(str(paid.transaction_id))
    assert sorted((await door.ear.wait_for(before + 2))[before:]) == [200, 401]
    await door.counter.shop.work()
    assert [one.status for one in await door.counter.disputes()] == ["open"]


async def test_what_is_not_genuine_is_refused(door: Door) -> None:
    """No signature, another's, of another body, too old, or not signed as what it is: 401 each, and nothing is kept."""
    body = event()
    signed = door.signed(body)
    now = SystemClock().now()
    forged = [
        (body, {}),
        (body, sign(webhook_secret("guessed"), "evt_1", now, body)),
        (body + b" ", signed),
        (body, {**signed, "webhook-id": "evt_other"}),
        (body, door.signed(body, now - dt.timedelta(minutes=6))),
        (body, {**signed, "webhook-signature": secrets.token_urlsafe(32)}),
        (b"not json", sign(webhook_secret(door.secret), "evt_1", now, b"not json")),
        (b"", {}),
    ]
    for content, headers in forged:
        answer = await door.send(content, headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "payments.webhook_not_genuine")
    assert await door.heard() == []


async def test_a_flood_of_forged_ones_costs_no_transaction(door: Door) -> None:
    """What is not genuine is turned away before anything is looked up: no connection to the store is taken."""
    operations = Operations(cast("asyncpg.Pool", object()), SystemClock(), TABLE)
    operations.resources.update(door.counter.shop.operations.resources)
    async with listening(make_app(operations)) as port:
        answers = await asyncio.gather(
            *(door.client.post(f"http://127.0.0.1:{port}{PATH}", content=event()) for _ in range(100))
        )
    assert {answer.status_code for answer in answers} == {401}


async def test_strangers_with_long_bodies_keep_no_short_one_out(door: Door) -> None:
    """Some long bodies are read at once, and for a while; whoever sends as much as providers do is heard beside them."""
    port = door.client.base_url.port
    head = f"POST {PATH} HTTP/1.1\r\nhost: here\r\ncontent-length: {MOST_BYTES}\r\n\r\nx".encode()
    dripping = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_LONG + 1)]
    for _, writer in dripping:
        writer.write(head)
    turned_away, _ = await asyncio.wait(
        [asyncio.create_task(reader.readline()) for reader, _ in dripping], return_when=asyncio.FIRST_COMPLETED
    )
    assert [one.result().split()[1] for one in turned_away] == [b"429"]
    assert (await door.tell()).status_code == 200
    for _, writer in dripping:
        writer.close()


async def test_a_body_that_does_not_come_is_not_waited_for(door: Door) -> None:
    """Whoever holds a line open without a word loses it."""
    app = cast("RestApp", make_app(door.counter.shop.operations))
    app.webhooks.seconds = 0.1
    async with listening(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"POST {PATH} HTTP/1.1\r\nhost: here\r\ncontent-length: {MOST_BYTES}\r\n\r\nx".encode())
        async with asyncio.timeout(20):
            answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"rest.webhook_too_slow" in answer


async def test_it_is_heard_whatever_its_type_and_up_to_a_mebibyte(door: Door) -> None:
    """A content type proves nothing, and a body without end is not read to its end."""
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded", "nonsense"):
        body = event(kind="other")
        answer = await door.send(body, {**door.signed(body), "content-type": kind})
        assert (answer.status_code, answer.json()) == (200, {"heard": True})
    body = event(kind="other")
    padded = body + b" " * (MOST_BYTES - len(body))
    assert (await door.send(padded, door.signed(padded))).status_code == 200
    answer = await door.send(padded + b" ", door.signed(padded + b" "))
    assert (answer.status_code, answer.json()["code"]) == (413, "rest.body_too_large")


async def test_only_a_post_to_a_provider_and_a_book_that_are_there_is_heard(door: Door) -> None:
    """Another method, another provider, another book: each is told so."""
    assert (await door.client.get(PATH)).status_code == 405
    for path, code in (
        ("/v1/books/main/providers/stranger/webhook", "rest.no_such_path"),
        ("/v1/books/elsewhere/providers/sandbox/webhook", "ledger.unknown_book"),
    ):
        answer = await door.tell(path)
        assert (answer.status_code, answer.json()["code"]) == (404, code)
    assert await door.heard() == []


async def test_what_cannot_be_checked_or_kept_is_to_be_sent_again(door: Door) -> None:
    """A certificate that cannot be fetched, or a store that is away, is a 503: the provider tries again."""
    shop = door.counter.shop
    honest = shop.provider
    shop.provider = Unsure()
    answer = await door.tell()
    assert (answer.status_code, answer.json()["code"]) == (503, "payments.provider_unknown_outcome")
    shop.provider = honest
    closed = await asyncpg.create_pool(None, min_size=0)
    await closed.close()
    operations = Operations(closed, SystemClock(), TABLE)
    operations.resources[Providers] = Providers.only(honest)
    body = event()
    async with listening(make_app(operations)) as port:
        answer = await door.client.post(f"http://127.0.0.1:{port}{PATH}", content=body, headers=door.signed(body))
    assert answer.status_code == 503
    assert await door.heard() == []


class Unsure:
    """A provider whose certificate cannot be fetched."""

    name = "sandbox"

    async def read_webhook(self, headers: Mapping[str, str], body: bytes) -> ProviderEvent:
        """Not know whether it is genuine."""
        del headers, body
        raise ProviderUnreachable(cause="its certificate could not be fetched")


async def test_what_is_about_nothing_that_is_known_is_looked_at_again_and_given_up(door: Door) -> None:
    """Another book's transaction, a refund made at the provider's desk: kept, looked at for three days, then left."""
    for kind in ("transaction", "refund"):
        assert (await door.tell(kind=kind, subject=f"{kind}_elsewhere")).status_code == 200
    assert [one.unknown for one in await door.heard()] == [True, True]
    for _ in range(20):
        await door.counter.shop.wait_and_work(60)
        assert [one.unknown for one in await door.heard()] == [True, True]
    await door.counter.shop.wait_and_work(3 * 24 * 60 * 60)
    assert [one.unknown for one in await door.heard()] == [False, False]
    assert await door.counter.shop.due_at() is None


async def test_another_event_under_a_known_id_is_answered_and_not_kept(door: Door) -> None:
    """Refused, it would be sent for ever; what was told first under the id stays."""
    assert (await door.tell(id="evt_same", kind="other", subject="first")).status_code == 200
    for subject in ("first", "second", "first"):
        assert (await door.tell(id="evt_same", kind="other", subject=subject)).status_code == 200
    assert [one.subject for one in await door.heard()] == ["first"]


async def test_ids_that_cannot_be_kept_are_refused(door: Door) -> None:
    """Too long, or with characters that nobody sees: the field is named."""
    for changed, field_ in (
        ({"id": "e" * 201}, "event_id"),
        ({"subject": "a\nb"}, "subject"),
        ({"type": "a\tb"}, "type"),
    ):
        answer = await door.tell(**changed)
        assert (answer.status_code, answer.json()["field"]) == (400, field_)
    assert await door.heard() == []


async def test_many_at_once_are_heard_once_each(door: Door, server: EmbeddedServer) -> None:
    """Each of fifty events comes four times at once: fifty are kept, and a rebuild comes to the same."""
    bodies = [event(kind="other", subject=f"subject {nth}") for nth in range(50)]
    answers = await asyncio.gather(*(door.send(body, door.signed(body)) for body in bodies * 4))
    assert {answer.status_code for answer in answers} == {200}
    assert len(await door.heard()) == 50
    first = await door.counter.shop.do("payments.heard", limit=30)
    second = await door.counter.shop.do("payments.heard", limit=30, after=first.next)
    assert len({one.event_id for one in first.items + second.items}) == 50
    assert second.next is None
    await require_the_same_anew(House(door.counter.shop.operations), server)
