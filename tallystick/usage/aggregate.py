"""Aggregate: what meters read, of many customers at once, as far as it was recorded by a given moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from tallystick.db.queries import Connection, queries_beside
from tallystick.periods import Period

_queries = queries_beside(__file__)
_customers_with_usage = _queries.tuples("customers_with_usage")
_count_events = _queries.tuples("count_events")
_sum_quantity = _queries.tuples("sum_quantity")


@dataclass(frozen=True, slots=True)
class MeterQuery:
    """What to add up: the number of events of a type, or one quantity of theirs."""

    event_type: str
    aggregation: Literal["count", "sum"]
    quantity: str | None = None
    """Named when, and only when, the aggregation is ``sum``."""

    def __post_init__(self) -> None:
        """Refuse a sum of nothing and a count of something."""
        if (self.aggregation == "sum") != (self.quantity is not None):
            raise ValueError("a sum names its quantity, and a count names none")


@dataclass(frozen=True, slots=True)
class Aggregate:
    """What a meter reads for one customer."""

    events: int
    """How many events are in it: of a sum, those that have the quantity."""
    quantity: Decimal


async def customers_with_usage(
    connection: Connection, book_id: int, period: Period, through: int, after: int, limit: int
) -> list[tuple[int, str]]:
    """
    Return at most *limit* customers who have events in *period*, as (customer_id, ref), ascending by id.

    Only events of transactions ordered below *through* count, and only customers whose ids are above *after*.
    """
    rows = await _customers_with_usage(connection, book_id, period.start_at, period.end_at, through, after, limit)
    return [(customer_id, ref) for customer_id, ref in rows]


async def aggregate(
    connection: Connection,
    book_id: int,
    customer_ids: Sequence[int],
    meter: MeterQuery,
    period: Period,
    through: int,
) -> dict[int, Aggregate]:
    """
    Read *meter* over *period* for many customers; who has no such event is not in the answer.

    Only events of transactions ordered below *through* count, so the same question has the same answer for ever,
    provided every such transaction has ended (``settled_horizon`` in SQL).
    """
    asked = (book_id, list(customer_ids), meter.event_type, period.start_at, period.end_at, through)
    if meter.quantity is None:
        rows = await _count_events(connection, *asked)
    else:
        rows = await _sum_quantity(connection, *asked, meter.quantity)
    return {customer_id: Aggregate(events, quantity) for customer_id, events, quantity in rows}
