"""Balance: the newest snapshot and the net changes after it; now, or at an instant by recorded or by effective time."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import numpy as np

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.errors import UnknownAccount
from tallystick.ledger.model import Balance, microseconds
from tallystick.ledger.post import Ledger
from tallystick.ledger.reading.date_changes import ENTRY
from tallystick.ledger.reading.merge_dated import SORTED, add_up
from tallystick.ledger.resolve import UNKNOWN, resolve_accounts
from tallystick.ledger.sum_changes import HELD

_queries = queries_beside(__file__)
_find_dated_sums = _queries.tuples("find_dated_sums")
_asset_of_account = _queries.value("asset_of_account")

By = Literal["recorded", "effective"]
"""
Which time a question is asked of.

By recorded time a transfer counts from when it came to stand in the log; by effective time from the effective time it
was given, and if it was given none, from when it was recorded. What is held counts by recorded time either way: a hold
keeps an amount from being spent from now on, and nothing can be kept from being spent in the past.
"""
INSTANT = dt.timedelta(microseconds=1)
"""The smallest step of time there is here."""


@dataclass(frozen=True, slots=True)
class Sums:
    """What was debited and credited to an account, and what of it is held."""

    asset: str
    debits: Decimal
    credits: Decimal
    held_debits: Decimal
    held_credits: Decimal

    @property
    def balance(self) -> int:
        """Return credits less debits."""
        return int(self.credits - self.debits)


_find_sums = _queries.row("find_sums", Sums)
_find_sums_before = _queries.row("find_sums_before", Sums)


async def find_balance(
    connection: Connection, ledger: Ledger, code: str, at: dt.datetime | None = None, by: By = "recorded"
) -> Balance:
    """
    Return the balance of the account *code*, whatever the length of its history by a bounded number of rows.

    Without *at* it is everything posted so far, whenever it is effective; else what counts at that instant.

    Raises:
        UnknownAccount: there is none (``ledger.unknown_account``).
    """
    (account_id,) = await resolve_accounts(connection, ledger, [code])
    if account_id == UNKNOWN:
        raise UnknownAccount(field="account", account=code)
    before = None if at is None else at + INSTANT
    return balance_of(code, await find_sums(connection, ledger.book_id, account_id, before, by))


async def find_sums(
    connection: Connection, book_id: int, account_id: int, before: dt.datetime | None, by: By
) -> Sums:  # fmt: skip
    """Return the sums of what counts before an instant, None for all there is; by one query, so of one moment."""
    if before is None:
        found = await _find_sums(connection, book_id, account_id)
    elif by == "recorded":
        found = await _find_sums_before(connection, book_id, account_id, before)
    else:
        asset = await _asset_of_account(connection, book_id, account_id)
        found = await _find_effective(connection, book_id, account_id, asset, before)
    if found is None:
        raise UnknownAccount(field="account", account=str(account_id))
    return found


def balance_of(code: str, sums: Sums) -> Balance:
    """Lay sums out as a balance."""
    held, balance = int(sums.held_debits), sums.balance
    return Balance(
        code, sums.asset, int(sums.debits), int(sums.credits), balance, held, int(sums.held_credits), balance - held
    )


async def _find_effective(
    connection: Connection, book_id: int, account_id: int, asset: str, before: dt.datetime
) -> Sums:  # fmt: skip
    """
    Take what was recorded before the instant, add what is effective before it and take off what of that was recorded.

    The three are the net changes, the sorted dated changes, and the dated changes in order of batches.
    """
    slot, limit = account_id & HELD - 1, microseconds(before)
    debits = credits_ = held_debits = held_credits = Decimal(0)
    rows = await _find_dated_sums(connection, book_id, account_id, before, limit)
    for kind, debited, credited, held, incoming, entries in rows:
        sign = -1 if kind >= _TAKEN_OFF else 1
        if debited is not None:
            debits, credits_ = debits + sign * debited, credits_ + sign * credited
        if held is not None:
            held_debits, held_credits = held, incoming
        if entries is not None:
            more = _add_up(kind, entries, slot, limit)
            debits, credits_ = debits + sign * more[0], credits_ + sign * more[1]
    return Sums(asset, debits, credits_, held_debits, held_credits)


_SORTED_EFFECTIVE, _UNSORTED_EFFECTIVE, _TAKEN_OFF = 2, 3, 4
"""The kinds of rows that ``find_dated_sums`` gives beside the net changes; those from the last on are taken off."""


def _add_up(kind: int, entries: bytes, slot: int, limit: int) -> tuple[int, int]:
    if kind == _SORTED_EFFECTIVE:
        block = np.frombuffer(entries, SORTED)
        return add_up(block["amount"][block["at"] < limit])
    rows = np.frombuffer(entries, ENTRY)
    chosen = rows["slot"] == slot
    if kind == _UNSORTED_EFFECTIVE:
        chosen &= rows["at"] < limit
    return add_up(rows["amount"][chosen])
