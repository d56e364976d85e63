"""What stands beside the prices of subscriptions: credits that pay, taxes, single transactions, and the events behind."""

import asyncpg

from tallystick.ids import uuid7
from tests.db.subscribed import Shop, flat, metered, open_shop, plan_content

NEW_YEAR = "2024-01-01T00:00:00Z"


async def sell_requests(pool: asyncpg.Pool) -> Shop:
    """Open a shop where ada subscribes to requests at 1.00 each, beside a base fee of 5.00."""
    shop = await open_shop(pool, "2024-01-01")
    await shop.do(
        "catalog.define_meter", code="requests", name="requests", event_type="http.request", aggregation="count"
    )
    per_request = metered("requests", {"model": "per_unit", "rate": "1"})
    await shop.plan("pro", NEW_YEAR, plan_content(flat("base", "5"), per_request))
    await shop.subscribe("s-1", "pro", NEW_YEAR)
    return shop


async def use(shop: Shop, *ids: str, at: str = "2024-01-20T00:00:00Z") -> None:
    """Record requests of ada."""
    events = [{"id": one, "customer": "ada", "at": at, "status": 200, "resource": "/x"} for one in ids]
    assert (await shop.do("usage.record", source="s", events=events)).accepted == len(ids)


async def test_units_pay_for_the_usage_of_a_subscription_once(pool: asyncpg.Pool) -> None:
    """They are taken before it is priced; what comes late is asked for by itself, and what was paid stays paid."""
    shop = await sell_requests(pool)
    await shop.do("ledger.ensure_asset", asset="CALLS", exponent=0)
    await shop.do("wallets.bind_unit", asset="CALLS", meter="requests")
    grant = uuid7()
    await shop.do("wallets.grant", id=grant, customer="ada", asset="CALLS", amount=2)
    await shop.bill("2024-01-01")
    shop.goes("2024-01-20")
    await use(shop, "a", "b", "c")
    await shop.bill("2024-02-01")
    assert await shop.amounts() == [[500], [100, 500]]
    assert (await shop.do("wallets.find_grant", id=grant)).balance == 0
    await use(shop, "late")
    await shop.bill("2024-03-01")
    assert await shop.amounts() == [[500], [100, 500], [100, 500]]


async def test_credit_pays_the_invoice_of_a_subscription_at_its_issue(pool: asyncpg.Pool) -> None:
    """As any invoice of its asset."""
    shop = await sell_requests(pool)
    await shop.do("wallets.grant", id=uuid7(), customer="ada", asset="USD", amount=300)
    await shop.bill("2024-01-01")
    (invoice,) = (await shop.do("invoicing.list")).items
    assert (invoice.total, invoice.credits_applied, invoice.outstanding) == (500, 300, 200)


async def test_subscriptions_are_taxed_and_the_preview_says_so(pool: asyncpg.Pool) -> None:
    """The same taxes and the same total, before and after."""
    shop = await sell_requests(pool)
    given = {"jurisdiction": "AT", "effective_at": "2010-01-01T00:00:00Z"}
    await shop.do("taxes.set_rate", name="VAT", rate="0.20", **given)
    await shop.do("taxes.set_customer", customer="ada", **given)
    preview = await shop.do("subscriptions.preview", id="s-1")
    await shop.bill("2024-01-01")
    (invoice,) = (await shop.do("invoicing.list")).items
    assert (invoice.subtotal, invoice.total, invoice.outstanding) == (500, 600, 600)
    assert (preview.total, preview.taxes) == (invoice.total, invoice.taxes)


async def test_late_usage_of_a_subscription_leads_both_ways(pool: asyncpg.Pool) -> None:
    """The adjusting line names the late event alone, and the event is told to be in it."""
    shop = await sell_requests(pool)
    await shop.bill("2024-01-01")
    shop.goes("2024-01-20")
    await use(shop, "a")
    await shop.bill("2024-02-01")
    await use(shop, "late")
    await shop.bill("2024-03-01")
    *_, newest = sorted((await shop.do("invoicing.list")).items, key=lambda one: one.number)
    (place,) = [line.position for line in newest.lines if line.charge == "requests"]
    behind = await shop.do("invoicing.lineage", id=str(newest.id), line=place)
    assert [(one.event_id, one.change) for one in behind.items] == [("late", "late")]
    back = (await shop.do("lineage.trace", id=f"{newest.id}/{place}")).found[0].back
    assert [link.record.id for group in back if group.kind == "usage" for link in group.items] == ["s/late"]
    why = await shop.do("usage.why", event="late", source="s")
    assert [(line.number, line.charge) for line in why.lines] == [(newest.number, "requests")]


async def test_a_plan_may_judge_each_transaction_of_a_meter_that_adds_up(pool: asyncpg.Pool) -> None:
    """Each is at least 1.00; a meter that only counts is refused."""
    shop = await open_shop(pool, "2024-01-01")
    for code, more in (("paid", {"aggregation": "sum", "quantity": "usd"}), ("calls", {"aggregation": "count"})):
        await shop.do("catalog.define_meter", code=code, name=code, event_type="sale", **more)
    price = {"model": "percentage", "percent": "10", "minimum_per_transaction": "1"}
    given = {"plan": "counted", "effective_at": NEW_YEAR, "content": plan_content(metered("fee", price, "calls"))}
    assert await shop.refused("plans.set_version", **given) == ("invalid_input", "content.phases[0].charges[0].meter")
    await shop.plan("fees", NEW_YEAR, plan_content(metered("fee", price, "paid")))
    await shop.subscribe("s-1", "fees", NEW_YEAR)
    shop.goes("2024-01-20")
    events = [
        {"id": f"e{usd}", "customer": "ada", "at": "2024-01-20T00:00:00Z", "type": "sale", "quantities": {"usd": usd}}
        for usd in (2, 50)
    ]
    await shop.do("usage.record", source="s", events=events)
    await shop.bill("2024-02-01")
    assert await shop.amounts() == [[600]]
