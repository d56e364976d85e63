"""Why: where an event is, from its arrival to the receipt."""

from pathlib import Path
from typing import Any

from tallystick.ids import id_of_content
from tallystick.lineage.why.model import Why
from tests.conftest import House
from tests.db.priced_usage import ask, meter_requests, price, use
from tests.scenarios.paying import open_shop

AT = "2015-05-17T10:05:03Z"


async def why(house: Any, event: str, source: str | None = "s") -> Why:  # noqa: ANN401 - a house or a shop
    """Ask where an event is."""
    found: Why = await house.do("usage.why", event=event, source=source)
    return found


async def test_an_event_that_was_paid_is_told_to_the_receipt(house: House, tmp_path: Path) -> None:
    """Received when and how, counted by which meters, rated in which line at which price, on which invoice, paid by what."""
    async with open_shop(house, tmp_path) as shop:
        paid = await shop.post(await shop.start())
        event = await house.operations.pool.fetchrow(
            "SELECT event_id, event_key FROM usage_event JOIN customer USING (book_id, customer_id) WHERE ref = $1 LIMIT 1",
            shop.invoice.customer,
        )
        assert event is not None
        found = await why(shop, event["event_id"], "test")
        assert (found.standing, found.attached, found.hints, found.corrections) == ("accepted", True, [], [])
        (arrival,) = found.arrivals
        assert (arrival.outcome, arrival.door, arrival.by) == ("accepted", "http", "operator")
        assert [one.code for one in found.meters] == ["bytes", "requests"]
        (line,) = found.lines
        assert (line.number, line.status, line.charge, line.product) == (shop.invoice.number, "paid", "requests", "api")
        assert line.amount == shop.invoice.lines[0].amount
        (payment,) = line.payments
        assert (payment.amount, payment.step, payment.receipt) == (shop.invoice.total, "settled", paid.receipt_id)
        by_key = await why(shop, str(event["event_key"]), None)
        assert (by_key.lines, by_key.id) == (found.lines, found.id)


async def test_what_was_not_billable_is_told_with_the_rule_that_said_so(house: House) -> None:
    """The rule of then, not the one of now; of the event no more is kept than its key."""
    event = {"id": "e", "customer": "ada", "at": AT, "status": 404, "resource": "/x"}
    await ask(house, "usage.record", source="s", events=[event])
    await ask(house, "usage.set_billable_rule", rule={"statuses": [[200, 499]], "excluded": ["/x"]})
    await ask(house, "usage.record", source="s", events=[event])
    found = await why(house, "e")
    assert (found.standing, found.customer, found.quantities) == ("not_billable", None, None)
    assert [(one.outcome, one.reason, one.rule["statuses"]) for one in found.arrivals] == [
        ("not_billable", "status_not_billable", [[200, 299]]), ("not_billable", "resource_excluded", [[200, 499]])
    ]  # fmt: skip
    await ask(house, "usage.set_billable_rule", rule={"statuses": [[200, 499]]})
    await ask(house, "usage.record", source="s", events=[event])
    found = await why(house, "e")
    assert [one.outcome for one in found.arrivals] == ["not_billable", "not_billable", "accepted"]
    assert found.standing == "accepted"


async def test_an_event_that_nobody_sent_says_what_to_look_at(house: House) -> None:
    """The source first of all."""
    await ask(house, "usage.record", source="s", events=[{"id": "e", "customer": "ada", "at": AT}])
    for event, source in (("e", "other"), ("f", "s"), ("e", None), ("☃/x", None)):
        found = await why(house, event, source)
        assert (found.standing, found.key, found.arrivals) == ("never_seen", None, [])
        assert "source" in found.hints[0]


async def test_conflicts_and_corrections_are_told_in_their_order(house: House) -> None:
    """Who said what under the id, and what it says now."""
    await meter_requests(house)
    event = {"id": "e", "customer": "ada", "at": AT, "quantities": {"bytes": 5}}
    await house.do("usage.record", "first", source="s", events=[event])
    await house.do("usage.record", "second", source="s", events=[event | {"quantities": {"bytes": 6}}])
    await house.do("usage.amend", "third", source="s", reason="bits", events=[{"id": "e", "quantities": {"bytes": 7}}])
    found = await why(house, "e")
    assert [(one.outcome, one.message) for one in found.arrivals] == [("accepted", "first"), ("conflict", "second")]
    assert [(one.kind, one.reason, one.message) for one in found.corrections] == [("amend", "bits", "third")]
    assert (found.quantities, [one.quantity for one in found.meters]) == ({"bytes": 7}, ["7", None])
    await house.do("usage.void", "fourth", source="s", reason="twice", events=[{"id": "e"}])
    found = await why(house, "e")
    assert (found.standing, found.meters, found.hints) == ("void", [], [])


async def test_what_is_missing_between_an_event_and_its_line_is_told(house: House) -> None:
    """No meter, no price, no invoice yet, or late: each has its own words."""
    await house.do("usage.record", source="s", events=[{"id": "e", "customer": "ada", "at": AT}])
    told = [(await why(house, "e")).hints]
    await meter_requests(house)
    told.append((await why(house, "e")).hints)
    await price(house, "1")
    told.append((await why(house, "e")).hints)
    await ask(house, "invoicing.draft", month="2015-05")
    assert (await why(house, "e")).lines[0].status == "draft"
    await house.do("usage.record", source="s", events=[{"id": "late", "customer": "ada", "at": AT}])
    told.append((await why(house, "late")).hints)
    assert [len(one) for one in told] == [1, 1, 1, 1]
    for (hint,), words in zip(told, ("No meter", "No price", "not invoiced yet", "next invoice"), strict=True):
        assert words in hint
    await use(house, [("ada", "2015-06-02T00:00:00Z")])
    await ask(house, "invoicing.draft", month="2015-06")
    found = await why(house, "late")
    assert [(one.adjusts is not None, one.amount) for one in found.lines] == [(True, 100)]


async def test_an_event_of_a_detached_month_is_told_from_its_key(house: House) -> None:
    """Its customer, its instant, what became of its month, and the lines that cover its instant."""
    await meter_requests(house)
    await price(house, "1")
    await house.do("usage.record", source="s", events=[{"id": "e", "customer": "ada", "at": AT}])
    await ask(house, "invoicing.draft", month="2015-05")
    await ask(house, "usage.detach_month", month="2015-05")
    found = await why(house, "e")
    assert (found.standing, found.attached, found.customer, found.type) == ("accepted", False, "ada", None)
    assert [one.step for one in found.months] == ["detached"]
    assert [one.charge for one in found.lines] == ["requests"]
    assert found.key == id_of_content(["s", "e"])
