"""Balance: the newest snapshot and the net changes after it."""

from dataclasses import dataclass
from decimal import Decimal

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.errors import UnknownAccount
from tallystick.ledger.model import Balance
from tallystick.ledger.post import Ledger
from tallystick.ledger.resolve import UNKNOWN, resolve_accounts

_queries = queries_beside(__file__)


@dataclass(frozen=True, slots=True)
class _Sums:
    asset: str
    debits: Decimal
    credits: Decimal


_find_sums = _queries.row("find_sums", _Sums)


async def find_balance(connection: Connection, ledger: Ledger, code: str) -> Balance:
    """
    Return the balance of the account *code*, whatever the length of its history by a bounded number of rows.

    Raises:
        UnknownAccount: there is none (``ledger.unknown_account``).
    """
    (account_id,) = await resolve_accounts(connection, ledger, [code])
    sums = None if account_id == UNKNOWN else await _find_sums(connection, ledger.book_id, account_id)
    if sums is None:
        raise UnknownAccount(field="account", account=code)
    debits, credits_ = int(sums.debits), int(sums.credits)
    return Balance(code, sums.asset, debits, credits_, credits_ - debits)
