"""A sandbox of a test's own, both its doors, and a place where its webhooks arrive."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from tallystick.ids import uuid7
from tallystick.payments.providers.protocol import (
    CreateRequest,
    PaymentType,
    ProviderEvent,
    ProviderTransaction,
    WebhookNotGenuine,
)
from tallystick.payments.providers.sandbox import process
from tallystick.payments.providers.sandbox.client import SandboxProvider
from tallystick.payments.providers.sandbox.control import SandboxControl
from tallystick.payments.providers.sandbox.process import PlanFile, SandboxProcess

SECRET = "a-secret-of-the-tests"


def order(reference: str | None = None, amount: int = 100, email: str = "ada@example.org") -> CreateRequest:
    """Ask for a payment in euros, under a reference of its own unless told."""
    return CreateRequest(reference or str(uuid7()), amount, "EUR", "ada", email, PaymentType.CREDIT)


@dataclass
class Doors:
    """A sandbox that runs, and how it is reached."""

    process: SandboxProcess
    provider: SandboxProvider
    control: SandboxControl

    async def pay(self, amount: int = 1000, reference: str | None = None) -> ProviderTransaction:
        """Open a transaction and take its money."""
        opened = await self.provider.create(order(reference, amount))
        return await self.provider.capture(opened.id, amount, "EUR", f"c-{opened.id}")


@contextlib.asynccontextmanager
async def doors(state: Path, plan: PlanFile | None = None) -> AsyncIterator[Doors]:
    """Run a sandbox and reach it."""
    running = await process.start(state, SECRET, plan=plan)
    try:
        async with SandboxProvider(running.url, SECRET) as provider, SandboxControl(running.url, SECRET) as control:
            yield Doors(running, provider, control)
    finally:
        await running.stop()


@dataclass
class Inbox:
    """Where webhooks arrive, and what became of each."""

    url: str
    refuse: int = 0
    """How many are answered with an error before one is taken."""
    bodies: "asyncio.Queue[tuple[dict[str, str], bytes]]" = field(default_factory=asyncio.Queue)

    async def take(self, request: web.Request) -> web.Response:
        """Keep one, or refuse it."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        if self.refuse:
            self.refuse -= 1
            return web.Response(status=503)
        await self.bodies.put((headers, await request.read()))
        return web.Response(status=204)

    async def read(self, provider: SandboxProvider) -> ProviderEvent | None:
        """Return the next that arrives, as the provider reads it; None if it is not genuine."""
        headers, body = await asyncio.wait_for(self.bodies.get(), 10)
        try:
            return await provider.read_webhook(headers, body)
        except WebhookNotGenuine:
            return None


@contextlib.asynccontextmanager
async def inbox() -> AsyncIterator[Inbox]:
    """Serve a place where webhooks arrive."""
    box = Inbox("")
    app = web.Application()
    app.router.add_post("/hook", box.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    box.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield box
    finally:
        await runner.cleanup()
