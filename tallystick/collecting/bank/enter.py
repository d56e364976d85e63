"""Enter: who works with files of banks waits for who makes charges; to be called before the transaction takes its place."""

from tallystick.db.queries import Connection, queries_beside

_queries = queries_beside(__file__)
_enter_to_settle = _queries.run("enter_to_settle")
_enter_to_apply = _queries.run("enter_to_apply")


async def enter_to_settle(connection: Connection, book_id: int) -> None:
    """Let nobody else hand over or make charges, apply results or settle entries until the transaction ends."""
    await _enter_to_settle(connection, book_id)


async def enter_to_apply(connection: Connection, book_id: int) -> None:
    """Let nobody hand over or make charges until the transaction ends; others may apply results beside it."""
    await _enter_to_apply(connection, book_id)
