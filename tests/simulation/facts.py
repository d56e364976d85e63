"""The facts of the book ``main``, read row by row with SQL of the auditor's own."""

import datetime as dt
import json
import uuid
from dataclasses import dataclass
from typing import Any

import asyncpg

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_TRANSFERS = """
    SELECT t.batch_id, t.position, t.transfer_id, t.debit_account_id, t.credit_account_id, t.asset_id, t.amount, t.reason,
           t.effective_at, t.message_place, b.recorded_at, s.first_place + t.position AS place,
           (SELECT reference FROM transfer_reference AS r
            WHERE (r.book_id, r.batch_id, r.position) = (t.book_id, t.batch_id, t.position)) AS reference,
           h.expires_at, w.asked AS sweep_asked, u.hold_id, u.nth, u.amount AS used, u.asked AS use_asked, u.ends,
           v.reversed_id,
           substring(b.leaf_hashes FROM 32 * t.position + 1 FOR 32) AS leaf_hash
    FROM transfer AS t
    JOIN batch AS b USING (book_id, batch_id)
    LEFT JOIN sealed_batch AS s USING (book_id, batch_id)
    LEFT JOIN hold AS h USING (book_id, batch_id, position)
    LEFT JOIN sweep AS w USING (book_id, batch_id, position)
    LEFT JOIN hold_use AS u USING (book_id, batch_id, position)
    LEFT JOIN reversal AS v USING (book_id, batch_id, position)
    WHERE t.book_id = $1
    ORDER BY s.first_place + t.position NULLS LAST, t.batch_id, t.position
"""


@dataclass(slots=True)
class Transfer:
    """A transfer with all that lies beside it."""

    batch_id: int
    position: int
    id: str
    debit: int
    credit: int
    asset: int
    amount: int
    reason: int
    effective_at: int
    message_place: int
    recorded_at: int
    place: int | None
    reference: str | None
    expires_at: int | None
    sweep_asked: int | None
    hold_id: str | None
    nth: int | None
    used: int | None
    use_asked: int | None
    ends: int | None
    reversed_id: str | None
    leaf_hash: bytes


@dataclass(slots=True)
class Account:
    """An account with what became of it; limits by the transaction from which on they are in force."""

    id: int
    code: str
    asset: int
    opened: int
    limits: list[tuple[int, int | None, int | None]]
    closed: int | None


@dataclass(slots=True)
class Message:
    """A message that was kept, with its answer."""

    transaction_id: int
    place: int
    key: str
    operation: str
    hash: bytes
    body: bytes
    refused: bool
    answer: bytes

    @property
    def input(self) -> dict[str, Any]:
        """Return what was asked."""
        read: dict[str, Any] = json.loads(self.body)["input"]
        return read


@dataclass(slots=True)
class Facts:
    """Everything that the auditor looks at."""

    book: int
    assets: dict[int, str]
    accounts: dict[int, Account]
    transfers: list[Transfer]
    messages: dict[str, Message]
    checkpoints: list[str]
    batches: dict[int, int]
    """How many transfers each batch says it has."""


async def load(url: str) -> Facts:
    """Read the facts in one snapshot."""
    connection = await asyncpg.connect(url, server_settings={"search_path": "tallystick"})
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await _load(connection)
    finally:
        await connection.close()


async def _load(connection: asyncpg.Connection) -> Facts:
    book = await connection.fetchval("SELECT book_id FROM book WHERE name = 'main'")
    assets = await connection.fetch("SELECT asset_id, code FROM asset WHERE book_id = $1", book)
    batches = await connection.fetch("SELECT batch_id, transfers FROM batch WHERE book_id = $1", book)
    notes = await connection.fetch("SELECT note FROM checkpoint WHERE book_id = $1 ORDER BY size", book)
    messages = await connection.fetch(
        "SELECT transaction_id, place, key, operation, hash, body, refused, answer FROM message WHERE book_id = $1",
        book,
    )
    return Facts(
        book,
        {row[0]: row[1] for row in assets},
        await _load_accounts(connection, book),
        [_transfer(row) for row in await connection.fetch(_TRANSFERS, book)],
        {row["key"]: Message(*row) for row in messages},
        [row[0] for row in notes],
        {row[0]: row[1] for row in batches},
    )


async def _load_accounts(connection: asyncpg.Connection, book: int) -> dict[int, Account]:
    rows = await connection.fetch(
        "SELECT account_id, code, asset_id, transaction_id, min_balance, max_balance FROM account WHERE book_id = $1",
        book,
    )
    found = {row[0]: Account(row[0], row[1], row[2], row[3], [(row[3], row[4], row[5])], None) for row in rows}
    for account, *limit in await connection.fetch(
        "SELECT account_id, transaction_id, min_balance, max_balance FROM account_limit WHERE book_id = $1 "
        "ORDER BY transaction_id", book,
    ):  # fmt: skip
        found[account].limits.append((limit[0], limit[1], limit[2]))
    for account, closed in await connection.fetch(
        "SELECT account_id, transaction_id FROM account_closing WHERE book_id = $1", book
    ):
        found[account].closed = closed
    return found


def _transfer(row: asyncpg.Record) -> Transfer:
    values = dict(row)
    since = values["recorded_at"] - _EPOCH
    values["recorded_at"] = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    for name in ("hold_id", "reversed_id", "transfer_id"):
        values[name] = None if values[name] is None else str(uuid.UUID(bytes=values[name].bytes))
    return Transfer(
        id=values.pop("transfer_id"), debit=values.pop("debit_account_id"), credit=values.pop("credit_account_id"),
        asset=values.pop("asset_id"), **values,
    )  # fmt: skip
