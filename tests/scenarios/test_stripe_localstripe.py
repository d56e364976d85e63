"""
Stripe's SDK against localstripe, which knows nothing of us: payments, refunds, declines, 3-D Secure, webhooks.

It forgets idempotency keys and has no search, no disputes and no payouts: for these there is the sandbox's Stripe face.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tallystick.payments.providers.protocol import (
    EventKind,
    ProviderRefused,
    ProviderTransaction,
    ProviderUnreachable,
    RefundRequest,
    RefundStatus,
    TransactionStatus,
    WebhookNotGenuine,
)
from tallystick.payments.providers.stripe.provider import StripeProvider
from tests.conformance.provider_scenarios import listening_for_webhooks, order
from tests.installed_localstripe import running_localstripe

SECRET = "sk_test_localstripe"
WEBHOOK_SECRET = "whsec_localstripe"
GOOD_CARD = "4242424242424242"
DECLINED_CARD = "4000000000000341"
ASKING_CARD = "4000002500003155"


@dataclass(frozen=True)
class Customer:
    """A customer's device, and localstripe as it sees it."""

    http: httpx.AsyncClient

    async def give_card(self, opened: ProviderTransaction, number: str) -> None:
        """Give a card for a payment, and leave it to the merchant to go on."""
        card = {"number": number, "exp_month": "12", "exp_year": "2030", "cvc": "123"}
        fields = {"type": "card"} | {f"card[{name}]": value for name, value in card.items()}
        method = await self.post("/v1/payment_methods", **fields)
        await self.post(f"/v1/payment_intents/{opened.id}", payment_method=method["id"])

    async def authenticate(self, opened: ProviderTransaction, *, success: bool) -> None:
        """Do what 3-D Secure asks, or fail to."""
        path = f"/v1/payment_intents/{opened.id}/_authenticate"
        await self.post(path, client_secret=opened.token, success=str(success).lower())

    async def post(self, path: str, **fields: str) -> Any:  # noqa: ANN401 - JSON
        """Change something."""
        return (await self.http.post(path, data=fields)).raise_for_status().json()


@pytest.fixture(scope="session")
async def localstripe() -> AsyncIterator[str]:
    """Run localstripe for these tests."""
    async with running_localstripe() as url:
        yield url


@pytest.fixture
async def customer(localstripe: str) -> AsyncIterator[Customer]:
    """Reach it as customers do."""
    headers = {"authorization": f"Bearer {SECRET}"}
    async with httpx.AsyncClient(base_url=localstripe, headers=headers, trust_env=False) as http:
        yield Customer(http)


@pytest.fixture
async def provider(localstripe: str) -> AsyncIterator[StripeProvider]:
    """Reach it as the product does."""
    async with StripeProvider(SECRET, [WEBHOOK_SECRET], localstripe) as reached:
        yield reached


async def capture(provider: StripeProvider, opened: ProviderTransaction) -> ProviderTransaction:
    """Take the money of a payment."""
    return await provider.capture(opened.id, opened.amount, opened.currency, f"c:{opened.reference}")


async def test_a_payment_is_opened_confirmed_taken_and_found(provider: StripeProvider, customer: Customer) -> None:
    """The customer gives a card to Stripe alone; we confirm and take, and what Stripe says is what we find."""
    request = order(amount=1234)
    opened = await provider.create(request)
    asked = (opened.status, opened.reference, opened.amount, opened.currency)
    assert asked == (TransactionStatus.CREATED, request.reference, 1234, "EUR")
    assert opened.token.startswith(f"{opened.id}_secret_")
    await customer.give_card(opened, GOOD_CARD)
    taken = await capture(provider, opened)
    assert taken.status is TransactionStatus.CAPTURED
    assert await provider.find(opened.id) == taken
    assert (await capture(provider, opened)).status is TransactionStatus.CAPTURED
    assert (await provider.cancel(opened.id)).status is TransactionStatus.CAPTURED


async def test_without_a_card_there_is_something_to_do_first(provider: StripeProvider) -> None:
    """A payment whose customer has not been there yet takes nothing and waits for them."""
    opened = await provider.create(order())
    waiting = await capture(provider, opened)
    assert (waiting.status, waiting.action_url) == (TransactionStatus.ACTION_REQUIRED, None)
    assert (await provider.find(opened.id)).status is TransactionStatus.CREATED


async def test_a_card_that_is_declined_ends_the_payment(provider: StripeProvider, customer: Customer) -> None:
    """The bank says no while we confirm: the intent is given up, and tells the same for ever."""
    opened = await provider.create(order())
    await customer.give_card(opened, DECLINED_CARD)
    declined = await capture(provider, opened)
    assert (declined.status, declined.decline_code) == (TransactionStatus.DECLINED, "card_declined")
    assert (await provider.find(opened.id)).status is TransactionStatus.DECLINED
    assert (await capture(provider, opened)).status is TransactionStatus.DECLINED


async def test_3d_secure_is_asked_for_and_then_the_money_is_taken(provider: StripeProvider, customer: Customer) -> None:
    """While the customer proves who they are nothing is taken, and once they have, it is."""
    opened = await provider.create(order())
    await customer.give_card(opened, ASKING_CARD)
    assert (await capture(provider, opened)).status is TransactionStatus.ACTION_REQUIRED
    await customer.authenticate(opened, success=True)
    assert (await capture(provider, opened)).status is TransactionStatus.CAPTURED


async def test_3d_secure_that_fails_ends_the_payment(provider: StripeProvider, customer: Customer) -> None:
    """Who cannot prove who they are is declined, and Stripe's own word for it is the reason."""
    opened = await provider.create(order())
    await customer.give_card(opened, ASKING_CARD)
    await capture(provider, opened)
    await customer.authenticate(opened, success=False)
    declined = await capture(provider, opened)
    told = (declined.status, declined.decline_code)
    assert told == (TransactionStatus.DECLINED, "payment_intent_authentication_failure")


async def test_what_is_given_up_takes_nothing(provider: StripeProvider, customer: Customer) -> None:
    """A canceled intent stays so, card or no card."""
    opened = await provider.create(order())
    await customer.give_card(opened, GOOD_CARD)
    assert (await provider.cancel(opened.id)).status is TransactionStatus.CANCELED
    assert (await capture(provider, opened)).status is TransactionStatus.CANCELED


async def test_money_is_given_back_in_parts_and_each_part_once(provider: StripeProvider, customer: Customer) -> None:
    """No key is known to localstripe: that a refund is made once is our looking first."""
    opened = await provider.create(order())
    await customer.give_card(opened, GOOD_CARD)
    taken = await capture(provider, opened)
    parts = [RefundRequest(f"{opened.reference}:{amount}", taken.id, amount, "EUR") for amount in (30, 70)]
    made = [await provider.refund(part) for part in parts]
    assert [(one.status, one.amount) for one in made] == [(RefundStatus.SUCCEEDED, 30), (RefundStatus.SUCCEEDED, 70)]
    assert [await provider.refund(part) for part in parts] == made
    assert await provider.find_refund(taken.id, parts[0].reference) == made[0]
    assert await provider.find_refund(taken.id, "another") is None
    listed = (await customer.http.get("/v1/refunds", params={"payment_intent": taken.id})).json()["data"]
    assert sorted(one["amount"] for one in listed) == [30, 70]


async def test_what_it_does_not_know_is_refused(provider: StripeProvider) -> None:
    """No intent, no dispute: localstripe says 404 in its own way."""
    with pytest.raises(ProviderRefused, match="resource_missing"):
        await provider.find("pi_nothing")
    with pytest.raises((ProviderRefused, ProviderUnreachable)):
        await provider.find_dispute("dp_nothing")


async def test_its_webhooks_are_believed_and_others_are_not(provider: StripeProvider, customer: Customer) -> None:
    """It signs by its own reckoning of Stripe's rules; a changed body is nobody's."""
    async with listening_for_webhooks() as (url, next_webhook):
        await customer.http.post("/_config/webhooks/ours", json={"url": url, "secret": WEBHOOK_SECRET})
        opened = await provider.create(order())
        await customer.give_card(opened, GOOD_CARD)
        await capture(provider, opened)
        headers, body = await next_webhook()
        event = await provider.read_webhook(headers, body)
        while event.transaction_id != opened.id:
            headers, body = await next_webhook()
            event = await provider.read_webhook(headers, body)
    assert (event.kind, event.type) == (EventKind.TRANSACTION, "payment_intent.succeeded")
    with pytest.raises(WebhookNotGenuine):
        await provider.read_webhook(headers, body.replace(b"succeeded", b"processed"))
