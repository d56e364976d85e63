"""List quantities: what a meter adds up, event by event, for prices that judge each transaction by itself."""

from collections.abc import Sequence
from decimal import Decimal

from tallystick import canonical
from tallystick.db.queries import Connection, queries_beside
from tallystick.periods import Period
from tallystick.usage.aggregate import MeterQuery

_queries = queries_beside(__file__)
_list_quantities = _queries.tuples("list_quantities")


async def list_quantities(
    connection: Connection,
    book_id: int,
    customer_ids: Sequence[int],
    meter: MeterQuery,
    period: Period,
    through: int,
) -> dict[int, list[Decimal]]:
    """
    Return by customer the quantities that *meter*, a sum, adds up over *period*, in order of time.

    They are of the events in force that `aggregate` reads with the same arguments, and add up to what it reads.

    Raises:
        ValueError: the meter does not add quantities up.
    """
    if meter.aggregation != "sum":
        raise ValueError("only a sum is made of single quantities")
    filters = canonical.encode(dict(meter.filters)).decode()
    span = (period.start_at, period.end_at)
    rows = await _list_quantities(
        connection, book_id, list(customer_ids), meter.event_type, *span, through, filters, meter.quantity
    )
    return {customer_id: list(quantities) for customer_id, quantities in rows}
