"""Statement: what an account had, what became of it in a period, and what it has then; all of it adds up."""

import datetime as dt

import msgspec

from tallystick.db.queries import Connection
from tallystick.ledger.reading.balance import Sums, find_sums
from tallystick.ledger.reading.history import Asked, PostedTransfer, Turn, find_accounts_of, page_history


class Standing(msgspec.Struct, frozen=True):
    """What an account has at one end of a period: of all that counts before that instant."""

    at: dt.datetime
    balance: int
    held: int
    incoming: int
    available: int


class Statement(msgspec.Struct, frozen=True):
    """
    A statement of one account over a half-open period: ``opening.balance + credits - debits = closing.balance``.

    The opening is the closing of the period that ends where this one begins. ``entries`` are a page of what counts in
    between, each with the balance after it; ``next`` is the cursor of the page behind, null on the last. Entries that
    are ``held`` or ``freed`` move no balance. By recorded time they add up to the difference in ``held`` too; by
    effective time they need not, since what is held counts by recorded time.
    """

    account: str
    asset: str
    by: str
    opening: Standing
    debits: int
    credits: int
    closing: Standing
    entries: list[PostedTransfer]
    next: str | None


async def state(
    connection: Connection, book_id: int, asked: Asked, since: dt.datetime, until: dt.datetime, turn: Turn
) -> Statement:
    """
    Return the statement of an account with a page of its entries.

    Every question asked of the database must see the same moment, so the caller is in a transaction of one snapshot.

    Raises:
        UnknownAccount: there is none (``ledger.unknown_account``).
        InvalidInput: the cursor is none (``invalid_input``).
    """
    account_id = int((await find_accounts_of(connection, book_id, asked))[0])
    opening = await find_sums(connection, book_id, account_id, since, asked.by)
    closing = await find_sums(connection, book_id, account_id, until, asked.by)
    page = await page_history(connection, book_id, asked, turn)
    return Statement(
        asked.account, opening.asset, asked.by, _standing(since, opening),
        int(closing.debits - opening.debits), int(closing.credits - opening.credits),
        _standing(until, closing), page.items, page.next,
    )  # fmt: skip


def _standing(at: dt.datetime, sums: Sums) -> Standing:
    held = int(sums.held_debits)
    return Standing(at, sums.balance, held, int(sums.held_credits), sums.balance - held)
