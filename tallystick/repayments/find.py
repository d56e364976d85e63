"""Find customers, accounts, repayments, and what lies unallocated."""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput
from tallystick.invoicing.life.unallocated_account import unallocated_account
from tallystick.repayments.errors import AccountUnusable, UnknownCustomer, UnknownRepayment
from tallystick.repayments.model import Allocation, Repayment, RepaymentsPage, Unallocated, UnallocatedPage
from tallystick.repayments.policies import read_policy

_queries = queries_beside(__file__)
_find_customers = _queries.tuples("find_customers")
_find_usable_account = _queries.value("find_usable_account")
_find_repayments = _queries.tuples("find_repayments")
_find_allocations = _queries.tuples("find_allocations")
_page_repayments = _queries.values("page_repayments")
_page_customers = _queries.tuples("page_customers")
_list_assets = _queries.tuples("list_assets")
_find_account_sums = _queries.tuples("find_account_sums")

_OWN = {"invoices", "revenue", "wallets"}
"""Below these lies what is owed, earned or granted: no money comes from there, and none goes back to there."""
_LOOKED_AT = 1_000
"""So many customers are looked at together for those who have something unallocated."""
_MOST_LOOKED_AT = 20_000
"""So many are looked at for one page; one that is short then has more behind it."""


async def find_customers(connection: Connection, book_id: int, refs: Iterable[str]) -> dict[str, int]:
    """Return the numbers of those customers that are known."""
    found: dict[str, int] = dict(await _find_customers(connection, book_id, sorted(set(refs))))
    return found


async def require_customer(connection: Connection, book_id: int, ref: str) -> int:
    """
    Return the number of a customer.

    Raises:
        UnknownCustomer: the customer is not known (``repayments.unknown_customer``).
    """
    found = await find_customers(connection, book_id, [ref])
    if ref not in found:
        raise UnknownCustomer(field="customer", customer=ref)
    return found[ref]


async def require_account(connection: Connection, book_id: int, code: str, asset: str, field: str) -> int:
    """
    Return the id of an open account outside, that money comes from or goes to.

    Raises:
        AccountUnusable: it is missing, closed, of another asset, or the product's own (``repayments.account_unusable``).
    """
    own = code.split("/", 1)[0] in _OWN or (code.startswith("customers/") and "/unallocated/" in code)
    account_id: int | None = None if own else await _find_usable_account(connection, book_id, code, asset)
    if account_id is None:
        raise AccountUnusable(field=field, account=code)
    return account_id


async def find_repayments(connection: Connection, book_id: int, ids: Sequence[uuid.UUID]) -> list[Repayment]:
    """Return those of the repayments that exist, in order of *ids*."""
    rows = await _find_repayments(connection, book_id, list(ids))
    allocations: dict[uuid.UUID, list[Allocation]] = {row[0]: [] for row in rows}
    for repayment_id, invoice_id, amount, why, transfer_id, undone in await _find_allocations(
        connection, book_id, list(allocations)
    ):
        made = Allocation(invoice_id, amount, why, transfer_id, undone)
        allocations[repayment_id].append(made)
    return [_repayment(row, allocations[row[0]]) for row in rows]


async def find_repayment(connection: Connection, book_id: int, repayment_id: uuid.UUID) -> Repayment:
    """
    Return a repayment.

    Raises:
        UnknownRepayment: there is none (``repayments.unknown_repayment``).
    """
    found = await find_repayments(connection, book_id, [repayment_id])
    if not found:
        raise UnknownRepayment(field="id", repayment=repayment_id)
    return found[0]


async def page_repayments(
    connection: Connection, book_id: int, customer_id: int | None, after: str, limit: int
) -> RepaymentsPage:
    """
    Return *limit* repayments behind *after* in the order in which they came, of one customer if given.

    Raises:
        InvalidInput: *after* is no cursor (``invalid_input``).
    """
    transaction_id, place = _read_cursor(after)
    ids = await _page_repayments(connection, book_id, customer_id, transaction_id, place, limit + 1)
    items = await find_repayments(connection, book_id, ids[:limit])
    if len(ids) <= limit:
        return RepaymentsPage(items, None)
    ((*_, transaction_id, place, _customer, _asset, _account),) = await _find_repayments(
        connection, book_id, [items[-1].id]
    )
    return RepaymentsPage(items, f"{transaction_id}.{place}")


async def page_unallocated(
    connection: Connection, book_id: int, customer: str | None, after: int, limit: int
) -> UnallocatedPage:
    """
    Return what lies unallocated, by customer behind *after* in the order of their numbers, or of one customer.

    A page ends with a whole customer. Where few have anything it can be short, or empty, with more behind it.
    """
    assets = [code for _, code in await _list_assets(connection, book_id)]
    items: list[Unallocated] = []
    for _ in range(_MOST_LOOKED_AT // _LOOKED_AT):
        customers = await _page_customers(connection, book_id, after, customer, _LOOKED_AT)
        codes = {unallocated_account(ref, asset): (ref, asset) for _, ref in customers for asset in assets}
        sums = dict(await _find_account_sums(connection, book_id, list(codes)))
        for customer_id, ref in customers:
            if len(items) >= limit:
                return UnallocatedPage(items, str(after))
            own = (unallocated_account(ref, asset) for asset in assets)
            items += [Unallocated(*codes[code], int(sums[code]), code) for code in own if sums.get(code)]
            after = customer_id
        if len(customers) < _LOOKED_AT:
            return UnallocatedPage(items, None)
    return UnallocatedPage(items, str(after))


async def read_unallocated(connection: Connection, book_id: int, customer: str, asset: str) -> int:
    """Return what lies unallocated for a customer just now."""
    found = await _find_account_sums(connection, book_id, [unallocated_account(customer, asset)])
    return int(found[0][1]) if found else 0


def _repayment(row: tuple[Any, ...], allocations: list[Allocation]) -> Repayment:
    (repayment_id, customer, asset, amount, channel, reference, received_on, from_account, policy, transfer_id,
     received_at, reversed_) = row[:12]  # fmt: skip
    return Repayment(
        id=repayment_id,
        customer=customer,
        asset=asset,
        amount=amount,
        channel=channel,
        reference=reference,
        received_on=received_on,
        from_account=from_account,
        policy=read_policy(policy),
        allocations=allocations,
        unallocated=amount - sum(one.amount for one in allocations),
        reversed=reversed_,
        transfer_id=transfer_id,
        received_at=received_at,
    )


def _read_cursor(after: str) -> tuple[int, int]:
    if not after:
        return 0, 0
    transaction_id, _, place = after.partition(".")
    if not (transaction_id.isdecimal() and place.isdecimal() and len(transaction_id) < 19 and len(place) < 10):  # noqa: PLR2004 - as many digits as the columns hold
        raise InvalidInput(field="after", rule="a cursor is what `next` of the page before gave")
    return int(transaction_id), int(place)
