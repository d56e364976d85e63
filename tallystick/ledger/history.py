"""History: the transfers of an account, in the order they were posted."""

import datetime as dt
import uuid
from typing import Any

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput
from tallystick.ledger.accounts import find_account
from tallystick.ledger.errors import UnknownTransfer
from tallystick.ledger.model import WHEN_RECORDED, PostedTransfer, Reason

_queries = queries_beside(__file__)
_find_transfer = _queries.tuples("find_transfer")
_page_history = _queries.tuples("page_history")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_EARLIEST = dt.datetime(1, 1, 1, tzinfo=dt.UTC)
_LATEST = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)


class HistoryPage(msgspec.Struct, frozen=True):
    """Transfers in the order they were posted; ``next`` is the cursor of the page behind, null on the last."""

    items: list[PostedTransfer]
    next: str | None


async def find_transfer(connection: Connection, book_id: int, transfer_id: uuid.UUID) -> PostedTransfer:
    """
    Return the transfer *transfer_id*.

    Raises:
        UnknownTransfer: there is none (``ledger.unknown_transfer``).
    """
    rows = await _find_transfer(connection, book_id, transfer_id)
    if not rows:
        raise UnknownTransfer(field="id", transfer=transfer_id)
    return _posted(rows[0])


async def page_history(
    connection: Connection,
    book_id: int,
    account: str,
    *,
    since: dt.datetime | None,
    until: dt.datetime | None,
    after: str,
    limit: int,
) -> HistoryPage:
    """
    Return *limit* transfers of *account* behind the cursor *after*, recorded from *since* up to, without, *until*.

    Raises:
        UnknownAccount: there is none (``ledger.unknown_account``).
        InvalidInput: *after* is not a cursor (``invalid_input``).
    """
    account_id = (await find_account(connection, book_id, account)).account_id
    batch_id, position = _read_cursor(after)
    rows = await _page_history(
        connection, book_id, account_id, batch_id, position, since or _EARLIEST, until or _LATEST, limit + 1
    )
    items = [_posted(row[:-2]) for row in rows[:limit]]
    more = len(rows) > limit
    return HistoryPage(items, f"{rows[limit - 1][-2]}.{rows[limit - 1][-1]}" if more else None)


def _posted(row: tuple[Any, ...]) -> PostedTransfer:
    transfer_id, debit, credit, asset, amount, reason, effective_at, recorded_at, place = row
    happened = recorded_at if effective_at == WHEN_RECORDED else _EPOCH + dt.timedelta(microseconds=effective_at)
    return PostedTransfer(
        uuid.UUID(bytes=transfer_id.bytes), debit, credit, asset, amount, Reason(reason).name.lower(), happened,
        recorded_at, place,
    )  # fmt: skip


def _read_cursor(text: str) -> tuple[int, int]:
    if not text:
        return 0, -1
    batch_id, _, position = text.partition(".")
    try:
        found = int(batch_id), int(position)
    except ValueError:
        found = -1, -1
    if not (0 <= found[0] < 2**63 and 0 <= found[1] < 2**31):
        raise InvalidInput(field="after", rule="a cursor is what `next` of the page before gave")
    return found
