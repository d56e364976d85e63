"""Postings: which accounts an invoice credits, and with how much, as its lines and taxes say."""

import uuid
from collections.abc import Sequence

from tallystick.db.queries import Connection, queries_beside
from tallystick.invoicing.model import revenue_account

_queries = queries_beside(__file__)
_find_postings = _queries.tuples("find_postings")


async def find_postings(
    connection: Connection, book_id: int, invoice_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, list[tuple[str, int]]]:
    """
    Return the accounts that invoices credit, in order of their codes, with amounts that come to their totals.

    What no line says otherwise of, and the taxes that are added, are the revenue of the product. An account that is
    to be debited has an amount below zero, and one that comes to nothing is left out.
    """
    found: dict[uuid.UUID, dict[str, int]] = {}
    left: dict[uuid.UUID, tuple[str, int]] = {}
    for invoice_id, product, asset, total, code, amount in await _find_postings(connection, book_id, list(invoice_ids)):
        accounts = found.setdefault(invoice_id, {})
        if code is not None:
            accounts[code] = amount
        left[invoice_id] = revenue_account(product, asset), total
    for invoice_id, (revenue, total) in left.items():
        accounts = found[invoice_id]
        accounts[revenue] = accounts.get(revenue, 0) + total - sum(accounts.values())
    return {
        invoice_id: sorted((code, amount) for code, amount in accounts.items() if amount)
        for invoice_id, accounts in found.items()
    }
