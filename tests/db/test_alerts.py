"""Alerts: rules over what was recorded, each going off once for a customer and a window."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from tallystick.clock import MovedClock
from tallystick.errors import InvalidInput
from tallystick.notify.model import Told
from tallystick.operations import work_alerts
from tallystick.operations.work_alerts import raise_alerts
from tests.conftest import House
from tests.db.repaid import ADA, open_till
from tests.db.telling import tell_all


def failed(customer: str, amount: int = 500) -> Told:
    """Make the event of a payment that failed."""
    payment_id = str(uuid.uuid4())
    data: dict[str, object] = {"payment_id": payment_id, "invoice_id": payment_id, "customer": customer, "asset": "USD",
                               "amount": amount, "provider": "sandbox", "reason": "declined"}  # fmt: skip
    return Told("payment.failed", f"payment/{payment_id}", data)


async def look(house: House, pool: asyncpg.Pool) -> int:
    """Hold the book against its rules once."""
    return await raise_alerts(house.operations, "main", await pool.fetchval("SELECT book_id FROM book"))


async def events(house: House, type_: str) -> list[Any]:
    """Return what was told of a type."""
    return [one for one in (await house.do("events.list", limit=1000)).items if one.type == type_]


async def test_too_many_failed_payments_are_told_once(house: House, pool: asyncpg.Pool) -> None:
    """A fourth failure within the hour goes beyond three; the same hour is not told twice, another customer is."""
    await house.do(
        "alerts.set_rule", rule="cards", kind="event_count", types=["payment.failed"], threshold="3", seconds=3600
    )
    await tell_all(pool, [failed("a"), failed("a"), failed("a"), failed("b")])
    assert await look(house, pool) == 0
    await tell_all(pool, [failed("a")])
    assert await look(house, pool) == 1
    await tell_all(pool, [failed("a")])
    assert await look(house, pool) == 0
    await tell_all(pool, [failed("b")] * 4)
    assert await look(house, pool) == 1
    told = await events(house, "fraud.suspected")
    assert [one.subject for one in told] == ["customer/a", "customer/b"]
    assert b'"4 events of payment.failed within 3600 seconds, more than 3"' in bytes(told[0].data)
    raised = (await house.do("alerts.list")).items
    assert [(one.rule, one.customer, one.value) for one in raised] == [("cards", "b", 5), ("cards", "a", 4)]


async def test_a_large_amount_is_told(house: House, pool: asyncpg.Pool) -> None:
    """One event beyond the amount goes off; a rule that is switched off does not."""
    fields = {
        "rule": "large",
        "kind": "event_amount",
        "types": ["payment.failed"],
        "asset": "USD",
        "threshold": "10000",
    }
    await house.do("alerts.set_rule", **fields)
    await tell_all(pool, [failed("a", 10_000), failed("b", 10_001)])
    assert await look(house, pool) == 1
    assert [one.subject for one in await events(house, "fraud.suspected")] == ["customer/b"]
    await house.do("alerts.set_rule", **fields, active=False)
    await tell_all(pool, [failed("c", 20_000)])
    assert await look(house, pool) == 0


async def test_a_large_refund_is_told(house: House, pool: asyncpg.Pool) -> None:
    """Money that is given back beyond an amount is suspicious by the same rule."""
    till = open_till(house)
    await till.do("ledger.open_account", account="bank", asset="USD")
    await till.owe(1)
    await till.pay(5_000)
    house.operations.clock = till.clock
    fields = {"rule": "refunds", "kind": "event_amount", "types": ["repayment.refunded"], "asset": "USD"}
    await house.do("alerts.set_rule", **fields, threshold="1000")
    back = {"customer": ADA, "asset": "USD", "to_account": "bank", "reason": "asked"}
    await till.do("repayments.refund", **back, reference="small", amount=1_000)
    assert await look(house, pool) == 0
    await till.do("repayments.refund", **back, reference="large", amount=1_001)
    assert await look(house, pool) == 1
    assert [one.subject for one in await events(house, "fraud.suspected")] == [f"customer/{ADA}"]


async def used(house: House, customer: str, day: dt.date, count: int) -> None:
    """Record requests of a customer on a day."""
    at = dt.datetime(day.year, day.month, day.day, 12, tzinfo=dt.UTC).isoformat()
    one = {"type": "request", "customer": customer, "at": at, "status": 200, "resource": "/maps"}
    batch = [one | {"id": f"{customer}-{day}-{number}"} for number in range(count)]
    await house.do("usage.record", source="test", events=batch)


async def test_usage_beyond_a_threshold_or_the_habit_is_told(house: House, pool: asyncpg.Pool) -> None:
    """A month of a meter beyond its threshold is told once; a day of many times the average looks like fraud."""
    house.operations.clock = clock = MovedClock(dt.datetime(2026, 3, 15, 13, tzinfo=dt.UTC))
    await house.do("catalog.define_meter", code="requests", name="requests", event_type="request", aggregation="count")
    for day in range(8, 15):
        await used(house, "a", dt.date(2026, 3, day), 2)
        await used(house, "b", dt.date(2026, 3, day), 5)
    await used(house, "a", dt.date(2026, 3, 15), 11)
    await used(house, "b", dt.date(2026, 3, 15), 11)
    await house.do("alerts.set_rule", rule="month", kind="usage_quantity", meter="requests", threshold="40")
    await house.do("alerts.set_rule", rule="spike", kind="usage_spike", meter="requests", threshold="5", days=7)
    assert await look(house, pool) == 2
    assert await look(house, pool) == 0
    [spend], [fraud] = await events(house, "spend.threshold"), await events(house, "fraud.suspected")
    assert (spend.subject, fraud.subject) == ("customer/b", "customer/a")
    assert {one.customer: one.value for one in (await house.do("alerts.list")).items} == {
        "b": Decimal(46),
        "a": Decimal(11),
    }
    clock.advance(dt.datetime(2026, 4, 1, tzinfo=dt.UTC))
    assert await look(house, pool) == 0


async def test_who_was_told_of_is_not_in_the_way_of_others(house: House, pool: asyncpg.Pool) -> None:
    """Usage goes on after a rule went off: it is not told again, and whoever comes after in the list is told of."""
    house.operations.clock = clock = MovedClock(dt.datetime(2026, 3, 15, 13, tzinfo=dt.UTC))
    await house.do("catalog.define_meter", code="requests", name="requests", event_type="request", aggregation="count")
    await house.do("alerts.set_rule", rule="month", kind="usage_quantity", meter="requests", threshold="4")
    await used(house, "a", dt.date(2026, 3, 13), 5)
    assert await look(house, pool) == 1
    clock.advance(dt.datetime(2026, 3, 15, 14, tzinfo=dt.UTC))  # events of one instant have no order
    await used(house, "a", dt.date(2026, 3, 14), 5)
    await used(house, "b", dt.date(2026, 3, 14), 5)
    assert await look(house, pool) == 1
    assert [one.subject for one in await events(house, "spend.threshold")] == ["customer/a", "customer/b"]


async def test_large_amounts_at_one_instant_are_told_by_the_largest(house: House, pool: asyncpg.Pool) -> None:
    """Two of one customer in one transaction go off once, and hold nobody else up."""
    await house.do(
        "alerts.set_rule", rule="large", kind="event_amount", types=["payment.failed"], asset="USD", threshold="10"
    )
    await tell_all(pool, [failed("a", 20), failed("a", 30), failed("b", 11)])
    assert await look(house, pool) == 2
    assert await look(house, pool) == 0
    assert {one.customer: one.value for one in (await house.do("alerts.list")).items} == {"a": 30, "b": 11}


async def test_a_look_raises_no_more_than_it_may(
    house: House, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a rule finds beyond that waits for the next look, and none is lost."""
    monkeypatch.setattr(work_alerts, "MOST_RAISED", 3)
    await house.do(
        "alerts.set_rule", rule="large", kind="event_amount", types=["payment.failed"], asset="USD", threshold="10"
    )
    await tell_all(pool, [failed(f"c{number}", 20) for number in range(7)])
    assert [await look(house, pool) for _ in range(4)] == [3, 3, 1, 0]


_BAD_RULES: list[tuple[dict[str, Any], str]] = [
    ({"kind": "usage_quantity", "threshold": "1"}, "meter"),
    ({"kind": "usage_quantity", "threshold": "-1", "meter": "requests"}, "threshold"),
    ({"kind": "usage_quantity", "threshold": "1", "meter": "requests", "seconds": 5}, "seconds"),
    ({"kind": "usage_amount", "threshold": "1", "product": "api", "asset": "USD"}, "customer"),
    ({"kind": "event_count", "threshold": "1", "types": ["payment.failed"]}, "seconds"),
    ({"kind": "event_count", "threshold": "1", "types": ["invoice.paid"], "seconds": 5}, "types[0]"),
    ({"kind": "event_count", "threshold": "1", "types": ["payment.failed"], "seconds": 10**9}, "seconds"),
    ({"kind": "nothing", "threshold": "1"}, "kind"),
]


async def test_bad_rules_are_refused(house: House) -> None:
    """A rule says what its kind looks at, all of it and nothing else."""
    for fields, field in _BAD_RULES:
        with pytest.raises(InvalidInput) as refused:
            await house.do("alerts.set_rule", rule="bad", **fields)
        assert refused.value.field == field, fields
