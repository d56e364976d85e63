"""Stripe's own SDK against the sandbox's Stripe face: all that a provider must do, and what is Stripe's alone."""

import asyncio
import contextlib
import datetime as dt
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from tallystick.payments.providers.protocol import (
    CreateRequest,
    ProviderRefund,
    ProviderRefused,
    ProviderTransaction,
    ProviderUnreachable,
    RefundRequest,
    RefundStatus,
    TransactionStatus,
)
from tallystick.payments.providers.sandbox import process
from tallystick.payments.providers.sandbox.process import SandboxProcess
from tallystick.payments.providers.sandbox.stripe_face.encode_event import sign
from tallystick.payments.providers.sandbox.stripe_face.names import stripe_id
from tallystick.payments.providers.stripe.provider import StripeProvider
from tests.conformance.provider_scenarios import (
    PATIENCE,
    STEADY,
    Bench,
    Door,
    ProviderScenarios,
    Webhook,
    listening_for_webhooks,
    order,
)

SECRET = "sk_test_of_the_tests"
WEBHOOK_SECRET = "whsec_of_the_tests"
OLD_WEBHOOK_SECRET = "whsec_of_the_time_before"


@pytest.fixture(scope="session")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SandboxProcess]:
    """Serve one sandbox for these tests."""
    running = await process.start(tmp_path_factory.mktemp("sandbox") / "state", SECRET)
    yield running
    await running.stop()


@pytest.fixture
async def bench(sandbox: SandboxProcess) -> AsyncIterator[Bench]:
    """Put the provider in front of the sandbox's Stripe face."""
    async with AsyncExitStack() as stack:
        url, next_webhook = await stack.enter_async_context(listening_for_webhooks())
        http = await stack.enter_async_context(
            httpx.AsyncClient(base_url=sandbox.url, headers={"authorization": f"Bearer {SECRET}"}, trust_env=False)
        )
        secrets = (WEBHOOK_SECRET, OLD_WEBHOOK_SECRET)
        provider = await stack.enter_async_context(reach(sandbox, secrets))
        impatient = await stack.enter_async_context(reach(sandbox, secrets, patience=PATIENCE))
        door = Door(http)
        await door.post("/v1/webhook_endpoint", url=url, secret=WEBHOOK_SECRET, speaks="stripe")
        yield Bench(provider, door, stripe_id, next_webhook, aged, (SECRET, *secrets), impatient)
        await http.delete("/v1/faults")
        await http.delete("/v1/webhook_endpoint")


def reach(
    sandbox: SandboxProcess, secrets: tuple[str, ...] = (), secret: str = SECRET, patience: float = STEADY
) -> StripeProvider:
    """Reach the Stripe face."""
    return StripeProvider(secret, secrets, f"{sandbox.url}/stripe", patience)


def aged(webhook: Webhook) -> Webhook:
    """Sign a webhook as if an hour ago."""
    headers, body = webhook
    an_hour_ago = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    return {**headers, "stripe-signature": sign(WEBHOOK_SECRET, body, an_hour_ago)}, body


class TestStripe(ProviderScenarios):
    """All that a provider must do."""

    async def test_a_key_in_use_and_a_key_used_otherwise_say_nothing_of_the_payment(self, bench: Bench) -> None:
        """Both speak of our keys alone, so that what became of the payment must be asked."""
        request = order()
        first = await bench.provider.create(request)
        with pytest.raises(ProviderUnreachable, match="HTTP 400"):
            await bench.provider.create(order(request.reference, amount=101))
        assert (await bench.provider.find(first.id)).amount == 100

    async def test_an_error_that_stripe_keeps_does_not_hold_a_payment_up_for_a_day(self, bench: Bench) -> None:
        """Stripe repeats its own errors under the key that they struck; asked again, we use another."""
        request = order()
        for _ in range(2):
            await bench.door.fault("create", "error_before")
            with pytest.raises(ProviderUnreachable, match="HTTP 500"):
                await bench.provider.create(request)
        opened = await bench.provider.create(request)
        assert await bench.provider.create(request) == opened
        await bench.door.fault("capture", "error_before")
        with pytest.raises(ProviderUnreachable, match="HTTP 500"):
            await bench.capture(opened)
        assert (await bench.capture(opened)).status is TransactionStatus.CAPTURED

    async def test_an_error_that_stripe_keeps_thrice_is_waited_out(self, bench: Bench) -> None:
        """There is an end to the keys that are tried: then the day is waited for."""
        request = order()
        for _ in range(3):
            await bench.door.fault("create", "error_before")
            with pytest.raises(ProviderUnreachable, match="HTTP 500"):
                await bench.provider.create(request)
        with pytest.raises(ProviderUnreachable, match="HTTP 500"):
            await bench.provider.create(request)
        assert await bench.provider.find_by_reference(request.reference) is None

    async def test_a_refund_is_found_when_its_key_is_forgotten(self, sandbox: SandboxProcess, bench: Bench) -> None:
        """Stripe forgets a key after a day; whoever asks again after that must not give the money back twice."""
        taken = await bench.taken()
        request = await bench.refund(taken, 40)
        made = await bench.provider.refund(request)
        headers = {"authorization": f"Bearer {SECRET}", "idempotency-key": "another key"}
        fields = {"payment_intent": taken.id, "amount": "10", "metadata[reference]": "somebody else's"}
        async with httpx.AsyncClient(base_url=sandbox.url, trust_env=False) as stripe:
            answer = await stripe.post("/stripe/v1/refunds", headers=headers, data=fields)
        assert answer.status_code == 200
        await bench.door.fault("refund", "error_before")  # it would strike if a refund were asked for
        assert await bench.provider.refund(request) == made

    async def test_a_refund_in_another_currency_gives_nothing_back(self, bench: Bench) -> None:
        """Stripe takes the payment's own currency whatever was meant: ours is compared before."""
        taken = await bench.taken()
        wrong = RefundRequest("wrong", taken.id, 40, "USD")
        with pytest.raises(ProviderRefused, match="currency_differs"):
            await bench.provider.refund(wrong)
        assert await bench.provider.find_refund(taken.id, "wrong") is None

    async def test_a_currency_in_other_units_is_never_sent(self, bench: Bench) -> None:
        """What would be a hundredfold there is refused here."""
        with pytest.raises(ProviderRefused, match="ISK"):
            await bench.provider.create(order(currency="ISK"))

    async def test_a_wrong_secret_of_ours_refuses_no_payment(self, sandbox: SandboxProcess) -> None:
        """A mistake in the settings must not mark customers' payments as refused."""
        for secret in ("wrong", "sk_test\r\nx: y"):
            async with reach(sandbox, secret=secret) as provider:
                with pytest.raises(ProviderUnreachable):
                    await provider.create(order())

    async def test_customers_of_certain_mailboxes_are_declined_or_asked(self, bench: Bench) -> None:
        """What is sown in the email for demos shows through Stripe's face too."""
        opened = await bench.provider.create(order(email="declined@example.org"))
        assert (await bench.capture(opened)).status is TransactionStatus.DECLINED
        asked = await bench.provider.create(order(email="challenged@example.org"))
        assert asked.status is TransactionStatus.ACTION_REQUIRED
        assert asked.action_url

    async def test_a_payout_with_many_lines_is_read_whole(self, bench: Bench) -> None:
        """Stripe lists a hundred at a time; the report has them all, each once."""
        await self._empty(bench)
        await bench.taken(100_000)
        for number in range(120):
            await bench.door.post("/v1/adjustments", amount=number + 1, currency="EUR", description="correction")
        payout_id = stripe_id((await bench.door.post("/v1/payouts", currency="EUR"))["id"])
        payout, lines = await bench.provider.read_payout(payout_id)
        assert (len(lines), len({line.id for line in lines})) == (121, 121)
        assert payout.amount == sum(line.amount - line.fee for line in lines)

    async def test_the_sdk_writes_nothing_and_reports_nothing(self, sandbox: SandboxProcess, tmp_path: Path) -> None:
        """Even asked for by the SDK's own variable, no request is written out, and no file made in the home directory."""
        program = (
            "import asyncio, logging, sys\n"
            "logging.basicConfig(level=logging.DEBUG)\n"
            "from tallystick.payments.providers.stripe.provider import StripeProvider\n"
            "from tallystick.payments.providers.protocol import CreateRequest, PaymentType\n"
            "async def pay():\n"
            f"    async with StripeProvider({SECRET!r}, (), {sandbox.url + '/stripe'!r}) as provider:\n"
            "        order = CreateRequest('quiet', 100, 'EUR', 'ada', 'ada.lovelace@example.org', PaymentType.CREDIT)\n"
            "        print((await provider.create(order)).status.value)\n"
            "asyncio.run(pay())\n"
        )
        environment = {**os.environ, "STRIPE_LOG": "debug", "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
        ran = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program), env=environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, error = await asyncio.wait_for(ran.communicate(), 30)
        assert out == b"created\n"
        assert b"lovelace" not in error
        assert b"_secret_" not in error
        assert SECRET.encode() not in error
        assert list(tmp_path.iterdir()) == []


ANOTHERS = (
    b'{"object": "payment_intent", "id": "pi_2", "status": "succeeded", "amount": 100, '
    b'"currency": "eur", "created": 1, "metadata": {"reference": "another"}}'
)


@asynccontextmanager
async def stripe_that(answer: Callable[[web.Request], web.Response]) -> AsyncIterator[StripeProvider]:
    """Reach what answers as it is told to."""

    async def handle(request: web.Request) -> web.Response:
        return answer(request)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with StripeProvider(SECRET, (), f"http://127.0.0.1:{runner.addresses[0][1]}", STEADY) as provider:
        yield provider
    await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (200, b""),
        (200, b"{}"),
        (200, b"[]"),
        (200, b'"ok"'),
        (200, b"null"),
        (200, b"<html>"),
        (200, b"\xff\xfe"),
        (200, b'{"object": "payment_intent", "id": 5}'),
        (200, b'{"object": "payment_intent", "id": "pi_1", "status": "succeeded", "amount": "1"}'),
        (200, ANOTHERS),
        (200, b'{"object": "list", "data": 5}'),
        (204, b""),
        (302, b""),
        (400, b"<html>"),
        (400, b'{"error": "no"}'),
        (400, b'{"error": 5}'),
        (400, b'{"error": {"type": "invalid_request_error", "message": "no code"}}'),
        (401, b'{"error": {"type": "invalid_request_error", "code": "api_key_expired"}}'),
        (404, b"not here"),
        (409, b'{"error": {"type": "idempotency_error", "code": "idempotency_key_in_use"}}'),
        (429, b'{"error": {"type": "invalid_request_error", "code": "rate_limit"}}'),
        (500, b'{"error": {"type": "api_error"}}'),
        (503, b""),
    ],
)  # fmt: skip
async def test_an_answer_that_is_none_of_stripes_is_not_known(status: int, content: bytes) -> None:
    """Whatever stands at the address, a page of a proxy's or another's answer, no payment is refused or done by it."""
    async with stripe_that(lambda _: web.Response(status=status, body=content)) as provider:
        for call in (
            provider.create(order()),
            provider.capture("pi_1", 100, "EUR", "key"),
            provider.find("pi_1"),
            provider.cancel("pi_1"),
            provider.refund(RefundRequest("r", "pi_1", 1, "EUR")),
            provider.find_dispute("dp_1"),
            provider.list_payouts("po_1"),
            provider.read_payout("po_1"),
        ):
            with pytest.raises(ProviderUnreachable):
                await call


async def test_an_answer_that_drips_in_is_late(unused_tcp_port: int) -> None:
    """The whole of an exchange is bounded, not each wait in it."""

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await asyncio.sleep(PATIENCE / 4)

    server = await asyncio.start_server(drip, "127.0.0.1", unused_tcp_port)
    async with StripeProvider(SECRET, (), f"http://127.0.0.1:{unused_tcp_port}", PATIENCE) as provider:
        with pytest.raises(ProviderUnreachable, match="Timeout"):
            await asyncio.wait_for(provider.find("pi_1"), PATIENCE * 3)
    server.close()


AUTHORISED = {"authorization": f"Bearer {SECRET}"}
INTENT = {"amount": "100", "currency": "eur", "capture_method": "manual"}


@pytest.mark.parametrize(
    ("method", "path", "fields", "status", "code", "param"),
    [
        ("POST", "payment_intents", {**INTENT, "amount": "0"}, 400, "parameter_invalid_integer", "amount"),
        ("POST", "payment_intents", {**INTENT, "amount": "1.5"}, 400, "parameter_invalid_integer", "amount"),
        ("POST", "payment_intents", {**INTENT, "amount": "9" * 30}, 400, "parameter_invalid_integer", "amount"),
        ("POST", "payment_intents", {**INTENT, "amount": ""}, 400, "parameter_missing", "amount"),
        ("POST", "payment_intents", {**INTENT, "currency": "euro"}, 400, "parameter_invalid", "currency"),
        ("POST", "payment_intents", {**INTENT, "colour": "red"}, 400, "parameter_unknown", "colour"),
        ("POST", "payment_intents", {**INTENT, "capture_method": "automatic"}, 400, "parameter_invalid", "capture_method"),
        ("GET", "payment_intents/pi_0", {}, 404, "resource_missing", None),
        ("GET", "payment_intents/search", {"query": "status:'x'"}, 400, "parameter_invalid", "query"),
        ("POST", "payment_intents/pi_0/capture", {}, 404, "resource_missing", None),
        ("POST", "refunds", {"payment_intent": "pi_0"}, 404, "resource_missing", None),
        ("GET", "refunds", {}, 400, "parameter_missing", "payment_intent"),
        ("GET", "payouts", {"limit": "101"}, 400, "parameter_invalid_integer", "limit"),
        ("GET", "payouts", {"starting_after": "po_0"}, 400, "resource_missing", "starting_after"),
        ("GET", "balance_transactions", {"payout": "po_0"}, 404, "resource_missing", None),
        ("GET", "customers", {}, 404, "url_unknown", None),
        ("DELETE", "payment_intents/pi_0", {}, 404, "url_unknown", None),
    ],
)  # fmt: skip
async def test_the_face_refuses_as_stripe_does(
    sandbox: SandboxProcess,
    method: str,
    path: str,
    fields: dict[str, str],
    status: int,
    code: str,
    param: str | None,
) -> None:
    """A wrong request is named by Stripe's own code and the parameter, so that a client's mistakes show."""
    async with httpx.AsyncClient(base_url=f"{sandbox.url}/stripe/v1/", headers=AUTHORISED, trust_env=False) as stripe:
        where = {"data": fields} if method == "POST" else {"params": fields}
        answer = await stripe.request(method, path, **where)  # type: ignore[arg-type]  # one of the two
    error = answer.json()["error"]
    assert (answer.status_code, error.get("code"), error.get("param")) == (status, code, param)


@pytest.mark.parametrize("shown", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Basic !"}])
async def test_the_face_tells_nobody_anything_without_the_secret(
    sandbox: SandboxProcess, shown: dict[str, str]
) -> None:
    """Whoever else runs on the machine learns nothing, not even which addresses there are."""
    async with httpx.AsyncClient(base_url=sandbox.url, headers=shown, trust_env=False) as stripe:
        for path in ("/stripe/v1/payouts", "/stripe/v1/nothing", "/stripe"):
            assert (await stripe.get(path)).status_code == 401


async def test_the_face_keeps_the_first_answer_under_a_key(sandbox: SandboxProcess) -> None:
    """The same again is the same answer and says so; at the same time it is a conflict, and otherwise it is wrong."""
    async with httpx.AsyncClient(base_url=f"{sandbox.url}/stripe/v1/", headers=AUTHORISED, trust_env=False) as stripe:
        key = {"idempotency-key": "once"}
        answers = await asyncio.gather(
            *(stripe.post("payment_intents", headers={"idempotency-key": "at once"}, data=INTENT) for _ in range(6))
        )
        first = await stripe.post("payment_intents", headers=key, data=INTENT)
        again = await stripe.post("payment_intents", headers=key, data=INTENT)
        other = await stripe.post("payment_intents", headers=key, data={**INTENT, "amount": "101"})
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 200}) == 1
    assert (first.status_code, again.json()) == (200, first.json())
    told = (first.headers.get("idempotent-replayed"), again.headers.get("idempotent-replayed"))
    assert told == (None, "true")
    assert again.headers["original-request"] == first.headers["request-id"]
    assert (other.status_code, other.json()["error"]["type"]) == (400, "idempotency_error")


async def test_the_face_may_be_killed_and_goes_on_where_it_was(tmp_path: Path) -> None:
    """Its own memory of keys is gone with it; the sandbox's is on disk, and what was answered stays so."""
    first = await process.start(tmp_path / "state", SECRET)
    requests = [order(), order(), order()]
    async with (
        reach(first) as provider,
        httpx.AsyncClient(base_url=first.url, headers=AUTHORISED, trust_env=False) as http,
    ):
        taken, declined, opened = [await provider.create(request) for request in requests]
        await provider.capture(taken.id, 100, "EUR", "taken")
        await provider.refund(RefundRequest("r", taken.id, 30, "EUR"))
        await Door(http).fault("capture", "decline")
        await provider.capture(declined.id, 100, "EUR", "declined")
        await first.kill()
        with pytest.raises(ProviderUnreachable):
            await provider.find(taken.id)
        second = await process.start(tmp_path / "state", SECRET, int(first.url.rpartition(":")[2]))
        assert [(await provider.create(request)).id for request in requests] == [taken.id, declined.id, opened.id]
        again = [
            await provider.capture(one.id, 100, "EUR", name) for one, name in ((taken, "taken"), (declined, "declined"))
        ]
        assert [one.status for one in again] == [TransactionStatus.CAPTURED, TransactionStatus.DECLINED]
        assert (await provider.find(opened.id)).status is TransactionStatus.CREATED
        assert (await provider.refund(RefundRequest("r", taken.id, 30, "EUR"))).amount == 30
        assert [one["amount"] for one in (await Door(http).holdings())["refunds"]] == [30]
    await second.stop()


RATES = {
    "calls": {
        "create": {"error_before": "0.05", "error_after": "0.05", "drop_after": "0.05", "timeout_before": "0.02"},
        "capture": {
            "error_before": "0.05", "error_after": "0.05", "drop_before": "0.05", "timeout_after": "0.02",
            "decline": "0.1", "action": "0.1", "wait": "0.1",
        },
        "find": {"error_before": "0.05", "drop_after": "0.05"},
        "refund": {"error_after": "0.1", "drop_after": "0.1", "timeout_after": "0.05", "wait": "0.2"},
    },
    "authentications_failed": "0.3",
    "captures_declined_later": "0.3",
    "refunds_failed_later": "0.3",
    "decided_after_ms": 20,
}  # fmt: skip
SEED = 20261122
ENDED = {TransactionStatus.CAPTURED, TransactionStatus.DECLINED, TransactionStatus.CANCELED}


@pytest.fixture
async def moody(tmp_path: Path) -> AsyncIterator[SandboxProcess]:
    """Serve a sandbox where much goes wrong by itself, by seed."""
    rates = tmp_path / "rates.json"
    rates.write_text(json.dumps(RATES))
    running = await process.start(tmp_path / "state", SECRET, plan=process.PlanFile(SEED, rates))
    yield running
    await running.stop()


async def test_whatever_goes_wrong_each_payment_ends_known_and_is_taken_and_given_back_once(
    moody: SandboxProcess,
) -> None:
    """A hundred payments through errors, lost answers, declines and 3-D Secure; our word and the provider's agree."""
    requests = [order(f"p-{number}", amount=100 + number) for number in range(100)]
    async with (
        reach(moody, patience=PATIENCE) as provider,
        httpx.AsyncClient(base_url=moody.url, headers=AUTHORISED, trust_env=False) as http,
    ):
        ended = await asyncio.gather(*(_end(provider, request) for request in requests))
        taken = [one for one in ended if one.status is TransactionStatus.CAPTURED]
        refunds = await asyncio.gather(*(_refund(provider, one) for one in taken))
        holdings = await Door(http).holdings()
    theirs = {one["reference"]: (one["status"], one["amount"]) for one in holdings["transactions"]}
    assert theirs == {one.reference: (one.status.value, one.amount) for one in ended}
    assert len(holdings["transactions"]) == len(requests)
    assert holdings["captured"] == {"EUR": sum(one.amount for one in taken)}
    assert {one["reference"]: one["status"] for one in holdings["refunds"]} == {
        one.reference: one.status.value for one in refunds
    }
    assert len(holdings["refunds"]) == len(taken)
    assert {one.status for one in ended} == {TransactionStatus.CAPTURED, TransactionStatus.DECLINED}
    assert {one.status for one in refunds} == {RefundStatus.SUCCEEDED, RefundStatus.FAILED}


async def _end(provider: StripeProvider, request: CreateRequest) -> ProviderTransaction:
    """Do as the payments' worker does, until the payment has ended."""
    opened: ProviderTransaction | None = None
    for _ in range(100):
        with contextlib.suppress(ProviderUnreachable):
            opened = opened or await provider.find_by_reference(request.reference) or await provider.create(request)
            found = await provider.find(opened.id)
            if found.status is TransactionStatus.CREATED:
                found = await provider.capture(opened.id, request.amount, "EUR", f"c:{request.reference}")
            if found.status in ENDED:
                return found
        await asyncio.sleep(0.02)  # the worker's pause, much shortened
    raise AssertionError(f"{request.reference} did not end")


async def _refund(provider: StripeProvider, taken: ProviderTransaction) -> ProviderRefund:
    """Give half of a payment back, and wait until it is known how that ended."""
    request = RefundRequest(f"r-{taken.reference}", taken.id, taken.amount // 2, "EUR")
    for _ in range(100):
        with contextlib.suppress(ProviderUnreachable):
            made = await provider.refund(request)
            if made.status is not RefundStatus.PENDING:
                return made
        await asyncio.sleep(0.02)  # as above
    raise AssertionError(f"{request.reference} did not end")


async def test_payouts_in_a_currency_counted_otherwise_do_not_hide_those_behind_them() -> None:
    """An account may be paid out in krónur too, by whoever else uses it; a page of those alone is passed over."""
    payout = {"object": "payout", "amount": 100, "status": "paid", "arrival_date": 1_700_000_000}
    pages = {
        "po_0": [{**payout, "id": f"po_{number}", "currency": "isk"} for number in (2, 1)],
        "po_2": [{**payout, "id": "po_4", "currency": "isk"}, {**payout, "id": "po_3", "currency": "eur"}],
        "po_4": [],
    }

    def answer(request: web.Request) -> web.Response:
        page = {"object": "list", "data": pages[request.query["ending_before"]], "has_more": False}
        return web.json_response(page)

    async with stripe_that(answer) as provider:
        assert [one.id for one in await provider.list_payouts("po_0")] == ["po_3"]
        assert await provider.list_payouts("po_4") == []


async def test_a_list_without_an_end_is_left() -> None:
    """Whoever always says there is more, and gives the same again, is not believed."""
    refund = {"object": "refund", "id": "re_1", "amount": 1, "currency": "eur", "created": 1}

    def answer(_: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [refund], "has_more": True})

    async with stripe_that(answer) as provider:
        with pytest.raises(ProviderUnreachable, match="no end"):
            await provider.find_refund("pi_1", "r")


async def test_a_second_card_is_not_answered_as_the_first_was() -> None:
    """Stripe repeats what it answered under a key: confirmed again after another card was given, we ask under another."""
    intent = {"object": "payment_intent", "id": "pi_1", "amount": 100, "currency": "eur", "created": 1}
    keys = []

    def answer(request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.json_response({**intent, "status": "requires_confirmation"})
        keys.append(request.headers["idempotency-key"])
        return web.json_response({**intent, "status": "requires_action"})

    async with stripe_that(answer) as provider:
        for _ in range(2):
            asked = await provider.capture("pi_1", 100, "EUR", "the same")
            assert asked.status is TransactionStatus.ACTION_REQUIRED
    assert len(set(keys)) == len(keys) == 2


async def test_money_that_was_taken_under_an_error_that_stripe_keeps_is_not_taken_again() -> None:
    """Stripe may have done what it answered with an error of its own; a second key finds it done, and tells so."""
    intent = {"object": "payment_intent", "id": "pi_1", "amount": 100, "currency": "eur", "created": 1}
    looks, keys = iter(["requires_capture", "succeeded"]), []

    def answer(request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.json_response({**intent, "status": next(looks), "amount_received": 100})
        keys.append(request.headers["idempotency-key"])
        if len(keys) == 1:
            error = {"error": {"type": "api_error"}}
            return web.json_response(error, status=500, headers={"idempotent-replayed": "true"})
        error = {"error": {"type": "invalid_request_error", "code": "payment_intent_unexpected_state"}}
        return web.json_response(error, status=400)

    async with stripe_that(answer) as provider:
        taken = await provider.capture("pi_1", 100, "EUR", "capture")
    assert (taken.status, keys) == (TransactionStatus.CAPTURED, ["capture", "capture:2"])


async def test_a_notice_in_an_answers_head_is_neither_told_nor_in_its_way() -> None:
    """The SDK would warn with Stripe's own words, and an answer be lost where warnings are errors, as they are here."""
    intent = {"object": "payment_intent", "id": "pi_1", "amount": 100, "currency": "eur", "created": 1}
    answer = {**intent, "status": "succeeded", "metadata": {"reference": "r"}}
    head = {"Stripe-Notice": "Dear ada.lovelace@example.org, upgrade."}
    async with stripe_that(lambda _: web.json_response(answer, headers=head)) as provider:
        assert (await provider.find("pi_1")).status is TransactionStatus.CAPTURED
