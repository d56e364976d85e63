"""Subscriptions and previews with a tax engine outside: asked before any transaction, its answers kept, and lost ones."""

import asyncpg
import pytest

from tallystick.db.embedded import EmbeddedServer
from tallystick.operations.subscription_run import SubscriptionRun
from tallystick.security.model import Principal
from tallystick.taxes.engine import TaxEngine
from tests.conftest import House
from tests.db.priced_usage import ask, meter_requests, price, use_in_may
from tests.db.subscribed import Shop, flat, open_shop, plan_content
from tests.db.test_rebuild import rebuilt, said
from tests.scenarios.test_tax_engine import LONG_AGO, Outside

NEW_YEAR = "2024-01-01T00:00:00Z"


@pytest.fixture
async def shop(pool: asyncpg.Pool) -> Shop:
    """Give a shop where ada, who is taxed, and bea, who is not, subscribe to a plan of 10.00 a month."""
    shop = await open_shop(pool, "2024-01-01")
    await shop.plan("pro", NEW_YEAR, plan_content(flat("base", "10")))
    for who in ("ada", "bea"):
        await shop.subscribe(f"s-{who}", "pro", NEW_YEAR, customer=who)
    await shop.do("taxes.set_rate", jurisdiction="AU", name="GST", rate="0.5", effective_at=LONG_AGO)
    await shop.do("taxes.set_customer", customer="ada", jurisdiction="AU", effective_at=LONG_AGO)
    return shop


@pytest.fixture
def engine(shop: Shop) -> Outside:
    """Give the shop an engine outside, which asks for a tenth where the book says a half."""
    outside = Outside()
    shop.house.operations.resources[TaxEngine] = outside
    return outside


async def totals(shop: Shop) -> dict[str, list[int]]:
    """Return what the invoices of each customer come to, in order of time."""
    found: dict[str, list[int]] = {}
    for one in (await shop.do("invoicing.list")).items:
        found.setdefault(one.customer, []).append(one.total)
    return found


def why(done: SubscriptionRun) -> list[tuple[str, str]]:
    """Say which subscriptions were set aside, and why."""
    return [(one.subscription, one.code) for one in done.failed]


async def test_what_the_engine_says_stands_on_every_invoice_of_a_subscription(shop: Shop, engine: Outside) -> None:
    """Once asked on each date, also where several are billed at once; a second run asks nothing."""
    done = await shop.bill("2024-03-15")
    assert (done.failed, done.drafted, done.subscriptions) == ([], 6, 2)
    assert await totals(shop) == {"ada": [11_00] * 3, "bea": [10_00] * 3}
    assert ((await shop.bill()).drafted, engine.asked) == (0, 3)


async def test_an_engine_that_was_not_reached_sets_subscriptions_aside_and_nothing_happened(
    shop: Shop, engine: Outside, owner: asyncpg.Connection
) -> None:
    """The others are billed; the next run asks again and makes the rest."""
    engine.down = True
    assert why(await shop.bill("2024-02-15")) == [("s-ada", "taxes.engine_unknown_outcome")]
    assert (engine.kept, await owner.fetchval("SELECT count(*) FROM tax_answer")) == ({}, 0)
    assert await totals(shop) == {"bea": [10_00] * 2}
    engine.down = False
    assert why(await shop.bill()) == []
    assert await totals(shop) == {"ada": [11_00] * 2, "bea": [10_00] * 2}


async def test_an_answer_that_got_lost_is_the_same_when_it_is_asked_for_again(
    shop: Shop, engine: Outside, owner: asyncpg.Connection
) -> None:
    """The engine did answer: the repeat has the same reference, and gets what was said first."""
    engine.loses_answer = True
    assert why(await shop.bill("2024-01-15")) == [("s-ada", "taxes.engine_unknown_outcome")]
    assert (len(engine.kept), await owner.fetchval("SELECT count(*) FROM tax_answer")) == (1, 0)
    engine.loses_answer, engine.percent = False, 20
    assert why(await shop.bill()) == []
    assert (await totals(shop))["ada"] == [11_00]
    assert list(engine.kept) == [await owner.fetchval("SELECT reference FROM tax_answer")]


async def test_a_book_of_subscriptions_with_kept_answers_comes_out_the_same(
    shop: Shop, engine: Outside, server: EmbeddedServer
) -> None:
    """Done again, its drafts use the answers that were kept, and no engine is asked."""
    engine.down = True
    await shop.bill("2024-01-15")
    engine.down = False
    await shop.do("subscriptions.change", id="s-ada", quantity=2)
    await shop.bill("2024-02-15")
    asked, engine.down = engine.asked, True
    assert said(await rebuilt(shop.house, server)) == ""
    assert engine.asked == asked


async def test_a_preview_asks_the_engine_and_a_draft_does_not_rest_on_it(shop: Shop, engine: Outside) -> None:
    """Who may only read sees the engine's taxes; what was said of a preview is not said of the invoice."""
    reader = Principal("reader", "main", frozenset({"subscriptions:read"}))
    asked = {"id": "s-ada"}
    answer = await shop.house.operations.call(reader, "main", "subscriptions.preview", "", asked)
    assert (answer.total, answer.problem, [tax.amount for tax in answer.taxes]) == (11_00, None, [1_00])
    await shop.do("subscriptions.preview", id="s-ada")
    assert engine.asked == 1
    engine.percent = 20
    assert why(await shop.bill("2024-01-15")) == []
    assert (await totals(shop))["ada"] == [12_00]


async def test_a_preview_without_an_answer_says_so_and_shows_the_lines(
    shop: Shop, engine: Outside, owner: asyncpg.Connection
) -> None:
    """Failed and nothing happened, or failed and it did: the next look asks the same, and is told the same."""
    for broken in ("down", "loses_answer"):
        setattr(engine, broken, True)
        shown = await shop.do("subscriptions.preview", id="s-ada")
        setattr(engine, broken, False)
        assert (shown.total, shown.taxes, [line.amount for line in shown.lines]) == (10_00, [], [10_00])
        assert shown.problem.startswith("No answer of the tax engine is kept")
        assert await owner.fetchval("SELECT count(*) FROM tax_answer") == 0
    engine.percent = 20
    assert (await shop.do("subscriptions.preview", id="s-ada")).total == 11_00


async def test_what_a_change_would_cost_is_taxed_by_the_engine(shop: Shop, engine: Outside) -> None:
    """Tried out or done, and done again under the same message id it is the same."""
    wanted = {"id": "s-ada", "quantity": 3, "when": "period_end"}
    run = shop.house.operations.run
    reader = Principal("clerk", "main", frozenset({"subscriptions:write"}))
    tried = await run(reader, "main", "subscriptions.change", "k", wanted, dry_run=True)
    assert b'"total":1100' in tried.body
    done, again = [await run(reader, "main", "subscriptions.change", "k", wanted) for _ in range(2)]
    assert (again.replayed, again.body) == (True, done.body)
    assert b'"total":1100' in done.body
    assert await shop.refused("subscriptions.change", id="nobody", quantity=2) == ("subscriptions.unknown", "id")


async def test_a_preview_of_usage_is_taxed_as_its_invoice_would_be(house: House) -> None:
    """By the rates of the book, or by the engine where there is one; who is not taxed has no taxes."""
    await meter_requests(house)
    await price(house, "1")
    await use_in_may(house, 2)
    await ask(house, "taxes.set_rate", jurisdiction="AU", name="GST", rate="0.5", effective_at=LONG_AGO)
    await ask(house, "taxes.set_customer", customer="customer-002", jurisdiction="AU", effective_at=LONG_AGO)
    asked = {"start_at": "2015-05-01T00:00:00Z", "end_at": "2015-06-01T00:00:00Z"}

    async def total(customer: str) -> tuple[int, int | None, str | None]:
        (found,) = (await ask(house, "rating.preview", customer=customer, **asked)).totals
        return found.amount, found.with_taxes, found.problem

    assert await total("customer-001") == (100, None, None)
    assert await total("customer-002") == (200, 300, None)
    engine = house.operations.resources[TaxEngine] = Outside()
    assert await total("customer-002") == (200, 220, None)
    assert (await total("customer-001"), engine.asked) == ((100, None, None), 1)
    engine.down = True
    await ask(house, "taxes.set_customer", customer="customer-001", jurisdiction="AU", effective_at=LONG_AGO)
    amount, taxed, problem = await total("customer-001")
    assert (amount, taxed) == (100, None)
    assert (problem or "").startswith("No answer of the tax engine is kept")
