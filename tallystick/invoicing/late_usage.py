"""Late usage: what was recorded of a month after the invoices it belongs on, and is on none of them."""

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import Kind, TallystickError
from tallystick.invoicing.model import LateUsage
from tallystick.periods import Period

_queries = queries_beside(__file__)
_count_late = _queries.value("count_late")
_is_drafted = _queries.value("is_drafted")


class MonthNotIssued(TallystickError):
    """An invoice with usage of {month} is still a draft; issue it first."""

    code = "usage.month_not_issued"
    kind = Kind.REFUSED


async def count_late(connection: Connection, book_id: int, product: str, period: Period) -> LateUsage:
    """Count the events that a meter of the product counts and that came too late for their customers' invoices."""
    return LateUsage(await _count_late(connection, book_id, product, period.start_at, period.end_at))


async def require_issued(connection: Connection, book_id: int, period: Period) -> None:
    """
    Find every invoice issued that has a line for usage of *period*.

    Raises:
        MonthNotIssued: one is a draft (``usage.month_not_issued``).
    """
    if await _is_drafted(connection, book_id, period.start_at, period.end_at):
        raise MonthNotIssued(field="month", month=f"{period.start_at:%Y-%m}")
