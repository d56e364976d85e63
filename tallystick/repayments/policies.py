"""Policies in force: set as versions, found for many customers at once."""

from collections.abc import Iterable

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.invoicing.life.enter_to_decide import enter_to_decide
from tallystick.ledger.accounts import Recorded
from tallystick.repayments.errors import UnknownProduct
from tallystick.repayments.model import PolicyInForce
from tallystick.repayments.policy import DEFAULT, Policy, ProductOrder, require_sound

_queries = queries_beside(__file__)
_product_exists = _queries.value("product_exists")
_insert_policy = _queries.run("insert_policy")
_find_policies = _queries.tuples("find_policies")
_find_book_policy = _queries.value("find_book_policy")


async def set_policy(
    connection: Connection, recorded: Recorded, customer_id: int | None, policy: Policy | None
) -> None:
    """
    Let a policy count from now on, for a customer or, if None, for all who have none of their own.

    A policy of None takes a customer's own away.

    Raises:
        InvalidInput: the policy decides nothing (``invalid_input``).
        UnknownProduct: it names a product that the book does not know (``repayments.unknown_product``).
    """
    await enter_to_decide(connection, recorded.book_id)
    if policy is not None:
        await require_policy(connection, recorded.book_id, policy)
    written = None if policy is None else write_policy(policy)
    await _insert_policy(connection, recorded.book_id, customer_id, written, recorded.message_place, recorded.at)


async def require_policy(connection: Connection, book_id: int, policy: Policy) -> None:
    """
    Find that a policy decides something, about products that the book knows: it has a price or an invoice of them.

    Raises:
        InvalidInput: it decides nothing (``invalid_input``).
        UnknownProduct: it names a product that the book does not know (``repayments.unknown_product``).
    """
    require_sound(policy, "policy")
    for product in policy.named:
        if not await _product_exists(connection, book_id, product):
            field = "policy.products" if isinstance(policy, ProductOrder) else "policy.weights"
            raise UnknownProduct(field=field, product=product)


async def find_policies(
    connection: Connection, book_id: int, customer_ids: Iterable[int], place: int
) -> dict[int, PolicyInForce]:
    """Return by customer the policy in force at a place in the order: their own, the book's, or the oldest first."""
    wanted = sorted(set(customer_ids))
    of_book = await _find_book_policy(connection, book_id, place)
    fallback = PolicyInForce(DEFAULT, "default") if of_book is None else PolicyInForce(read_policy(of_book), "book")
    own = await _find_policies(connection, book_id, wanted, place)
    found = dict.fromkeys(wanted, fallback)
    return found | {customer_id: PolicyInForce(read_policy(text), "customer") for customer_id, text in own}


def write_policy(policy: Policy) -> str:
    """Write a policy as it is kept."""
    return msgspec.json.encode(policy).decode()


def read_policy(text: str) -> Policy:
    """Read a policy that was kept."""
    policy: Policy = msgspec.json.decode(text, type=Policy)
    return policy
