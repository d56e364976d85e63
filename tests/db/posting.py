"""What the tests of the ledger share: a book with accounts, posted to and sealed without the operations around it."""

import datetime as dt
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import asyncpg
import numpy as np

from tallystick.db.queries import Connection
from tallystick.db.retry import RUN_AGAIN
from tallystick.ids import uuid7
from tallystick.journal.keep import ToKeep, keep
from tallystick.journal.model import Message, message
from tallystick.ledger.accounts import (
    NewAccount,
    Recorded,
    close_account,
    ensure_asset,
    limit_account,
    open_accounts,
)
from tallystick.ledger.books import Book, open_book
from tallystick.ledger.findings import Verification
from tallystick.ledger.log.note import Signer
from tallystick.ledger.model import Balance, Batch, Outcomes, Reason, Status, Transfers, transfers
from tallystick.ledger.post import post
from tallystick.ledger.reading.balance import find_balance
from tallystick.ledger.seal import Sealer, lead, seal
from tallystick.ledger.verify import verify

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
ORIGIN = "tests.example/main"
SIGNER = Signer.from_seed("tests.example", bytes(range(32)))
Result = TypeVar("Result")


@dataclass(slots=True)
class Ledgerful:
    """A book, its accounts by code, and a pool to reach it through."""

    pool: asyncpg.Pool
    book: Book
    accounts: dict[str, int] = field(default_factory=dict)
    at: dt.datetime = NOW
    """When what comes next is recorded."""

    async def transact(self, verb: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Run *verb* in a transaction, again when another one came between, as operations do."""
        for _ in range(100):
            try:
                async with self.pool.acquire() as connection, connection.transaction():
                    return await verb(connection)
            except RUN_AGAIN:
                continue
        raise AssertionError("a transaction did not come through in 100 tries")

    async def open(self, *wanted: NewAccount) -> None:
        """Open accounts."""

        async def verb(connection: Connection) -> None:
            for code in sorted({account.asset for account in wanted}):
                await ensure_asset(connection, self.book.book_id, code, 2)
            found = await open_accounts(connection, self.recorded, wanted)
            self.accounts.update({account.code: account.account_id for account in found})

        await self.transact(verb)

    def number(self, code: str) -> int:
        """Return an account's number; of a code that no account has one that is nobody's, and this code's alone."""
        return self.accounts.get(code) or -1 - sum(code.encode())

    async def close(self, code: str) -> None:
        """Close an account."""
        await self.transact(lambda connection: close_account(connection, self.recorded, code))

    async def limit(self, code: str, lowest: int | None, highest: int | None) -> None:
        """Give an account other limits."""
        await self.transact(lambda connection: limit_account(connection, self.recorded, code, lowest, highest))

    @property
    def recorded(self) -> Recorded:
        """Return what facts carry here."""
        return Recorded(self.book.book_id, 0, self.at)

    def batch(self, rows: Sequence[tuple[uuid.UUID, str, str, int]]) -> Transfers:
        """Make a batch of transfers: id, debit and credit account by code, amount."""
        made = transfers(len(rows))
        made["transfer_id"] = [row[0].bytes for row in rows]
        made["debit_account_id"] = [self.number(row[1]) for row in rows]
        made["credit_account_id"] = [self.number(row[2]) for row in rows]
        made["amount"] = [row[3] for row in rows]
        made["reason"] = Reason.TRANSFER
        return made

    async def post(self, batch: Transfers | Batch, *, group: bool = False) -> list[Status]:
        """Post a batch in a transaction of its own, with its message."""
        return as_statuses(await self.judge(batch, group=group))

    async def judge(self, batch: Transfers | Batch, *, group: bool = False) -> Outcomes:
        """Post a batch like `post`, and return all that is said of its transfers."""
        asked = message(self.book.name, f"batch-{uuid7()}", "ledger.transfers", {"transfers": len(batch)})

        async def verb(connection: Connection) -> Outcomes:
            return await judge_and_keep(connection, self.book, batch, asked, self.at, group=group)

        return await self.transact(verb)

    async def move(self, *rows: tuple[str, str, int]) -> list[Status]:
        """Post new transfers: debit and credit account by code, amount."""
        return await self.post(self.batch([(uuid7(), *row) for row in rows]))

    async def balance(self, code: str) -> int:
        """Return the balance of an account."""
        return (await self.find(code)).balance

    async def find(self, code: str) -> Balance:
        """Return all sums of an account."""
        async with self.pool.acquire() as connection:
            return await find_balance(connection, self.book.ledger, code)

    async def seal(self) -> int:
        """Seal all that is posted and return how many batches that were."""
        async with self.pool.acquire() as connection:
            sealer = await lead(connection, self.book.book_id, ORIGIN, [SIGNER])
            assert sealer is not None
            batches = await seal_all(connection, sealer)
            await connection.execute("SELECT pg_advisory_unlock_all()")
            return batches

    async def verify(self, origin: str = ORIGIN) -> Verification:
        """Verify the book in one snapshot."""
        async with (
            self.pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await verify(connection, self.book.book_id, [SIGNER.verifier], origin)


async def post_and_keep(
    connection: Connection, book: Book, batch: Transfers | Batch, asked: Message, *, group: bool = False
) -> list[Status]:
    """Post a batch and keep its message, in the transaction under way."""
    return as_statuses(await judge_and_keep(connection, book, batch, asked, group=group))


async def judge_and_keep(
    connection: Connection, book: Book, batch: Transfers | Batch, asked: Message, at: dt.datetime = NOW, *,
    group: bool = False,
) -> Outcomes:  # fmt: skip
    """Post a batch and keep its message like `post_and_keep`, and return all that is said of its transfers."""
    hashes = np.frombuffer(asked.hash, "V32")
    recorded = Recorded(book.book_id, 0, at)
    whole = batch if isinstance(batch, Batch) else Batch(batch)
    outcomes = await post(connection, book.ledger, whole, recorded, hashes, group=group)
    await keep(connection, book.book_id, [ToKeep(0, asked, "tests", refused=False, answer=b"{}")], at)
    return outcomes


def as_statuses(outcomes: Outcomes) -> list[Status]:
    """Return the statuses by name."""
    return [Status(status) for status in outcomes.statuses.tolist()]


async def seal_all(connection: Connection, sealer: Sealer) -> int:
    """Seal round after round until nothing is left; return how many batches that were."""
    batches = 0
    while True:
        async with connection.transaction():
            done = await seal(connection, sealer, NOW)
        if done is None:
            return batches
        batches += done[0].batches
        sealer = done[1]


async def open_ledger(pool: asyncpg.Pool, *codes: str, name: str = "main") -> Ledgerful:
    """Open a book with unlimited accounts in USD."""
    async with pool.acquire() as connection:
        opened = Ledgerful(pool, await open_book(connection, name, NOW))
    if codes:
        await opened.open(*(NewAccount(code, "USD") for code in codes))
    return opened
