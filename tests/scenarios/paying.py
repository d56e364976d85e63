"""An invoice to pay, a real sandbox to pay it through, and a house that can die at any step."""

import datetime as dt
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tallystick.clock import FixedClock
from tallystick.ids import uuid7
from tallystick.operations.invoicing_month import run_month
from tallystick.operations.model import Answer
from tallystick.operations.run import Operations
from tallystick.operations.work_payments import work_payments_once
from tallystick.payments.model import PaymentOutput
from tallystick.payments.providers import protocol
from tallystick.payments.providers.sandbox import process as sandbox
from tallystick.payments.providers.sandbox.client import SandboxProvider
from tallystick.payments.providers.sandbox.control import SandboxControl
from tallystick.security.model import OPERATOR, Principal
from tests.conftest import House
from tests.db.priced_usage import meter_requests, price, use_in_may

PATIENCE = 0.5
"""Seconds until the provider is taken not to answer."""


class Died(BaseException):
    """The process is gone: nothing after this point happens."""


@dataclass(slots=True)
class MortalOperations(Operations):
    """Operations whose process dies just before or just after it runs one of them."""

    dies: tuple[str, str] | None = None

    async def run(
        self, principal: Principal, book: str, name: str, key: str, input_: object, *, dry_run: bool = False
    ) -> Answer:
        """Run, or die."""
        if self.dies == (name, "before"):
            raise Died
        answer = await Operations.run(self, principal, book, name, key, input_, dry_run=dry_run)
        if self.dies == (name, "after"):
            raise Died
        return answer


@dataclass(slots=True)
class Shop:
    """A book with an issued invoice, and a sandbox."""

    operations: MortalOperations
    control: SandboxControl
    clock: FixedClock
    invoice: Any
    request: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        """Make up what the customer's browser sends every time."""
        self.request = {
            "user": self.invoice.customer,
            "email": "ada@example.com",
            "timestamp": "2015-06-02T10:00:00Z",
            "payment_type": "credit",
        }

    async def do(self, operation: str, key: str = "", /, **fields: object) -> Any:  # noqa: ANN401 - each has its own
        """Run an operation on the book."""
        return await self.operations.call(OPERATOR, "main", operation, key or str(uuid7()), fields)

    async def start(self, key: str = "start") -> Any:  # noqa: ANN401 - a PaymentOutput
        """Start the payment of the invoice as the customer does; the same message each time."""
        return await self.do("payments.start", key, **self.request, invoice_id=str(self.invoice.id))

    async def post(self, started: PaymentOutput, key: str = "post") -> Any:  # noqa: ANN401 - a PaymentOutput
        """Complete the payment as the customer does; the same message each time."""
        fields = {**self.request, "transaction_id": started.transaction_id, "amount": started.amount}
        return await self.do("payments.post", key, **fields)

    async def wait_and_work(self, seconds: int = 16 * 60) -> None:
        """Let the leases run out, but not a customer's time, and let a worker carry on."""
        self.clock.at += dt.timedelta(seconds=seconds)
        await work_payments_once(self.operations)

    async def status(self, payment: PaymentOutput) -> str:
        """Return the payment's status as it is now."""
        found: PaymentOutput = await self.do("payments.find", payment_id=str(payment.payment_id))
        return found.status

    async def reread(self) -> Any:  # noqa: ANN401 - an invoice
        """Return the invoice as it stands."""
        return await self.do("invoicing.find", id=str(self.invoice.id))

    async def transactions(self) -> list[protocol.ProviderTransaction]:
        """Return the provider's transactions for this shop's payments; others use the same sandbox."""
        rows = await self.operations.pool.fetch("SELECT payment_id::text FROM payment")
        ours = {row[0] for row in rows}
        return [one for one in (await self.control.holdings()).transactions if one.reference in ours]

    async def captured(self) -> int:
        """Return what the provider took in all for this shop's payments."""
        captured = protocol.TransactionStatus.CAPTURED
        return sum(one.amount for one in await self.transactions() if one.status is captured)


@dataclass(frozen=True, slots=True)
class Till:
    """A sandbox that several shops can pay through, one after the other."""

    process: sandbox.SandboxProcess
    secret: str


@asynccontextmanager
async def open_till(directory: Path) -> AsyncIterator[Till]:
    """Start a sandbox."""
    secret = secrets.token_urlsafe(16)
    process = await sandbox.start(directory / "sandbox.jsonl", secret)
    try:
        yield Till(process, secret)
    finally:
        await process.stop()


@asynccontextmanager
async def open_shop(house: House, directory: Path) -> AsyncIterator[Shop]:
    """Issue an invoice of one customer, and start a sandbox."""
    async with open_till(directory) as till, open_shop_at(house, till) as shop:
        yield shop


@asynccontextmanager
async def open_shop_at(house: House, till: Till) -> AsyncIterator[Shop]:
    """Issue an invoice of one customer, to be paid through a sandbox that runs; the faults ordered of it end here."""
    clock = FixedClock(dt.datetime(2015, 6, 2, 10, tzinfo=dt.UTC))
    operations = MortalOperations(house.operations.pool, clock, house.operations.table)
    await meter_requests(house)
    await price(house, "0.25")
    await use_in_may(house, 3)
    await run_month(operations, OPERATOR, "main", "2015-05")
    page = await operations.call(OPERATOR, "main", "invoicing.list", "", {})
    url = till.process.url
    async with SandboxProvider(url, till.secret, PATIENCE) as provider, SandboxControl(url, till.secret) as control:
        operations.resources[protocol.Provider] = provider
        yield Shop(operations, control, clock, page.items[-1])
        await control.forget()
