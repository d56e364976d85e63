"""Declared: the dimensions that usage may carry, since a meter says what it needs them for."""

from tallystick.db.queries import Connection, queries_beside

_declared_dimensions = queries_beside(__file__).tuples("declared_dimensions")


async def declared_dimensions(connection: Connection, book_id: int) -> dict[str, frozenset[str]]:
    """Return the dimensions that some meter of a book declares, by type of event; a type without any is left out."""
    declared: dict[str, set[str]] = {}
    for event_type, name in await _declared_dimensions(connection, book_id):
        declared.setdefault(event_type, set()).add(name)
    return {event_type: frozenset(names) for event_type, names in declared.items()}
