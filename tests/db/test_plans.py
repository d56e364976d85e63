"""Plans: versions that never change, charges taken over from others, and what no plan can be."""

import asyncio
from typing import Any

import asyncpg
import pytest

from tallystick.errors import TallystickError
from tallystick.security.model import OPERATOR
from tests.db.subscribed import Shop, flat, metered, open_shop, plan_content

NEW_YEAR = "2024-01-01T00:00:00Z"
PER_UNIT = {"model": "per_unit", "rate": "0.01"}
PHASE = {"name": "regular", "charges": []}

BAD_CONTENT: list[tuple[dict[str, Any], str, str | None]] = [
    ({"interval": {"unit": "month", "count": 0}}, "invalid_input", "content.interval.count"),
    ({"interval": {"unit": "month", "count": -1}}, "invalid_input", "content.interval.count"),
    ({"interval": {"unit": "fortnight"}}, "invalid_input", "content.interval.unit"),
    ({"billing": "whenever"}, "invalid_input", "content.billing"),
    ({"proration": "hour"}, "invalid_input", "content.proration"),
    ({"zone": "Mars/Olympus"}, "plans.invalid", "content.zone"),
    ({"zone": "localtime"}, "plans.invalid", "content.zone"),
    ({"asset": "EUR"}, "ledger.unknown_asset", "content.asset"),
    ({"asset": "XXX"}, "ledger.unknown_asset", "content.asset"),
    ({"asset": "XXX", "phases": [{"name": "free", "charges": []}]}, "ledger.unknown_asset", "content.asset"),
    ({"extends": "nobody"}, "plans.unknown", "content.extends"),
    ({"extends": "pro"}, "plans.cyclic", "content.extends"),
    ({"phases": []}, "invalid_input", "content.phases"),
    ({"phases": [PHASE | {"length": {"days": 0}}, PHASE]}, "invalid_input", "content.phases[0].length.days"),
    ({"phases": [PHASE | {"length": {"months": -3}}, PHASE]}, "invalid_input", "content.phases[0].length.months"),
    ({"phases": [PHASE | {"length": {}}, PHASE | {"name": "b"}]}, "plans.invalid", "content.phases[0].length"),
    (
        {"phases": [PHASE | {"length": {"days": 1, "months": 1}}, PHASE | {"name": "b"}]},
        "plans.invalid",
        "content.phases[0].length",
    ),
    ({"phases": [PHASE, PHASE | {"name": "b"}]}, "plans.invalid", "content.phases[0].length"),
    ({"phases": [PHASE | {"length": {"days": 1}}]}, "plans.invalid", "content.phases[0].length"),
    ({"phases": [PHASE | {"length": {"days": 1}}, PHASE]}, "plans.invalid", "content.phases[1].name"),
    ({"phases": [PHASE | {"minimum": "-1"}]}, "invalid_input", "content.phases[0].minimum"),
    ({"phases": [PHASE | {"minimum": "2", "maximum": "1"}]}, "plans.invalid", "content.phases[0].maximum"),
    ({"colour": "blue"}, "invalid_input", "content.colour"),
]

BAD_CHARGES: list[tuple[list[dict[str, Any]], str, str | None]] = [
    ([flat("a", "-1")], "rating.invalid_price", "phases[0].charges[0].price.amount"),
    ([flat("a", "1." + "0" * 20, per_quantity=True)], "plans.invalid", "phases[0].charges[0].price.amount"),
    ([flat("a", "1"), flat("a", "2")], "plans.invalid", "phases[0].charges[1].code"),
    ([flat("minimum", "1")], "plans.invalid", "phases[0].charges[0].code"),
    ([flat("a", "1", meter="requests")], "plans.invalid", "phases[0].charges[0].meter"),
    ([{"code": "a", "name": "A", "price": PER_UNIT}], "plans.invalid", "phases[0].charges[0].meter"),
    ([metered("a", PER_UNIT) | {"when": "advance"}], "plans.invalid", "phases[0].charges[0].when"),
    ([metered("a", PER_UNIT) | {"per_quantity": True}], "plans.invalid", "phases[0].charges[0].per_quantity"),
    ([flat("b", "1"), metered("a", PER_UNIT, "nothing")], "catalog.unknown_meter", "phases[0].charges[1].meter"),
    (
        [metered("a", {"model": "percentage", "percent": "1", "minimum_per_transaction": "1"})],
        "invalid_input",
        "phases[0].charges[0].meter",
    ),
    ([flat("A", "1")], "invalid_input", "phases[0].charges[0].code"),
]


FIXED: list[dict[str, Any]] = [
    {"interval": {"unit": "year"}},
    {"billing": "calendar"},
    {"zone": "Asia/Tokyo"},
    {"proration": "day"},
    {"phases": [PHASE | {"name": "other"}]},
]


async def shop_of(pool: asyncpg.Pool) -> Shop:
    """Open the book at New Year with a meter."""
    shop = await open_shop(pool, NEW_YEAR)
    await shop.do(
        "catalog.define_meter", code="requests", name="requests", event_type="http.request", aggregation="count"
    )
    return shop


async def refusal(shop: Shop, code: str, effective_at: str, content: dict[str, Any]) -> tuple[str, str | None]:
    """Set a version that must be refused, and return the code and the field to blame."""
    return await shop.refused("plans.set_version", plan=code, effective_at=effective_at, content=content)


async def test_what_is_no_plan_is_refused_by_field_and_rule(pool: asyncpg.Pool) -> None:
    """Nothing of it is stored, and a good one can be set after it."""
    shop = await shop_of(pool)
    for fields, code, field in BAD_CONTENT:
        refused = await refusal(shop, "pro", NEW_YEAR, plan_content(flat("a", "1")) | fields)
        assert refused == (code, field), fields
    assert (await shop.do("plans.list")).items == []
    assert (await shop.do("catalog.list_prices")).items == []
    await shop.plan("pro", NEW_YEAR, plan_content(flat("a", "1")))


async def test_what_is_no_charge_is_refused_by_field_and_rule(pool: asyncpg.Pool) -> None:
    """The field says which charge of which phase it is."""
    shop = await shop_of(pool)
    for charges, code, field in BAD_CHARGES:
        refused = await refusal(shop, "pro", NEW_YEAR, plan_content(*charges))
        assert refused == (code, field and f"content.{field}"), charges


async def test_a_plan_set_again_the_same_is_the_same(pool: asyncpg.Pool) -> None:
    """And other content from the same instant is a conflict, now and for ever."""
    shop = await shop_of(pool)
    content = plan_content(flat("base", "5"), metered("requests", PER_UNIT))
    first = await shop.plan("pro", NEW_YEAR, content)
    assert await shop.plan("pro", NEW_YEAR, content) == first
    other = await refusal(shop, "pro", NEW_YEAR, plan_content(flat("base", "6")))
    assert other == ("plans.version_exists", "effective_at")
    assert await shop.do("plans.find", plan="pro") == first


async def test_of_two_who_set_one_instant_one_wins(pool: asyncpg.Pool) -> None:
    """The other is told that it differs, whoever came first."""
    shop = await shop_of(pool)
    outcomes = await asyncio.gather(
        *(shop.plan("pro", NEW_YEAR, plan_content(flat("base", amount))) for amount in ("5", "6")),
        return_exceptions=True,
    )
    refused = [one for one in outcomes if isinstance(one, TallystickError)]
    assert [one.code for one in refused] == ["plans.version_exists"]
    assert len((await shop.do("plans.list")).items) == 1


async def test_a_version_does_not_begin_in_the_past(pool: asyncpg.Pool) -> None:
    """The first may; later ones would change periods that were billed."""
    shop = await shop_of(pool)
    await shop.plan("pro", "2020-01-01T00:00:00Z", plan_content(flat("base", "5")))
    for begins in ("2019-12-31T00:00:00Z", "2023-12-31T23:59:59Z"):
        code, field = await refusal(shop, "pro", begins, plan_content(flat("base", "6")))
        assert (code, field) == ("plans.version_in_the_past", "effective_at")
    await shop.plan("pro", "2024-06-01T00:00:00Z", plan_content(flat("base", "6")))
    code, field = await refusal(shop, "pro", "2024-05-01T00:00:00Z", plan_content(flat("base", "7")))
    assert (code, field) == ("plans.version_in_the_past", "effective_at")


async def test_what_periods_were_laid_out_by_does_not_change(pool: asyncpg.Pool) -> None:
    """Another interval, zone or calendar is another plan."""
    shop = await shop_of(pool)
    await shop.plan("pro", NEW_YEAR, plan_content(flat("base", "5")))
    for fields in FIXED:
        later = await refusal(shop, "pro", "2024-02-01T00:00:00Z", plan_content(flat("base", "5")) | fields)
        assert later == ("plans.fixed", f"content.{next(iter(fields))}")


async def test_a_plan_takes_over_the_charges_of_another(pool: asyncpg.Pool) -> None:
    """Those of the phase of the same name come first, as the other plan stands then, for good."""
    shop = await shop_of(pool)
    await shop.plan("base", NEW_YEAR, plan_content(flat("base", "5")))
    pro = await shop.plan("pro", NEW_YEAR, plan_content(flat("support", "9"), extends="base"))
    assert [charge.code for charge in pro.phases[0].charges] == ["base", "support"]
    await shop.plan("base", "2024-02-01T00:00:00Z", plan_content(flat("base", "6")))
    assert (await shop.do("plans.find", plan="pro", at="2024-03-01T00:00:00Z")) == pro
    prices = (await shop.do("catalog.list_prices")).items
    assert [(one.product, one.charge) for one in prices if one.product == "pro"] == [
        ("pro", "base"),
        ("pro", "support"),
    ]
    again = await refusal(shop, "max", NEW_YEAR, plan_content(flat("base", "9"), extends="base"))
    assert again == ("plans.invalid", "content.phases[0].charges[0].code")


async def test_a_cycle_of_plans_is_named(pool: asyncpg.Pool) -> None:
    """Who would extend themselves over others is told over which."""
    shop = await shop_of(pool)
    await shop.plan("a", NEW_YEAR, plan_content())
    await shop.plan("b", NEW_YEAR, plan_content(extends="a"))
    await shop.plan("c", NEW_YEAR, plan_content(extends="b"))
    with pytest.raises(TallystickError, match="a extends c extends b extends a"):
        await shop.plan("a", "2024-02-01T00:00:00Z", plan_content(extends="c"))


async def test_not_too_many_plans_extend_each_other(pool: asyncpg.Pool) -> None:
    """Eight in a row are enough."""
    shop = await shop_of(pool)
    await shop.plan("p0", NEW_YEAR, plan_content())
    for number in range(1, 8):
        await shop.plan(f"p{number}", NEW_YEAR, plan_content(extends=f"p{number - 1}"))
    assert await refusal(shop, "p8", NEW_YEAR, plan_content(extends="p7")) == ("plans.too_deep", "content.extends")


async def test_a_plan_in_another_asset_is_not_extended(pool: asyncpg.Pool) -> None:
    """Its charges would be in another money."""
    shop = await shop_of(pool)
    await shop.do("ledger.ensure_asset", asset="EUR", exponent=2)
    await shop.plan("base", NEW_YEAR, plan_content(asset="EUR"))
    assert await refusal(shop, "pro", NEW_YEAR, plan_content(extends="base")) == ("plans.invalid", "content.asset")


async def test_a_plan_and_a_product_keep_apart(pool: asyncpg.Pool) -> None:
    """The prices of a plan are set by the plan alone, its months are no product's, and a product is no plan."""
    shop = await shop_of(pool)
    await shop.plan("pro", NEW_YEAR, plan_content(flat("base", "5")))
    price: dict[str, Any] = {"charge": "base", "effective_at": "2024-02-01T00:00:00Z", "name": "Base", "asset": "USD"}
    price["price"] = {"model": "flat", "amount": "1"}
    assert await shop.refused("catalog.set_price", product="pro", **price) == ("plans.is_plan", "product")
    assert await shop.refused("invoicing.draft", product="pro", month="2023-12") == ("plans.is_plan", "product")
    await shop.do("catalog.set_price", product="api", **price)
    assert await refusal(shop, "api", NEW_YEAR, plan_content()) == ("plans.product_exists", "plan")


async def test_plans_are_listed_page_by_page(pool: asyncpg.Pool) -> None:
    """By plan and instant; a cursor that no page gave is refused."""
    shop = await shop_of(pool)
    for code in ("b", "a"):
        await shop.plan(code, NEW_YEAR, plan_content())
        await shop.plan(code, "2024-02-01T00:00:00Z", plan_content(flat("base", "1")))
    seen: list[tuple[str, int]] = []
    after: str | None = ""
    while after is not None:
        page = await shop.do("plans.list", after=after, limit=3)
        seen += [(one.plan, one.effective_at.month) for one in page.items]
        after = page.next
    assert seen == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    for cursor in ("x", "a/never", "z/2024-01-01T00:00:00+00:00"):
        assert await shop.refused("plans.list", after=cursor) == ("invalid_input", "after")


async def test_a_plan_is_tried_out_without_keeping_it(pool: asyncpg.Pool) -> None:
    """A dry run answers as the real one would."""
    shop = await shop_of(pool)
    fields = {"plan": "pro", "effective_at": NEW_YEAR, "content": plan_content(flat("base", "5"))}
    await shop.house.operations.run(OPERATOR, "main", "plans.set_version", "try", fields, dry_run=True)
    assert await shop.refused("plans.find", plan="pro") == ("plans.unknown", "plan")
