"""A paid invoice whose money can go back, at a real sandbox, with workers of every queue that has to do with it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tallystick.ids import uuid7
from tallystick.main import HANDLERS
from tallystick.operations.provider_events import hear
from tallystick.operations.work_queues import QueueWorker, take_over
from tallystick.payments.model import PaymentOutput
from tallystick.payments.providers.protocol import (
    DisputeStatus,
    EventKind,
    ProviderDispute,
    ProviderEvent,
    ProviderRefund,
    RefundStatus,
    TransactionStatus,
)
from tallystick.payments.providers.sandbox.client import SandboxProvider
from tests.conftest import House
from tests.scenarios.paying import Died, Shop, Till, open_shop_at

PATIENCE = 2.0
"""Seconds until the provider is taken not to answer: enough for a machine that is busy with other things."""


@dataclass(slots=True)
class Counter:
    """A shop that gives money back."""

    shop: Shop

    async def live(self) -> None:
        """Have a worker carry on all that waits in any queue, as the server has."""
        await self.shop.rest()
        worker = self.shop.operations.resources[QueueWorker] = QueueWorker(self.shop.operations, HANDLERS)
        self.shop.working = asyncio.create_task(worker.run())

    async def pay(self, key: str = "one") -> PaymentOutput:
        """Pay what is owed, and return the payment; a sandbox that is slow to begin is asked until it says."""
        started = await self.shop.start(f"start {key}")
        paid: PaymentOutput = await self.shop.post(started, f"post {key}")
        for _ in range(5):
            if paid.status != "settled":
                await self.shop.wait_and_work(20)
                paid = await self.shop.reread_payment(paid)
        assert paid.status == "settled"
        return paid

    async def refund(self, payment: PaymentOutput, key: str = "refund", /, **fields: object) -> Any:  # noqa: ANN401 - a Refund
        """Give money of a payment back; the same message each time."""
        given = {"reason": "the customer asked for it", "take_from": "invoice"} | fields
        return await self.shop.do("payments.refund", key, payment_id=str(payment.payment_id), **given)

    async def reread(self, refund: Any) -> Any:  # noqa: ANN401 - both a Refund
        """Return a refund as it stands."""
        return await self.shop.do("refunds.find", refund_id=str(refund.refund_id))

    async def hear(self, kind: str, subject: str, transaction_id: str | None = None) -> None:
        """Hear what a webhook says, and have done what follows."""
        await self.only_hear(kind, subject, transaction_id)
        await self.shop.work()

    async def only_hear(self, kind: str, subject: str, transaction_id: str | None = None) -> None:
        """Hear what a webhook says."""
        at = self.shop.clock.now()
        told = ProviderEvent(f"evt_{uuid7()}", EventKind(kind), f"{kind}.changed", subject, transaction_id, at)
        await hear(self.shop.operations, "main", "sandbox", told)

    async def disputes(self) -> list[Any]:
        """Return the disputes of the book."""
        return list((await self.shop.do("disputes.list")).items)

    async def balance(self, account: str) -> int:
        """Return the balance of an account; one that nobody opened has nothing."""
        rows = await self.shop.operations.pool.fetch(
            "SELECT (sums.credits - sums.debits)::bigint FROM account CROSS JOIN LATERAL "
            "account_sums(book_id, account_id) AS sums WHERE code = $1",
            account,
        )
        return sum(row[0] for row in rows)

    async def lies_unallocated(self) -> int:
        """Return what lies unallocated for the customer."""
        return await self.balance(f"customers/{self.shop.invoice.customer}/unallocated/USD")

    async def refunds_made(self) -> list[ProviderRefund]:
        """Return what the sandbox gave back for this shop, or is to."""
        ours = {one.id for one in await self.shop.transactions()}
        return [one for one in (await self.shop.control.holdings()).refunds if one.transaction_id in ours]

    async def disputes_held(self) -> list[ProviderDispute]:
        """Return the disputes that the sandbox has about this shop's payments."""
        ours = {one.id for one in await self.shop.transactions()}
        return [one for one in (await self.shop.control.holdings()).disputes if one.transaction_id in ours]

    async def held_for_us(self) -> int:
        """Return what the sandbox has taken for this shop, less what it gave back or holds back."""
        taken = [one.amount for one in await self.shop.transactions() if one.status is TransactionStatus.CAPTURED]
        given = [one.amount for one in await self.refunds_made() if one.status is RefundStatus.SUCCEEDED]
        held = [one.amount for one in await self.disputes_held() if one.status is not DisputeStatus.WON]
        return sum(taken) - sum(given) - sum(held)

    async def require_agreement(self) -> None:
        """Hold ledger and provider against each other; nothing is on its way any more."""
        assert await self.balance("providers/sandbox/USD") == -await self.held_for_us()
        assert await self.balance("refunds/sandbox/USD") == 0
        still_held = [one.amount for one in await self.disputes() if one.status == "open"]
        assert await self.balance("disputes/sandbox/USD") == -sum(still_held)

    async def told(self) -> list[str]:
        """Return the types of the events that others are told of refunds and disputes, in their order."""
        rows = await self.shop.operations.pool.fetch(
            "SELECT type FROM event WHERE type ~ '^(refund|dispute)|refunded' "
            "ORDER BY transaction_id, message_place, position"
        )
        return [row[0] for row in rows]

    @asynccontextmanager
    async def process_that_dies(self, dies: tuple[str, str]) -> AsyncIterator[QueueWorker]:
        """Have a worker in place of the one that lives, which dies at a step; afterwards another process takes over."""
        await self.shop.rest()
        self.shop.operations.dies = dies
        try:
            with contextlib.suppress(Died):
                yield QueueWorker(self.shop.operations, HANDLERS)
        finally:
            self.shop.operations.dies = None
            await take_over(self.shop.operations)
            await self.live()


@asynccontextmanager
async def open_counter(house: House, till: Till) -> AsyncIterator[Counter]:
    """Open a shop whose customer owes for three requests, and which can give back what they pay."""
    async with (
        open_shop_at(house, till) as shop,
        SandboxProvider(till.process.url, till.secret, PATIENCE) as provider,
    ):
        shop.provider = provider
        counter = Counter(shop)
        await counter.live()
        try:
            yield counter
        finally:
            await shop.rest()
