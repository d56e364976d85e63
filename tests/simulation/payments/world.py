"""The world of a run: a database, a sandbox that misbehaves by its seed, two servers, and what befalls them."""

import asyncio
import contextlib
import json
import os
import random
import re
import secrets
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tallystick.db.embedded import EmbeddedServer, serving
from tallystick.db.migrate import migrate
from tallystick.ids import uuid7
from tallystick.open_store import FIRST_BOOK, ensure_book, open_store
from tallystick.payments.providers.sandbox import process as sandbox
from tallystick.payments.providers.sandbox.control import SandboxControl
from tallystick.security.model import OPERATOR
from tallystick.settings import Settings

TOTAL = 1990
"""What each invoice is for, in minor units."""
SERVERS = 2
_TOGETHER = 500
_START_SECONDS = 240
LATER = 45 * 60
"""So far the clock jumps in the end: no customer has any time left, and whatever waits is due."""
_SERVES = re.compile(r"serves (http://127\.0\.0\.1:\d+)")

LOST = {"error_before": "0.01", "error_after": "0.01", "drop_before": "0.015", "drop_after": "0.015"}
HUNG = {"timeout_before": "0.0005", "timeout_after": "0.0005"}
"""Each costs ten seconds of waiting, so that short runs go without."""


def rates_of(payments: int) -> dict[str, Any]:
    """Return how often what goes wrong at the provider."""
    lost = LOST | (HUNG if payments >= 1000 else {})
    return {
        "calls": {
            "create": {**lost, "decline": "0.03", "action": "0.02"},
            "capture": {**lost, "decline": "0.05", "action": "0.05", "wait": "0.05"},
            "find": lost,
            "cancel": lost,
            "refund": {**lost, "decline": "0.1", "wait": "0.3"},
            "find_refund": lost,
            "find_dispute": lost,
            "list_payouts": lost,
            "read_payout": lost,
        },
        "webhooks": {"duplicate": "0.1", "late": "0.1", "out_of_order": "0.1", "forged": "0.05", "lost": "0.2"},
        "authentications_failed": "0.3",
        "captures_declined_later": "0.3",
        "refunds_failed_later": "0.3",
        "disputes": "0.08",
        "payout_every": 40,
        "decided_after_ms": 300,
    }


@dataclass(slots=True)
class World:
    """Everything that runs."""

    directory: Path
    chance: random.Random
    store: EmbeddedServer
    key: str
    invoices: list[tuple[str, str]]
    """Customers with what each owes."""
    provider: sandbox.SandboxProcess
    control: SandboxControl
    secret: str
    servers: dict[int, asyncio.subprocess.Process] = field(default_factory=dict)
    addresses: dict[int, str] = field(default_factory=dict)
    killed: int = 0
    ahead: int = 0

    @property
    def database(self) -> str:
        """Return the address of the books."""
        return self.store.url

    def any_address(self, chance: random.Random) -> str | None:
        """Return the address of one of the servers, None while there is none."""
        return chance.choice(sorted(self.addresses.values())) if self.addresses else None

    async def start(self, number: int) -> None:
        """Start a server, and wait until it serves."""
        told = self.directory / f"server-{number}-{self.killed}.txt"
        environment = {
            **os.environ,
            "TALLYSTICK_DATA": str(self.directory / "data"),
            "TALLYSTICK_PORT": "0",
            "TALLYSTICK_POSTGRES_URL": self.store.url,
            "TALLYSTICK_PROVIDER_URL": self.provider.url,
            "TALLYSTICK_PROVIDER_SECRET": self.secret,
            "SIMULATION_SECONDS_AHEAD": str(self.ahead),
        }
        with told.open("w") as out:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.simulation.payments.serve", "up", env=environment, stdout=out, stderr=out
            )
        self.servers[number] = process
        async with asyncio.timeout(_START_SECONDS):
            while (found := _SERVES.search(told.read_text())) is None:
                if process.returncode is not None:
                    raise RuntimeError(told.read_text())
                await asyncio.sleep(0.05)
        self.addresses[number] = found[1]

    async def kill(self, number: int) -> None:
        """End a server as a power cut would."""
        self.killed += 1
        self.addresses.pop(number, None)
        process = self.servers.pop(number)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    async def hurt(self) -> None:
        """Kill servers now and then, and the sandbox seldom, until cancelled; each is started again."""
        while True:
            await asyncio.sleep(self.chance.uniform(0.5, 3))
            if self.chance.random() < 0.1:
                await self.provider.kill()  # it comes back by itself
                continue
            number = self.chance.randrange(SERVERS)
            await self.kill(number)
            await self.start(number)

    async def hear_webhooks(self) -> None:
        """Have the sandbox tell the first server what happens."""
        if 0 in self.addresses:
            await self.control.send_webhooks_to(f"{self.addresses[0]}/v1/books/{FIRST_BOOK}/providers/sandbox/webhook")

    async def go_on_later(self, seconds: int) -> None:
        """Have one server alone, at a time at which whatever waits is due."""
        for number in list(self.servers):
            await self.kill(number)
        self.ahead += seconds
        await self.start(0)

    async def look_at_payouts(self) -> None:
        """Have what waits in payouts looked at now, and not within the hour."""
        headers = {"authorization": f"Bearer {self.key}", "idempotency-key": str(uuid7())}
        url = f"{self.addresses[0]}/v1/books/{FIRST_BOOK}/payouts/read"
        async with aiohttp.ClientSession(headers=headers) as http, http.post(url, json={}) as response:
            response.raise_for_status()

    async def count(self) -> Counter[str]:
        """Count what went back at the provider, and what it paid out."""
        held = await self.control.holdings()
        back = Counter(f"dispute {one.status.value} there" for one in held.disputes)
        back |= Counter(f"refund {one.status.value} there" for one in held.refunds)
        return back | Counter({"payouts": len(held.payouts)})

    async def pay_out(self) -> None:
        """Have the provider pay out all that it owes, and tell by no webhook."""
        await self.control.pay_out("USD")


@asynccontextmanager
async def made_world(directory: Path, seed: int, payments: int) -> AsyncIterator[World]:
    """Make a world in which so many invoices are to be paid."""
    (directory / "rates.json").write_text(json.dumps(rates_of(payments)))
    secret = secrets.token_urlsafe(16)
    plan = sandbox.PlanFile(seed, directory / "rates.json")
    provider = await sandbox.start(directory / "sandbox.jsonl", secret, plan=plan)
    async with serving(directory / "store") as store, SandboxControl(provider.url, secret) as control:
        await migrate(store.url)
        key, invoices = await _owe(directory, store.url, payments)
        world = World(directory, random.Random(seed), store, key, invoices, provider, control, secret)
        kept_alive = asyncio.create_task(provider.keep_alive())
        try:
            await asyncio.gather(*(world.start(number) for number in range(SERVERS)))
            await world.hear_webhooks()
            yield world
        finally:
            kept_alive.cancel()
            await asyncio.gather(kept_alive, return_exceptions=True)
            for number in list(world.servers):
                await world.kill(number)
            await provider.stop()


async def _owe(directory: Path, url: str, payments: int) -> tuple[str, list[tuple[str, str]]]:
    """Issue invoices; return a key, and customers with their invoices."""
    settings = Settings(data_directory=directory / "data", postgres_url=url)
    async with open_store(settings) as store:
        key = await ensure_book(store.operations, FIRST_BOOK)

        async def do(operation: str, **fields: object) -> Any:  # noqa: ANN401 - each operation has its own
            return await store.operations.call(OPERATOR, FIRST_BOOK, operation, str(uuid7()), fields)

        await do("ledger.ensure_asset", asset="USD", exponent=2)
        found: list[tuple[str, str]] = []
        for first in range(0, payments, _TOGETHER):
            wanted = [_invoice_of(number) for number in range(first, min(first + _TOGETHER, payments))]
            made = await do("invoicing.request_many", invoices=wanted)
            found += [(str(one["customer"]), str(of.invoice.id)) for one, of in zip(wanted, made.items, strict=True)]
        await store.operations.pool.execute("ANALYZE")
    return str(key), found


def _invoice_of(number: int) -> dict[str, Any]:
    return {
        "product": "access",
        "reference": f"access-{number:06d}",
        "customer": f"customer-{number:06d}",
        "asset": "USD",
        "terms_days": 30,
        "lines": [{"description": "Access", "amount": TOTAL}],
    }
