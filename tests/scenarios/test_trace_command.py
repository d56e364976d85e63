"""`tallystick trace` as its user meets it: the chain from a receipt to the usage, drawn."""

import json
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from tallystick.cli.trace import draw
from tallystick.operations.invoicing_month import run_month
from tallystick.security.model import OPERATOR
from tests.conftest import House
from tests.db.priced_usage import ask, meter_requests, price, use
from tests.scenarios.paying import open_shop
from tests.scenarios.serving_up import tallystick


async def test_trace_draws_the_chain_from_a_receipt_to_who_reported_the_usage(
    house: House, database_url: str, tmp_path: Path
) -> None:
    """Amounts, what moved, who asked for it under which key: readable on one screen, in order from the receipt back."""
    async with open_shop(house, tmp_path) as shop:
        receipt = (await shop.post(await shop.start())).receipt_id
        said = await tallystick("trace", str(receipt), data=tmp_path / "data", TALLYSTICK_POSTGRES_URL=database_url)
    assert (said.status, said.err) == (0, "")
    told = said.out
    expected = [
        "receipt  USD 0.75", "payments.settle by system", "came from", "payment  USD 0.75  customer-003 by credit",
        "payments.start by operator, message start", "invoice  USD 0.75  customer-003, due on 2015-07-02", "INV-000003",
        "draft  USD 0.75  customer-003, api from 2015-05-01 to 2015-06-01",
        "line  USD 0.75  3 requests: 3 × 0.25 USD = 0.75 USD", "usage  http.request of customer-003", "2015-05-01 12:00:00",
        "usage.record by operator", "price  API requests, per_unit", "meter  requests",
    ]  # fmt: skip
    at = 0
    for line in expected:
        at = told.find(line, at)
        assert at >= 0, f"{line}\nis not where it belongs in\n{told}"
    assert "became" not in told
    assert told.count("usage.record by operator") == 1, "one message is told once"


async def test_trace_tells_how_to_see_more(house: House, database_url: str, tmp_path: Path) -> None:
    """What is left out is counted, and the option that shows it is named; JSON is what REST answers."""
    await house.do(
        "usage.record", "many", source="s",
        events=[{"id": str(n), "customer": "[bold]ada", "at": "2015-05-01T00:00:00Z"} for n in range(25)],
    )  # fmt: skip

    async def trace(*options: str) -> str:
        said = await tallystick("trace", "many", *options, data=tmp_path, TALLYSTICK_POSTGRES_URL=database_url)
        return said.out

    told = await trace()
    assert "… 5 more of 25 (usage): --after 20" in told
    assert "[bold]ada" in told
    assert (await trace("--after", "20")).count("http.request of") == 5
    answer = json.loads(await trace("--json", "--depth", "1"))
    assert [(group["kind"], group["total"]) for group in answer["found"][0]["forward"]] == [
        ("customer", 1),
        ("usage", 25),
    ]
    assert answer == msgspec.to_builtins(await ask(house, "lineage.trace", id="many", depth=1))


async def test_where_two_ways_meet_the_rest_is_drawn_once(house: House) -> None:
    """One event on two lines of one invoice: the invoice hangs below the first."""
    await meter_requests(house)
    await price(house, "0.25")
    await price(house, "1", charge="bytes", meter="bytes")
    await use(house, [("ada", "2015-05-03T00:00:00Z")])
    await run_month(house.operations, OPERATOR, "main", "2015-05")
    (event,) = (await ask(house, "usage.list_events", customer="ada")).items
    (found,) = (await ask(house, "lineage.trace", id=f"{event.source}/{event.id}")).found
    drawn = StringIO()
    Console(file=drawn, width=120).print(draw(found))
    told = drawn.getvalue()
    assert [told.count(word) for word in ("line  USD", "draft  USD", "invoice  USD", "as above")] == [2, 2, 1, 1]


@pytest.mark.parametrize(("given", "status"), [(("nothing",), 1), (("x", "--depth", "99"), 2), (("\udcff",), 1)])
async def test_trace_refuses_what_it_cannot_follow(
    house: House, database_url: str, tmp_path: Path, given: tuple[str, ...], status: int
) -> None:
    """An unknown id is one line that says what is understood, and the exit code is not 0."""
    said = await tallystick("trace", *given, data=tmp_path, TALLYSTICK_POSTGRES_URL=database_url)
    assert said.status == status
    assert "Traceback" not in said.err
    if given == ("nothing",):
        assert "places in the log as place:N" in said.refusal()
