"""Enter: take what lets a transaction decide about customers' payments, and its place in the order behind it."""

import uuid
from collections.abc import Sequence

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.read_in_order import Place

_queries = queries_beside(__file__)
_lock_customers = _queries.run("lock_customers")
_lock_customers_of = _queries.run("lock_customers_of")
_enter_to_pay = _queries.tuples("enter_to_pay")


async def lock_payments(connection: Connection, book_id: int, payment_ids: Sequence[uuid.UUID]) -> None:
    """
    Let nobody else append a step to payments of the same customers until the transaction ends.

    To be called before the transaction takes its place in the order: so the steps of a customer's payments stand in the
    order in which they were decided. All customers are locked in one order, whoever does it.
    """
    await _lock_customers_of(connection, book_id, list(payment_ids))


async def lock_customers(connection: Connection, book_id: int, users: Sequence[str]) -> None:
    """Let nobody else start a payment of these customers, or append a step to one, until the transaction ends."""
    await _lock_customers(connection, book_id, list(users))


async def enter_to_pay(connection: Connection, book_id: int) -> Place:
    """Take the transaction's place such that all repayments, decisions and issues ordered before it are there to be seen."""
    ((place, horizon),) = await _enter_to_pay(connection, book_id)
    return Place(place, horizon)
