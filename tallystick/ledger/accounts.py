"""Accounts: opened once, changed by facts, closed once; and what a process remembers of them while it posts."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.db.retry import OrderLost
from tallystick.ledger.errors import AccountClosed, AccountExists, AssetExists, UnknownAccount, UnknownAsset
from tallystick.ledger.model import Account, Asset

_queries = queries_beside(__file__)
_find_asset = _queries.row("find_asset", Asset)
_insert_asset = _queries.run("insert_asset")
_find_accounts = _queries.tuples("find_accounts")
_list_accounts = _queries.tuples("list_accounts")
_open_accounts = _queries.tuples("open_accounts")
_take_numbering = _queries.run("take_numbering")
_newest_account = _queries.tuples("newest_account")
_insert_limit = _queries.run("insert_limit")
_insert_metadata = _queries.run("insert_metadata")
_insert_closing = _queries.run("insert_closing")
_bump_epoch = _queries.run("bump_epoch")
_take_gate_exclusively = _queries.run("take_gate_exclusively")

UNLIMITED_BELOW = -(2**63)
UNLIMITED_ABOVE = 2**63 - 1


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to open; a bound of None does not limit."""

    code: str
    asset: str
    min_balance: int | None = None
    max_balance: int | None = None
    metadata: dict[str, str] | None = None
    """None to leave unsaid, which differs from no account's."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """When and by which message of the present transaction a fact is made: what every fact carries."""

    book_id: int
    message_place: int
    at: dt.datetime


async def ensure_asset(connection: Connection, book_id: int, code: str, exponent: int) -> Asset:
    """
    Return the asset *code*, made now if the book had none of that name.

    Raises:
        AssetExists: it exists with other decimal digits (``ledger.asset_exists``).
    """
    await _take_numbering(connection, book_id)
    await _insert_asset(connection, book_id, code, exponent)
    asset = await find_asset(connection, book_id, code)
    if asset.exponent != exponent:
        raise AssetExists(asset=code, exponent=asset.exponent)
    return asset


async def find_asset(connection: Connection, book_id: int, code: str) -> Asset:
    """
    Return the asset *code* of the book.

    Raises:
        UnknownAsset: there is none (``ledger.unknown_asset``).
    """
    asset = await _find_asset(connection, book_id, code)
    if asset is None:
        raise UnknownAsset(field="asset", asset=code)
    return asset


async def open_accounts(connection: Connection, recorded: Recorded, wanted: Sequence[NewAccount]) -> list[Account]:
    """
    Open accounts, or find those that are open with the same attributes; in order of *wanted*.

    Raises:
        UnknownAsset: an asset is not in the book (``ledger.unknown_asset``).
        AccountExists: one exists with another asset or limit (``ledger.account_exists``).
    """
    codes = [account.code for account in wanted]
    for code in {account.asset for account in wanted}:
        await find_asset(connection, recorded.book_id, code)
    found = await _find_by_code(connection, recorded.book_id, codes)
    missing = [account for account in wanted if account.code not in found]
    if missing:
        found |= await _number_and_open(connection, recorded, missing)
        if others := [account.code for account in missing if account.code not in found]:  # opened by somebody meanwhile
            found |= await _find_by_code(connection, recorded.book_id, others)
        described = [one for one in wanted if one.metadata and not found[one.code].metadata]
        for account in described:
            await _describe(connection, recorded, found[account.code], account.metadata or {})
        if described:
            found = await _find_by_code(connection, recorded.book_id, codes)
    for account in wanted:
        _require_same(account, found[account.code])
    return [found[code] for code in codes]


async def _number_and_open(
    connection: Connection, recorded: Recorded, wanted: Sequence[NewAccount]
) -> dict[str, Account]:
    """
    Open those that do not exist, with the next numbers of the book, and return them by code.

    Whoever opens accounts waits here for whoever does so too: so numbers have no gaps, and stand in the order of the
    transactions. To do the same messages again gives the same accounts, and so the same leaves in the log.

    Raises:
        OrderLost: a later transaction opened accounts first.
    """
    await _take_numbering(connection, recorded.book_id)
    newest = await _newest_account(connection, recorded.book_id)
    last, ordered, own = newest[0] if newest else (0, 0, 1)
    if ordered > own:
        raise OrderLost
    opened = await _open_accounts(
        connection,
        recorded.book_id,
        [account.code for account in wanted],
        [account.asset for account in wanted],
        [account.min_balance for account in wanted],
        [account.max_balance for account in wanted],
        recorded.message_place,
        recorded.at,
        last,
    )
    assets = {account.code: account.asset for account in reversed(wanted)}  # of several with one code the first counts
    return {
        code: Account(account_id, code, assets[code], lowest, highest, recorded.at, None, {})
        for account_id, code, lowest, highest in opened
    }


async def _find_by_code(connection: Connection, book_id: int, codes: Sequence[str]) -> dict[str, Account]:
    return {row[1]: _account(row) for row in await _find_accounts(connection, book_id, codes)}


def _account(row: tuple[Any, ...]) -> Account:
    account_id, code, asset, min_balance, max_balance, opened_at, closed_at, metadata = row
    said = msgspec.json.decode(metadata, type=dict[str, str])
    return Account(account_id, code, asset, min_balance, max_balance, opened_at, closed_at, said)


async def find_account(connection: Connection, book_id: int, code: str) -> Account:
    """
    Return the account *code*.

    Raises:
        UnknownAccount: there is none (``ledger.unknown_account``).
    """
    found = await _find_accounts(connection, book_id, [code])
    if not found:
        raise UnknownAccount(field="account", account=code)
    return _account(found[0])


async def list_accounts(connection: Connection, book_id: int, after: str, count: int) -> list[Account]:
    """Return *count* accounts whose codes sort behind *after*, in order of code."""
    return [_account(row) for row in await _list_accounts(connection, book_id, after, count)]


async def close_account(connection: Connection, recorded: Recorded, code: str) -> Account:
    """
    Close an account: no transfer whose place in the order is later touches it.

    Takes the book's gate exclusively, so it waits for the batches under way and those that follow see it.

    Raises:
        UnknownAccount: there is none (``ledger.unknown_account``).
        AccountClosed: it was closed before (``ledger.account_closed``).
    """
    account = await _find_to_change(connection, recorded.book_id, code)
    await _insert_closing(connection, recorded.book_id, account.account_id, recorded.message_place, recorded.at)
    await _bump_epoch(connection, recorded.book_id)
    return await find_account(connection, recorded.book_id, code)


async def limit_account(
    connection: Connection, recorded: Recorded, code: str, min_balance: int | None, max_balance: int | None
) -> Account:
    """
    Give an account other limits, in force from this transaction's place in the order on; None does not limit.

    What the account has beyond a new limit stays; it can only move towards it. Takes the book's gate exclusively,
    like a closing.

    Raises:
        UnknownAccount: there is none (``ledger.unknown_account``).
        AccountClosed: it is closed (``ledger.account_closed``).
    """
    account = await _find_to_change(connection, recorded.book_id, code)
    await _insert_limit(
        connection, recorded.book_id, account.account_id, recorded.message_place, min_balance, max_balance, recorded.at
    )
    await _bump_epoch(connection, recorded.book_id)
    return await find_account(connection, recorded.book_id, code)


async def describe_account(connection: Connection, recorded: Recorded, code: str, metadata: dict[str, str]) -> Account:
    """
    Replace what is said of an account; it means nothing to the ledger.

    Raises:
        UnknownAccount: there is none (``ledger.unknown_account``).
    """
    account = await find_account(connection, recorded.book_id, code)
    await _describe(connection, recorded, account, metadata)
    return await find_account(connection, recorded.book_id, code)


async def _describe(connection: Connection, recorded: Recorded, account: Account, metadata: dict[str, str]) -> None:
    text = msgspec.json.encode(metadata).decode()
    await _insert_metadata(connection, recorded.book_id, account.account_id, recorded.message_place, text, recorded.at)


async def _find_to_change(connection: Connection, book_id: int, code: str) -> Account:
    """Return an account that is open, behind the book's gate: no batch is under way that knows it otherwise."""
    await _take_gate_exclusively(connection, book_id)
    account = await find_account(connection, book_id, code)
    if account.closed_at is not None:
        raise AccountClosed(field="account", account=code)
    return account


def _require_same(wanted: NewAccount, found: Account) -> None:
    for name in ("asset", "min_balance", "max_balance", "metadata"):
        if name == "metadata" and wanted.metadata is None:
            continue
        if getattr(wanted, name) != getattr(found, name):
            raise AccountExists(field=name, account=wanted.code, differs=name)


@dataclass(frozen=True, slots=True)
class RememberedAccounts:
    """
    What one process remembers of a book's accounts, as columns sorted by id; never changed, only replaced.

    Right as long as the book's epoch is the one it was read at: accounts never change otherwise, and one
    that is missing here is looked up.
    """

    epoch: int = -1
    ids: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    assets: npt.NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    lowest: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    highest: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    closed: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    since: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """The newest transaction that opened or changed each."""
    any_limited: bool = False

    def missing(self, wanted: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return those of *wanted* (ascending, distinct) that are not remembered."""
        return wanted[~self.known(wanted)]

    def known(self, wanted: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Say of each id whether it is remembered."""
        if not len(self.ids):
            return np.zeros(len(wanted), np.bool_)
        return np.equal(self.ids[self.places(wanted)], wanted)

    def places(self, wanted: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        """Return where each id stands in the columns; meaningless for one that is not known."""
        return np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)

    def assets_of(self, wanted: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """Return the asset of each id; 0, which is none, for one that is not remembered."""
        if not len(self.ids):
            return np.zeros(len(wanted), np.int32)
        return np.where(self.known(wanted), self.assets[self.places(wanted)], np.int32(0))

    def with_rows(self, rows: Sequence[tuple[int, int, int | None, int | None, bool, int]]) -> "RememberedAccounts":
        """Remember more accounts: id, asset, lowest and highest balance, closed, newest change."""
        if not rows:
            return self
        ids, assets, lowest, highest, closed, since = zip(*sorted(rows, key=itemgetter(0)), strict=True)
        new = np.array(ids, np.int64)
        at = np.searchsorted(self.ids, new)
        below = [UNLIMITED_BELOW if bound is None else bound for bound in lowest]
        above = [UNLIMITED_ABOVE if bound is None else bound for bound in highest]
        return RememberedAccounts(
            self.epoch,
            np.insert(self.ids, at, new),
            np.insert(self.assets, at, assets),
            np.insert(self.lowest, at, below),
            np.insert(self.highest, at, above),
            np.insert(self.closed, at, closed),
            np.insert(self.since, at, since),
            self.any_limited or any(bound is not None for bound in (*lowest, *highest)),
        )
