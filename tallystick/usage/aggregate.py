"""Aggregate: what meters read, of many customers at once, as far as it was recorded by a given moment."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from tallystick import canonical
from tallystick.catalog.model import Aggregation, Meter, TimeUnit
from tallystick.db.queries import Connection, queries_beside
from tallystick.periods import Period

_queries = queries_beside(__file__)
_customers_with_usage = _queries.tuples("customers_with_usage")
_READ = {
    "count": _queries.tuples("count_events"),
    "sum": _queries.tuples("sum_quantity"),
    "max": _queries.tuples("largest_quantity"),
    "unique": _queries.tuples("count_distinct"),
    "latest": _queries.tuples("latest_quantity"),
    "time_weighted": _queries.tuples("weigh_by_time"),
}
_read_together = _queries.tuples("read_together")
_AT_ONCE = 3
"""So many quantities `read_together` adds up in one pass."""
DECIMALS = 12
"""How many a reading weighted by time has; it is rounded once, half to even."""
_LAST = 2**63 - 1
_AMPLE = Context(prec=200)
_MICROSECOND = dt.timedelta(microseconds=1)
_UNITS = {"hour": dt.timedelta(hours=1), "day": dt.timedelta(hours=24)}


@dataclass(frozen=True, slots=True)
class MeterQuery:
    """What to make of the events of a type: what a meter says, without its code and its name."""

    event_type: str
    aggregation: Aggregation
    quantity: str | None = None
    """Left out when, and only when, events or values of a dimension are counted."""
    dimension: str | None = None
    """Of ``unique`` the one whose values are counted; of ``time_weighted``, each value has a level of its own."""
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Only events count whose dimensions have one of these values each."""
    time_unit: TimeUnit | None = None
    whole: Period | None = None
    """What the unit ``period`` is, where a part of it is read; None: what is read."""

    def __post_init__(self) -> None:
        """Refuse a sum of nothing, a count of something, and time without a unit."""
        if (self.aggregation in {"count", "unique"}) != (self.quantity is None):
            raise ValueError("a sum names its quantity, like a max, latest or time_weighted, and a count names none")
        if self.dimension is None and self.aggregation == "unique":
            raise ValueError("a unique count names the dimension whose values it counts")
        if (self.aggregation == "time_weighted") != (self.time_unit is not None):
            raise ValueError("what is weighted by time, and nothing else, names a unit of time")

    @classmethod
    def of(cls, meter: Meter, whole: Period | None = None) -> "MeterQuery":
        """Take from *meter* what it reads, in the *whole* of a billing period or a part of it."""
        return cls(
            meter.event_type, meter.aggregation, meter.quantity, meter.dimension, meter.filters, meter.time_unit, whole
        )


class Aggregate(NamedTuple):
    """What a meter reads for one customer."""

    events: int
    """How many events are in it: those in force that have the quantity, or the dimension, that is looked at."""
    quantity: Decimal


async def customers_with_usage(
    connection: Connection,
    book_id: int,
    period: Period,
    through: int,
    after: int,
    limit: int,
    *,
    held_types: Sequence[str] = (),
) -> list[tuple[int, str]]:
    """
    Return at most *limit* customers who have events in *period*, as (customer_id, ref), ascending by id.

    Of *held_types* events before the period count, too: what they set may hold on in it. Only events count that are in
    force among those of transactions ordered below *through*, and only customers whose ids are above *after*.
    """
    asked = (book_id, period.start_at, period.end_at, through, after, _LAST, list(held_types), limit)
    return [(customer_id, ref) for customer_id, ref in await _customers_with_usage(connection, *asked)]


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

    Weighted by time, a level that was set before the period holds on in it, and who has one is in the answer.

    Only events and corrections of transactions ordered below *through* count, so the same question has the same answer
    for ever, provided every such transaction has ended (``settled_horizon`` in SQL).
    """
    asked: list[object] = [book_id, list(customer_ids), meter.event_type, period.start_at, period.end_at, through]
    asked.append(canonical.encode(dict(meter.filters)).decode())
    asked += [] if meter.quantity is None else [meter.quantity]
    asked += [meter.dimension] if meter.aggregation in {"unique", "time_weighted"} else []
    rows = await _READ[meter.aggregation](connection, *asked)
    if meter.time_unit is not None:
        whole = meter.whole or period
        rows = [
            (customer_id, events, divide_by_unit(held, meter.time_unit, whole)) for customer_id, events, held in rows
        ]
    return {customer_id: Aggregate(events, quantity) for customer_id, events, quantity in rows}


class _Events(NamedTuple):
    """Which events some meters read."""

    type: str
    period: Period
    filters: bytes


async def aggregate_all(
    connection: Connection,
    book_id: int,
    customer_ids: Sequence[int],
    meters: Iterable[tuple[MeterQuery, Period]],
    through: int,
) -> list[dict[int, Aggregate]]:
    """
    Read several meters, each over a period, and return for each what `aggregate` would.

    Those that count or add up the same events of the same period are read in one pass.
    """
    asked = list(meters)
    alike: dict[_Events, list[int]] = {}
    for place, (meter, period) in enumerate(asked):
        if meter.aggregation in {"count", "sum"}:
            filters = canonical.encode(dict(meter.filters))
            alike.setdefault(_Events(meter.event_type, period, filters), []).append(place)
    found: dict[int, dict[int, Aggregate]] = {}
    for events, places in alike.items():
        if len(places) > 1:
            quantities = [asked[place][0].quantity for place in places]
            read = await _read_quantities(connection, book_id, list(customer_ids), events, through, quantities)
            found |= {place: read[quantity] for place, quantity in zip(places, quantities, strict=True)}
    return [
        found[place] if place in found else await aggregate(connection, book_id, customer_ids, *one, through)
        for place, one in enumerate(asked)
    ]


async def _read_quantities(
    connection: Connection,
    book_id: int,
    customer_ids: list[int],
    events: _Events,
    through: int,
    quantities: Iterable[str | None],
) -> dict[str | None, dict[int, Aggregate]]:
    """Add up several quantities of the same events, and count the events, which is the quantity None."""
    names = sorted({name for name in quantities if name is not None})
    read: dict[str | None, dict[int, Aggregate]] = {}
    for at in range(0, max(len(names), 1), _AT_ONCE):
        some = names[at : at + _AT_ONCE]
        filled = [*some, *[None] * (_AT_ONCE - len(some))]
        of_them = (events.type, events.period.start_at, events.period.end_at, through, events.filters.decode())
        rows = await _read_together(connection, book_id, customer_ids, *of_them, *filled)
        read[None] = _column(rows, 1)
        read |= {name: _column(rows, 3 + 2 * place) for place, name in enumerate(some)}
    return read


def _column(rows: Sequence[tuple[Any, ...]], at: int) -> dict[int, Aggregate]:
    """Take the events and the quantity that stand at a place in rows of customers, where there are events."""
    return {row[0]: Aggregate(row[at], row[at + 1]) for row in rows if row[at]}


def divide_by_unit(held: Decimal, unit: TimeUnit, period: Period) -> Decimal:
    """
    Turn *held*, levels multiplied by the microseconds they held and added up, into levels multiplied by *unit*.

    The one rounding, to 12 decimals, half to even.
    """
    span = _UNITS.get(unit, period.end_at - period.start_at)
    scaled = Fraction(held) * 10**DECIMALS / (span // _MICROSECOND)
    whole, rest = divmod(scaled.numerator, scaled.denominator)
    up = 2 * rest > scaled.denominator or (2 * rest == scaled.denominator and whole % 2 == 1)
    return Decimal(whole + up).scaleb(-DECIMALS, _AMPLE)
