"""What is held for a part of a billing period, and subscriptions that are named and not there."""

import random
from decimal import Decimal

import asyncpg
import pytest

from tests.db.subscribed import Shop, flat, metered, open_shop, plan_content

NEW_YEAR = "2024-01-01T00:00:00Z"
SEEDS = (20261122, 29)
"""They stand in the names of the tests."""


async def sell_seats(pool: asyncpg.Pool, present: str, **fields: object) -> Shop:
    """Open a shop with two plans that ask 31.00 for a seat that is held all month: one by usage, one by quantity."""
    shop = await open_shop(pool, present)
    await shop.do(
        "catalog.define_meter", code="seats", name="seats", event_type="seats.set", aggregation="time_weighted",
        quantity="seats", time_unit="period",
    )  # fmt: skip
    for plan in ("team", "crew"):
        held = metered("seats", {"model": "per_unit", "rate": "31"}, "seats")
        await shop.plan(plan, NEW_YEAR, plan_content(held, **fields))
    await shop.plan("flat", NEW_YEAR, plan_content(flat("seats", "31", per_quantity=True, when="arrears"), **fields))
    return shop


async def hold(shop: Shop, seats: int, since: str, customer: str = "ada") -> None:
    """Record that so many seats are held from then on."""
    event = {"id": f"{customer} {since}", "customer": customer, "at": since, "type": "seats.set",
             "quantities": {"seats": seats}}  # fmt: skip
    assert (await shop.do("usage.record", source="test", events=[event])).accepted == 1


async def test_a_change_of_plan_divides_what_is_held_by_the_whole_period(pool: asyncpg.Pool) -> None:
    """Ten seats all month at one rate come to ten seats, however the month is cut by plans."""
    shop = await sell_seats(pool, "2024-01-01")
    await hold(shop, 10, "2024-01-01T00:00:00Z")
    await shop.subscribe("s-1", "team", NEW_YEAR)
    await shop.bill("2024-01-11")
    await shop.do("subscriptions.change", id="s-1", plan="crew")
    await shop.bill("2024-02-01")
    assert await shop.amounts() == [[100_00, 210_00]]


async def test_a_period_that_is_cut_short_divides_by_what_it_would_have_been(pool: asyncpg.Pool) -> None:
    """Who cancels on the eleventh pays for ten of thirty-one days."""
    shop = await sell_seats(pool, "2024-01-01")
    await hold(shop, 10, "2024-01-01T00:00:00Z")
    await shop.subscribe("s-1", "team", NEW_YEAR)
    await shop.do("subscriptions.cancel", id="s-1", at="2024-01-11T00:00:00Z")
    await shop.bill("2024-02-01")
    assert await shop.amounts() == [[100_00]]


@pytest.mark.parametrize("seed", SEEDS)
async def test_parts_of_what_is_held_add_to_the_whole(pool: asyncpg.Pool, seed: int) -> None:
    """Whenever plans change, ada's held seats come to what they come to uncut, and to what bea pays by quantity."""
    chance = random.Random(seed)
    shop = await sell_seats(pool, "2024-02-01", proration="second")
    seats = chance.randint(1, 50)
    for who in ("ada", "eve"):
        await hold(shop, seats, "2024-02-01T00:00:00Z", who)
    await shop.subscribe("cut", "team", "2024-02-01T00:00:00Z")
    await shop.subscribe("uncut", "team", "2024-02-01T00:00:00Z", customer="eve")
    await shop.subscribe("flat", "flat", "2024-02-01T00:00:00Z", customer="bea", quantity=seats)
    plan, more = "crew", "team"
    instants = sorted(f"2024-02-{chance.randint(2, 29):02}T{chance.randint(0, 23):02}:07:01Z" for _ in range(3))
    for instant in dict.fromkeys(instants):
        await shop.do("subscriptions.change", id="cut", plan=plan, at=instant)
        plan, more = more, plan
    await shop.bill("2024-03-01")
    (cut,), (uncut,), (by_quantity,) = [await shop.amounts(who) for who in ("ada", "eve", "bea")]
    assert (sum(uncut), sum(by_quantity)) == (seats * 31_00, seats * 31_00)
    assert abs(sum(cut) - sum(uncut)) < len(cut)  # each line is rounded once
    parts = (await shop.do("invoicing.list", customer="ada")).items[0].lines
    held = sum((Decimal(line.quantity) for line in parts), Decimal(0))
    assert abs(held - seats) <= len(parts) * Decimal("1e-12")


async def test_a_price_that_changes_in_the_month_divides_what_is_held_by_the_month(pool: asyncpg.Pool) -> None:
    """Of products that are invoiced by the month, too; and what comes late is divided by the same."""
    shop = await sell_seats(pool, "2024-03-02")
    for since, rate in ((NEW_YEAR, "31"), ("2024-01-11T00:00:00Z", "62")):
        price = {"model": "per_unit", "rate": rate}
        await shop.do("catalog.set_price", charge="seats", effective_at=since, name="Seats", meter="seats", asset="USD", price=price)  # fmt: skip
    await hold(shop, 10, "2024-01-01T00:00:00Z")
    preview = await shop.do("rating.preview", customer="ada", start_at=NEW_YEAR, end_at="2024-02-01T00:00:00Z")
    assert [one.line.amount for one in preview.lines] == [100_00, 420_00]
    assert (await shop.do("invoicing.draft", month="2024-01")).totals == {"USD": 520_00}
    await hold(shop, 20, "2024-01-21T00:00:00Z")
    assert (await shop.do("invoicing.draft", month="2024-02")).adjustments == 1
    assert (await shop.amounts())[1][-1] == 11 * 20_00


async def test_a_subscription_that_is_named_and_not_there_is_told(pool: asyncpg.Pool) -> None:
    """By itself: the others are billed."""
    shop = await sell_seats(pool, "2024-01-01")
    await shop.subscribe("s-1", "flat", NEW_YEAR)
    shop.goes("2024-02-01")
    done = await shop.do("subscriptions.draft", until="2024-02-01T00:00:00Z", subscriptions=["s-2", "s-1", "s-0"])
    assert [(one.subscription, one.code) for one in done.failed] == [
        ("s-0", "subscriptions.unknown"),
        ("s-2", "subscriptions.unknown"),
    ]
    assert (done.subscriptions, done.drafted) == (1, 1)
