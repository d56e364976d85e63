"""Adjustments: usage that came late, was amended or taken back is put right on the next invoice."""

from typing import Any

import asyncpg

from tallystick.operations.invoicing_month import run_month
from tallystick.security.model import OPERATOR
from tests.conftest import House
from tests.db.priced_usage import ask, meter_requests, price, refusal_of, use

FREE_TEN: dict[str, Any] = {"price": {"model": "per_unit", "rate": "0.50", "free_units": "2"}}


async def run(house: House, month: str) -> Any:  # noqa: ANN401 - a MonthRun
    """Invoice a month."""
    return await run_month(house.operations, OPERATOR, "main", month)


async def lines(house: House, customer: str = "ada") -> list[list[tuple[Any, ...]]]:
    """Return what each invoice of a customer says: charge, month, events, quantity, amount, and what it adjusts."""
    page = await ask(house, "invoicing.list", customer=customer)
    numbers = {(one.id): one.number for one in page.items}
    return [
        [
            (line.charge, line.period_start.month, line.events, line.quantity, line.amount,
             None if line.adjusts is None else f"{numbers[line.adjusts.invoice]}/{line.adjusts.line}")
            for line in one.lines
        ]
        for one in page.items
    ]  # fmt: skip


async def void(house: House, *ids: str, source: str = "test") -> None:
    """Take events back."""
    found = await ask(house, "usage.void", source=source, reason="a mistake", events=[{"id": one} for one in ids])
    assert found.corrected == len(ids)


async def send(house: House, *events: tuple[str, str, int]) -> None:
    """Record events of ada by id, instant and size."""
    given = [
        {"id": one, "customer": "ada", "at": at, "status": 200, "resource": "/x", "quantities": {"bytes": size}}
        for one, at, size in events
    ]
    assert (await ask(house, "usage.record", source="test", events=given)).accepted == len(given)


async def test_late_usage_is_billed_on_the_next_invoice_and_names_the_line_that_it_corrects(house: House) -> None:
    """Once, at the price of its own window; afterwards nothing is late any more."""
    await meter_requests(house)
    await price(house, "0.10")
    await price(house, "9", "2015-06-01T00:00:00Z")
    await use(house, [("ada", "2015-05-02T00:00:00Z")])
    await run(house, "2015-05")
    await use(house, [("ada", "2015-05-03T00:00:00Z"), ("ada", "2015-05-04T00:00:00Z")])
    assert (await ask(house, "invoicing.late_usage", month="2015-05")).events == 2
    await use(house, [("ada", "2015-06-02T00:00:00Z")])
    done = await run(house, "2015-06")
    assert (done.adjustments, done.issued, done.totals) == (1, 1, {"USD": 920})
    assert (await ask(house, "invoicing.late_usage", month="2015-05")).events == 0
    assert await lines(house) == [
        [("requests", 5, 1, "1", 10, None)],
        [("requests", 6, 1, "1", 900, None), ("requests", 5, 2, "2", 20, "INV-000001/0")],
    ]
    second = (await ask(house, "invoicing.list")).items[1]
    assert second.lines[1].explanation == (
        "INV-000001, 2015-05-01 to 2015-06-01: 3 requests instead of 1 (2 came late), 0.30 USD instead of 0.10 USD"
    )
    await use(house, [("ada", "2015-07-02T00:00:00Z")])
    assert (await run(house, "2015-07")).adjustments == 0


async def test_what_is_taken_back_is_given_back_as_far_as_the_invoice_bears_it(house: House) -> None:
    """An invoice never falls below zero: the rest is carried over to the next, and said to be."""
    await meter_requests(house)
    await price(house, "1")
    await send(house, *[(f"may-{n}", "2015-05-02T00:00:00Z", 1) for n in range(5)])
    await run(house, "2015-05")
    await void(house, *[f"may-{n}" for n in range(4)])
    await use(house, [("ada", "2015-06-02T00:00:00Z")])
    assert (await run(house, "2015-06")).totals == {"USD": 0}
    await use(house, [("ada", f"2015-07-{day:02}T00:00:00Z") for day in range(1, 9)])
    assert (await run(house, "2015-07")).totals == {"USD": 500}
    await use(house, [("ada", "2015-08-02T00:00:00Z")])
    assert (await run(house, "2015-08")).adjustments == 0
    assert (await lines(house))[1:] == [
        [("requests", 6, 1, "1", 100, None), ("requests", 5, -4, "-4", -100, "INV-000001/0")],
        [("requests", 7, 8, "8", 800, None), ("requests", 5, 0, "0", -300, "INV-000001/0")],
        [("requests", 8, 1, "1", 100, None)],
    ]
    june, july = (await ask(house, "invoicing.list")).items[1:3]
    assert june.lines[1].explanation == (
        "INV-000001, 2015-05-01 to 2015-06-01: 1 requests instead of 5 (4 were taken back), 1.00 USD instead of 5.00 USD; "
        "-3.00 USD are carried over to the next invoice"
    )
    assert "carried_over" not in july.lines[1].detail


async def test_an_amendment_changes_what_it_comes_to_and_not_how_many_events_there_are(house: House) -> None:
    """The difference of the quantity is billed, at the tiers and free units of the line."""
    await meter_requests(house)
    await price(house, "0", charge="traffic", meter="bytes", price={"model": "package", "size": "10", "rate": "1"})
    await send(house, ("a", "2015-05-02T00:00:00Z", 11), ("b", "2015-05-03T00:00:00Z", 5))
    await run(house, "2015-05")
    await ask(house, "usage.amend", source="test", reason="bits", events=[{"id": "a", "quantities": {"bytes": 88}}])
    await send(house, ("c", "2015-06-02T00:00:00Z", 1))
    await run(house, "2015-06")
    assert (await lines(house))[1] == [
        ("traffic", 6, 1, "1", 100, None), ("traffic", 5, 0, "77", 800, "INV-000001/0")
    ]  # fmt: skip


async def test_who_used_nothing_since_gets_an_invoice_of_adjustments_alone(house: House) -> None:
    """If they come to something; what is to be given back waits for an invoice to take it from."""
    await meter_requests(house)
    await price(house, "1")
    await price(house, "0", charge="base", name="Base", meter=None, price={"model": "flat", "amount": "7"})
    await send(house, ("a", "2015-05-02T00:00:00Z", 1))
    await use(house, [("bob", "2015-05-02T00:00:00Z"), ("eve", "2015-06-02T00:00:00Z")])
    await run(house, "2015-05")
    await use(house, [("bob", "2015-05-05T00:00:00Z")])
    await void(house, "a")
    done = await run(house, "2015-06")
    assert (done.issued, done.adjustments) == (2, 1)
    assert await lines(house, "bob") == [
        [("base", 5, 0, "1", 700, None), ("requests", 5, 1, "1", 100, None)],
        [("requests", 5, 1, "1", 100, "INV-000002/1")],
    ]
    assert len(await lines(house, "ada")) == 1
    assert (await ask(house, "invoicing.late_usage", month="2015-05")).events == 1


async def test_a_charge_that_was_not_used_in_time_gets_its_line_late(house: House) -> None:
    """What came late for it is billed as any usage; and more of the same, later, adjusts that line."""
    await meter_requests(house)
    await house.do("catalog.define_meter", code="sms", name="messages", event_type="sms", aggregation="count")
    await price(house, "1")
    await price(house, "0", charge="sms", name="Messages", meter="sms", price={"model": "per_unit", "rate": "2"})
    await use(house, [("ada", f"2015-0{month}-02T00:00:00Z") for month in (5, 6, 7)])
    await run(house, "2015-05")
    for month in (6, 7):
        sent = {"id": f"s{month}", "customer": "ada", "at": "2015-05-09T00:00:00Z", "type": "sms"}
        await ask(house, "usage.record", source="s", events=[sent])
        await run(house, f"2015-{month:02}")
    assert await lines(house) == [
        [("requests", 5, 1, "1", 100, None)],
        [("requests", 6, 1, "1", 100, None), ("sms", 5, 1, "1", 200, None)],
        [("requests", 7, 1, "1", 100, None), ("sms", 5, 1, "1", 200, "INV-000002/1")],
    ]


async def test_seats_that_came_late_are_of_the_month_that_they_were_held_in(house: House) -> None:
    """Also where more of them comes for a line that came late itself, and is on the invoice of a shorter month."""
    await meter_requests(house)
    await house.do(
        "catalog.define_meter", code="seats", name="seats", event_type="seats", aggregation="time_weighted",
        quantity="seats", time_unit="period",
    )  # fmt: skip
    await price(house, "1")
    per_seat = {"model": "per_unit", "rate": "10"}
    await price(house, "0", charge="seats", name="Seats", meter="seats", price=per_seat)
    await use(house, [("ada", f"2015-0{month}-02T00:00:00Z") for month in (5, 6, 7)])
    await run(house, "2015-05")
    for month, day in ((6, 10), (7, 20)):
        given = [
            {"id": f"{day + more}", "customer": "ada", "type": "seats", "at": f"2015-05-{day + more}T00:00:00Z",
             "quantities": {"seats": seats}}
            for more, seats in ((0, 31), (1, 0))
        ]  # fmt: skip
        await ask(house, "usage.record", source="s", events=given)
        await run(house, f"2015-{month:02}")
    assert [line for one in await lines(house) for line in one if line[:2] == ("seats", 5)] == [
        ("seats", 5, 2, "1", 1000, None),
        ("seats", 5, 2, "1", 1000, "INV-000002/1"),
    ]


async def test_a_charge_that_was_priced_afterwards_is_not_asked_for_late(house: House) -> None:
    """A price set for a month that was invoiced changes nothing of it, also where usage of that month comes late."""
    await meter_requests(house)
    await price(house, "1")
    await use(house, [("ada", "2015-05-02T00:00:00Z"), ("ada", "2015-06-02T00:00:00Z")])
    await run(house, "2015-05")
    await price(house, "0", charge="extra", name="Extra", meter="bytes", price={"model": "per_unit", "rate": "5"})
    await price(house, "50", "2015-05-10T00:00:00Z")
    await use(house, [("ada", "2015-05-12T00:00:00Z")], size=1)
    await run(house, "2015-06")
    june = (await lines(house))[1]
    assert [line for line in june if line[1] == 5] == [("requests", 5, 1, "1", 100, "INV-000001/0")]


async def test_usage_that_costs_nothing_more_is_told_all_the_same(house: House) -> None:
    """Within what is free a late event makes a line of nothing, so that it is on an invoice and not late for ever."""
    await meter_requests(house)
    await price(house, "0", **FREE_TEN)
    await use(house, [("ada", "2015-05-02T00:00:00Z"), ("ada", "2015-06-02T00:00:00Z")])
    await run(house, "2015-05")
    await use(house, [("ada", "2015-05-12T00:00:00Z")])
    await run(house, "2015-06")
    assert (await lines(house))[1][1] == ("requests", 5, 1, "1", 0, "INV-000001/0")
    assert (await ask(house, "invoicing.late_usage", month="2015-05")).events == 0


async def test_a_month_of_which_usage_is_away_is_neither_invoiced_nor_adjusted(
    house: House, owner: asyncpg.Connection
) -> None:
    """What cannot be read must not be taken for nothing."""
    await meter_requests(house)
    await price(house, "1")
    await use(house, [("ada", "2015-05-02T00:00:00Z"), ("ada", "2015-06-02T00:00:00Z")])
    await run(house, "2015-05")
    await ask(house, "usage.detach_month", month="2015-05")
    await use(house, [("ada", "2015-05-12T00:00:00Z")])
    assert await refusal_of(house, "invoicing.draft", month="2015-05") == ("invoicing.month_away", "month")
    assert (await run(house, "2015-06")).adjustments == 0
    assert (await lines(house))[1] == [("requests", 6, 1, "1", 100, None)]


async def test_a_month_goes_on_at_the_prices_that_it_began_with(house: House) -> None:
    """A price set between two chunks of a run is for the next run: the customers of a month are all billed alike."""
    await meter_requests(house)
    await price(house, "1")
    await use(house, [("ada", "2015-05-02T00:00:00Z"), ("bob", "2015-05-02T00:00:00Z")])
    first = await ask(house, "invoicing.draft", month="2015-05", limit=1)
    await price(house, "9", "2015-05-01T12:00:00Z")
    second = await ask(house, "invoicing.draft", month="2015-05", limit=1, after=first.next)
    assert (first.totals, second.totals) == ({"USD": 100}, {"USD": 100})


async def test_a_price_that_judges_each_transaction_is_adjusted_by_each(house: House) -> None:
    """The single amounts are read anew, as they are now."""
    await meter_requests(house)
    each = {"model": "percentage", "percent": "10", "minimum_per_transaction": "1"}
    await price(house, "0", charge="share", name="Share", meter="bytes", price=each)
    await send(house, ("a", "2015-05-02T00:00:00Z", 5), ("b", "2015-05-03T00:00:00Z", 50))
    await run(house, "2015-05")
    await ask(house, "usage.amend", source="test", reason="r", events=[{"id": "b", "quantities": {"bytes": 1}}])
    await send(house, ("c", "2015-06-02T00:00:00Z", 90))
    await run(house, "2015-06")
    assert await lines(house) == [
        [("share", 5, 2, "55", 600, None)],
        [("share", 6, 1, "90", 900, None), ("share", 5, 0, "-49", -400, "INV-000001/0")],
    ]
