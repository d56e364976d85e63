"""The accounts that lines credit: each exists as it is wanted, or can be opened."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tallystick.db.queries import Connection, queries_beside
from tallystick.invoicing.requesting.errors import AccountUnusable
from tallystick.invoicing.requesting.model import LineWanted

_queries = queries_beside(__file__)
_find_post_to = _queries.tuples("find_post_to")


class _There(NamedTuple):
    """An account that there is."""

    asset: str
    limited: bool
    closed: bool


Accounts = Mapping[str, _There]
"""By code."""


async def find_accounts(connection: Connection, book_id: int, codes: Iterable[str]) -> Accounts:
    """Return those of the accounts that there are."""
    wanted = sorted(set(codes))
    rows = await _find_post_to(connection, book_id, wanted) if wanted else []
    return {code: _There(*there) for code, *there in rows}


def require_usable(accounts: Accounts, lines: Sequence[LineWanted], asset: str, revenue: str) -> None:
    """
    Refuse lines that credit an account which they cannot; one that is missing is opened when the invoice is issued.

    Raises:
        AccountUnusable: an account is closed, limited, or of another asset (``invoicing.account_unusable``).
    """
    for place, line in enumerate(lines):
        code = line.post_to or revenue
        there = accounts.get(code)
        if there is None:
            continue
        why = _why_not(there, asset)
        if why:
            raise AccountUnusable(field=f"lines[{place}].post_to", account=code, why=why)


def _why_not(there: _There, asset: str) -> str:
    if there.asset != asset:
        return f"is in {there.asset}, and the invoice in {asset}"
    if there.closed:
        return "is closed"
    return "has a limit, so what is issued might not fit" if there.limited else ""
