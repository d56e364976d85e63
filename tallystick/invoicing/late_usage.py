"""Late usage: what was recorded of a month after the invoices it belongs on, and is on none of them."""

from tallystick.db.queries import Connection, queries_beside
from tallystick.invoicing.model import LateUsage
from tallystick.periods import Period

_queries = queries_beside(__file__)
_count_late = _queries.value("count_late")


async def count_late(connection: Connection, book_id: int, product: str, period: Period) -> LateUsage:
    """Count the events that a meter of the product counts and that came too late for their customers' invoices."""
    return LateUsage(await _count_late(connection, book_id, product, period.start_at, period.end_at))
