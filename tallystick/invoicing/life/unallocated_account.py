"""The account of what a customer has paid, or was credited, beyond what any invoice took: named and opened here alone."""

from collections.abc import Sequence

from tallystick.db.queries import Connection
from tallystick.ids import id_of_content
from tallystick.ledger.accounts import NewAccount, Recorded, open_accounts

ROOT = "customers"
"""Where the accounts of customers lie."""
_LONGEST = 200
"""So long may a customer's ref stand in a code, which has 255 characters at the most."""


def unallocated_account(customer: str, asset: str) -> str:
    """
    Return the code of a customer's unallocated money in an asset.

    A ref that is too long for a code, or has characters that cannot be seen, stands in it as the hash of it.
    """
    named = customer if len(customer) <= _LONGEST and customer.isprintable() and customer[0] != "~" else ""
    return f"{ROOT}/{named or '~' + str(id_of_content(('customer', customer)))}/unallocated/{asset}"


def is_unallocated(code: str) -> bool:
    """Say whether an account is some customer's unallocated money."""
    parts = code.split("/")
    return len(parts) > 3 and parts[0] == ROOT and parts[-2] == "unallocated"  # noqa: PLR2004 - root, ref, word, asset


async def open_unallocated(
    connection: Connection, recorded: Recorded, wanted: Sequence[tuple[str, str]]
) -> list[int]:  # fmt: skip
    """
    Return the account ids of customers and assets in order of *wanted*, opening those that are missing.

    None of them can fall below zero: what is there is the customer's, and nobody spends more of it.

    Raises:
        UnknownAsset: an asset is not in the book (``ledger.unknown_asset``).
        AccountExists: somebody opened one of them otherwise (``ledger.account_exists``).
    """
    accounts = [NewAccount(unallocated_account(customer, asset), asset, min_balance=0) for customer, asset in wanted]
    return [one.account_id for one in await open_accounts(connection, recorded, accounts)]
