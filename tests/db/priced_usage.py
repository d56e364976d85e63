"""Usage at a price, for tests that invoice it."""

import itertools
from collections.abc import Iterable
from typing import Any

from tallystick.catalog.model import PriceVersion
from tallystick.errors import TallystickError
from tests.conftest import House

_event_numbers = itertools.count(1)

MAY = "2015-05-01T00:00:00Z"


async def ask(house: House, operation: str, /, **fields: object) -> Any:  # noqa: ANN401 - each operation answers with a class of its own
    """Run an operation on the book under a message id of its own."""
    return await house.do(operation, **fields)


async def refusal_of(house: House, operation: str, /, **fields: object) -> tuple[str, str | None]:
    """Run an operation that must be refused, and return the code and the field to blame."""
    try:
        await house.do(operation, **fields)
    except TallystickError as error:
        return error.code, error.field
    raise AssertionError(f"{operation} was not refused")


async def meter_requests(house: House) -> None:
    """Define the two meters: requests counted, bytes added up."""
    await house.do(
        "catalog.define_meter", code="requests", name="requests", event_type="http.request", aggregation="count"
    )
    await house.do(
        "catalog.define_meter",
        code="bytes",
        name="bytes",
        event_type="http.request",
        aggregation="sum",
        quantity="bytes",
    )


async def price(house: House, rate: str, effective_at: str = MAY, **fields: object) -> PriceVersion:
    """Set what a request costs from *effective_at* on, in dollars."""
    given: dict[str, object] = {
        "charge": "requests",
        "effective_at": effective_at,
        "name": "API requests",
        "meter": "requests",
        "asset": "USD",
        "price": {"model": "per_unit", "rate": rate},
    }
    version: PriceVersion = await ask(house, "catalog.set_price", **(given | fields))
    return version


async def use(house: House, events: Iterable[tuple[str, str]], size: int = 100) -> None:
    """Record an event of *size* bytes for each customer and instant."""
    given = [
        {
            "id": f"event-{next(_event_numbers)}",
            "customer": customer,
            "at": at,
            "status": 200,
            "resource": "/maps",
            "quantities": {"bytes": size},
        }
        for customer, at in events
    ]
    recorded = await ask(house, "usage.record", source="test", events=given)
    assert recorded.accepted == len(given)


async def use_in_may(house: House, customers: int) -> None:
    """Let customer n make n requests in May 2015."""
    events = [
        (f"customer-{n:03}", f"2015-05-{day + 1:02}T12:00:00Z") for n in range(1, customers + 1) for day in range(n)
    ]
    await use(house, events)
