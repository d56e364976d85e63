"""The account of money that is on its way back to customers."""

from tallystick.db.queries import Connection
from tallystick.ledger.accounts import NewAccount, Recorded, open_accounts
from tallystick.ledger.errors import AccountExists
from tallystick.payments.errors import AccountsUnusable


def refunds_account(provider: str, asset: str) -> str:
    """Return the account of what a provider was asked to give back and has not given back yet."""
    return f"refunds/{provider}/{asset}"


def clearing_account(provider: str, asset: str) -> str:
    """Return the account of what a provider took and has not paid out yet."""
    return f"providers/{provider}/{asset}"


async def open_unlimited(connection: Connection, recorded: Recorded, asset: str, *codes: str) -> list[int]:
    """
    Return the ids of accounts, opening those that are missing.

    Raises:
        AccountsUnusable: one of them was opened with a limit, or in another asset (``payments.accounts_unusable``).
    """
    try:
        opened = await open_accounts(connection, recorded, [NewAccount(code, asset) for code in codes])
    except AccountExists as other:
        raise AccountsUnusable(account=" or ".join(codes)) from other
    return [one.account_id for one in opened]
