"""Find the answers of many messages at once, for whoever goes on with a long task."""

from collections.abc import Sequence

from tallystick.db.queries import Connection, queries_beside

_queries = queries_beside(__file__)
_find_answers = _queries.tuples("find_answers")


async def find_answers(
    connection: Connection, book_id: int, operation: str, keys: Sequence[str]
) -> list[tuple[str, bool, bytes]]:
    """Return key, whether it was refused, and answer of those messages of *operation* that were kept under *keys*."""
    return await _find_answers(connection, book_id, operation, keys)
