"""Subscriptions: begun, changed, paused, cancelled, undone; and what none can be."""

import asyncio
from typing import Any

import asyncpg
import pytest

from tallystick.errors import TallystickError
from tallystick.security.model import OPERATOR
from tests.db.subscribed import Shop, at, flat, open_shop, plan_content

NEW_YEAR = "2024-01-01T00:00:00Z"

BAD_SUBSCRIPTIONS: list[tuple[dict[str, Any], str, str | None]] = [
    ({"plan": "nobody"}, "plans.unknown", "plan"),
    ({"start_at": "2023-12-31T00:00:00Z"}, "plans.unknown", "plan"),
    ({"start_at": "2024-01-01T00:00:00"}, "invalid_input", "start_at"),
    ({"start_at": "1969-12-31T23:59:59Z"}, "invalid_input", "start_at"),
    ({"start_at": "9999-12-31T23:59:59Z"}, "invalid_input", "start_at"),
    ({"end_at": NEW_YEAR}, "invalid_input", "end_at"),
    ({"end_at": "2023-12-31T00:00:00Z"}, "invalid_input", "end_at"),
    ({"quantity": -1}, "invalid_input", "quantity"),
    ({"quantity": 10**12}, "invalid_input", "quantity"),
    ({"zone": "Mars/Olympus"}, "invalid_input", "zone"),
    ({"anchor_day": 0}, "invalid_input", "anchor_day"),
    ({"anchor_day": 32}, "invalid_input", "anchor_day"),
    ({"plan": "monthly", "anchor_day": 15}, "invalid_input", "anchor_day"),
    ({"plan": "endless"}, "subscriptions.beyond_calendar", "plan"),
    ({"follow": "me"}, "invalid_input", "follow"),
    ({"id": ""}, "invalid_input", "id"),
    ({"id": "x" * 129}, "invalid_input", "id"),
    ({"id": "a\0b"}, "invalid_input", "id"),
    ({"customer": ""}, "invalid_input", "customer"),
    ({"colour": "blue"}, "invalid_input", "colour"),
]


async def shop_of(pool: asyncpg.Pool) -> Shop:
    """Open the book at New Year with some plans."""
    shop = await open_shop(pool, NEW_YEAR)
    await shop.plan("pro", NEW_YEAR, plan_content(flat("seats", "31", per_quantity=True), proration="day"))
    await shop.plan("max", NEW_YEAR, plan_content(flat("seats", "62", per_quantity=True), proration="day"))
    await shop.plan("monthly", NEW_YEAR, plan_content(flat("base", "31"), billing="calendar"))
    await shop.plan("yearly", NEW_YEAR, plan_content(flat("base", "366"), interval={"unit": "year"}, proration="day"))
    long = [{"name": "trial", "length": {"periods": 10_000}, "charges": []}, {"name": "regular", "charges": []}]
    await shop.plan("endless", NEW_YEAR, plan_content(phases=long, interval={"unit": "year", "count": 366}))
    return shop


async def test_what_is_no_subscription_is_refused_by_field_and_rule(
    pool: asyncpg.Pool, owner: asyncpg.Connection
) -> None:
    """Nothing of it is stored, not even the customer, and a good one can begin after it."""
    shop = await shop_of(pool)
    for fields, code, field in BAD_SUBSCRIPTIONS:
        given = {"id": "s", "customer": "eve", "plan": "pro", "start_at": NEW_YEAR} | fields
        assert await shop.refused("subscriptions.subscribe", **given) == (code, field), fields
    assert await owner.fetchval("SELECT count(*) FROM customer") == 0
    assert await owner.fetchval("SELECT count(*) FROM subscription_due") == 0
    await shop.subscribe("s", "pro", NEW_YEAR)


async def test_the_same_subscription_again_is_the_same(pool: asyncpg.Pool) -> None:
    """As it stands by now; and another under its id is a conflict."""
    shop = await shop_of(pool)
    await shop.subscribe("s", "pro", NEW_YEAR)
    await shop.do("subscriptions.change", id="s", quantity=3)
    again = await shop.subscribe("s", "pro", NEW_YEAR)
    assert [span.quantity for span in again.subscription.spans] == [3]
    for other in ({"customer": "bob"}, {"plan": "max"}, {"quantity": 2}, {"start_at": "2024-01-02T00:00:00Z"}):
        given = {"id": "s", "customer": "ada", "plan": "pro", "start_at": NEW_YEAR} | other
        assert await shop.refused("subscriptions.subscribe", **given) == ("subscriptions.exists", "id")


async def test_of_two_who_take_one_id_one_wins(pool: asyncpg.Pool) -> None:
    """At once, with other plans."""
    shop = await shop_of(pool)
    outcomes = await asyncio.gather(
        *(shop.subscribe("s", plan, NEW_YEAR) for plan in ("pro", "max")), return_exceptions=True
    )
    refused = [one.code for one in outcomes if isinstance(one, TallystickError)]
    assert refused == ["subscriptions.exists"]


async def test_spans_that_overlap_cannot_be_written(pool: asyncpg.Pool, owner: asyncpg.Connection) -> None:
    """The store itself refuses them, within one revision; those that touch are well."""
    shop = await shop_of(pool)
    await shop.subscribe("s", "pro", NEW_YEAR, end_at="2024-02-01T00:00:00Z")
    insert = (
        "INSERT INTO subscription_span SELECT book_id, subscription_id, revision, tstzrange($1, $2), plan, version_at, "
        "phase, quantity, paused, cycle FROM subscription_span LIMIT 1"
    )
    for start, end in (("2024-01-31", "2024-02-02"), ("2024-01-01", "2024-02-01"), ("2023-01-01", "2025-01-01")):
        with pytest.raises(asyncpg.ExclusionViolationError, match="subscription_spans_do_not_overlap"):
            await owner.execute(insert, at(start), at(end))
    await owner.execute(insert, at("2024-02-01"), at("2024-02-02"))
    with pytest.raises(asyncpg.CheckViolationError, match="empty"):
        await owner.execute(insert, at("2024-03-01"), at("2024-03-01"))


async def test_what_cannot_change_is_refused(pool: asyncpg.Pool) -> None:
    """Before the start, from the end on, into what it is already, into another asset, or not at all."""
    shop = await shop_of(pool)
    await shop.do("ledger.ensure_asset", asset="EUR", exponent=2)
    await shop.plan("euro", NEW_YEAR, plan_content(flat("base", "1"), asset="EUR"))
    await shop.subscribe("s", "pro", NEW_YEAR, end_at="2025-01-01T00:00:00Z")
    for fields, code, field in (
        ({"quantity": 2, "at": "2023-12-31T23:59:59Z"}, "subscriptions.before_start", "at"),
        ({"quantity": 2, "at": "2025-01-01T00:00:00Z"}, "subscriptions.ended", "at"),
        ({"quantity": 1}, "subscriptions.nothing_changes", "at"),
        ({"quantity": -1}, "invalid_input", "quantity"),
        ({"plan": "euro"}, "subscriptions.other_asset", "plan"),
        ({"plan": "nobody"}, "plans.unknown", "plan"),
        ({}, "invalid_input", "quantity"),
        ({"quantity": 2, "when": "period_end", "at": "2024-02-01T00:00:00Z"}, "invalid_input", "when"),
        ({"quantity": 2, "when": "soon"}, "invalid_input", "when"),
        ({"quantity": 2, "at": "2024-02-01T00:00:00"}, "invalid_input", "at"),
        ({"id": "nobody", "quantity": 2}, "subscriptions.unknown", "id"),
    ):
        assert await shop.refused("subscriptions.change", **{"id": "s"} | fields) == (code, field), fields
    assert await shop.refused("subscriptions.resume", id="s") == ("subscriptions.nothing_changes", "at")
    early = await shop.refused("subscriptions.pause", id="s", resume_at=NEW_YEAR)
    assert early == ("subscriptions.nothing_changes", "resume_at")
    assert await shop.refused("subscriptions.undo", id="s") == ("subscriptions.nothing_to_undo", None)
    assert (await shop.do("subscriptions.find", id="s")).revision == 0


async def test_a_subscription_is_cancelled_once(pool: asyncpg.Pool) -> None:
    """At once or as the period ends; an earlier end may still be chosen, a later one not."""
    shop = await shop_of(pool)
    await shop.subscribe("s", "pro", NEW_YEAR)
    ended = await shop.do("subscriptions.cancel", id="s", when="period_end")
    assert (ended.subscription.end_at, ended.subscription.status) == (at("2024-02-01"), "active")
    twice = await shop.refused("subscriptions.cancel", id="s", when="period_end")
    assert twice == ("subscriptions.ended", "at")
    shop.goes("2024-01-15")
    now = await shop.do("subscriptions.cancel", id="s")
    assert (now.subscription.end_at, now.subscription.status) == (at("2024-01-15"), "ended")
    assert await shop.refused("subscriptions.cancel", id="s") == ("subscriptions.ended", "at")
    assert await shop.refused("subscriptions.change", id="s", quantity=2) == ("subscriptions.ended", "at")


async def test_a_change_that_is_still_to_come_can_be_undone(pool: asyncpg.Pool) -> None:
    """The newest first, then the one before; what has taken effect stays."""
    shop = await shop_of(pool)
    await shop.subscribe("s", "pro", NEW_YEAR)
    await shop.do("subscriptions.change", id="s", quantity=2, at="2024-02-01T00:00:00Z")
    await shop.do("subscriptions.cancel", id="s", at="2024-03-01T00:00:00Z")
    undone = await shop.do("subscriptions.undo", id="s")
    assert (undone.subscription.end_at, [span.quantity for span in undone.subscription.spans]) == (None, [1, 2])
    undone = await shop.do("subscriptions.undo", id="s")
    assert [span.quantity for span in undone.subscription.spans] == [1]
    assert await shop.refused("subscriptions.undo", id="s") == ("subscriptions.nothing_to_undo", None)
    await shop.do("subscriptions.change", id="s", quantity=2, at="2024-02-01T00:00:00Z")
    shop.goes("2024-02-01")
    assert await shop.refused("subscriptions.undo", id="s") == ("subscriptions.nothing_to_undo", None)
    kinds = [one.kind for one in (await shop.do("subscriptions.revisions", id="s")).items]
    assert kinds == ["subscribe", "quantity", "cancel", "undo", "undo", "quantity"]


async def test_one_that_has_not_begun_can_be_cancelled(pool: asyncpg.Pool) -> None:
    """It never begins, and is never billed."""
    shop = await shop_of(pool)
    await shop.subscribe("s", "pro", "2024-06-01T00:00:00Z")
    cancelled = await shop.do("subscriptions.cancel", id="s")
    assert (cancelled.subscription.spans, cancelled.subscription.next_due_at) == ([], None)
    assert (await shop.bill("2024-07-01")).drafted == 0


async def test_subscriptions_are_listed_by_customer(pool: asyncpg.Pool) -> None:
    """Page by page, each with how it stands; a cursor that no page gave is refused."""
    shop = await shop_of(pool)
    for number, customer in enumerate(["ada", "bob", "ada", "ada"]):
        await shop.subscribe(f"s-{number}", "pro", "2024-01-02T00:00:00Z", customer=customer)
    page = await shop.do("subscriptions.list", customer="ada", limit=2)
    assert [(one.id, one.status) for one in page.items] == [("s-0", "scheduled"), ("s-2", "scheduled")]
    rest = await shop.do("subscriptions.list", customer="ada", after=page.next)
    assert ([one.id for one in rest.items], rest.next) == (["s-3"], None)
    assert (await shop.do("subscriptions.list", customer="eve")).items == []
    assert await shop.refused("subscriptions.list", after="nobody") == ("invalid_input", "after")


async def test_a_change_is_tried_out_without_keeping_it(pool: asyncpg.Pool) -> None:
    """A dry run says what the next invoice would be with the change; the preview without."""
    shop = await shop_of(pool)
    await shop.subscribe("s", "pro", NEW_YEAR)
    await shop.bill()
    shop.goes("2024-01-11")
    fields = {"id": "s", "plan": "max"}
    tried = await shop.house.operations.run(OPERATOR, "main", "subscriptions.change", "t", fields, dry_run=True)
    assert b'"total":8300' in tried.body  # 62.00 for February and 42.00 for 21 days of January, less 21.00 paid
    before = await shop.do("subscriptions.preview", id="s")
    assert (before.due_at, before.total, [line.amount for line in before.lines]) == (at("2024-02-01"), 3100, [3100])


async def test_a_plan_of_another_interval_begins_periods_of_its_own(pool: asyncpg.Pool) -> None:
    """From the instant of the change, and the month that was paid is given back."""
    shop = await shop_of(pool)
    await shop.subscribe("s", "pro", NEW_YEAR)
    await shop.bill()
    shop.goes("2024-01-11")
    changed = await shop.do("subscriptions.change", id="s", plan="yearly")
    assert changed.subscription.next_due_at == at("2024-01-11")
    assert [line.amount for line in changed.next_invoice.lines] == [-2100, 36600]
    await shop.bill()
    assert (await shop.do("subscriptions.find", id="s")).next_due_at == at("2025-01-11")


async def test_a_pinned_subscription_keeps_its_version(pool: asyncpg.Pool) -> None:
    """The one that follows pays the new price from its next period on."""
    shop = await shop_of(pool)
    await shop.subscribe("old", "pro", NEW_YEAR, customer="ada", follow="pinned")
    await shop.subscribe("new", "pro", NEW_YEAR, customer="bob")
    content = plan_content(flat("seats", "40", per_quantity=True), proration="day")
    await shop.plan("pro", "2024-01-15T00:00:00Z", content)
    await shop.bill("2024-02-01")
    assert await shop.amounts("ada") == [[3100], [3100]]
    assert await shop.amounts("bob") == [[3100], [4000]]


async def test_a_plan_that_is_changed_in_a_pause_goes_on_when_the_pause_ends(pool: asyncpg.Pool) -> None:
    """What was scheduled beside the plan stays scheduled: the end of the pause, and how many there are from when on."""
    shop = await shop_of(pool)
    await shop.subscribe("s", "pro", NEW_YEAR)
    await shop.do("subscriptions.pause", id="s", at="2024-01-10T00:00:00Z", resume_at="2024-02-10T00:00:00Z")
    await shop.do("subscriptions.change", id="s", quantity=3, at="2024-02-20T00:00:00Z")
    changed = await shop.do("subscriptions.change", id="s", plan="max", at="2024-01-20T00:00:00Z")
    assert [(span.start_at, span.plan, span.quantity, span.paused) for span in changed.subscription.spans] == [
        (at("2024-01-01"), "pro", 1, False),
        (at("2024-01-10"), "pro", 1, True),
        (at("2024-01-20"), "max", 1, True),
        (at("2024-02-10"), "max", 1, False),
        (at("2024-02-20"), "max", 3, False),
    ]
