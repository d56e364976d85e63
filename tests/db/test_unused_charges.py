"""Prices that ask for something where nothing was used: a minimum, or the fee of the first tier."""

from typing import Any

import asyncpg

from tallystick.operations.invoicing_month import run_month
from tallystick.security.model import OPERATOR
from tests.conftest import House
from tests.db.priced_usage import ask, meter_requests, price, use
from tests.db.subscribed import flat, metered, open_shop, plan_content

AT_LEAST_FIVE: dict[str, Any] = {"model": "per_unit", "rate": "1", "minimum_spend": "5"}
FEE_AT_ZERO: dict[str, Any] = {
    "model": "graduated",
    "charge_first_tier_at_zero": True,
    "tiers": [{"up_to": None, "rate": "1", "flat": "7"}],
}
EACH_AT_LEAST: dict[str, Any] = {
    "model": "percentage",
    "percent": "1",
    "minimum_per_transaction": "1",
    "minimum_spend": "3",
}
MAY = {"start_at": "2015-05-01T00:00:00Z", "end_at": "2015-06-01T00:00:00Z"}


async def sell(house: House) -> None:
    """Price requests, and messages by four charges that ask for something unused, but for one."""
    await meter_requests(house)
    await house.do(
        "catalog.define_meter", code="sms", name="messages", event_type="sms", aggregation="sum", quantity="parts"
    )
    await price(house, "1")
    prices = {"fee": FEE_AT_ZERO, "judged": EACH_AT_LEAST, "least": AT_LEAST_FIVE}
    for charge, of_it in {**prices, "plain": {"model": "per_unit", "rate": "1"}}.items():
        await price(house, "0", charge=charge, name=charge, meter="sms", price=of_it)


async def send(house: House, id_: str, at: str, parts: int) -> None:
    """Record a message of ada."""
    sent = {"id": id_, "customer": "ada", "at": at, "type": "sms", "quantities": {"parts": parts}}
    assert (await ask(house, "usage.record", source="s", events=[sent])).accepted == 1


async def invoiced(house: House, month: str) -> list[tuple[str, str, int]]:
    """Invoice a month, and return the newest invoice of ada."""
    await run_month(house.operations, OPERATOR, "main", month)
    newest = max((await ask(house, "invoicing.list", customer="ada")).items, key=lambda one: one.number)
    return [(line.charge, line.quantity, line.amount) for line in newest.lines]


async def test_a_charge_that_was_not_used_asks_for_what_its_price_says(house: House) -> None:
    """The preview says so before, and the invoice asks for it; of who used nothing at all, nothing is asked."""
    await sell(house)
    await use(house, [("ada", "2015-05-02T00:00:00Z"), ("bob", "2015-04-02T00:00:00Z")])
    shown = await ask(house, "rating.preview", customer="ada", **MAY)
    asked = [("fee", "0", 700), ("judged", "0", 300), ("least", "0", 500), ("requests", "1", 100)]
    assert [(one.charge, one.line.quantity, one.line.amount) for one in shown.lines] == asked
    assert (await ask(house, "rating.preview", customer="bob", **MAY)).lines == []
    assert await invoiced(house, "2015-05") == asked
    assert (await ask(house, "invoicing.list", customer="bob")).items == []


async def test_what_comes_late_is_held_against_what_was_asked_unused(house: House) -> None:
    """Up to the minimum nothing more is asked; and what is taken back again leaves the minimum where it was."""
    await sell(house)
    await use(house, [("ada", f"2015-0{month}-02T00:00:00Z") for month in (5, 6, 7)])
    await invoiced(house, "2015-05")
    await send(house, "m1", "2015-05-09T00:00:00Z", 6)
    june = await invoiced(house, "2015-06")
    late = [("fee", "6", 600), ("judged", "6", 0), ("least", "6", 100), ("plain", "6", 600)]
    assert [line for line in june if line[0] != "requests" and line[1] == "6"] == late
    await ask(house, "usage.void", source="s", reason="a mistake", events=[{"id": "m1"}])
    july = await invoiced(house, "2015-07")
    assert [line for line in july if line[1] == "-6"] == [(charge, "-6", -amount) for charge, _, amount in late]


async def test_what_comes_late_in_one_version_takes_the_place_of_what_another_asked_unused(house: House) -> None:
    """The version that was used alone asks, as it would have in time; taken back, the first asks again."""
    await meter_requests(house)
    await house.do(
        "catalog.define_meter", code="sms", name="messages", event_type="sms", aggregation="sum", quantity="parts"
    )
    await price(house, "1")
    for at in (MAY["start_at"], "2015-05-20T00:00:00Z"):
        await price(house, "0", at, charge="sms", name="sms", meter="sms", price=AT_LEAST_FIVE)
    await use(house, [("ada", f"2015-0{month}-02T00:00:00Z") for month in (5, 6, 7)])
    assert await invoiced(house, "2015-05") == [("requests", "1", 100), ("sms", "0", 500)]
    await send(house, "m1", "2015-05-21T00:00:00Z", 1)
    june = await invoiced(house, "2015-06")
    assert sorted(june) == [("requests", "1", 100), ("sms", "0", -500), ("sms", "0", 500), ("sms", "1", 500)]
    await ask(house, "usage.void", source="s", reason="a mistake", events=[{"id": "m1"}])
    july = await invoiced(house, "2015-07")
    assert sorted(july) == [("requests", "1", 100), ("sms", "-1", -500), ("sms", "0", 500), ("sms", "0", 500)]


async def test_a_charge_that_is_not_used_is_due_once_for_a_month(house: House) -> None:
    """However many versions of its price there are in it; and where one of them was used, that one alone asks."""
    await meter_requests(house)
    await house.do("catalog.define_meter", code="sms", name="messages", event_type="sms", aggregation="count")
    await price(house, "1")
    for at in (MAY["start_at"], "2015-05-20T00:00:00Z"):
        await price(house, "0", at, charge="sms", name="sms", meter="sms", price=AT_LEAST_FIVE)
    await use(house, [("ada", "2015-05-02T00:00:00Z"), ("bob", "2015-05-02T00:00:00Z")])
    sent = {"id": "1", "customer": "bob", "at": "2015-05-21T00:00:00Z", "type": "sms"}
    await ask(house, "usage.record", source="s", events=[sent])
    assert await invoiced(house, "2015-05") == [("requests", "1", 100), ("sms", "0", 500)]
    (bobs,) = (await ask(house, "invoicing.list", customer="bob")).items
    assert [(line.charge, line.quantity, line.amount) for line in bobs.lines] == [
        ("requests", "1", 100), ("sms", "1", 500),
    ]  # fmt: skip


async def test_a_subscription_is_asked_for_what_it_did_not_use(pool: asyncpg.Pool) -> None:
    """Month by month; not for the time that it is paused, and of a month that is cut short for its part."""
    shop = await open_shop(pool, "2024-01-01")
    await meter_requests(shop.house)
    least = {**AT_LEAST_FIVE, "minimum_spend": "31"}
    await shop.plan(
        "pro", "2024-01-01T00:00:00Z", plan_content(flat("base", "0"), metered("requests", least), proration="day")
    )
    await shop.subscribe("s-1", "pro", "2024-01-01T00:00:00Z")
    await shop.bill("2024-02-01")
    shop.goes("2024-02-15")
    await ask(
        shop.house, "usage.record", source="t",
        events=[{"id": "1", "customer": "ada", "at": "2024-01-09T00:00:00Z", "status": 200, "resource": "/x",
                 "quantities": {"bytes": 1}}],
    )  # fmt: skip
    await shop.do("subscriptions.pause", id="s-1", at="2024-03-01T00:00:00Z", resume_at="2024-04-01T00:00:00Z")
    await shop.do("subscriptions.cancel", id="s-1", at="2024-05-11T00:00:00Z")
    await shop.bill("2024-05-12")
    asked = {
        (line.period_start.date().isoformat(), line.amount, line.explanation)
        for one in (await shop.do("invoicing.list", customer="ada")).items
        for line in one.lines
        if line.charge == "requests" and line.adjusts is None
    }
    full = "0 requests: raised to the minimum of 31 USD = 31.00 USD"
    assert asked == {
        ("2024-01-01", 3100, full),
        ("2024-02-01", 3100, full),
        ("2024-04-01", 3100, full),
        ("2024-05-01", 1000, "0 requests: 10/31 of a period, raised to the minimum of 10 USD = 10.00 USD"),
    }


async def test_what_came_late_and_was_taken_back_makes_no_line_of_its_own(house: House) -> None:
    """A version that nothing was used of asks for nothing beside the one that was used, whatever came and went."""
    await meter_requests(house)
    await house.do(
        "catalog.define_meter", code="sms", name="messages", event_type="sms", aggregation="sum", quantity="parts"
    )
    await price(house, "1")
    for at in (MAY["start_at"], "2015-05-20T00:00:00Z"):
        await price(house, "0", at, charge="sms", name="sms", meter="sms", price=AT_LEAST_FIVE)
    await use(house, [("ada", f"2015-0{month}-02T00:00:00Z") for month in (5, 6)])
    await send(house, "m1", "2015-05-21T00:00:00Z", 1)
    assert await invoiced(house, "2015-05") == [("requests", "1", 100), ("sms", "1", 500)]
    await send(house, "m2", "2015-05-09T00:00:00Z", 1)
    await ask(house, "usage.void", source="s", reason="a mistake", events=[{"id": "m2"}])
    june = await invoiced(house, "2015-06")
    assert [line for line in june if line[0] == "sms"] == [("sms", "0", 500)]
