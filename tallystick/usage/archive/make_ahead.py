"""Make ahead: partitions for the present and the coming months, before usage of them comes in."""

import datetime as dt

from tallystick.db.queries import Connection, queries_beside

_queries = queries_beside(__file__)
_books_with_usage = _queries.values("books_with_usage")
_ensure_months = _queries.run("ensure_months")
AHEAD = 2
"""How many months beside the present one."""


async def make_months_ahead(connection: Connection, now: dt.datetime) -> int:
    """Make the months of each book that has usage, where they are not there yet, and return how many books that is."""
    months = [now.date().replace(day=1)]
    for _ in range(AHEAD):
        months.append((months[-1] + dt.timedelta(days=31)).replace(day=1))
    books = await _books_with_usage(connection)
    for book_id in books:
        await _ensure_months(connection, book_id, months)
    return len(books)
