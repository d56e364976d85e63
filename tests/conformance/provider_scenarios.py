"""
What every payment provider must do, whichever it is: the same scenarios over each, against the sandbox.

A provider's own test file has a class below `ProviderScenarios` and a fixture ``bench`` that gives a `Bench`.
"""

import asyncio
import datetime as dt
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from aiohttp import web

from tallystick.ids import uuid7
from tallystick.payments.providers.protocol import (
    CreateRequest,
    DisputeStatus,
    EventKind,
    PaymentType,
    PayoutLineKind,
    Provider,
    ProviderRefused,
    ProviderTransaction,
    ProviderUnreachable,
    RefundRequest,
    RefundStatus,
    TransactionStatus,
    WebhookNotGenuine,
)

PATIENCE = 0.5
"""Seconds that an impatient provider waits for an answer; an ordered time-out hangs far longer."""

STEADY = 10.0
"""Seconds that any other waits, however busy the machine is."""

EMAIL = "ada.lovelace@example.org"
"""Whose name must be nowhere to be read."""

LOST = [f"{way}_{when}" for way in ("error", "timeout", "drop") for when in ("before", "after")]

Webhook = tuple[Mapping[str, str], bytes]
"""The headers, with names in lower case, and the body."""


class Door:
    """The sandbox's own interface, where its failures are ordered and its customers and banks act."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        """Ask through *http*, which knows the sandbox's address and secret."""
        self.http = http

    async def fault(self, on: str, kind: str) -> None:
        """Let the next request of one kind fail."""
        await self.post("/v1/faults", faults=[{"on": on, "kind": kind}])

    async def twist(self, *kinds: str) -> None:
        """Let the next webhooks go wrong."""
        await self.post("/v1/faults", webhooks=list(kinds))

    async def post(self, path: str, **fields: object) -> Any:  # noqa: ANN401 - JSON
        """Order something."""
        answer = (await self.http.post(path, json=fields)).raise_for_status()
        return answer.json()

    async def holdings(self) -> Any:  # noqa: ANN401 - JSON
        """Return everything there is."""
        return (await self.http.get("/v1/holdings")).raise_for_status().json()

    async def own(self, reference: str) -> dict[str, Any]:
        """Return the sandbox's one transaction for *reference*, as it names it itself."""
        found = [one for one in (await self.holdings())["transactions"] if one["reference"] == reference]
        assert len(found) == 1, f"{len(found)} transactions of one reference"
        return dict(found[0])

    async def refunded(self, own_id: str) -> list[int]:
        """Return the amounts that were refunded of a transaction."""
        refunds = (await self.holdings())["refunds"]
        return [one["amount"] for one in refunds if one["transaction_id"] == own_id and one["status"] != "failed"]


@dataclass(frozen=True)
class Bench:
    """A provider in front of a sandbox."""

    provider: Provider
    """With a patience of STEADY."""
    door: Door
    name_of: Callable[[str], str]
    """Turns an id of the sandbox's own (transaction, refund, dispute, payout) into the provider's."""
    next_webhook: Callable[[], Awaitable[Webhook]]
    """Waits for the next webhook that the sandbox sends as this provider would."""
    aged: Callable[[Webhook], Webhook]
    """Gives a webhook as if it had been signed an hour ago."""
    secrets: tuple[str, ...]
    """What must never be told."""
    impatient: Provider | None = None
    """The same with a patience of PATIENCE, which asks for what is to be lost; None: *provider* has no more itself."""

    @property
    def hasty(self) -> Provider:
        """Return the provider for a request whose answer will be lost."""
        return self.impatient or self.provider

    async def opened(self, amount: int = 100) -> ProviderTransaction:
        """Open a transaction."""
        return await self.provider.create(order(amount=amount))

    async def taken(self, amount: int = 100) -> ProviderTransaction:
        """Take a payment."""
        opened = await self.opened(amount)
        return await self.capture(opened)

    async def capture(self, opened: ProviderTransaction, provider: Provider | None = None) -> ProviderTransaction:
        """Take the money of a transaction, under the same key each time."""
        through = provider or self.provider
        return await through.capture(opened.id, opened.amount, opened.currency, f"capture:{opened.reference}")

    async def ended(self, opened: ProviderTransaction) -> TransactionStatus:
        """Ask how a transaction stands, and for its money where that was not taken yet, as the payments' worker does."""
        found = await self.provider.find(opened.id)
        if found.status is TransactionStatus.CREATED:
            found = await self.provider.capture(opened.id, opened.amount, opened.currency, f"again:{opened.reference}")
        return found.status

    async def refund(self, taken: ProviderTransaction, amount: int, reference: str = "") -> RefundRequest:
        """Write a refund."""
        return RefundRequest(reference or str(uuid7()), taken.id, amount, taken.currency)


@asynccontextmanager
async def listening_for_webhooks() -> AsyncIterator[tuple[str, Callable[[], Awaitable[Webhook]]]]:
    """Listen; give the address, and what waits for the next webhook."""
    heard: asyncio.Queue[Webhook] = asyncio.Queue()

    async def hear(request: web.Request) -> web.Response:
        heard.put_nowait(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/", hear)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/", lambda: asyncio.wait_for(heard.get(), 10)
    await runner.cleanup()


def order(reference: str = "", amount: int = 100, currency: str = "EUR", email: str = EMAIL) -> CreateRequest:
    """Write a payment, under a reference of its own unless told."""
    return CreateRequest(reference or str(uuid7()), amount, currency, "ada", email, PaymentType.CREDIT)


class ProviderScenarios:
    """The scenarios."""

    async def test_a_payment_is_opened_taken_and_found(self, bench: Bench) -> None:
        """The way of every day: open, take, look up by either name."""
        request = order(amount=1234)
        opened = await bench.provider.create(request)
        asked = (opened.status, opened.reference, opened.amount, opened.currency)
        assert asked == (TransactionStatus.CREATED, request.reference, 1234, "EUR")
        assert opened.token
        taken = await bench.capture(opened)
        assert (taken.status, taken.id, taken.amount) == (TransactionStatus.CAPTURED, opened.id, 1234)
        assert await bench.provider.find(opened.id) == taken
        assert await bench.provider.find_by_reference(request.reference) == taken
        assert (await bench.door.own(request.reference))["status"] == "captured"

    async def test_the_same_request_is_done_once(self, bench: Bench) -> None:
        """Whoever asks again is told of the same transaction, and its money is taken once."""
        request = order()
        opened = await bench.provider.create(request)
        assert (await bench.provider.create(request)).id == opened.id
        assert {(await bench.capture(opened)).status for _ in range(2)} == {TransactionStatus.CAPTURED}
        assert await bench.door.own(request.reference)

    async def test_many_at_once_make_one_payment(self, bench: Bench) -> None:
        """Workers that took the same message open one transaction; who is told nothing sure asks again."""
        request = order()
        answers = await asyncio.gather(*(bench.provider.create(request) for _ in range(8)), return_exceptions=True)
        assert {type(answer) for answer in answers} <= {ProviderTransaction, ProviderUnreachable}
        opened = await bench.provider.create(request)
        assert {one.id for one in answers if isinstance(one, ProviderTransaction)} <= {opened.id}
        taken = await asyncio.gather(*(bench.capture(opened) for _ in range(8)), return_exceptions=True)
        assert {type(answer) for answer in taken} <= {ProviderTransaction, ProviderUnreachable}
        assert (await bench.capture(opened)).status is TransactionStatus.CAPTURED
        assert (await bench.door.own(request.reference))["status"] == "captured"

    async def test_a_decline_is_an_answer(self, bench: Bench) -> None:
        """The customer's bank says no: that is final, says why, and is told the same when asked again."""
        opened = await bench.opened()
        await bench.door.fault("capture", "decline")
        declined = await bench.capture(opened)
        assert declined.status is TransactionStatus.DECLINED
        assert declined.decline_code
        assert (await bench.provider.find(opened.id)).status is TransactionStatus.DECLINED
        assert (await bench.capture(opened)).status is TransactionStatus.DECLINED

    async def test_a_customer_who_has_to_act_is_sent_there_and_pays(self, bench: Bench) -> None:
        """3-D Secure: the answer says where to, and once it is done the money is taken."""
        opened = await bench.opened()
        await bench.door.fault("capture", "action")
        asked = await bench.capture(opened)
        assert asked.status is TransactionStatus.ACTION_REQUIRED
        assert (asked.action_url or "").startswith("http")
        assert (await bench.provider.find(opened.id)).status is TransactionStatus.ACTION_REQUIRED
        own = await bench.door.own(opened.reference)
        await bench.door.post(f"/v1/transactions/{own['id']}/authenticate", succeeded=True)
        assert await bench.ended(opened) is TransactionStatus.CAPTURED

    async def test_a_customer_who_fails_to_prove_who_they_are_is_declined(self, bench: Bench) -> None:
        """3-D Secure that fails takes nothing, for ever."""
        opened = await bench.opened()
        await bench.door.fault("capture", "action")
        await bench.capture(opened)
        own = await bench.door.own(opened.reference)
        await bench.door.post(f"/v1/transactions/{own['id']}/authenticate", succeeded=False)
        assert await bench.ended(opened) is TransactionStatus.DECLINED
        assert (await bench.provider.find(opened.id)).status is TransactionStatus.DECLINED

    @pytest.mark.parametrize("succeeded", [True, False])
    async def test_money_may_come_later(self, bench: Bench, *, succeeded: bool) -> None:
        """A payment that is under way says so, and how it ends once that is known."""
        opened = await bench.opened()
        await bench.door.fault("capture", "wait")
        assert (await bench.capture(opened)).status is TransactionStatus.PROCESSING
        own = await bench.door.own(opened.reference)
        await bench.door.post(f"/v1/transactions/{own['id']}/complete", succeeded=succeeded)
        expected = TransactionStatus.CAPTURED if succeeded else TransactionStatus.DECLINED
        assert await bench.ended(opened) is expected

    async def test_what_is_given_up_takes_nothing(self, bench: Bench) -> None:
        """A transaction that was given up stays so; one whose money was taken is not given up."""
        opened = await bench.opened()
        assert (await bench.provider.cancel(opened.id)).status is TransactionStatus.CANCELED
        assert (await bench.provider.cancel(opened.id)).status is TransactionStatus.CANCELED
        try:
            assert (await bench.capture(opened)).status is TransactionStatus.CANCELED
        except ProviderRefused:
            assert (await bench.provider.find(opened.id)).status is TransactionStatus.CANCELED
        taken = await bench.taken()
        assert (await bench.provider.cancel(taken.id)).status is TransactionStatus.CAPTURED

    @pytest.mark.parametrize("kind", LOST)
    async def test_a_lost_creation(self, bench: Bench, kind: str) -> None:
        """Nobody can tell before from after; asking again opens one transaction in all."""
        request = order()
        await bench.door.fault("create", kind)
        with pytest.raises(ProviderUnreachable):
            await bench.hasty.create(request)
        found = await bench.provider.find_by_reference(request.reference)
        assert (found is not None) == kind.endswith("after")
        again = await bench.provider.create(request)
        assert found is None or found.id == again.id
        assert bench.name_of((await bench.door.own(request.reference))["id"]) == again.id

    @pytest.mark.parametrize("kind", LOST)
    async def test_a_lost_capture(self, bench: Bench, kind: str) -> None:
        """Money whose taking was not heard of is taken once, whether it had been taken or not."""
        opened = await bench.opened()
        await bench.door.fault("capture", kind)
        with pytest.raises(ProviderUnreachable):
            await bench.capture(opened, bench.hasty)
        happened = (await bench.provider.find(opened.id)).status is TransactionStatus.CAPTURED
        assert happened == kind.endswith("after")
        assert (await bench.capture(opened)).status is TransactionStatus.CAPTURED
        assert (await bench.door.own(opened.reference))["status"] == "captured"

    @pytest.mark.parametrize("kind", LOST)
    async def test_a_lost_refund(self, bench: Bench, kind: str) -> None:
        """Money whose giving back was not heard of is given back once."""
        taken = await bench.taken()
        request = await bench.refund(taken, 40)
        await bench.door.fault("refund", kind)
        with pytest.raises(ProviderUnreachable):
            await bench.hasty.refund(request)
        found = await bench.provider.find_refund(taken.id, request.reference)
        assert (found is not None) == kind.endswith("after")
        again = await bench.provider.refund(request)
        assert (again.status, again.amount) == (RefundStatus.SUCCEEDED, 40)
        assert await bench.door.refunded((await bench.door.own(taken.reference))["id"]) == [40]

    @pytest.mark.parametrize("kind", ["error_before", "timeout_after"])
    async def test_a_lost_look_up(self, bench: Bench, kind: str) -> None:
        """A look-up that fails says nothing, rather than that there is nothing."""
        opened = await bench.hasty.create(order())
        await bench.door.fault("find", kind)
        with pytest.raises(ProviderUnreachable):
            await bench.hasty.find(opened.id)
        await bench.door.fault("find", kind)
        with pytest.raises(ProviderUnreachable):
            await bench.hasty.find_by_reference(opened.reference)
        assert (await bench.provider.find(opened.id)).id == opened.id

    async def test_refunds_in_parts_never_exceed_the_payment(self, bench: Bench) -> None:
        """Two parts make the whole; a third is refused, and each is told of again by its reference."""
        taken = await bench.taken()
        parts = [await bench.refund(taken, amount) for amount in (30, 70)]
        made = [await bench.provider.refund(part) for part in parts]
        assert [(one.status, one.amount, one.transaction_id) for one in made] == [
            (RefundStatus.SUCCEEDED, 30, taken.id),
            (RefundStatus.SUCCEEDED, 70, taken.id),
        ]
        assert [await bench.provider.refund(part) for part in parts] == made
        assert [await bench.provider.find_refund(taken.id, part.reference) for part in parts] == made
        with pytest.raises(ProviderRefused):
            await bench.provider.refund(await bench.refund(taken, 1))
        assert await bench.provider.find_refund(taken.id, str(uuid7())) is None
        assert sorted(await bench.door.refunded((await bench.door.own(taken.reference))["id"])) == [30, 70]

    @pytest.mark.parametrize("succeeded", [True, False])
    async def test_a_refund_may_be_decided_later(self, bench: Bench, *, succeeded: bool) -> None:
        """A refund that is under way says so, and how it ends once that is known."""
        taken = await bench.taken()
        request = await bench.refund(taken, 100)
        await bench.door.fault("refund", "wait")
        pending = await bench.provider.refund(request)
        assert pending.status is RefundStatus.PENDING
        own = [one["id"] for one in (await bench.door.holdings())["refunds"] if one["reference"] == request.reference]
        assert [bench.name_of(one) for one in own] == [pending.id]
        await bench.door.post(f"/v1/refunds/{own[0]}/decide", succeeded=succeeded)
        ended = await bench.provider.find_refund(taken.id, request.reference)
        assert ended is not None
        assert ended.status is (RefundStatus.SUCCEEDED if succeeded else RefundStatus.FAILED)
        assert (ended.failure is None) == succeeded

    @pytest.mark.parametrize("won", [True, False])
    async def test_a_dispute_is_opened_and_decided(self, bench: Bench, *, won: bool) -> None:
        """The customer's bank wants part of the money back; in the end it is ours again, or theirs."""
        taken = await bench.taken()
        own = await bench.door.own(taken.reference)
        opened = await bench.door.post("/v1/disputes", transaction_id=own["id"], amount=60)
        dispute_id = bench.name_of(opened["id"])
        found = await bench.provider.find_dispute(dispute_id)
        told = (found.id, found.transaction_id, found.status, found.amount, found.currency)
        assert told == (dispute_id, taken.id, DisputeStatus.OPEN, 60, "EUR")
        assert found.answer_by is not None
        await bench.door.post(f"/v1/disputes/{opened['id']}/decide", succeeded=won)
        decided = await bench.provider.find_dispute(dispute_id)
        assert decided.status is (DisputeStatus.WON if won else DisputeStatus.LOST)

    async def test_a_payouts_report_adds_up(self, bench: Bench) -> None:
        """Payments, refunds, disputes and fees of the time before are its lines; together they are what is paid out."""
        await self._empty(bench)
        payments = [await bench.taken(amount) for amount in (10_000, 20_000)]
        refund = await bench.provider.refund(await bench.refund(payments[0], 2_500))
        own = await bench.door.own(payments[1].reference)
        disputed = await bench.door.post("/v1/disputes", transaction_id=own["id"], amount=4_000)
        await bench.door.post("/v1/fees", amount=99, currency="EUR", description="monthly fee")
        await bench.door.post("/v1/adjustments", amount=7, currency="EUR", description="correction")
        payout_id = bench.name_of((await bench.door.post("/v1/payouts", currency="EUR"))["id"])
        payout, lines = await bench.provider.read_payout(payout_id)
        assert payout.id == payout_id
        assert payout.amount == sum(line.amount - line.fee for line in lines)
        assert {line.currency for line in lines} == {"EUR"}
        assert len({line.id for line in lines}) == len(lines)
        kinds = PayoutLineKind
        told = {(one.kind, one.amount, one.transaction_id) for one in lines if one.kind is not kinds.FEE}
        assert told == {
            (kinds.CHARGE, 10_000, payments[0].id),
            (kinds.CHARGE, 20_000, payments[1].id),
            (kinds.REFUND, -2_500, payments[0].id),
            (kinds.DISPUTE, -4_000, payments[1].id),
            (kinds.ADJUSTMENT, 7, None),
        }
        assert {one.refund_id for one in lines if one.kind is kinds.REFUND} == {refund.id}
        assert {one.dispute_id for one in lines if one.kind is kinds.DISPUTE} == {bench.name_of(disputed["id"])}
        assert [one.fee - one.amount for one in lines if one.kind is kinds.FEE] == [99]
        assert all(line.fee > 0 for line in lines if line.kind is kinds.CHARGE)

    async def test_payouts_are_listed_oldest_first_behind_the_last_known(self, bench: Bench) -> None:
        """Whoever goes on behind the last payout they know misses none and sees none twice."""
        await self._empty(bench)
        made = []
        for _ in range(3):
            await bench.taken(5_000)
            made.append(bench.name_of((await bench.door.post("/v1/payouts", currency="EUR"))["id"]))
        everything = [payout.id for payout in await bench.provider.list_payouts(None)]
        assert everything[-3:] == made
        assert [payout.id for payout in await bench.provider.list_payouts(made[0])] == made[1:]
        assert await bench.provider.list_payouts(made[-1]) == []

    async def test_a_genuine_webhook_is_read(self, bench: Bench) -> None:
        """It names what it is about, as the provider does when it is asked."""
        taken = await bench.taken()
        headers, body = await bench.next_webhook()
        event = await bench.provider.read_webhook(headers, body)
        while event.kind is not EventKind.TRANSACTION or event.transaction_id != taken.id:
            headers, body = await bench.next_webhook()
            event = await bench.provider.read_webhook(headers, body)
        assert (event.subject, event.id == "") == (taken.id, False)
        assert abs(event.occurred_at - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=5)
        assert await bench.provider.read_webhook(headers, body) == event

    async def test_a_webhook_that_is_not_the_providers_is_refused(self, bench: Bench) -> None:
        """Changed by one byte, without a signature, with another's, or kept for an hour: it is not believed."""
        await bench.taken()
        headers, body = await bench.next_webhook()
        tampered = [
            (headers, body.replace(b'"', b" ", 1)),
            (headers, body + b" "),
            (headers, b"\xff" + body),
            (headers, b""),
            ({}, body),
            ({name: value[::-1] for name, value in headers.items()}, body),
            ({name: f"{value}é" for name, value in headers.items()}, body),
            bench.aged((headers, body)),
        ]
        for wrong_headers, wrong_body in tampered:
            with pytest.raises(WebhookNotGenuine):
                await bench.provider.read_webhook(wrong_headers, wrong_body)

    async def test_what_the_provider_does_not_know(self, bench: Bench) -> None:
        """No transaction of a reference is an answer; none of an id is none, whatever characters it has."""
        assert await bench.provider.find_by_reference("never & heard? 'or' \\") is None
        for unknown in (bench.name_of("sbx_" + "0" * 32), "../faults", "a/b?c", "ü"):
            with pytest.raises((ProviderRefused, ProviderUnreachable)):
                await bench.provider.find(unknown)
            with pytest.raises((ProviderRefused, ProviderUnreachable)):
                await bench.provider.find_dispute(unknown)
            with pytest.raises((ProviderRefused, ProviderUnreachable)):
                await bench.provider.read_payout(unknown)

    async def test_another_amount_takes_nothing(self, bench: Bench) -> None:
        """What was opened is what is taken: another amount or currency is refused."""
        opened = await bench.opened()
        for amount, currency in ((99, "EUR"), (101, "EUR"), (100, "USD")):
            with pytest.raises(ProviderRefused):
                await bench.provider.capture(opened.id, amount, currency, str(uuid7()))
        assert (await bench.provider.find(opened.id)).status is TransactionStatus.CREATED

    async def test_a_key_of_any_characters_is_a_key(self, bench: Bench) -> None:
        """A line break or a quote in a reference makes no header and no question of its own."""
        reference = f"räum'\"\\\r\nAuthorization: no {uuid7()}"
        opened = await bench.provider.create(order(reference))
        assert opened.reference == reference
        assert (await bench.provider.create(order(reference))).id == opened.id
        found = await bench.provider.find_by_reference(reference)
        assert found is not None
        assert found.id == opened.id

    async def test_neither_secret_nor_email_nor_token_is_told(
        self, bench: Bench, caplog: pytest.LogCaptureFixture
    ) -> None:
        """At the most talkative level, through success, refusal and loss, no log and no error names a person or a secret."""
        caplog.set_level(logging.DEBUG)
        failures: list[Exception] = []
        taken = await bench.taken()
        for fault in (None, "error_before", "drop_before", "timeout_before"):
            if fault is not None:
                await bench.door.fault("create", fault)
            try:
                await bench.hasty.create(order(amount=0 if fault is None else 100))
            except (ProviderRefused, ProviderUnreachable) as failure:
                failures.append(failure)
        told = caplog.text + "".join(f"{one!r}{one}{one.__dict__}{one.__cause__!r}" for one in failures)
        for hidden in (EMAIL, "lovelace", taken.token, *bench.secrets):
            assert hidden not in told, "something is told that nobody is to know"

    async def _empty(self, bench: Bench) -> None:
        """Pay out what waits of the tests before."""
        owed = (await bench.door.holdings())["owed"]
        if "EUR" in owed:
            await bench.door.post("/v1/payouts", currency="EUR")
