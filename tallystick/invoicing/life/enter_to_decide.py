"""Enter to decide: what is decided by how invoices stand, or how money is placed on them, is decided alone."""

from tallystick.db.queries import Connection, queries_beside

_queries = queries_beside(__file__)
_enter_to_decide = _queries.run("enter_to_decide")


async def enter_to_decide(connection: Connection, book_id: int) -> None:
    """
    Let nobody repay, pay or make charges until the transaction ends; to be called before it takes its place in the order.

    Who repays holds the same lock with others, so a decision is seen by all that is ordered after it, and by nothing before.
    """
    await _enter_to_decide(connection, book_id)
