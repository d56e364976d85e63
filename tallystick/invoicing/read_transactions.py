"""Read transactions: the single amounts behind what a meter reads, where a price judges each of them."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from tallystick.catalog.model import PriceWindow
from tallystick.db.queries import Connection
from tallystick.periods import Period
from tallystick.rating.rate import needs
from tallystick.usage.aggregate import MeterQuery
from tallystick.usage.list_quantities import list_quantities

Transactions = dict[tuple[str, Period], dict[int, list[Decimal]]]
"""By meter and window, and by customer: the amounts in order of time."""


async def read_transactions(
    connection: Connection, book_id: int, customer_ids: Sequence[int], windows: Iterable[PriceWindow], through: int
) -> Transactions:
    """
    Return what rating must be told of those of *windows* whose prices judge each transaction; usually of none.

    A meter that does not add up has no single amounts, and rating then refuses the price.
    """
    read: Transactions = {}
    for window in windows:
        meter = window.meter
        if meter is None or meter.aggregation != "sum" or needs(window.price) != "transactions":
            continue
        key = (meter.code, window.period)
        if key not in read:
            query = MeterQuery.of(meter)
            read[key] = await list_quantities(connection, book_id, customer_ids, query, window.period, through)
    return read
