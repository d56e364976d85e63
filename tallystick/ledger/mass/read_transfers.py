"""Read transfers in the order of the log, in columns, a few thousand at a time: for whoever takes them elsewhere."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tallystick.db.copy import BIGINT, INTEGER, SMALLINT, UUID, FixedTable, Rows, read_columns
from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.errors import UnknownAccount
from tallystick.ledger.files.model import ABSENT, Codes, Posted
from tallystick.ledger.model import HOLDS_ONLY, WHEN_RECORDED, Reason, microseconds


class _Outlined(NamedTuple):
    """A batch that is to be read."""

    batch_id: int
    transfers: int
    recorded_at: dt.datetime
    first_place: int | None


_queries = queries_beside(__file__)
_export_horizon = _queries.value("export_horizon")
_count_exported = _queries.value("count_exported")
_exported_accounts = _queries.values("exported_accounts")
_outline_exported = _queries.rows("outline_exported", _Outlined)
_outline_exported_pages = _queries.rows("outline_exported_pages", _Outlined)
_exported_references = _queries.tuples("exported_references")
_exported_codes = _queries.tuples("exported_codes")
_exported_assets = _queries.tuples("exported_assets")
_exported_transfers = _queries.text("exported_transfers")

_ROWS = FixedTable(
    "transfer",
    {
        "batch_id": BIGINT,
        "debit_account_id": BIGINT,
        "credit_account_id": BIGINT,
        "amount": BIGINT,
        "effective_at": BIGINT,
        "transfer_id": UUID,
        "position": SMALLINT,
        "asset_id": INTEGER,
        "reason": SMALLINT,
    },
)
ROWS_AT_ONCE = 16_384
_OUTLINED_AT_ONCE = 4_096
_FEW_PAGES = 64
"""The batches that touch so few pages of accounts are looked up; for more, all batches are read."""
_MOST_REMEMBERED = 1_000_000
_REASONS = [reason.name.lower() for reason in Reason]
_PLACE_OF_REASON = np.full(max(Reason) + 1, ABSENT, np.int32)
_PLACE_OF_REASON[[int(reason) for reason in Reason]] = np.arange(len(Reason))
EARLIEST = dt.datetime(1, 1, 1, tzinfo=dt.UTC)
LATEST = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which transfers: of an account and those below it, recorded within a period without its end; None for all."""

    account: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None


EVERYTHING = Selection()


@dataclass(slots=True)
class Walk:
    """
    A way through a book's transfers in the order of the log; it needs a connection only for each step.

    It ends where it begins to be uncertain whether an earlier transfer may still appear, as of when it began. What only
    holds an amount, or frees it, moves no money and is passed over.
    """

    book_id: int
    horizon: int
    total: int
    """Transfers in all batches of the period."""
    since: dt.datetime
    until: dt.datetime
    accounts: npt.NDArray[np.int64] | None
    """Only what touches one of these, which are ascending; None for all."""
    assets: dict[int, str]
    codes: dict[int, str] = field(default_factory=dict)
    done: int = 0
    """Transfers of the batches that were walked through."""
    _outlined: list[_Outlined] = field(default_factory=list)
    _behind: int = 0

    async def step(self, connection: Connection) -> Posted | None:
        """Return the next transfers, at times none of those that are looked for; None at the end."""
        if not self._outlined:
            self._outlined = await self._outline(connection)
        batches: list[_Outlined] = []
        rows = 0
        while self._outlined and (not batches or rows + self._outlined[0].transfers <= ROWS_AT_ONCE):
            batches.append(self._outlined.pop(0))
            rows += batches[-1].transfers
        if not batches:
            return None
        self._behind = batches[-1].batch_id
        self.done += rows
        return await self._read(connection, batches)

    async def _outline(self, connection: Connection) -> list[_Outlined]:
        bounds = self.book_id, self._behind, self.horizon, self.since, self.until, _OUTLINED_AT_ONCE
        if self.accounts is not None:
            pages = np.unique(self.accounts >> 4)
            if len(pages) <= _FEW_PAGES:
                return await _outline_exported_pages(connection, *bounds, pages.tolist())
        return await _outline_exported(connection, *bounds)

    async def _read(self, connection: Connection, batches: Sequence[_Outlined]) -> Posted:
        ids = [batch.batch_id for batch in batches]
        rows = await read_columns(connection, _ROWS, _exported_transfers, self.book_id, ids)
        chosen = ~np.isin(rows["reason"], HOLDS_ONLY)
        if self.accounts is not None:
            chosen &= np.isin(rows["debit_account_id"], self.accounts) | np.isin(
                rows["credit_account_id"], self.accounts
            )
        rows = rows[chosen]
        of_batch = np.searchsorted(np.array(ids, np.int64), rows["batch_id"])
        recorded_at = np.array([microseconds(batch.recorded_at) for batch in batches], np.int64)[of_batch]
        first = np.array([ABSENT if batch.first_place is None else batch.first_place for batch in batches], np.int64)
        effective_at = rows["effective_at"].astype(np.int64)
        return Posted(
            ids=np.ascontiguousarray(rows["transfer_id"]),
            debits=await self._codes_of(connection, rows["debit_account_id"].astype(np.int64)),
            credits=await self._codes_of(connection, rows["credit_account_id"].astype(np.int64)),
            assets=_named(rows["asset_id"].astype(np.int64), self.assets),
            amounts=rows["amount"].astype(np.int64),
            reasons=Codes(_REASONS, _PLACE_OF_REASON[rows["reason"]]),
            references=await self._references(connection, ids, rows),
            effective_at=np.where(effective_at == WHEN_RECORDED, recorded_at, effective_at),
            recorded_at=recorded_at,
            places=np.where(first[of_batch] == ABSENT, ABSENT, first[of_batch] + rows["position"]),
        )

    async def _codes_of(self, connection: Connection, accounts: npt.NDArray[np.int64]) -> Codes:
        if len(self.codes) > _MOST_REMEMBERED:
            self.codes.clear()
        missing = [account for account in np.unique(accounts).tolist() if account not in self.codes]
        if missing:
            self.codes.update(await _exported_codes(connection, self.book_id, missing))
        return _named(accounts, self.codes)

    async def _references(self, connection: Connection, ids: Sequence[int], rows: Rows) -> list[str | None]:
        said = await _exported_references(connection, self.book_id, ids)
        if not said:
            return [None] * len(rows)
        by_place = {(batch_id, position): reference for batch_id, position, reference in said}
        places = zip(rows["batch_id"].tolist(), rows["position"].tolist(), strict=True)
        return [by_place.get(place) for place in places]


async def begin_walk(connection: Connection, book_id: int, selection: Selection) -> Walk:
    """
    Begin a way through those transfers of a book.

    Raises:
        UnknownAccount: there is no such account, and none below it (``ledger.unknown_account``).
    """
    accounts = None
    if selection.account is not None:
        accounts = np.array(await _exported_accounts(connection, book_id, selection.account), np.int64)
        if not len(accounts):
            raise UnknownAccount(field="account", account=selection.account)
    horizon = await _export_horizon(connection)
    period = selection.since or EARLIEST, selection.until or LATEST
    total = await _count_exported(connection, book_id, horizon, *period)
    return Walk(book_id, horizon, total, *period, accounts, dict(await _exported_assets(connection, book_id)))


def _named(numbers: npt.NDArray[np.int64], names: dict[int, str]) -> Codes:
    distinct, places = np.unique(numbers, return_inverse=True)
    return Codes([names[number] for number in distinct.tolist()], places.astype(np.int32).reshape(-1))
