"""The accounts that payments' money arrives on."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tallystick.db.queries import Connection, queries_beside
from tallystick.invoicing.life.unallocated_account import unallocated_account
from tallystick.invoicing.model import account_of
from tallystick.ledger.accounts import NewAccount, Recorded, open_accounts
from tallystick.ledger.errors import AccountExists
from tallystick.payments.errors import AccountsUnusable
from tallystick.payments.model import Payment

_queries = queries_beside(__file__)
_find_usable_accounts = _queries.tuples("find_usable_accounts")


class Usable(NamedTuple):
    """An account that is open."""

    account_id: int
    asset: str
    limited: bool


def clearing_account(payment: Payment) -> str:
    """Return the account of what a provider took and has not paid out yet."""
    return f"providers/{payment.provider}/{payment.asset}"


def account_beyond(payment: Payment) -> str:
    """Return the customer's account of money that was taken when its invoice had been paid otherwise meanwhile."""
    return unallocated_account(payment.user, payment.asset)


def pooled_account(payment: Payment) -> str:
    """
    Return the account that such money was kept on, all customers' together, before each had their own.

    Receipts of that time name it. It is opened still: accounts are numbered in the order in which they are opened, so that
    a book of that time comes out the same when it is made anew.
    """
    return f"unallocated/{payment.asset}"


async def prepare_accounts(connection: Connection, recorded: Recorded, payments: Sequence[Payment]) -> None:
    """
    See that the money of payments can arrive, opening what is missing.

    Raises:
        AccountsUnusable: an account is closed or limited (``payments.accounts_unusable``).
    """
    wanted: dict[str, NewAccount] = {}
    for payment in payments:
        for code in (clearing_account(payment), pooled_account(payment)):
            wanted.setdefault(code, NewAccount(code, payment.asset))
    found = await find_usable(connection, recorded.book_id, list(wanted))
    if len(found) < len(wanted):
        try:
            await open_accounts(connection, recorded, list(wanted.values()))
        except AccountExists as other:  # told so that the message is not kept: when that is mended, it may come again
            raise AccountsUnusable(account=" or ".join(wanted)) from other
        found = await find_usable(connection, recorded.book_id, list(wanted))
    for payment in payments:
        require_clearing(found, payment)


async def find_usable(connection: Connection, book_id: int, codes: Sequence[str]) -> dict[str, Usable]:
    """Return those of the accounts that are there and open, by code."""
    rows = await _find_usable_accounts(connection, book_id, list(dict.fromkeys(codes)))
    return {code: Usable(account_id, asset, limited) for code, asset, account_id, limited in rows}


def require_clearing(found: Mapping[str, Usable], payment: Payment) -> Usable:
    """
    Refuse a payment whose money could not come in: before it is taken, not after.

    Raises:
        AccountsUnusable: the account is missing, closed or limited (``payments.accounts_unusable``).
    """
    code = clearing_account(payment)
    usable = require_open(found, code, payment.asset)
    if usable.limited:
        raise AccountsUnusable(account=code)
    return usable


def require_receivable(found: Mapping[str, Usable], payment: Payment) -> Usable:
    """
    Refuse a payment whose invoice's account could not take it.

    Raises:
        AccountsUnusable: the account is missing or closed (``payments.accounts_unusable``).
    """
    return require_open(found, account_of(payment.invoice_id), payment.asset)


def require_open(found: Mapping[str, Usable], code: str, asset: str) -> Usable:
    """
    Return an account of *asset*.

    Raises:
        AccountsUnusable: it is missing or closed (``payments.accounts_unusable``).
    """
    usable = found.get(code)
    if usable is None or usable.asset != asset:
        raise AccountsUnusable(account=code)
    return usable
