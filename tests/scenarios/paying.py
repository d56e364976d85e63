"""An invoice to pay, a real sandbox to pay it through, and a house that can die at any step."""

import asyncio
import datetime as dt
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tallystick.clock import FixedClock
from tallystick.ids import uuid7
from tallystick.operations.carry_payments import carry_payments
from tallystick.operations.invoicing_month import run_month
from tallystick.operations.model import Answer
from tallystick.operations.run import Operations
from tallystick.operations.work_queues import QueueWorker, take_over
from tallystick.payments.model import PaymentOutput
from tallystick.payments.providers import protocol
from tallystick.payments.providers.registry import Providers
from tallystick.payments.providers.sandbox import process as sandbox
from tallystick.payments.providers.sandbox.client import SandboxProvider
from tallystick.payments.providers.sandbox.control import SandboxControl
from tallystick.payments.providers.sandbox.faults import FaultKind
from tallystick.payments.wake import QUEUE
from tallystick.security.model import OPERATOR, Principal
from tests.conftest import House
from tests.db.priced_usage import meter_requests, price, use_in_may

PATIENCE = 0.5
"""Seconds until the provider is taken not to answer."""


LOST_ANSWERS = [kind for kind in FaultKind if kind.lost_before or kind.lost_after]
"""Each way in which nobody hears what became of a call: nothing happened, or it did."""


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
    working: "asyncio.Task[None] | None" = None

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
        await self.until_let_go()
        self.clock.at += dt.timedelta(seconds=seconds)
        await self.work()

    async def until_let_go(self) -> None:
        """Wait until the worker has let go whatever it was at: customers are answered a moment before."""
        worker: QueueWorker | None = self.operations.resources.get(QueueWorker)
        if worker is None:
            return
        for queue, key in await self.operations.pool.fetch("SELECT queue, key FROM job WHERE worker IS NOT NULL"):
            assert await worker.settled("main", queue, key, 20)

    async def work(self) -> None:
        """Have the worker do what is due by now, and wait until it has."""
        worker: QueueWorker = self.operations.resources[QueueWorker]
        due = await self.operations.pool.fetch("SELECT queue, key FROM job WHERE due_at <= $1", self.clock.now())
        worker.wake()
        for queue, key in due:
            assert await worker.settled("main", queue, key, 20)

    async def due_at(self) -> dt.datetime | None:
        """Return when something is to be done next."""
        await self.until_let_go()
        due: dt.datetime | None = await self.operations.pool.fetchval("SELECT min(due_at) FROM job")
        return due

    @asynccontextmanager
    async def process_that_dies(self, dies: tuple[str, str]) -> AsyncIterator[QueueWorker]:
        """Have a worker in place of the one that lives, which dies at a step; afterwards another process takes over."""
        await self.rest()
        self.operations.dies = dies
        try:
            yield QueueWorker(self.operations, {QUEUE: carry_payments})
        finally:
            self.operations.dies = None
            await take_over(self.operations)
            self.live()

    def live(self) -> None:
        """Have a worker carry payments on, as the server has."""
        worker = self.operations.resources[QueueWorker] = QueueWorker(self.operations, {QUEUE: carry_payments})
        self.working = asyncio.create_task(worker.run())

    async def rest(self) -> None:
        """Have no worker: what is due stays due."""
        self.operations.resources.pop(QueueWorker, None)
        if self.working is not None:
            self.working.cancel()
            await asyncio.gather(self.working, return_exceptions=True)
            self.working = None

    @property
    def provider(self) -> Any:  # noqa: ANN401 - a Provider, or what a test puts in its place
        """Return the provider that payments are taken through."""
        return self.operations.resources[Providers].find(None)

    @provider.setter
    def provider(self, provider: Any) -> None:  # noqa: ANN401 - see above
        self.operations.resources[Providers] = Providers.only(provider)

    async def status(self, payment: PaymentOutput) -> str:
        """Return the payment's status as it is now."""
        found: PaymentOutput = await self.do("payments.find", payment_id=str(payment.payment_id))
        return found.status

    async def reread_payment(self, payment: PaymentOutput) -> Any:  # noqa: ANN401 - a PaymentOutput
        """Return the payment as it stands."""
        return await self.do("payments.find", payment_id=str(payment.payment_id))

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
        operations.resources[Providers] = Providers.only(provider)
        shop = Shop(operations, control, clock, page.items[-1])
        shop.live()
        try:
            yield shop
        finally:
            await shop.rest()
        await control.forget()
