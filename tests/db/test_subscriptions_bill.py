"""Billing subscriptions: what is asked for when, how changes are made good, and that each date is billed once."""

import asyncio
import calendar
import datetime as dt
import random
from decimal import Decimal
from fractions import Fraction
from typing import Any

import asyncpg
import pytest

from tallystick.db.embedded import EmbeddedServer
from tallystick.operations.rebuild import rebuild
from tallystick.rebuild.open_twin import made_database
from tests.conftest import url_of
from tests.db.subscribed import Shop, at, flat, metered, open_shop, plan_content

NEW_YEAR = "2024-01-01T00:00:00Z"
SEATS = {"small": 707, "large": 1919}
"""What a seat costs a month, in cents."""


async def meter_requests(shop: Shop) -> None:
    """Count the events of a type."""
    await shop.do(
        "catalog.define_meter", code="requests", name="requests", event_type="http.request", aggregation="count"
    )


async def use(shop: Shop, count: int, when: str) -> None:
    """Record *count* requests of ada at one instant."""
    events: list[dict[str, Any]] = [
        {"id": f"{when}-{number}", "customer": "ada", "at": when, "status": 200, "resource": "/maps"}
        for number in range(count)
    ]
    assert (await shop.do("usage.record", source="test", events=events)).accepted == count


async def test_a_month_is_asked_for_in_advance(pool: asyncpg.Pool) -> None:
    """The 31st stays the anchor through shorter months, and each period has one invoice, however often it is billed."""
    shop = await open_shop(pool, "2024-01-01")
    await shop.plan("pro", NEW_YEAR, plan_content(flat("base", "31")))
    await shop.subscribe("s-1", "pro", "2024-01-31T00:00:00Z")
    done = await shop.bill("2024-04-01")
    assert (done.drafted, done.issued, done.failed) == (3, 3, [])
    assert (done.first_number, done.last_number, done.totals) == ("INV-000001", "INV-000003", {"USD": 9300})
    assert await shop.amounts() == [[3100], [3100], [3100]]
    again = await shop.bill()
    assert (again.drafted, again.issued) == (0, 0)
    runs = (await shop.do("batches.list", kind="subscriptions")).items
    assert [(one.status, one.counts) for one in runs] == [
        ("ended", {"drafted": 0, "issued": 0}),
        ("ended", {"drafted": 3, "issued": 3}),
    ]


async def test_a_void_draft_does_not_keep_the_others_waiting(pool: asyncpg.Pool) -> None:
    """It is never issued, and the run comes to its end: the other one is."""
    shop = await open_shop(pool, "2024-01-01")
    await shop.plan("pro", NEW_YEAR, plan_content(flat("base", "31")))
    await shop.subscribe("s-1", "pro", NEW_YEAR)
    await shop.subscribe("s-2", "pro", NEW_YEAR)
    assert (await shop.do("subscriptions.draft", until=NEW_YEAR)).drafted == 2
    first = (await shop.do("invoicing.list", customer="ada")).items[0]
    await shop.do("invoicing.void", id=first.id, reason="not wanted")
    async with asyncio.timeout(20):
        assert (await shop.bill()).issued == 1
    assert await pool.fetchval("SELECT count(*) FROM subscription_waiting") == 0


async def test_an_upgrade_is_prorated_on_the_next_invoice(pool: asyncpg.Pool) -> None:
    """The unused rest of the old plan is given back, and the rest of the new one asked for."""
    shop = await open_shop(pool, "2024-01-01")
    await shop.plan("small", NEW_YEAR, plan_content(flat("base", "31"), proration="day"))
    await shop.plan("large", NEW_YEAR, plan_content(flat("base", "62"), proration="day"))
    await shop.subscribe("s-1", "small", NEW_YEAR)
    await shop.bill("2024-01-01")
    shop.goes("2024-01-11")
    changed = await shop.do("subscriptions.change", id="s-1", plan="large")
    assert [line.amount for line in changed.next_invoice.lines] == [-2100, 4200, 6200]
    await shop.bill("2024-02-01")
    whole = "flat fee of 31 USD = 31.00 USD"
    assert (await shop.lines())[1] == (
        "INV-000002",
        8300,
        [
            ("base", -2100, f"31.00 USD was asked for ({whole}); due is {whole}, for 10 of 31 days 10.00 USD"),
            ("base", 4200, "flat fee of 62 USD = 62.00 USD, for 21 of 31 days 42.00 USD"),
            ("base", 6200, "flat fee of 62 USD = 62.00 USD"),
        ],
    )


async def test_a_credit_beyond_the_invoice_is_carried_to_the_next(pool: asyncpg.Pool) -> None:
    """An invoice comes to nothing less than zero; what is left is given back on the invoices behind it."""
    shop = await open_shop(pool, "2024-01-01")
    content = plan_content(flat("seats", "31", per_quantity=True), proration="day")
    await shop.plan("pro", NEW_YEAR, content)
    await shop.subscribe("s-1", "pro", NEW_YEAR, quantity=10)
    await shop.bill("2024-01-01")
    shop.goes("2024-01-02")
    await shop.do("subscriptions.change", id="s-1", quantity=1)
    # 310.00 were paid; due are 10 x 31 x 1/31 = 10.00 and 1 x 31 x 30/31 = 30.00, so 270.00 are to be given back.
    await shop.bill("2024-02-01")
    assert await shop.amounts() == [[31000], [-6100, 3000, 3100]]
    assert (await shop.do("subscriptions.find", id="s-1")).credit == 27000 + 3000 - 3000 + 3000 - 6100
    await shop.bill("2024-12-31")
    totals = [total for _, total, _ in await shop.lines()]
    # Eleven further months of 31.00, less the 239.00 that were left.
    assert sum(totals[2:]) == 10 * 3100 - (30000 - 6100)
    assert (await shop.do("subscriptions.find", id="s-1")).credit == 0


async def test_a_change_in_the_past_is_made_good(pool: asyncpg.Pool) -> None:
    """Periods that were billed are looked at again, and each line that is wrong is corrected by name."""
    shop = await open_shop(pool, "2024-01-01")
    await shop.plan("pro", NEW_YEAR, plan_content(flat("seats", "30", per_quantity=True), proration="day"))
    await shop.subscribe("s-1", "pro", NEW_YEAR)
    await shop.bill("2024-03-15")
    await shop.do("subscriptions.change", id="s-1", quantity=2, at="2024-02-01T00:00:00Z")
    await shop.bill("2024-04-01")
    assert (await shop.amounts())[-1] == [-3000, -3000, 6000, 6000, 6000]
    page = await shop.do("invoicing.list", customer="ada")
    assert sum(one.total for one in page.items) == 3000 + 3 * 6000


async def test_what_is_due_when_the_period_is_over(pool: asyncpg.Pool) -> None:
    """A flat charge in arrears, and usage by its tiers, are asked for together as the month ends."""
    shop = await open_shop(pool, "2024-01-01")
    await meter_requests(shop)
    price = {"model": "per_unit", "rate": "0.50", "free_units": "1"}
    charges = (flat("support", "10", when="arrears"), metered("requests", price))
    await shop.plan("pro", NEW_YEAR, plan_content(*charges))
    await shop.subscribe("s-1", "pro", NEW_YEAR)
    assert (await shop.bill()).drafted == 0
    shop.goes("2024-01-20")
    await use(shop, 5, "2024-01-20T00:00:00Z")
    await shop.bill("2024-02-01")
    assert await shop.lines() == [
        (
            "INV-000001",
            1200,
            [
                ("support", 1000, "flat fee of 10 USD = 10.00 USD"),
                ("requests", 200, "5 requests: 1 free, 4 \N{MULTIPLICATION SIGN} 0.5 USD = 2.00 USD"),
            ],
        )
    ]


async def test_a_minimum_and_a_maximum_of_a_period(pool: asyncpg.Pool) -> None:
    """A line lifts the period to the one, and one takes back what is above the other."""
    shop = await open_shop(pool, "2024-01-01")
    await meter_requests(shop)
    price = {"model": "per_unit", "rate": "1"}
    phase = {"name": "regular", "charges": [metered("requests", price)], "minimum": "10", "maximum": "20"}
    await shop.plan("pro", NEW_YEAR, plan_content(phases=[phase]))
    await shop.subscribe("s-1", "pro", NEW_YEAR)
    shop.goes("2024-03-31")
    for count, when in ((4, "2024-01-10T00:00:00Z"), (50, "2024-02-10T00:00:00Z"), (15, "2024-03-10T00:00:00Z")):
        await use(shop, count, when)
    await shop.bill("2024-04-01")
    assert await shop.amounts() == [[400, 600], [5000, -3000], [1500]]
    await use(shop, 8, "2024-01-11T00:00:00Z")  # late: 12 requests are above the minimum
    await shop.bill("2024-05-01")
    assert (await shop.amounts())[-1] == [800, -600, 1000]


@pytest.mark.parametrize(
    ("unit", "first", "second"),
    [("day", [3100], [-1500, 3000, 6200]), ("second", [3100], [-1550, 3100, 6200]), ("none", [3100], [6200])],
)
async def test_a_part_is_counted_in_the_unit_of_the_plan(
    pool: asyncpg.Pool, unit: str, first: list[int], second: list[int]
) -> None:
    """Sixteen days and a half are over: by the second half the month is left, by the day 15, and without proration none."""
    shop = await open_shop(pool, "2024-01-01")
    for code, amount in (("small", "31"), ("large", "62")):
        await shop.plan(code, NEW_YEAR, plan_content(flat("base", amount), proration=unit))
    await shop.subscribe("s-1", "small", NEW_YEAR)
    await shop.bill()
    shop.goes("2024-01-16T12:00")
    changed_at = "2024-01-17T00:00:00Z" if unit == "day" else "2024-01-16T12:00:00Z"
    await shop.do("subscriptions.change", id="s-1", plan="large", at=changed_at)
    await shop.bill("2024-02-01")
    assert await shop.amounts() == [first, second]


async def test_a_customer_may_have_two_of_one_plan(pool: asyncpg.Pool) -> None:
    """Each has invoices of its own, also of the same day."""
    shop = await open_shop(pool, "2024-01-01")
    await shop.plan("pro", NEW_YEAR, plan_content(flat("base", "5")))
    for id_ in ("s-1", "s-2"):
        await shop.subscribe(id_, "pro", NEW_YEAR)
    assert (await shop.bill()).issued == 2
    seen: list[str] = []
    after = None
    while not seen or after is not None:
        page = await shop.do("invoicing.list", limit=1, after=after)
        seen += [str(one.id) for one in page.items]
        after = page.next and str(page.next)
    assert len(set(seen)) == 2


async def test_one_that_cannot_be_billed_keeps_nobody_else(pool: asyncpg.Pool) -> None:
    """It is named and left as it is; once it can be it is."""
    shop = await open_shop(pool, "2024-01-01")
    await shop.plan("dear", NEW_YEAR, plan_content(flat("seats", "999999999999999", per_quantity=True)))
    await shop.plan("pro", NEW_YEAR, plan_content(flat("base", "5")))
    await shop.subscribe("a", "dear", NEW_YEAR, customer="eve", quantity=1_000_000)
    await shop.subscribe("b", "pro", NEW_YEAR)
    done = await shop.bill()
    assert [(one.subscription, one.code) for one in done.failed] == [("a", "rating.amount_too_large")]
    assert done.issued == 1
    assert [one.subscription for one in (await shop.bill()).failed] == ["a"]
    await shop.do("subscriptions.change", id="a", quantity=0)
    assert (await shop.bill()).failed == []


async def test_two_runs_at_once_bill_each_date_once(pool: asyncpg.Pool) -> None:
    """Whichever comes second finds it done."""
    shop = await open_shop(pool, "2024-01-01")
    await shop.plan("pro", NEW_YEAR, plan_content(flat("base", "5")))
    for number in range(20):
        await shop.subscribe(f"s-{number}", "pro", NEW_YEAR, customer=f"c-{number}")
    shop.goes("2024-03-15")
    runs = await asyncio.gather(*(shop.bill() for _ in range(3)))
    assert sum(run.issued for run in runs) == sum(run.drafted for run in runs) == 60
    page = await shop.do("invoicing.list", limit=1000)
    assert sorted(one.number for one in page.items) == [f"INV-{number:06}" for number in range(1, 61)]


async def test_a_run_that_died_between_is_gone_on_with(pool: asyncpg.Pool) -> None:
    """What was drafted and not issued is issued by the next run."""
    shop = await open_shop(pool, "2024-01-01")
    await shop.plan("pro", NEW_YEAR, plan_content(flat("base", "5")))
    await shop.subscribe("s-1", "pro", NEW_YEAR)
    assert (await shop.do("subscriptions.draft", until=NEW_YEAR)).drafted == 1
    done = await shop.bill()
    assert (done.drafted, done.issued) == (0, 1)


async def test_what_is_still_to_come_is_not_billed(pool: asyncpg.Pool) -> None:
    """Its usage is not known yet."""
    shop = await open_shop(pool, "2024-01-01")
    assert await shop.refused("subscriptions.draft", until="2024-01-01T00:00:01Z") == (
        "subscriptions.until_ahead",
        "until",
    )


async def test_usage_behind_an_open_transaction_is_waited_for(pool: asyncpg.Pool, owner: asyncpg.Connection) -> None:
    """Nothing is drafted past usage that was acknowledged."""
    shop = await open_shop(pool, "2024-01-01")
    await meter_requests(shop)
    await shop.plan("pro", NEW_YEAR, plan_content(metered("requests", {"model": "per_unit", "rate": "1"})))
    await shop.subscribe("s-1", "pro", NEW_YEAR)
    shop.goes("2024-02-01")
    async with owner.transaction():
        await owner.fetchval("SELECT pg_current_xact_id()")
        await use(shop, 1, "2024-01-05T00:00:00Z")
        refused = await shop.refused("subscriptions.draft", until="2024-02-01T00:00:00Z")
        assert refused == ("invoicing.usage_not_settled", None)
    assert (await shop.bill()).drafted == 1
    assert await shop.amounts() == [[100]]


async def test_a_book_with_subscriptions_is_made_again_from_its_messages(
    pool: asyncpg.Pool, server: EmbeddedServer
) -> None:
    """Plans, revisions, bills and invoices all come out the same."""
    shop = await open_shop(pool, "2024-01-01")
    await shop.plan("pro", NEW_YEAR, plan_content(flat("seats", "31", per_quantity=True), proration="day"))
    await shop.subscribe("s-1", "pro", NEW_YEAR)
    await shop.bill()
    await shop.do("subscriptions.change", id="s-1", quantity=3, at="2024-01-11T00:00:00Z")
    await shop.bill("2024-03-01")
    await shop.do("subscriptions.cancel", id="s-1")
    async with made_database(url_of(server, "postgres")) as url:
        made = await rebuild(shop.house.operations, "main", url, lambda *_: None)
    assert made.difference is None, made.difference


async def test_what_was_billed_beside_an_open_transaction_is_made_again(
    pool: asyncpg.Pool, owner: asyncpg.Connection, server: EmbeddedServer
) -> None:
    """Also where there was nothing to ask for: how far it reached into the usage is said by the bill alone."""
    shop = await open_shop(pool, "2024-01-01")
    await meter_requests(shop)
    await shop.plan("pro", NEW_YEAR, plan_content(metered("requests", {"model": "per_unit", "rate": "1"})))
    await shop.subscribe("s-1", "pro", NEW_YEAR)
    async with owner.transaction():
        await owner.fetchval("SELECT pg_current_xact_id()")
        await shop.do("ledger.open_account", account="bank", asset="USD")
        assert (await shop.bill("2024-02-01")).drafted == 0
    async with made_database(url_of(server, "postgres")) as url:
        made = await rebuild(shop.house.operations, "main", url, lambda *_: None)
    assert made.difference is None, made.difference


async def test_whatever_changes_the_invoices_come_to_the_days_that_were_used(pool: asyncpg.Pool) -> None:
    """A year of changes at random, also in the past: what was asked for is each day's share, but for rounding."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - to run the same again
    chance = random.Random(seed)
    shop = await open_shop(pool, "2024-01-01")
    for code, cents in SEATS.items():
        seat = flat("seats", f"{Decimal(cents) / 100}", per_quantity=True)
        await shop.plan(code, NEW_YEAR, plan_content(seat, proration="day"))
    await shop.subscribe("s-1", "small", NEW_YEAR, quantity=2)
    for _ in range(24):
        await shop.bill((shop.clock.at + dt.timedelta(days=chance.randrange(1, 20))).isoformat())
        await change_at_random(shop, chance)
    await shop.do("subscriptions.cancel", id="s-1")
    await shop.bill((shop.clock.at + dt.timedelta(days=1)).isoformat())
    ended = await shop.do("subscriptions.find", id="s-1")
    asked = sum(total for _, total, _ in await shop.lines()) - ended.credit
    assert abs(asked - due_by_days(ended.spans)) <= len(ended.spans) + 24
    assert ended.next_due_at is None


async def change_at_random(shop: Shop, chance: random.Random) -> None:
    """Change one thing from a day of the last weeks on, if it changes anything."""
    when = max(at("2024-01-01"), (shop.clock.at - dt.timedelta(days=chance.choice([0, 0, 3, 45]))))
    given = {"id": "s-1", "at": when.isoformat()}
    choices: list[tuple[str, dict[str, object]]] = [
        ("change", {"quantity": chance.randrange(5)}),
        ("change", {"plan": chance.choice(sorted(SEATS))}),
        ("pause", {}),
        ("resume", {}),
    ]
    kind, fields = chance.choice(choices)
    if chance.random() < 0.8:  # some invoices see no change
        outcome = await asyncio.gather(shop.do(f"subscriptions.{kind}", **given, **fields), return_exceptions=True)
        assert not isinstance(outcome[0], BaseException) or "already" in str(outcome[0]), outcome


def due_by_days(spans: list[Any]) -> Fraction:
    """Add up day by day what a seat's share of its month is, in cents."""
    total = Fraction(0)
    for span in spans:
        day = span.start_at
        while day < span.end_at:
            if not span.paused:
                days = calendar.monthrange(day.year, day.month)[1]
                total += Fraction(SEATS[span.plan] * span.quantity, days)
            day += dt.timedelta(days=1)
    return total


async def test_late_usage_of_a_line_is_an_adjustment_that_names_both(pool: asyncpg.Pool) -> None:
    """The difference is on the next invoice, rated with what was there: tiers go on where they were."""
    shop = await open_shop(pool, "2024-01-01")
    await meter_requests(shop)
    price = {"model": "per_unit", "rate": "0.10", "free_units": "3"}
    await shop.plan("pro", NEW_YEAR, plan_content(metered("requests", price)))
    await shop.subscribe("s-1", "pro", NEW_YEAR)
    shop.goes("2024-01-20")
    await use(shop, 4, "2024-01-20T00:00:00Z")
    await shop.bill("2024-02-01")
    await use(shop, 2, "2024-01-25T00:00:00Z")
    await shop.bill("2024-03-01")
    first, second = sorted((await shop.do("invoicing.list", customer="ada")).items, key=lambda one: one.number)
    (line,) = second.lines
    assert (first.total, second.total, line.amount, line.events, line.quantity) == (10, 20, 20, 2, "2")
    assert line.detail["adjusts"] == f"{first.id}/0"
    behind = await shop.do("invoicing.lineage", id=str(second.id), line=0)
    assert [event.at.day for event in behind.items] == [25, 25]


async def test_what_a_change_of_interval_gave_back_stays_given_back(pool: asyncpg.Pool) -> None:
    """The correction of a month lies in the first year of the new plan; when that is billed it is not corrected again."""
    shop = await open_shop(pool, "2024-01-01")
    await shop.plan("pro", NEW_YEAR, plan_content(flat("base", "31"), proration="day"))
    yearly = plan_content(flat("base", "366"), proration="day", interval={"unit": "year"})
    await shop.plan("yearly", NEW_YEAR, yearly)
    await shop.subscribe("s", "pro", NEW_YEAR)
    await shop.bill()
    shop.goes("2024-01-11")
    await shop.do("subscriptions.change", id="s", plan="yearly")
    await shop.bill("2026-02-01")
    assert await shop.amounts() == [[3100], [-2100, 36600], [36600], [36600]]


async def test_a_maximum_is_corrected_once_for_each_time_that_usage_comes_late(pool: asyncpg.Pool) -> None:
    """Each correction names the maximum's own line, so the next one starts from what both come to."""
    shop = await open_shop(pool, "2024-01-01")
    await meter_requests(shop)
    content = plan_content(metered("requests", {"model": "per_unit", "rate": "1"}))
    content["phases"][0]["maximum"] = "5"
    await shop.plan("pro", NEW_YEAR, content)
    await shop.subscribe("s", "pro", NEW_YEAR)
    shop.goes("2024-01-20")
    await use(shop, 7, "2024-01-20T00:00:00Z")
    await shop.bill("2024-02-01")
    for month, day in ((3, 2), (4, 3), (5, 4)):
        await use(shop, 2, f"2024-01-{day:02}T00:00:00Z")
        await shop.bill(f"2024-{month:02}-01")
    assert await shop.amounts() == [[700, -200], [200, -200], [200, -200], [200, -200]]


async def test_what_was_taxed_higher_is_taken_back_as_far_as_the_taxes_bear_it(pool: asyncpg.Pool) -> None:
    """Who goes from a tax of 20 % to one of 10 % is billed all the same, and in the end has paid for one plan alone."""
    shop = await open_shop(pool, "2024-01-01")
    given = {"jurisdiction": "AT", "effective_at": "2023-01-01T00:00:00Z"}
    await shop.do("taxes.set_rate", name="VAT", rate="0.20", **given)
    await shop.do("taxes.set_rate", name="VAT", rate="0.10", category="books", **given)
    await shop.do("taxes.set_category", product="books", category="books", effective_at=given["effective_at"])
    await shop.plan("dear", NEW_YEAR, plan_content(flat("base", "62"), proration="day"))
    await shop.plan("books", NEW_YEAR, plan_content(flat("book", "31"), proration="day"))
    await shop.subscribe("s", "dear", NEW_YEAR)
    await shop.do("taxes.set_customer", customer="ada", **given)
    await shop.bill()
    shop.goes("2024-01-20")
    await shop.do("subscriptions.change", id="s", plan="books", at=NEW_YEAR)
    done = await shop.bill("2024-04-01")
    assert done.failed == []
    assert [total for _, total, _ in await shop.lines()] == [7440, 124, 2666, 3410]
    assert sum(map(sum, await shop.amounts())) == 4 * 3100
    assert sum(total for _, total, _ in await shop.lines()) == 4 * 3410


async def test_a_month_whose_usage_is_away_stays_as_it_was_billed(pool: asyncpg.Pool) -> None:
    """A change in the past bills the seats anew and the requests not; where these were another plan's it waits."""
    shop = await open_shop(pool, "2024-01-01")
    await meter_requests(shop)
    requests = metered("requests", {"model": "per_unit", "rate": "1"})
    await shop.plan("pro", NEW_YEAR, plan_content(flat("seats", "31", per_quantity=True), requests, proration="day"))
    await shop.plan("max", NEW_YEAR, plan_content(flat("base", "62"), requests, proration="day"))
    await shop.subscribe("s", "pro", NEW_YEAR)
    shop.goes("2024-01-20")
    await use(shop, 9, "2024-01-10T00:00:00Z")
    await shop.bill("2024-02-01")
    await shop.do("usage.detach_month", month="2024-01")
    await shop.do("subscriptions.change", id="s", quantity=2, at="2024-01-01T00:00:00Z")
    await shop.bill("2024-03-01")
    assert await shop.amounts() == [[3100], [900, 3100], [-3100, -3100, 6200, 6200, 6200]]
    await shop.do("subscriptions.change", id="s", plan="max", at="2024-01-15T00:00:00Z")
    assert [one.code for one in (await shop.bill("2024-04-01")).failed] == ["invoicing.month_away"]
    await shop.do("usage.attach_month", month="2024-01")
    assert (await shop.bill()).failed == []


async def test_usage_that_comes_after_the_end_is_asked_for(pool: asyncpg.Pool) -> None:
    """For some weeks by itself, later where the subscription is named; once, and only what was used before the end."""
    shop = await open_shop(pool, "2024-01-01")
    await meter_requests(shop)
    await shop.plan("pro", NEW_YEAR, plan_content(metered("requests", {"model": "per_unit", "rate": "1"})))
    await shop.subscribe("s", "pro", NEW_YEAR)
    shop.goes("2024-01-20")
    await use(shop, 2, "2024-01-10T00:00:00Z")
    await shop.do("subscriptions.cancel", id="s")
    await shop.bill()
    await use(shop, 3, "2024-01-11T00:00:00Z")
    await use(shop, 1, "2024-01-20T00:00:00Z")
    assert [one.drafted for one in (await shop.bill("2024-02-10"), await shop.bill("2024-02-11"))] == [1, 0]
    assert await shop.amounts() == [[200], [300]]
    await use(shop, 1, "2024-01-12T00:00:00Z")
    assert (await shop.bill("2024-12-01")).drafted == 0
    drafted = await shop.do("subscriptions.draft", until="2024-12-01T00:00:00Z", subscriptions=["s"])
    assert (drafted.drafted, drafted.totals) == (1, {"USD": 100})
