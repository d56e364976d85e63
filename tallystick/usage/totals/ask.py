"""Ask: turn a question about totals into the readings that answer it, or say which part of it makes no sense."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tallystick.catalog.declared import declared_dimensions
from tallystick.catalog.define_meter import find_meter
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput
from tallystick.periods import Period
from tallystick.usage.aggregate import MeterQuery
from tallystick.usage.totals.buckets import Per, cut
from tallystick.usage.totals.read import Wanted

_find_customer = queries_beside(__file__).value("find_customer")

CUSTOMER = "customer"
"""What stands among the dimensions to tell apart by where each customer has readings of its own."""
_NOBODY = -1
"""No customer has this id."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a caller wants to know of usage; the meter is named, or made up of a type of events and a quantity."""

    period: Period
    meter: str | None = None
    type: str | None = None
    quantity: str | None = None
    customer: str | None = None
    where: Sequence[str] = ()
    """``dimension:value`` each; of one dimension, any of the values."""
    group_by: Sequence[str] = ()
    per: Per = "none"
    zone: str = "UTC"


async def ask(connection: Connection, book_id: int, question: Question) -> Wanted:
    """
    Say which readings answer *question*; a customer whom nobody knows used nothing.

    Raises:
        InvalidInput: a dimension is declared by no meter, a filter is none, the zone is none (``invalid_input``).
        UnknownMeter: there is no such meter (``catalog.unknown_meter``).
        TooManyBuckets: the period has too many of these hours, days or months (``usage.too_many_buckets``).
    """
    edges = cut(question.period, question.per, question.zone)
    meter, may_group = await _find_measure(connection, book_id, question)
    declared: frozenset[str] = frozenset()
    if question.group_by or question.where:
        declared = (await declared_dimensions(connection, book_id)).get(meter.event_type, declared)
    for place, name in enumerate(question.group_by):
        if name != CUSTOMER and name not in (declared if may_group is None else may_group):
            raise InvalidInput(field=f"group_by[{place}]", rule=f"{name!r} is not declared to group by by this meter")
        if name in question.group_by[:place]:
            raise InvalidInput(field=f"group_by[{place}]", rule="a dimension is named once")
    customer_id = None
    if question.customer is not None:
        customer_id = await _find_customer(connection, book_id, question.customer) or _NOBODY
    return Wanted(
        MeterQuery(
            meter.event_type, meter.aggregation, meter.quantity, meter.dimension,
            _narrow(meter.filters, read_where(question.where, declared)), meter.time_unit,
        ),
        edges,
        customer_id,
        CUSTOMER in question.group_by,
        tuple(name for name in question.group_by if name != CUSTOMER),
    )  # fmt: skip


def read_where(given: Sequence[str], declared: frozenset[str]) -> dict[str, list[str]]:
    """
    Read ``dimension:value`` pairs as the values that each dimension may have.

    Raises:
        InvalidInput: one has no colon, or no meter declares its dimension (``invalid_input``).
    """
    wanted: dict[str, list[str]] = {}
    for place, text in enumerate(given):
        name, colon, value = text.partition(":")
        if not colon or not value:
            raise InvalidInput(field=f"where[{place}]", rule="a filter is written dimension:value")
        if name not in declared:
            raise InvalidInput(field=f"where[{place}]", rule=f"no meter of these events declares a dimension {name!r}")
        wanted.setdefault(name, []).append(value)
    return wanted


async def _find_measure(
    connection: Connection, book_id: int, question: Question
) -> tuple[MeterQuery, Sequence[str] | None]:
    """Return what is read, and what it may be grouped by: None for whatever is declared for the type."""
    if (question.meter is None) == (question.type is None):
        raise InvalidInput(field="meter", rule="name a meter, or else a type of events")
    if question.meter is not None:
        if question.quantity is not None:
            raise InvalidInput(field="quantity", rule="a meter says itself which quantity it measures")
        meter = await find_meter(connection, book_id, question.meter)
        return MeterQuery.of(meter), meter.group_by
    return MeterQuery(question.type or "", "count" if question.quantity is None else "sum", question.quantity), None


def _narrow(filters: Mapping[str, Sequence[str]], where: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Let through only what both do."""
    both = {name: [one for one in filters[name] if one in where[name]] for name in filters.keys() & where.keys()}
    return {**filters, **where, **both}
