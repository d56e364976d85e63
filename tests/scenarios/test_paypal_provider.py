"""PayPal's REST API as the sandbox speaks it: all that a provider must do, and what is PayPal's alone."""

import datetime as dt
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509

from tallystick.payments.providers.paypal.account import TEST_NAME, CertificateSource, PayPalAccount
from tallystick.payments.providers.paypal.provider import PayPalProvider
from tallystick.payments.providers.protocol import (
    PayoutLineKind,
    PayoutStatus,
    ProviderRefused,
    ProviderUnreachable,
    TransactionStatus,
    WebhookNotGenuine,
)
from tallystick.payments.providers.sandbox import process
from tallystick.payments.providers.sandbox.change import Call
from tallystick.payments.providers.sandbox.faults import Fault, FaultKind
from tallystick.payments.providers.sandbox.paypal_face.word import to_paypal
from tallystick.payments.providers.sandbox.process import SandboxProcess
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
from tests.conftest import House
from tests.scenarios.paying import Till, open_shop_at

SECRET = "secret-of-the-paypal-tests"
CLIENT_ID = "client-of-the-paypal-tests"
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody, and spares the loading of all authorities for each client: here is no TLS."""

WEBHOOK_ID = "8PT597110X687430LKGECATA"


@dataclass(frozen=True)
class Served:
    """A sandbox, and the file that it remembers by."""

    process: SandboxProcess
    state: Path
    anchor: x509.Certificate
    """Whom its webhooks are to be believed by."""

    @property
    def url(self) -> str:
        """Where it is."""
        return self.process.url

    def payouts(self) -> dict[str, str]:
        """Return PayPal's name of each payout, by the sandbox's own."""
        changes = [json.loads(line) for line in self.state.read_bytes().splitlines()]
        made = [one for one in changes if one.get("call") == "pay_out"]
        return {one["payout"]["id"]: _payout_name(one) for one in made}


def _payout_name(change: dict[str, Any]) -> str:
    at = dt.datetime.fromisoformat(change["at"])
    return f"{at:%Y%m%dT%H%M%S.%f}_{to_paypal(change['payout']['id'])}"


@pytest.fixture(scope="session")
async def paypal_sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """Serve one sandbox for these tests."""
    state = tmp_path_factory.mktemp("sandbox") / "state"
    running = await process.start(state, SECRET)
    async with httpx.AsyncClient(verify=PLAIN, trust_env=False) as http:
        anchor = x509.load_pem_x509_certificate((await http.get(f"{running.url}/paypal/anchor")).content)
    yield Served(running, state, anchor)
    await running.stop()


@pytest.fixture
async def bench(paypal_sandbox: Served) -> AsyncIterator[Bench]:
    """Put the provider in front of the sandbox's PayPal face."""
    async with AsyncExitStack() as stack:
        url, next_webhook = await stack.enter_async_context(listening_for_webhooks())
        http = await stack.enter_async_context(
            httpx.AsyncClient(
                base_url=paypal_sandbox.url,
                headers={"authorization": f"Bearer {SECRET}"},
                verify=PLAIN,
                trust_env=False,
            )
        )
        provider = await stack.enter_async_context(reach(paypal_sandbox))
        impatient = await stack.enter_async_context(reach(paypal_sandbox, patience=PATIENCE))
        door = Door(http)
        await door.post("/v1/webhook_endpoint", url=url, secret=WEBHOOK_ID, speaks="paypal")

        def name_of(own: str) -> str:
            return paypal_sandbox.payouts()[own] if own.startswith("pay_") else to_paypal(own)

        yield Bench(provider, door, name_of, next_webhook, aged, (SECRET, CLIENT_ID, "A21AA"), impatient)
        await http.delete("/v1/faults")
        await http.delete("/v1/webhook_endpoint")


def reach(sandbox: Served, secret: str = SECRET, patience: float = STEADY) -> PayPalProvider:
    """Reach the PayPal face, and believe its own authority."""
    base = f"{sandbox.url}/paypal"
    account = PayPalAccount(
        CLIENT_ID, secret, WEBHOOK_ID, base, test_source=CertificateSource((base,), (TEST_NAME,), (sandbox.anchor,))
    )
    return PayPalProvider(account, timeout=patience)


def aged(webhook: Webhook) -> Webhook:
    """Say that a webhook was sent an hour ago; that one with a fitting signature is refused too is told elsewhere."""
    headers, body = webhook
    an_hour_ago = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    return {**headers, "paypal-transmission-time": f"{an_hour_ago:%Y-%m-%dT%H:%M:%SZ}"}, body


class TestPayPal(ProviderScenarios):
    """All that a provider must do."""

    @pytest.mark.parametrize("kind", ["error_before", "timeout_after", "drop_before", "drop_after"])
    async def test_a_lost_creation(self, bench: Bench, kind: str) -> None:
        """PayPal cannot be asked by our name: the same request under the same key is the question, and opens one order."""
        request = order()
        await bench.door.fault("create", kind)
        with pytest.raises(ProviderUnreachable):
            await bench.hasty.create(request)
        assert await bench.provider.find_by_reference(request.reference) is None, "another process does not know of it"
        found = await bench.hasty.find_by_reference(request.reference)
        assert found is not None
        again = await bench.provider.create(request)
        assert (again.id, again.status) == (found.id, TransactionStatus.CREATED)
        assert bench.name_of((await bench.door.own(request.reference))["id"]) == again.id

    async def test_money_is_taken_once_the_customer_has_approved(self, bench: Bench) -> None:
        """Posted too early, a payment says where its customer approves it, and waits; then it is taken under the same key."""
        await bench.door.fault("create", "action")
        opened = await bench.opened()
        assert opened.status is TransactionStatus.CREATED
        assert opened.token.startswith("http")
        for _ in range(2):
            early = await bench.capture(opened)
            assert (early.status, early.action_url) == (TransactionStatus.ACTION_REQUIRED, opened.token)
        await bench.door.http.post(opened.token, content="succeeded=yes")
        assert (await bench.provider.find(opened.id)).status is TransactionStatus.CREATED
        assert (await bench.capture(opened)).status is TransactionStatus.CAPTURED

    async def test_whole_currencies_are_taken_whole(self, bench: Bench) -> None:
        """Yen have no decimals, forints none at PayPal; a part of one is refused before PayPal hears of it."""
        for amount, currency in ((500, "JPY"), (150_000, "HUF")):
            opened = await bench.provider.create(order(amount=amount, currency=currency))
            taken = await bench.capture(opened)
            assert (taken.status, taken.amount, taken.currency) == (TransactionStatus.CAPTURED, amount, currency)
        with pytest.raises(ProviderRefused, match="HUF with 0 decimals"):
            await bench.provider.create(order(amount=150_001, currency="HUF"))

    async def test_a_payout_that_the_bank_sent_back_is_named_in_the_next(self, bench: Bench) -> None:
        """The money comes back as a line that says whose it was."""
        await self._empty(bench)
        await bench.taken(5_000)
        failed = await bench.door.post("/v1/payouts", currency="EUR")
        await bench.door.post(f"/v1/payouts/{failed['id']}/fail")
        payout_id = bench.name_of((await bench.door.post("/v1/payouts", currency="EUR"))["id"])
        payout, lines = await bench.provider.read_payout(payout_id)
        assert [(one.kind, one.amount) for one in lines] == [(PayoutLineKind.ADJUSTMENT, payout.amount)]
        assert bench.name_of(failed["id"]) in lines[0].description.split()
        assert (await bench.provider.read_payout(bench.name_of(failed["id"])))[0].status is PayoutStatus.FAILED

    async def test_a_forged_webhook_is_told_from_the_one_behind_it(self, bench: Bench) -> None:
        """Somebody who has seen PayPal's headers puts them around a body of their own: it is refused, and the next believed."""
        opened = await bench.opened()
        assert (await bench.provider.read_webhook(*await bench.next_webhook())).subject == opened.id
        await bench.door.twist("forged")
        await bench.capture(opened)
        with pytest.raises(WebhookNotGenuine, match="does not fit"):
            await bench.provider.read_webhook(*await bench.next_webhook())
        event = await bench.provider.read_webhook(*await bench.next_webhook())
        assert (event.type, event.subject) == ("PAYMENT.CAPTURE.COMPLETED", opened.id)


async def test_a_wrong_secret_says_nothing_of_payments(paypal_sandbox: Served) -> None:
    """Whoever is not let in has refused nothing."""
    async with reach(paypal_sandbox, "another secret") as provider:
        with pytest.raises(ProviderUnreachable, match="HTTP 401"):
            await provider.create(order())


async def test_a_customer_pays_an_invoice_with_paypal(house: House, paypal_sandbox: Served) -> None:
    """Start gives the link, post asks for the money, approval lets it be taken: ledger, invoice and receipt agree."""
    async with open_shop_at(house, Till(paypal_sandbox.process, SECRET)) as shop, reach(paypal_sandbox) as paypal:
        shop.provider = paypal
        await shop.control.order([Fault(Call.CREATE, FaultKind.ACTION)])
        started = await shop.start()
        assert started.token.startswith("http")
        early = await shop.post(started)
        assert (early.status, early.next_action.value) == ("submitted", "authenticate")
        assert early.action_url == started.token
        async with httpx.AsyncClient(verify=PLAIN, trust_env=False) as customer:
            await customer.post(started.token, content="succeeded=yes")
        await shop.wait_and_work()
        assert await shop.status(started) == "settled"
        assert (await shop.reread()).outstanding == 0
        assert (await shop.do("ledger.balance", account="providers/paypal/USD")).balance == -shop.invoice.total
        assert await shop.captured() == shop.invoice.total
