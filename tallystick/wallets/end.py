"""End: what is left of a grant expires, or goes back where it came from."""

import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.accounts import NewAccount, Recorded, open_accounts
from tallystick.ledger.model import Reason
from tallystick.ledger.post import Ledger
from tallystick.wallets.draw import enter_to_spend, grant_left
from tallystick.wallets.errors import GrantEnded, UnknownGrant
from tallystick.wallets.find import find_grants
from tallystick.wallets.model import Grant, GrantLeft, end_transfer, expired_account, funding_account
from tallystick.wallets.move import Move, move

_queries = queries_beside(__file__)
_find_to_end = _queries.tuples("find_to_end")
_insert_ends = _queries.run("insert_ends")
_due_grants = _queries.values("due_grants")

MOST_DUE = 1_000


@dataclass(frozen=True, slots=True)
class _Ending:
    """A grant that is to end."""

    grant: GrantLeft
    asset: str
    kind: str
    expires_at: dt.datetime | None
    ended: str | None
    """How it ended before."""


async def find_due_grants(connection: Connection, book_id: int, at: dt.datetime) -> list[uuid.UUID]:
    """Return up to ``MOST_DUE`` grants that expire by *at* and have not ended."""
    return await _due_grants(connection, book_id, at, MOST_DUE)


async def expire_grants(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    grant_ids: Sequence[uuid.UUID],
) -> list[uuid.UUID]:
    """
    End those of the grants whose time has run out and return them; the others are left as they are.

    Raises:
        OrderLost: another transaction took of them meanwhile.
    """
    await enter_to_spend(connection, recorded.book_id)
    due = [
        one
        for one in await _find(connection, recorded.book_id, grant_ids)
        if one.ended is None and one.expires_at is not None and one.expires_at <= recorded.at
    ]
    await _end(connection, ledger, recorded, message_hashes, due, _Way("expired", Reason.CREDIT_EXPIRE))
    return [one.grant.grant_id for one in due]


async def void_grant(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    grant_id: uuid.UUID,
    reason: str,
) -> Grant:
    """
    Take back what is left of a grant; what was spent of it stays spent.

    Raises:
        UnknownGrant: there is none (``wallets.unknown_grant``).
        GrantEnded: it was used up, has expired or was voided (``wallets.grant_ended``).
        OrderLost: another transaction took of it meanwhile.
    """
    await enter_to_spend(connection, recorded.book_id)
    found = await _find(connection, recorded.book_id, [grant_id])
    if not found:
        raise UnknownGrant(field="id", grant=grant_id)
    if found[0].ended is not None:
        raise GrantEnded(field="id", grant=grant_id, how={"used": "used up"}.get(found[0].ended, found[0].ended))
    await _end(connection, ledger, recorded, message_hashes, found, _Way("voided", Reason.CREDIT_VOID, reason))
    return (await find_grants(connection, recorded.book_id, [grant_id]))[0]


@dataclass(frozen=True, slots=True)
class _Way:
    """How grants end."""

    kind: str
    reason: Reason
    said: str | None = None

    def account(self, one: _Ending) -> str:
        """Return the code of the account that what is left goes to."""
        return expired_account(one.asset) if self.kind == "expired" else funding_account(one.kind, one.asset)


async def _find(connection: Connection, book_id: int, grant_ids: Sequence[uuid.UUID]) -> list[_Ending]:
    rows = await _find_to_end(connection, book_id, list(grant_ids))
    return [_Ending(grant_left(row), *row[8:]) for row in rows]


async def _end(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    ending: Sequence[_Ending],
    way: _Way,
) -> None:
    if not ending:
        return
    left = [one for one in ending if one.grant.left > 0]
    accounts = await _open(connection, recorded, left, way.account)
    moves = [
        Move(one.grant, one.grant.left, accounts[way.account(one)], end_transfer(one.grant.grant_id), way.reason)
        for one in left
    ]
    await move(connection, ledger, recorded, message_hashes, moves)
    amounts = [max(one.grant.left, 0) for one in ending]
    ids = [one.grant.grant_id for one in ending]
    transfer_ids = [end_transfer(one.grant.grant_id) if one.grant.left > 0 else None for one in ending]
    await _insert_ends(
        connection, recorded.book_id, way.kind, way.said, recorded.message_place, recorded.at, ids, amounts,
        transfer_ids,
    )  # fmt: skip


async def _open(
    connection: Connection, recorded: Recorded, left: Sequence[_Ending], account: Callable[[_Ending], str]
) -> dict[str, int]:
    codes = {account(one): one.asset for one in left}
    opened = await open_accounts(connection, recorded, [NewAccount(code, codes[code]) for code in sorted(codes)])
    return {one.code: one.account_id for one in opened}
