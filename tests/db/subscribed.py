"""Plans and subscriptions on a book whose clock is moved by hand, for tests that bill them."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import asyncpg

from tallystick.clock import FixedClock
from tallystick.errors import TallystickError
from tallystick.ledger.books import open_book
from tallystick.operations.run import Operations
from tallystick.operations.subscription_run import SubscriptionRun, run_subscriptions
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR
from tests.conftest import House


def at(text: str) -> dt.datetime:
    """Read an instant, in UTC where it says no zone."""
    instant = dt.datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=dt.UTC)


def flat(code: str, amount: str, **fields: object) -> dict[str, Any]:
    """Write a flat charge of a plan."""
    return {"code": code, "name": code.title(), "price": {"model": "flat", "amount": amount}, **fields}


def metered(code: str, price: dict[str, Any], meter: str = "requests") -> dict[str, Any]:
    """Write a charge of a plan for usage."""
    return {"code": code, "name": code.title(), "price": price, "meter": meter}


def plan_content(*charges: dict[str, Any], **fields: object) -> dict[str, Any]:
    """Write a monthly plan of one phase."""
    phases = [{"name": "regular", "charges": list(charges)}]
    return {"name": "Plan", "asset": "USD", "interval": {"unit": "month"}, "phases": phases, **fields}


@dataclass(frozen=True, slots=True)
class Shop:
    """A book whose present is set by the test."""

    house: House
    clock: FixedClock

    def goes(self, to: str) -> None:
        """Move the present."""
        self.clock.at = at(to)

    async def do(self, operation: str, /, **fields: object) -> Any:  # noqa: ANN401 - each operation has its own
        """Run an operation under a message id of its own."""
        return await self.house.do(operation, **fields)

    async def refused(self, operation: str, /, **fields: object) -> tuple[str, str | None]:
        """Run an operation that must be refused, and return the code and the field to blame."""
        try:
            await self.house.do(operation, **fields)
        except TallystickError as error:
            return error.code, error.field
        raise AssertionError(f"{operation} was not refused")

    async def plan(self, code: str, effective_at: str, content: dict[str, Any]) -> Any:  # noqa: ANN401 - a plan version
        """Set a version of a plan."""
        return await self.do("plans.set_version", plan=code, effective_at=effective_at, content=content)

    async def subscribe(self, id_: str, plan: str, start_at: str, **fields: object) -> Any:  # noqa: ANN401 - what the operation answers
        """Begin a subscription of the customer ada, unless another is named."""
        given: dict[str, object] = {"id": id_, "customer": "ada", "plan": plan, "start_at": start_at}
        return await self.do("subscriptions.subscribe", **given | fields)

    async def bill(self, until: str | None = None) -> SubscriptionRun:
        """Bill all that is due, moving the present to then."""
        if until is not None:
            self.goes(until)
        return await run_subscriptions(self.house.operations, OPERATOR, "main", self.clock.at)

    async def lines(self, customer: str = "ada") -> list[tuple[str, int, list[tuple[str, int, str]]]]:
        """Return the customer's invoices by number: the total, and charge, amount and explanation of each line."""
        page = await self.do("invoicing.list", customer=customer, limit=1000)
        numbered = sorted(page.items, key=lambda one: one.number or "")
        return [
            (one.number or "", one.total, [(line.charge, line.amount, line.explanation) for line in one.lines])
            for one in numbered
        ]

    async def amounts(self, customer: str = "ada") -> list[list[int]]:
        """Return what the lines of each of the customer's invoices come to."""
        return [[amount for _, amount, _ in lines] for _, _, lines in await self.lines(customer)]


async def make_subscription_of_every_kind(house: House) -> None:
    """Set a plan, subscribe to it and bill it."""
    content = plan_content(flat("base", "5"))
    await house.do("plans.set_version", "plan", plan="pro", effective_at="2015-01-01T00:00:00Z", content=content)
    await house.do(
        "subscriptions.subscribe", "subscribe", id="s-1", customer="reader", plan="pro", start_at="2015-01-01T00:00:00Z"
    )
    await house.do("subscriptions.change", "change", id="s-1", quantity=2, at="2015-01-15T00:00:00Z")
    await house.do("subscriptions.draft", "bill", until="2015-03-01T00:00:00Z")
    await house.do("subscriptions.issue", "issue")


async def open_shop(pool: asyncpg.Pool, present: str) -> Shop:
    """Open the book ``main`` with the asset USD, and let it be *present*."""
    clock = FixedClock(at(present))
    async with pool.acquire() as connection:
        await open_book(connection, "main", clock.now())
    house = House(Operations(pool, clock, TABLE))
    await house.do("ledger.ensure_asset", asset="USD", exponent=2)
    return Shop(house, clock)
