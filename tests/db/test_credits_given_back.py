"""Units that credits paid for usage which was taken back, or asked for otherwise, since: they return, once, as the ledger has it."""

import datetime as dt
from typing import Any

import asyncpg
import pytest

from tallystick.clock import FixedClock
from tallystick.db.embedded import EmbeddedServer
from tallystick.ids import uuid7
from tallystick.operations.run import Operations
from tallystick.operations.work_wallets import expire_due
from tests.conftest import House
from tests.db.priced_usage import ask, meter_requests, price
from tests.db.subscribed import Shop, metered, open_shop, plan_content
from tests.db.test_invoicing_adjust import run, send, void
from tests.db.test_rebuild import rebuilt, said

NEW_YEAR = "2024-01-01T00:00:00Z"


async def balances(house: House, *grants: object) -> list[int]:
    """Return what is left of grants, which must be what the ledger has."""
    found = [await ask(house, "wallets.find_grant", id=one) for one in grants]
    for one in found:
        assert (await ask(house, "ledger.balance", account=one.account)).balance == one.balance
    return [one.balance for one in found]


async def open_wallet(house: House, *amounts: int, units: str = "1", **fields: object) -> list[object]:
    """Price requests at 1.00 and grant ada units of them, *amounts* in order of their spending."""
    await ask(house, "ledger.ensure_asset", asset="CALLS", exponent=0)
    await ask(house, "wallets.bind_unit", asset="CALLS", meter="requests", units=units)
    grants: list[object] = [uuid7() for _ in amounts]
    for place, (grant, amount) in enumerate(zip(grants, amounts, strict=True)):
        await ask(
            house, "wallets.grant", id=grant, customer="ada", asset="CALLS", amount=amount, priority=place, **fields
        )
    return grants


async def use_in(house: House, month: str, *ids: str) -> None:
    """Record requests of ada."""
    await send(house, *((one, f"2015-{month}-10T00:00:00Z", 1) for one in ids))


async def adjusting(house: House) -> list[tuple[int, dict[str, Any]]]:
    """Return amount and detail of each line that adjusts another."""
    page = await ask(house, "invoicing.list", customer="ada")
    return [
        (line.amount, {**line.detail, "explanation": line.explanation})
        for one in page.items
        for line in one.lines
        if line.adjusts is not None
    ]


@pytest.fixture
async def shop(house: House) -> House:
    """Give a shop where requests cost 1.00."""
    await meter_requests(house)
    await price(house, "1")
    return house


async def test_units_return_to_their_grants_when_usage_is_taken_back(
    shop: House, server: EmbeddedServer, owner: asyncpg.Connection
) -> None:
    """What was spent last returns first; what has a price is taken back before; and a rebuild comes out the same."""
    await use_in(shop, "05", *"abcdef")
    first, second = await open_wallet(shop, 2, 3)
    await run(shop, "2015-05")
    assert await balances(shop, first, second) == [0, 0]
    await void(shop, "a", "b", "c", "d")
    await use_in(shop, "06", "later")
    await run(shop, "2015-06")
    ((amount, detail),) = await adjusting(shop)
    assert (amount, detail["returned"]) == (-100, "3")
    assert [(one["grant"], one["amount"]) for one in detail["credits"]] == [(str(second), -3)]
    assert "3 requests are given back to credits" in detail["explanation"]
    assert await balances(shop, first, second) == [0, 3]
    history = (await ask(shop, "wallets.history", customer="ada")).items
    assert [(one.amount, one.reason) for one in history][-1] == (3, "credit_return")
    assert (history[-1].quantity, history[-1].line is None) == ("-3", False)
    await void(shop, "e")
    await use_in(shop, "07", "g", "h")
    await run(shop, "2015-07")
    assert await balances(shop, first, second) == [1, 1]
    assert await owner.fetchval("SELECT sum(amount)::integer FROM credit_use") == 3
    assert said(await rebuilt(shop, server)) == ""


async def test_units_return_once(shop: House) -> None:
    """However often months are run, and whatever comes late beside."""
    await use_in(shop, "05", "a", "b", "c")
    (grant,) = await open_wallet(shop, 3)
    await run(shop, "2015-05")
    await void(shop, "a")
    await use_in(shop, "06", "x")
    for month in ("2015-06", "2015-06", "2015-07"):
        await run(shop, month)
    assert await balances(shop, grant) == [1]
    await use_in(shop, "05", "late")
    await use_in(shop, "07", "y")
    await run(shop, "2015-07")
    assert [amount for amount, _ in await adjusting(shop)] == [0, 100]
    assert await balances(shop, grant) == [0]


async def test_only_whole_units_return(shop: House) -> None:
    """A unit pays for two requests: when one of four is taken back, both units stay with the line."""
    await use_in(shop, "05", "a", "b", "c", "d")
    (grant,) = await open_wallet(shop, 2, units="2")
    await run(shop, "2015-05")
    for month, one, left in (("06", "a", 0), ("07", "b", 1)):
        await void(shop, one)
        await use_in(shop, month, f"{month}-1")
        await run(shop, f"2015-{month}")
        assert await balances(shop, grant) == [left]


async def test_what_has_expired_gets_nothing_back_and_the_line_says_so(house: House) -> None:
    """Nothing is lost in silence, and what was paid for stays paid for."""
    clock = FixedClock(dt.datetime(2026, 11, 1, tzinfo=dt.UTC))
    shop = House(Operations(house.operations.pool, clock, house.operations.table))
    await meter_requests(shop)
    await price(shop, "1")
    await use_in(shop, "05", "a", "b")
    (grant,) = await open_wallet(shop, 2, expires_at="2026-12-01T00:00:00Z")
    await run(shop, "2015-05")
    clock.at = dt.datetime(2026, 12, 2, tzinfo=dt.UTC)
    await void(shop, "a")
    await use_in(shop, "06", "x")
    await run(shop, "2015-06")
    ((amount, detail),) = await adjusting(shop)
    assert (amount, "returned" in detail, await balances(shop, grant)) == (0, False, [0])
    (lost,) = detail["not_returned"]
    assert (lost["grant"], lost["amount"], lost["why"]) == (str(grant), 1, "expired")
    assert "not given back, since the credits that paid for them have expired" in detail["explanation"]
    await use_in(shop, "05", "again")
    await use_in(shop, "07", "y")
    await run(shop, "2015-07")
    assert [amount for amount, _ in await adjusting(shop)] == [0, 0]


async def test_a_grant_that_got_units_back_expires_like_any_other(house: House, server: EmbeddedServer) -> None:
    """It had been used up; it is active again, is watched again, and ends for good once."""
    clock = FixedClock(dt.datetime(2026, 11, 1, tzinfo=dt.UTC))
    shop = House(Operations(house.operations.pool, clock, house.operations.table))
    await meter_requests(shop)
    await price(shop, "1")
    await use_in(shop, "05", "a", "b")
    (grant,) = await open_wallet(shop, 2, expires_at="2026-12-01T00:00:00Z")
    await run(shop, "2015-05")
    assert (await ask(shop, "wallets.find_grant", id=grant)).status == "used"
    await void(shop, "a")
    await use_in(shop, "06", "x")
    await run(shop, "2015-06")
    found = await ask(shop, "wallets.find_grant", id=grant)
    assert (found.status, found.balance) == ("active", 1)
    assert [one.balance for one in (await ask(shop, "wallets.balance", customer="ada")).assets] == [1]
    clock.at = dt.datetime(2026, 12, 2, tzinfo=dt.UTC)
    assert await expire_due(shop.operations, "main", 1) == 1
    assert await expire_due(shop.operations, "main", 1) == 0
    found = await ask(shop, "wallets.find_grant", id=grant)
    assert (found.status, found.balance) == ("expired", 0)
    assert said(await rebuilt(shop, server)) == ""


async def sell_by_the_request(pool: asyncpg.Pool) -> Shop:
    """Open a shop with two plans of requests, where ada has used ten requests by the end of January and units for six."""
    shop = await open_shop(pool, "2024-01-01")
    await shop.do(
        "catalog.define_meter", code="requests", name="requests", event_type="http.request", aggregation="count"
    )
    for plan, rate in (("basic", "1"), ("pro", "2")):
        content = plan_content(metered("requests", {"model": "per_unit", "rate": rate}))
        await shop.plan(plan, NEW_YEAR, content)
    await shop.subscribe("s-1", "basic", NEW_YEAR)
    await shop.bill("2024-01-01")
    shop.goes("2024-01-31T12:00:00")
    events = [
        {"id": f"e{day}", "customer": "ada", "at": f"2024-01-{day:02}T06:00:00Z", "status": 200, "resource": "/x"}
        for day in range(1, 31, 3)
    ]
    assert (await shop.do("usage.record", source="test", events=events)).accepted == 10
    return shop


async def test_units_move_with_usage_to_the_plan_that_takes_its_place(
    pool: asyncpg.Pool, server: EmbeddedServer, owner: asyncpg.Connection
) -> None:
    """A change in the past takes a line back in part: its units pay for the line that stands there now."""
    shop = await sell_by_the_request(pool)
    (grant,) = await open_wallet(shop.house, 8)
    await shop.bill("2024-02-01")
    assert await shop.amounts() == [[200]]
    await shop.do("subscriptions.change", id="s-1", plan="pro", at="2024-01-16T00:00:00Z")
    preview = await shop.do("subscriptions.preview", id="s-1")
    await shop.bill("2024-03-01")
    # Five requests before the change, five behind it: of the eight units five stay, three move, and two are at the new price.
    assert await shop.amounts() == [[200], [-200, 400]]
    assert [line.amount for line in preview.lines] == [-200, 400]
    assert await balances(shop.house, grant) == [0]
    uses = await owner.fetch("SELECT amount FROM credit_use ORDER BY transaction_id, amount")
    assert [row["amount"] for row in uses] == [8, -3, 3]
    assert said(await rebuilt(shop.house, server)) == ""


async def test_units_return_when_usage_of_a_subscription_is_taken_back(pool: asyncpg.Pool) -> None:
    """The adjusting line says to whom, and the next bill asks for no more of it."""
    shop = await sell_by_the_request(pool)
    (grant,) = await open_wallet(shop.house, 8)
    await shop.bill("2024-02-01")
    await void(shop.house, *(f"e{day}" for day in range(1, 16, 3)))
    await shop.bill("2024-03-01")
    assert await balances(shop.house, grant) == [3]
    await shop.bill("2024-04-01")
    assert await balances(shop.house, grant) == [3]


async def test_units_of_a_plan_that_was_given_up_return(pool: asyncpg.Pool) -> None:
    """A subscription that is cancelled in the past gives back what its usage took of the wallet."""
    shop = await sell_by_the_request(pool)
    first, second = await open_wallet(shop.house, 4, 4)
    await shop.bill("2024-02-01")
    await shop.do("subscriptions.cancel", id="s-1", at="2024-01-16T00:00:00Z")
    await shop.bill("2024-03-01")
    assert await balances(shop.house, first, second) == [0, 3]
