"""Resolve account codes, which people use, to account ids, which transfers carry."""

from collections.abc import Sequence

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.post import Ledger

_queries = queries_beside(__file__)
_find_account_ids = _queries.tuples("find_account_ids")

UNKNOWN = 0
"""What an unknown code resolves to: no account has this id."""
_MOST_REMEMBERED = 1_000_000


async def resolve_accounts(connection: Connection, ledger: Ledger, codes: Sequence[str]) -> list[int]:
    """
    Return the account id of each code, ``UNKNOWN`` for those that the book does not have.

    An account that this very transaction opened is not remembered beyond it, since it may yet be rolled back.
    """
    missing = list({code for code in codes if code not in ledger.ids_of_codes})
    if len(ledger.ids_of_codes) + len(missing) > _MOST_REMEMBERED:
        ledger.ids_of_codes = {}
        missing = list(set(codes))
    known = ledger.ids_of_codes
    if missing:
        found = await _find_account_ids(connection, ledger.book_id, missing)
        known.update((code, account_id) for code, account_id, committed in found if committed)
        known = known | {code: account_id for code, account_id, _ in found}
    return [known.get(code, UNKNOWN) for code in codes]
