"""Look at accounts: which there are, and which of them have a limit."""

from collections.abc import Sequence

from tallystick.db.queries import Connection, queries_beside

_queries = queries_beside(__file__)
_look_at_accounts = _queries.tuples("look_at_accounts")


async def look_at_accounts(connection: Connection, book_id: int, codes: Sequence[str]) -> dict[str, bool]:
    """Say of those accounts that are in the book, by code, whether they have a limit."""
    return dict(await _look_at_accounts(connection, book_id, codes))
