"""Reading the ledger: balances, histories, statements, the chart of accounts, transfers."""

import datetime as dt
import uuid
from typing import Annotated

import msgspec

from tallystick.errors import InvalidInput
from tallystick.ledger.model import Balance
from tallystick.ledger.reading.account_tree import TreePage, list_children
from tallystick.ledger.reading.balance import By, find_balance
from tallystick.ledger.reading.history import Asked, HistoryPage, PostedTransfer, Turn, find_transfer, page_history
from tallystick.ledger.reading.statement import Statement, state
from tallystick.operations.fields import Code, Instant, PageSize
from tallystick.operations.model import Call, Input, Operation

Path = Annotated[str, msgspec.Meta(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]
"""The beginning of codes, up to a slash and without it; empty for all of them."""
Cursor = Annotated[str, msgspec.Meta(max_length=255)]
_FIRST = dt.datetime(1, 1, 2, tzinfo=dt.UTC)
_LAST = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)


class BalanceInput(Input, frozen=True):
    """An account, and the instant of which its balance is asked: now, if left out."""

    account: Code
    at: Instant | None = None
    by: By = "recorded"
    """By recorded time a transfer counts from when it was recorded; by effective time from its effective time."""


class HistoryInput(Input, frozen=True):
    """
    A page of an account's transfers within a half-open period.

    The first page of it, with ``last`` the last one, else the one behind ``after`` or before ``before``.
    """

    account: Path
    below: bool = False
    """Take in every account whose code begins with this one and a slash; the empty code is before all."""
    since: Instant | None = None
    until: Instant | None = None
    by: By = "recorded"
    """Which time the period and the order are of."""
    after: Cursor = ""
    before: Cursor = ""
    last: bool = False
    limit: PageSize = 100


class StatementInput(Input, frozen=True):
    """The statement of an account over a half-open period, with a page of its entries."""

    account: Code
    since: Instant
    until: Instant
    by: By = "recorded"
    """Which time the period is of."""
    after: Cursor = ""
    limit: PageSize = 100


class TreeInput(Input, frozen=True):
    """Which part of the chart of accounts: the children of a path, whose names sort behind the cursor."""

    path: Path = ""
    after: Path = ""
    limit: PageSize = 100


class FindTransferInput(Input, frozen=True):
    """The id of a transfer."""

    id: uuid.UUID


async def read_balance(call: Call, request: BalanceInput) -> Balance:
    """
    Return an account's balance now, or as of an instant.

    Without an instant and by recorded time it is the sum of everything posted; by effective time, of what is effective
    by now. What is held counts by recorded time either way.
    """
    at = request.at and _in_range("at", request.at)
    if at is None and request.by == "effective":
        at = call.at
    return await find_balance(call.connection, call.book.ledger, request.account, at, request.by)


async def read_history(call: Call, request: HistoryInput) -> HistoryPage:
    """
    Return a page of the transfers of an account, or with ``below`` of a part of the chart of accounts.

    The items are in order of time, whichever way one turns the pages. Their balance is the account's after each; those
    of a part of the chart have none. A page can come short with more behind it: ``next`` alone says that there is.
    """
    asked = _asked(request.account, request.since, request.until, request.by, below=request.below)
    turn = Turn(request.after, request.before, request.last, request.limit)
    return await page_history(call.connection, call.book.book_id, asked, turn)


async def read_statement(call: Call, request: StatementInput) -> Statement:
    """
    Return the statement of an account: what it had, what came and went, what it has then.

    The closing of a period is the opening of the next, and opening, credits and debits add up to the closing, by either
    time. What counts before an end of the period is in; what counts at that very instant belongs to the next.
    """
    asked = _asked(request.account, request.since, request.until, request.by)
    if request.since > request.until:
        raise InvalidInput(field="until", rule="A period ends after it begins")
    turn = Turn(after=request.after, limit=request.limit)
    return await state(call.connection, call.book.book_id, asked, request.since, request.until, turn)


async def read_tree(call: Call, request: TreeInput) -> TreePage:
    """Return the children of a path in the chart of accounts, each with the balances of all below it by asset."""
    return await list_children(call.connection, call.book.book_id, request.path, request.after, request.limit)


async def read_transfer(call: Call, request: FindTransferInput) -> PostedTransfer:
    """Return a transfer by its id, with what it relates to."""
    return await find_transfer(call.connection, call.book.book_id, request.id)


def _asked(
    account: str, since: dt.datetime | None, until: dt.datetime | None, by: By, *, below: bool = False
) -> Asked:  # fmt: skip
    if not account and not below:
        raise InvalidInput(field="account", rule="Expected text of 1 to 255 characters, unless `below` is true")
    return Asked(account, below, since and _in_range("since", since), until and _in_range("until", until), by)


def _in_range(field: str, at: dt.datetime) -> dt.datetime:
    if not _FIRST <= at < _LAST:
        raise InvalidInput(field=field, rule="Expected an instant within the years 1 to 9998")
    return at.astimezone(dt.UTC)


OPERATIONS = [
    Operation("ledger.balance", BalanceInput, Balance, "ledger:read", "GET /balance", read_balance, reads=True),
    Operation(
        "ledger.history",
        HistoryInput,
        HistoryPage,
        "ledger:read",
        "GET /history",
        read_history,
        reads=True,
        snapshot=True,
    ),
    Operation(
        "ledger.statement",
        StatementInput,
        Statement,
        "ledger:read",
        "GET /statement",
        read_statement,
        reads=True,
        snapshot=True,
    ),
    Operation("ledger.tree", TreeInput, TreePage, "ledger:read", "GET /accounts/tree", read_tree, reads=True),
    Operation(
        "ledger.find_transfer",
        FindTransferInput,
        PostedTransfer,
        "ledger:read",
        "GET /transfers/{id}",
        read_transfer,
        reads=True,
    ),
]
