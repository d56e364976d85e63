"""
Which payment providers a server has: put together from its settings.

The sandbox is one of them when its address is set, when it is asked for, and when there is no other.
"""

import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from tallystick.payments.providers.protocol import Provider
from tallystick.payments.providers.registry import Providers
from tallystick.payments.providers.sandbox import process as sandbox
from tallystick.payments.providers.sandbox.client import SandboxProvider
from tallystick.settings import Settings

Beside = tuple[str, Callable[[], Awaitable[None]]]
"""What runs beside the server for a provider: its name, and what to run until it is cancelled."""

_Opened = contextlib.AbstractAsyncContextManager[Provider]


@contextlib.asynccontextmanager
async def open_providers(settings: Settings) -> AsyncIterator[tuple[Providers, Sequence[Beside]]]:
    """
    Reach the providers that are set, and start the sandbox beside the server where it is one of them and runs nowhere.

    The one that is set takes payments which name none; else the first of Stripe, PayPal and the sandbox that is there.

    Raises:
        UnknownProvider: the one that is to take payments which name none is not there (``payments.unknown_provider``).
        PayPalNotSet: PayPal cannot be reached with what is set (``payments.paypal_not_set``).
        SandboxNotStarted: the sandbox did not start (``payments.sandbox_not_started``).
    """
    async with contextlib.AsyncExitStack() as stack:
        reached = [await stack.enter_async_context(one) for one in _real_providers(settings)]
        beside: Sequence[Beside] = []
        if settings.provider_url is not None:
            client = SandboxProvider(settings.provider_url, settings.provider_secret or "")
            reached.append(await stack.enter_async_context(client))
        elif settings.sandbox or not reached:
            started, beside = await stack.enter_async_context(_sandbox_beside(settings))
            reached.append(started)
        providers = Providers(settings.default_provider or reached[0].name, {one.name: one for one in reached})
        providers.find(None)  # now, rather than at the first payment
        yield providers, beside


def _real_providers(settings: Settings) -> list[_Opened]:
    """Return the providers that move real money, in the order in which they are the one for payments that name none."""
    wanted: list[_Opened] = []
    if settings.stripe_secret:
        # Here, because Stripe's SDK takes a second to load, which nobody else shall wait for.
        from tallystick.payments.providers.stripe.provider import StripeProvider  # noqa: PLC0415 - see above

        webhook_secrets = [one.strip() for one in settings.stripe_webhook_secrets.split(",") if one.strip()]
        wanted.append(StripeProvider(settings.stripe_secret, webhook_secrets, settings.stripe_url))
    if settings.paypal_client_id is not None:
        # Here for the like: what certificates are checked with is of no use to anybody else.
        from tallystick.payments.providers.paypal.configure import paypal_of  # noqa: PLC0415 - see above

        wanted.append(paypal_of(settings))
    return wanted


@contextlib.asynccontextmanager
async def _sandbox_beside(settings: Settings) -> AsyncIterator[tuple[Provider, Sequence[Beside]]]:
    """Start the sandbox, with a secret that nobody else knows, and keep it there for as long as the server runs."""
    settings.data_directory.mkdir(parents=True, exist_ok=True)
    secret = secrets.token_urlsafe(32)
    process = await sandbox.start(settings.data_directory / "sandbox.jsonl", secret)
    try:
        async with SandboxProvider(process.url, secret) as client:
            yield client, [("sandbox", process.keep_alive)]
    finally:
        await process.stop()
