"""
A customer's year, date by date, on a clock that the test moves: every invoice to the cent, with its arithmetic.

Ada lives in New York and begins on 31 January 2024, so that her periods begin on the 31st or the last day of a month,
over a leap day and two changes of the clock. Bob in Tokyo is billed by the calendar.
"""

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from tests.db.subscribed import Shop, flat, metered, open_shop, plan_content

ZONE = "America/New_York"
TIERS = {"model": "graduated", "tiers": [{"up_to": "100", "rate": "0.10"}, {"up_to": None, "rate": "0.05"}]}


def here(text: str, zone: str = ZONE) -> str:
    """Write what calendar and clock of *zone* show as an instant with its zone."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).isoformat()


def team(seat: str) -> dict[str, Any]:
    """Write the plan that Ada is on: a trial month, two introductory ones, then the regular price."""
    usage = metered("requests", TIERS)
    return {
        "name": "Team",
        "asset": "USD",
        "interval": {"unit": "month"},
        "billing": "anniversary",
        "zone": ZONE,
        "proration": "day",
        "phases": [
            {"name": "trial", "length": {"months": 1}, "charges": []},
            {"name": "intro", "length": {"periods": 2}, "charges": [flat("seats", "5", per_quantity=True), usage]},
            {"name": "regular", "charges": [flat("seats", seat, per_quantity=True), usage]},
        ],
    }


async def use(shop: Shop, customer: str, count: int, when: str, name: str) -> None:
    """Record *count* requests of a customer at one instant."""
    events = [
        {"id": f"{name}-{number}", "customer": customer, "at": when, "status": 200, "resource": "/maps"}
        for number in range(count)
    ]
    recorded = await shop.do("usage.record", source="year", events=events)
    assert recorded.accepted == count


async def newest(shop: Shop, customer: str = "ada") -> tuple[int, list[tuple[str, int]]]:
    """Return the total of the customer's newest invoice, and charge and amount of each line."""
    _, total, lines = (await shop.lines(customer))[-1]
    return total, [(charge, amount) for charge, amount, _ in lines]


async def set_up(pool: asyncpg.Pool) -> Shop:
    """Open the book in January 2024 with the meter, and the three plans."""
    shop = await open_shop(pool, "2024-01-01")
    await shop.do(
        "catalog.define_meter", code="requests", name="requests", event_type="http.request", aggregation="count"
    )
    new_year = "2024-01-01T00:00:00Z"
    await shop.plan("team", new_year, team("10"))
    scale = plan_content(flat("seats", "20", per_quantity=True), metered("requests", TIERS), zone=ZONE, proration="day")
    await shop.plan("scale", new_year, scale)
    basic = plan_content(flat("base", "3"), zone="Asia/Tokyo", billing="calendar", proration="second")
    await shop.plan("basic", new_year, basic)
    return shop


async def january_to_march(shop: Shop) -> None:
    """Begin: the trial and the introduction, over a leap day and the hour that New York leaves out."""
    # 31 January: Ada begins with 3 seats, in a trial of a month. Nothing is due.
    shop.goes(here("2024-01-31T09:00"))
    await shop.subscribe("ada-team", "team", here("2024-01-31T00:00"), quantity=3)
    assert (await shop.bill()).drafted == 0

    # 10 February: 40 requests, in the trial, which has no charge for them.
    shop.goes(here("2024-02-10T12:00"))
    await use(shop, "ada", 40, here("2024-02-10T12:00"), "feb")

    # 29 February, the last day of a leap February: the introduction begins. 3 seats x 5 = 15.00.
    await shop.bill(here("2024-02-29T00:00"))
    assert await newest(shop) == (1500, [("intro.seats", 1500)])

    # 10 March: New York's clock is put forward. 120 requests on both sides of it.
    shop.goes(here("2024-03-10T12:00"))
    await use(shop, "ada", 60, here("2024-03-10T01:59"), "mar-before")
    await use(shop, "ada", 60, here("2024-03-10T03:00"), "mar-after")

    # 31 March: 100 x 0.10 + 20 x 0.05 = 11.00 of usage, and 15.00 for the second introductory month.
    await shop.bill(here("2024-03-31T00:00"))
    assert await newest(shop) == (2600, [("intro.requests", 1100), ("intro.seats", 1500)])


async def april_to_june(shop: Shop) -> None:
    """Change: more seats, the large plan, and back again."""
    # 10 April: two seats more. 31 March to 30 April has 30 days, of which 20 are left.
    shop.goes(here("2024-04-10T00:00"))
    changed = await shop.do("subscriptions.change", id="ada-team", quantity=5)
    assert [(line.charge, line.amount) for line in changed.next_invoice.lines] == [
        ("intro.seats", -1000),
        ("intro.seats", 1667),
        ("regular.seats", 5000),
    ]

    # 30 April: 3 seats for 10 of 30 days are 5.00 of the 15.00 paid, so 10.00 comes back; 5 seats for 20 of 30 days are
    # 25.00 x 2/3 = 16.67; and the regular price begins: 5 x 10 = 50.00.
    await shop.bill(here("2024-04-30T00:00"))
    assert await newest(shop) == (
        5667,
        [("intro.seats", -1000), ("intro.seats", 1667), ("regular.seats", 5000)],
    )

    # 15 May: up to the large plan. 30 April to 31 May has 31 days, of which 15 are over: 200 requests before, 50 behind.
    shop.goes(here("2024-05-20T00:00"))
    await shop.do("subscriptions.change", id="ada-team", plan="scale", at=here("2024-05-15T00:00"))
    await use(shop, "ada", 200, here("2024-05-14T23:59"), "may-before")
    await use(shop, "ada", 50, here("2024-05-15T00:00"), "may-behind")

    # 31 May: of the 50.00 paid 15/31 = 24.19 were used, so 25.81 come back; 5 x 20 = 100.00 for 16 of 31 days are 51.61;
    # usage is rated in each plan by itself: 10.00 + 100 x 0.05 = 15.00, and 50 x 0.10 = 5.00; June is 100.00.
    await shop.bill(here("2024-05-31T00:00"))
    assert await newest(shop) == (
        14580,
        [("regular.seats", -2581), ("regular.requests", 1500), ("seats", 5161), ("requests", 500), ("seats", 10000)],
    )

    # 12 June: down again as the period ends. Until then nothing changes.
    shop.goes(here("2024-06-12T00:00"))
    changed = await shop.do("subscriptions.change", id="ada-team", plan="team", when="period_end")
    assert [line.amount for line in changed.next_invoice.lines] == [5000]

    # 30 June: back on the small plan, in its regular phase, since a trial is given once: 5 x 10 = 50.00.
    await shop.bill(here("2024-06-30T00:00"))
    assert await newest(shop) == (5000, [("regular.seats", 5000)])


async def july(shop: Shop) -> None:
    """Pause for a month that is part of two periods."""
    # 15 July to 15 August: a pause, with 10 requests in it.
    shop.goes(here("2024-07-15T00:00"))
    await shop.do("subscriptions.pause", id="ada-team", resume_at=here("2024-08-15T00:00"))
    shop.goes(here("2024-07-20T00:00"))
    await use(shop, "ada", 10, here("2024-07-20T00:00"), "jul")

    # 31 July: of 30 June to 31 July, 31 days, 15 were before the pause: 24.19 of 50.00, so 25.81 come back. The requests
    # are 1.00. 31 July to 31 August has 31 days, and 16 of them behind the pause: 50.00 x 16/31 = 25.81.
    await shop.bill(here("2024-07-31T00:00"))
    assert await newest(shop) == (100, [("regular.seats", -2581), ("regular.requests", 100), ("regular.seats", 2581)])


async def august_to_december(shop: Shop) -> None:
    """End: a new price, usage that comes late, and the last invoice."""
    # 20 August: from 10 September on a seat is 12. What was begun before stays as it is.
    shop.goes(here("2024-08-20T00:00"))
    await shop.plan("team", here("2024-09-10T00:00"), team("12"))

    # 31 August: a full month at the old price, 50.00; so is 30 September at the new one: 5 x 12 = 60.00.
    await shop.bill(here("2024-08-31T00:00"))
    assert await newest(shop) == (5000, [("regular.seats", 5000)])
    await shop.bill(here("2024-09-30T00:00"))
    assert await newest(shop) == (6000, [("regular.seats", 6000)])

    # 5 October: 7 requests of 2 September come in late: 7 x 0.10 = 0.70 on the next invoice.
    shop.goes(here("2024-10-05T00:00"))
    await use(shop, "ada", 7, here("2024-09-02T00:00"), "late")

    # 31 October: and the month, 60.00.
    await shop.bill(here("2024-10-31T00:00"))
    assert await newest(shop) == (6070, [("regular.requests", 70), ("regular.seats", 6000)])

    # 10 November: cancelled as the period ends, on the 30th; one request on the 3rd, in the hour that comes twice.
    shop.goes(here("2024-11-10T00:00"))
    await use(shop, "ada", 1, "2024-11-03T06:30:00Z", "nov")
    cancelled = await shop.do("subscriptions.cancel", id="ada-team", when="period_end")
    assert cancelled.subscription.end_at == dt.datetime.fromisoformat(here("2024-11-30T00:00"))

    # 30 November: the last usage, 0.10, and nothing in advance; then nothing ever again.
    await shop.bill(here("2024-11-30T00:00"))
    assert await newest(shop) == (10, [("regular.requests", 10)])
    assert (await shop.bill(here("2024-12-31T00:00"))).drafted == 0
    ended = await shop.do("subscriptions.find", id="ada-team")
    assert (ended.status, ended.next_due_at, ended.credit) == ("ended", None, 0)


async def test_a_customers_year(pool: asyncpg.Pool) -> None:
    """Trial, introduction, seats added, an upgrade, a downgrade, a pause, a new price, and the end."""
    shop = await set_up(pool)
    await january_to_march(shop)
    await april_to_june(shop)
    await july(shop)
    await august_to_december(shop)
    assert len(await shop.lines()) == 10  # from 29 February to 30 November, a month each
    await require_ledger_agrees(shop, ["ada"])


async def test_a_year_by_the_calendar(pool: asyncpg.Pool) -> None:
    """Bob begins on 16 May in Tokyo: half of a month, then months of the calendar, each asked for as it begins."""
    shop = await set_up(pool)
    begin = here("2024-05-16T12:00", "Asia/Tokyo")
    shop.goes(begin)
    await shop.subscribe("bob-basic", "basic", begin, customer="bob")

    # 16 May at noon to 1 June: 15.5 of 31 days, exactly half of 3.00.
    await shop.bill()
    assert await newest(shop, "bob") == (150, [("base", 150)])

    # 1 June to 1 December: seven months at 3.00, billed at once by a run that was forgotten all summer.
    late = await shop.bill(here("2024-12-15T00:00", "Asia/Tokyo"))
    assert (late.subscriptions, late.drafted) == (1, 7)
    assert await shop.amounts("bob") == [[150]] + [[300]] * 7

    # 15 December at noon: cancelled at once. Of 31 days 14.5 were used: 3.00 x 14.5/31 = 1.40, so 1.60 would come back,
    # and no invoice is left that could bear it: it is told as a credit.
    shop.goes(here("2024-12-15T12:00", "Asia/Tokyo"))
    await shop.do("subscriptions.cancel", id="bob-basic")
    assert (await shop.bill()).drafted == 0
    ended = await shop.do("subscriptions.find", id="bob-basic")
    assert (ended.status, ended.credit, ended.next_due_at) == ("ended", 160, None)
    await require_ledger_agrees(shop, ["bob"])


async def require_ledger_agrees(shop: Shop, customers: list[str]) -> None:
    """Hold what the ledger says was earned against the sum of all invoices."""
    invoiced = sum([total for customer in customers for _, total, _ in await shop.lines(customer)])
    earned = 0
    for account in (await shop.do("ledger.list_accounts", limit=1000)).items:
        if account.code.startswith("revenue/"):
            earned += (await shop.do("ledger.balance", account=account.code)).balance
    assert earned == invoiced
    assert earned > 0
