"""Customers: each pays an invoice over REST, as patient as people are; and remembers what it was told."""

import asyncio
import datetime as dt
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.simulation.payments.world import World

AT_ONCE = 32
_ABANDON, _SECOND_TAB, _AGAIN = 0.04, 0.05, 2
_WANT_BACK, _ALL_OF_IT, _TWICE = 0.25, 0.5, 0.3
_ASKS = 40
"""How often somebody who gets no answer sends the same again."""


@dataclass(slots=True)
class Customers:
    """All who pay, and what they were told."""

    world: World
    seed: int
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By payment the last that anybody was told of it."""
    refunds_told: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By refund the last that anybody was told of it."""
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    async def pay_all(self) -> None:
        """Have every customer pay, so many at once."""
        timeout = aiohttp.ClientTimeout(total=20)
        headers = {"authorization": f"Bearer {self.world.key}"}
        gate = asyncio.Semaphore(AT_ONCE)
        async with aiohttp.ClientSession(timeout=timeout, headers=headers) as http:

            async def one(number: int, customer: str, invoice: str) -> None:
                async with gate:
                    await _Customer(self, http, random.Random(f"{self.seed} {number}"), customer, invoice).pay()

            await asyncio.gather(*(one(number, *owes) for number, owes in enumerate(self.world.invoices)))

    def hear(self, answer: dict[str, Any]) -> None:
        """Remember what somebody was told of a payment; what has ended never changes."""
        before = self.told.get(answer["payment_id"])
        if before is not None and before["status"] in {"settled", "failed"} and answer["status"] != before["status"]:
            self.problems.append(f"payment {answer['payment_id']} was told {before['status']}, then {answer['status']}")
        self.told[answer["payment_id"]] = answer


@dataclass(slots=True)
class _Customer:
    """One who pays."""

    all: Customers
    http: aiohttp.ClientSession
    chance: random.Random
    customer: str
    invoice: str
    sent: int = 0

    async def pay(self) -> None:
        """Pay, and if that fails pay again, unless they give up on the way."""
        for _ in range(_AGAIN + 1):
            both = [self._start()]
            if self.chance.random() < _SECOND_TAB:
                both.append(self._start())
            answers = await asyncio.gather(*both)
            started = next((one for one in answers if one is not None and one["status"] == "opened"), None)
            if started is None:
                if any(one is not None and one["status"] == "started" for one in answers):
                    self.all.counts["left before it was opened"] += 1
                    return
                continue
            if self.chance.random() < _ABANDON:
                self.all.counts["abandoned"] += 1
                return
            done = await self._post(started)
            if done is None or done["status"] != "failed":
                self.all.counts[str(done and done["status"])] += 1
                if done is not None and done["status"] == "settled" and self.chance.random() < _WANT_BACK:
                    await self._want_back(done)
                return
            self.all.counts["declined"] += 1

    async def _start(self) -> dict[str, Any] | None:
        body = {**self._who(), "invoice_id": self.invoice}
        answer = await self._ask("start", body)
        for _ in range(4):
            if answer is None or answer["status"] != "started":
                break
            await asyncio.sleep(0.5)
            answer = await self._ask("start", body)
        return answer

    async def _post(self, started: dict[str, Any]) -> dict[str, Any] | None:
        body = {**self._who(), "transaction_id": started["transaction_id"], "amount": started["amount"]}
        return await self._ask("post", body)

    async def _want_back(self, paid: dict[str, Any]) -> None:
        """Have the shop give back a part or all, and sometimes two of it at once, off the invoice."""
        what, body = f"{paid['payment_id']}/refund", {"reason": "came broken", "take_from": "invoice"}
        amount = None if self.chance.random() < _ALL_OF_IT else self.chance.randint(1, paid["amount"])
        times = 2 if self.chance.random() < _TWICE else 1
        for told in await asyncio.gather(*(self._ask(what, {**body, "amount": amount}) for _ in range(times))):
            if told is not None:
                self.all.counts[f"refund {told['status']}"] += 1

    def _who(self) -> dict[str, str]:
        at = dt.datetime.now(dt.UTC).isoformat()
        email = f"{self.customer}@example.com"
        return {"user": self.customer, "email": email, "timestamp": at, "payment_type": "credit"}

    async def _ask(self, what: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Send a message until it is answered, each time to whichever server there is; None: it was refused."""
        self.sent += 1
        key = f"{self.customer} {self.sent}".replace(" ", "-")
        for _ in range(_ASKS):
            address = self.all.world.any_address(self.chance)
            if address is not None:
                try:
                    url = f"{address}/v1/books/main/payments/{what}"
                    async with self.http.post(url, json=body, headers={"idempotency-key": key}) as response:
                        answer: dict[str, Any] = await response.json(content_type=None)
                except (aiohttp.ClientError, TimeoutError, ValueError):
                    self.all.counts["no answer"] += 1
                else:
                    if response.status == 200:
                        self._hear(answer)
                        return answer
                    if response.status < 500:
                        self._require_expected(answer)
                        return None
            await asyncio.sleep(self.chance.uniform(0.1, 0.4))
        self.all.problems.append(f"{self.customer} got no answer to {what}")
        return None

    def _hear(self, answer: dict[str, Any]) -> None:
        if "refund_id" in answer:
            self.all.refunds_told[answer["refund_id"]] = answer
        else:
            self.all.hear(answer)

    def _require_expected(self, answer: dict[str, Any]) -> None:
        """Take those refusals alone that a customer who presses twice has to expect, or whose bank was faster."""
        code = answer.get("code", "")
        self.all.counts[code] += 1
        expected = {"payments.under_way", "payments.nothing_to_pay", "payments.ended", "refunds.too_much"}
        if code not in expected:
            self.all.problems.append(f"{self.customer} was told {answer}")
