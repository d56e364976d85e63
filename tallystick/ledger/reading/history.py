"""History: the transfers of an account or of a subtree, in the order of either time, page by page both ways."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput
from tallystick.ledger.errors import UnknownAccount, UnknownTransfer
from tallystick.ledger.model import ENDS_HOLD, HOLDS_ONLY, NEVER, WHEN_RECORDED, Reason
from tallystick.ledger.reading.balance import By, find_sums
from tallystick.ledger.reading.find_places import LAST_POSITION, Place, Wanted, find_places

_queries = queries_beside(__file__)
_place_of_transfer = _queries.tuples("place_of_transfer")
_transfers_at = _queries.tuples("transfers_at")
_relations_at = _queries.tuples("relations_at")
_accounts_below = _queries.value("accounts_below")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_CURSOR_DOTS = 3
_RELATED = {Reason.HOLD, Reason.CAPTURE, Reason.RELEASE, Reason.EXPIRE, Reason.REVERSAL}

Effect = Literal["posted", "held", "freed"]
Direction = Literal["debit", "credit", "within"]


class PostedTransfer(msgspec.Struct, frozen=True):
    """
    One transfer as the ledger holds it.

    ``place`` is its place in the log, null until it is sealed. ``effect`` says whether its amount was posted, only held
    or only freed. ``direction`` and ``balance`` are of the account that was asked for: which side of it the transfer
    is on (``within``: both sides are of the subtree), and the account's balance after it.
    """

    transfer_id: uuid.UUID
    debit: str
    credit: str
    asset: str
    amount: int
    reason: str
    effect: Effect
    effective_at: dt.datetime
    recorded_at: dt.datetime
    place: int | None
    reference: str | None = None
    hold: uuid.UUID | None = None
    """The hold that it captures, releases or ends."""
    expires_at: dt.datetime | None = None
    reverses: uuid.UUID | None = None
    reversed_by: uuid.UUID | None = None
    direction: Direction | None = None
    balance: int | None = None


class HistoryPage(msgspec.Struct, frozen=True):
    """
    Transfers in order of time; a page can be short, or empty, with more behind it.

    ``next`` is the cursor for the page behind, ``previous`` for the one before, null where there is none.
    """

    items: list[PostedTransfer]
    next: str | None
    previous: str | None


@dataclass(frozen=True, slots=True)
class Turn:
    """
    Which page: what is behind *after*, or before *before*; neither is the first page of all, or with *last* the last.

    Raises:
        InvalidInput: both are given, or one with *last* (``invalid_input``).
    """

    after: str = ""
    before: str = ""
    last: bool = False
    limit: int = 100

    def __post_init__(self) -> None:
        """Find that they do not contradict each other."""
        if bool(self.after) + bool(self.before) + self.last > 1:
            raise InvalidInput(field="before", rule="One of `after`, `before` and `last` says where the page is")

    @property
    def forward(self) -> bool:
        """Say whether the page is found by going on in time."""
        return not (self.before or self.last)


@dataclass(frozen=True, slots=True)
class _Cursor:
    """The edge of a page, and the account's balance there; None for a subtree."""

    place: Place
    balance: int | None

    def __str__(self) -> str:
        return f"{self.place.at}.{self.place.batch_id}.{self.place.position}.{'' if self.balance is None else self.balance}"


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose history: an account's, or with *below* that of everything on its path and below."""

    account: str
    below: bool = False
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    by: By = "recorded"


async def find_transfer(connection: Connection, book_id: int, transfer_id: uuid.UUID) -> PostedTransfer:
    """
    Return the transfer *transfer_id*.

    Raises:
        UnknownTransfer: there is none (``ledger.unknown_transfer``).
    """
    places = [Place(0, *row) for row in await _place_of_transfer(connection, book_id, transfer_id)]
    if not places:
        raise UnknownTransfer(field="id")
    return (await _read(connection, book_id, places))[0]


async def page_history(connection: Connection, book_id: int, asked: Asked, turn: Turn) -> HistoryPage:
    """
    Return a page of transfers of the period.

    By recorded time in the order of the log, by effective time in the order they count in. However long the history,
    a page reads a bounded number of rows for each sixteen accounts; so it may come short, with its cursor.

    Raises:
        UnknownAccount: there is none of that code, nor below it (``ledger.unknown_account``).
        InvalidInput: a cursor is none (``invalid_input``).
    """
    start = _read_cursor("after", turn.after) or _read_cursor("before", turn.before)
    accounts = await find_accounts_of(connection, book_id, asked)
    wanted = Wanted(accounts, asked.since, asked.until, asked.by)
    found = await find_places(
        connection, book_id, wanted, start.place if start else None, turn.limit + 1, forward=turn.forward
    )
    places = found.places[: turn.limit]
    more = len(found.places) > turn.limit
    edge = places[-1] if more else found.edge
    if not turn.forward:
        places.reverse()
    balance = await _balance_at_start(connection, book_id, asked, accounts, start, turn)
    items = await _read(connection, book_id, places)
    items, before, after = _follow(asked, items, balance, forward=turn.forward)
    if turn.forward:
        further = _Cursor(edge, after) if edge else None
        behind = _Cursor(places[0] if places else start.place, before) if start else None
        return HistoryPage(items, _write(further), _write(behind))
    further = _Cursor(edge, before) if edge else None
    behind = _Cursor(places[-1] if places else start.place, after) if start else None
    return HistoryPage(items, _write(behind), _write(further))


async def find_accounts_of(connection: Connection, book_id: int, asked: Asked) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """
    Return the ids of the accounts asked for, ascending.

    Raises:
        UnknownAccount: there are none (``ledger.unknown_account``).
    """
    ids: bytes | None = await _accounts_below(connection, book_id, asked.account, asked.below)
    if ids is None:
        raise UnknownAccount(field="account", account=asked.account)
    return np.frombuffer(ids, ">i8").astype(np.int64)


async def _balance_at_start(
    connection: Connection, book_id: int, asked: Asked, accounts: "np.ndarray[Any, np.dtype[np.int64]]",
    start: _Cursor | None, turn: Turn,
) -> int | None:  # fmt: skip
    """Return the account's balance where the page begins, or ends if it is found by going back."""
    if asked.below:
        return None
    if start is not None:
        return start.balance
    if turn.forward and asked.since is None:
        return 0
    edge = asked.since if turn.forward else asked.until
    return (await find_sums(connection, book_id, int(accounts[0]), edge, asked.by)).balance


def _follow(
    asked: Asked, items: Sequence[PostedTransfer], balance: int | None, *, forward: bool
) -> tuple[list[PostedTransfer], int | None, int | None]:
    """Give each item its direction and the balance after it; return them with the balance before and after all."""
    effects = [_effect_on(asked, item) for item in items]
    before = after = None
    if balance is not None:
        moved = sum(moved for _, moved in effects)
        before, after = (balance, balance + moved) if forward else (balance - moved, balance)
    running, followed = before, list[PostedTransfer]()
    for item, (direction, moved) in zip(items, effects, strict=True):
        running = None if running is None else running + moved
        followed.append(msgspec.structs.replace(item, direction=direction, balance=running))
    return followed, before, after


def _effect_on(asked: Asked, item: PostedTransfer) -> tuple[Direction, int]:
    """Say on which side the transfer is and what it adds to the balance."""
    debit, credit = (_is_of(asked, code) for code in (item.debit, item.credit))
    amount = item.amount if item.effect == "posted" else 0
    return ("within", 0) if debit and credit else ("credit", amount) if credit else ("debit", -amount)


def _is_of(asked: Asked, code: str) -> bool:
    return code == asked.account or (asked.below and (not asked.account or code.startswith(f"{asked.account}/")))


async def _read(connection: Connection, book_id: int, places: Sequence[Place]) -> list[PostedTransfer]:
    """Read the transfers at *places*, in that order."""
    batches, positions = [place.batch_id for place in places], [place.position for place in places]
    rows = await _transfers_at(connection, book_id, batches, positions)
    related = [at for at, row in enumerate(rows) if row[5] in _RELATED]
    relations: dict[int, tuple[Any, ...]] = {}
    if related:
        found = await _relations_at(
            connection, book_id, [batches[at] for at in related], [positions[at] for at in related]
        )
        relations = dict(zip(related, found, strict=True))
    return [_posted(row, relations.get(at, (None, None, None))) for at, row in enumerate(rows)]


def _posted(row: tuple[Any, ...], relations: tuple[Any, ...]) -> PostedTransfer:
    transfer_id, debit, credit, asset, amount, reason, effective_at, recorded_at, settled_at, place, said, undone = row
    hold_id, expires_at, reversed_id = relations
    counts_at = settled_at or recorded_at if effective_at == WHEN_RECORDED else _instant(effective_at)
    return PostedTransfer(
        transfer_id, debit, credit, asset, amount, Reason(reason).name.lower(), _effect(reason), counts_at,
        recorded_at, place, said, hold_id,
        None if expires_at is None or expires_at == NEVER else _instant(expires_at),
        reversed_id, undone,
    )  # fmt: skip


def _effect(reason: int) -> Effect:
    if reason in ENDS_HOLD:
        return "freed"
    return "held" if reason in HOLDS_ONLY else "posted"


def _instant(microseconds: int) -> dt.datetime:
    return _EPOCH + dt.timedelta(microseconds=microseconds)


def _write(cursor: _Cursor | None) -> str | None:
    return None if cursor is None else str(cursor)


def _read_cursor(field: str, text: str) -> _Cursor | None:
    if not text:
        return None
    try:
        at, batch_id, position, *balance = (int(part) for part in text.removesuffix(".").split("."))
        fits = text.count(".") == _CURSOR_DOTS and 0 <= batch_id < 2**63 and -1 <= position <= LAST_POSITION
        _instant(at)
    except (ValueError, OverflowError) as error:
        raise _no_cursor(field) from error
    if not fits:
        raise _no_cursor(field)
    return _Cursor(Place(at, batch_id, position), balance[0] if balance else None)


def _no_cursor(field: str) -> InvalidInput:
    return InvalidInput(field=field, rule="A cursor is what `next` or `previous` of another page gave")
