"""
Three months of a book in which everything happens: two runs a month, changes, corrections, credits and taxes.

Ada has a plan with seats, bob is invoiced by the month for what he used, eve has both; all are taxed, ada and bob have
credit. Whatever happens in between, what the invoices say is what the ledger has, and the book is made again from its messages.
"""

import random
from typing import Any

import asyncpg

from tallystick.db.embedded import EmbeddedServer
from tallystick.ids import uuid7
from tallystick.operations.invoicing_month import run_month as invoice_month
from tallystick.operations.rebuild import rebuild
from tallystick.rebuild.open_twin import made_database
from tallystick.security.model import OPERATOR
from tests.conftest import url_of
from tests.db.subscribed import Shop, flat, metered, open_shop, plan_content

BEGIN = "2023-01-01T00:00:00Z"
TIERS = {"model": "graduated", "tiers": [{"up_to": "10", "rate": "0.333"}, {"up_to": None, "rate": "0.07"}]}


async def set_up(pool: asyncpg.Pool) -> Shop:
    """Open the book with meters, prices, plans, taxes and subscriptions."""
    shop = await open_shop(pool, "2024-01-01")
    for code, fields in (
        ("requests", {"aggregation": "count"}),
        ("bytes", {"aggregation": "sum", "quantity": "bytes"}),
    ):
        await shop.do("catalog.define_meter", code=code, name=code, event_type="http.request", **fields)
        price = {"asset": "USD", "effective_at": BEGIN, "name": code, "meter": code}
        await shop.do("catalog.set_price", charge=code, price=TIERS, **price)
    for category, rate, inclusive in (("standard", "0.19", False), ("books", "0.07", True)):
        rates = {"jurisdiction": "DE", "effective_at": BEGIN, "category": category, "inclusive": inclusive}
        await shop.do("taxes.set_rate", name="VAT", rate=rate, **rates)
    await shop.do("taxes.set_category", product="team", charge="base", category="books", effective_at=BEGIN)
    seats = [flat("seats", "9.99", per_quantity=True), flat("base", "5.01"), metered("requests", TIERS)]
    await shop.plan("team", BEGIN, plan_content(*seats, proration="day"))
    await shop.plan("yearly", BEGIN, plan_content(flat("base", "99.90"), interval={"unit": "year"}))
    await shop.subscribe("ada-team", "team", "2024-01-01T00:00:00Z", customer="ada", quantity=3)
    await shop.subscribe("eve-team", "team", "2024-01-17T12:34:56Z", customer="eve")
    await use(shop, "bob", "first", 1, "2024-01-01T00:00:00Z")
    for customer in ("ada", "bob", "eve"):
        await shop.do("taxes.set_customer", customer=customer, jurisdiction="DE", effective_at=BEGIN)
    return shop


async def grant_credit(shop: Shop) -> None:
    """Give money to ada, some of which expires, and requests to bob."""
    await shop.do("ledger.ensure_asset", asset="CALLS", exponent=0)
    await shop.do("wallets.bind_unit", asset="CALLS", meter="requests")
    await shop.do("wallets.set_threshold", customer="ada", asset="USD", threshold=500)
    given: list[dict[str, Any]] = [
        {"customer": "ada", "asset": "USD", "amount": 1234, "expires_at": "2024-03-15T00:00:00Z"},
        {"customer": "ada", "asset": "USD", "amount": 777, "products": ["team"]},
        {"customer": "bob", "asset": "CALLS", "amount": 7},
    ]
    for one in given:
        await shop.do("wallets.grant", id=str(uuid7()), **one)


async def use(shop: Shop, customer: str, name: str, count: int, when: str) -> None:
    """Record *count* requests of a customer at one instant."""
    events = [
        {"id": f"{customer}-{name}-{number}", "customer": customer, "at": when, "quantities": {"bytes": 3}}
        for number in range(count)
    ]
    assert (await shop.do("usage.record", source="shop", events=events)).accepted == count


async def run_month(shop: Shop, month: str, now: str) -> None:
    """Bill what is due, and the month that is over, each twice: the second time there is nothing to do."""
    shop.goes(now)
    for again in (False, True):
        billed = await shop.bill()
        invoiced = await invoice_month(shop.house.operations, OPERATOR, "main", month)
        assert (billed.failed, invoiced.failed) == ([], [])
        assert not again or (billed.drafted, billed.issued, invoiced.drafted, invoiced.issued) == (0, 0, 0, 0)


async def live_three_months(shop: Shop, chance: random.Random) -> None:
    """Use, change, correct and bill."""
    await grant_credit(shop)
    await shop.bill()
    for month in (1, 2, 3):
        shop.goes(f"2024-{month:02}-20T00:00:00Z")
        for customer in ("ada", "bob", "eve"):
            await use(shop, customer, f"m{month}", chance.randrange(5, 20), f"2024-{month:02}-18T00:00:00Z")
        if month > 1:  # of the month before, which is invoiced: more, less, and other
            await use(shop, "bob", f"late{month}", chance.randrange(1, 9), f"2024-{month - 1:02}-19T00:00:00Z")
            await use(shop, "ada", f"late{month}", chance.randrange(1, 9), f"2024-{month - 1:02}-19T00:00:00Z")
            gone = [{"id": f"bob-m{month - 1}-{number}"} for number in range(4)]
            await shop.do("usage.void", source="shop", reason="a test of ours", events=gone)
            other = [{"id": f"eve-m{month - 1}-0", "quantities": {"bytes": "1.5"}}]
            await shop.do("usage.amend", source="shop", reason="counted wrong", events=other)
        await shop.do("subscriptions.change", id="ada-team", quantity=10 * month + chance.randrange(4, 9))
        if month == 2:
            await shop.do(
                "subscriptions.pause", id="eve-team", at="2024-02-03T00:00:00Z", resume_at="2024-02-25T00:00:00Z"
            )
            await shop.do("subscriptions.change", id="eve-team", plan="yearly", at="2024-02-10T00:00:00Z")
        await run_month(shop, f"2024-{month:02}", f"2024-{month + 1:02}-02T00:00:00Z")
    await shop.do("subscriptions.cancel", id="ada-team", at="2024-04-01T12:00:00Z")
    await shop.bill("2024-04-20T00:00:00Z")


async def require_one_truth(shop: Shop) -> None:
    """Find that each invoice adds up, and that all together are what the ledger says was earned, paid and is owed."""
    page = await shop.do("invoicing.list", limit=1000)
    assert page.next is None
    earned: dict[str, int] = {}
    for one in page.items:
        assert one.number is not None
        assert one.subtotal == sum(line.amount for line in one.lines)
        assert one.total == one.subtotal + sum(tax.amount for tax in one.taxes if not tax.inclusive) >= 0
        owed = (await shop.do("ledger.balance", account=one.account)).balance
        assert one.outstanding == -owed == one.total - one.credits_applied
        earned[one.product] = earned.get(one.product, 0) + one.total
    for product, total in earned.items():
        assert (await shop.do("ledger.balance", account=f"revenue/{product}/USD")).balance == total
    granted, left = 1234 + 777, (await shop.do("wallets.balance", customer="ada", asset="USD")).assets
    applied = sum(one.credits_applied for one in page.items)
    assert 0 < applied <= granted
    assert applied + sum(one.balance for one in left) == granted
    numbers = sorted(one.number for one in page.items)
    assert numbers == [f"INV-{number:06}" for number in range(1, len(numbers) + 1)]


async def test_three_months_of_everything_come_out_as_the_ledger_says_and_are_made_again(
    pool: asyncpg.Pool, server: EmbeddedServer
) -> None:
    """Subscriptions, months, late and corrected usage, credits and taxes: one truth, and the same one again."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - whoever sees it fail must be able to do it again
    shop = await set_up(pool)
    await live_three_months(shop, random.Random(seed))
    await require_one_truth(shop)
    async with made_database(url_of(server, "postgres")) as url:
        made = await rebuild(shop.house.operations, "main", url, lambda *_: None)
    assert made.difference is None, made.difference
