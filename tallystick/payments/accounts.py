"""The accounts that a payment's money arrives on."""

from collections.abc import Sequence

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.accounts import NewAccount, Recorded, open_accounts
from tallystick.ledger.errors import AccountExists
from tallystick.payments.errors import AccountsUnusable
from tallystick.payments.model import Payment

_queries = queries_beside(__file__)
_usable_accounts = _queries.tuples("usable_accounts")


def clearing_account(payment: Payment) -> str:
    """Return the account of what a provider took and has not paid out yet."""
    return f"providers/{payment.provider}/{payment.asset}"


def unallocated_account(payment: Payment) -> str:
    """Return the account of money that was taken when its invoice had been paid otherwise meanwhile."""
    return f"unallocated/{payment.asset}"


async def prepare_accounts(connection: Connection, recorded: Recorded, payment: Payment) -> None:
    """
    See that a payment's money can arrive, opening what is missing.

    Raises:
        AccountsUnusable: an account is closed or limited (``payments.accounts_unusable``).
    """
    codes = [clearing_account(payment), unallocated_account(payment)]
    try:
        await require_usable(connection, recorded.book_id, payment)
    except AccountsUnusable:
        try:
            await open_accounts(connection, recorded, [NewAccount(code, payment.asset) for code in codes])
        except AccountExists as other:  # told so that the message is not kept: when that is mended, it may come again
            raise AccountsUnusable(account=" or ".join(codes)) from other
        await require_usable(connection, recorded.book_id, payment)


async def require_usable(connection: Connection, book_id: int, payment: Payment, also_open: Sequence[str] = ()) -> None:
    """
    Refuse a payment whose money could not arrive: before it is taken, not after.

    *also_open* may be limited, as the account of an invoice is.

    Raises:
        AccountsUnusable: an account is missing, closed or limited (``payments.accounts_unusable``).
    """
    unlimited = [clearing_account(payment), unallocated_account(payment)]
    rows = await _usable_accounts(connection, book_id, [*unlimited, *also_open], payment.asset)
    limited = dict(rows)
    for code in (*unlimited, *also_open):
        if code not in limited or (limited[code] and code in unlimited):
            raise AccountsUnusable(account=code)
