"""The ledger's own transfers, added up by nothing of ours."""

from collections import defaultdict
from collections.abc import Mapping

import asyncpg


async def add_up_in_order(owner: asyncpg.Connection) -> Mapping[str, int]:
    """Return every account's balance, having found that after no transfer was more paid than owed, or more taken than lay there."""
    balance: dict[str, int] = defaultdict(int)
    for row in await owner.fetch(
        "SELECT debit.code AS debit, credit.code AS credit, amount FROM transfer "
        "JOIN account AS debit ON debit.account_id = debit_account_id "
        "JOIN account AS credit ON credit.account_id = credit_account_id ORDER BY batch_id, position"
    ):
        balance[row["debit"]] -= row["amount"]
        balance[row["credit"]] += row["amount"]
        for code in (row["debit"], row["credit"]):
            assert balance[code] <= 0 or not code.startswith("invoices/"), "more was paid than was owed"
            assert balance[code] >= 0 or "/unallocated/" not in code, "more was taken than lay there"
    return balance
