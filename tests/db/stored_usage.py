"""Usage rows written as the store keeps them, for tests of what reads them."""

import datetime as dt
import itertools
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Row:
    """An event as the store keeps it."""

    customer: str
    at: str
    quantities: Mapping[str, int | str] = field(default_factory=dict)
    dimensions: Mapping[str, str] = field(default_factory=dict)
    type: str = "http.request"


@dataclass(slots=True)
class StoredUsage:
    """The usage of a book, with all that was done to it."""

    connection: asyncpg.Connection
    book_id: int = 1
    rows: dict[uuid.UUID, Row] = field(default_factory=dict)
    """What is in force, by key."""

    async def put(self, *rows: Row) -> list[uuid.UUID]:
        """Store events in one transaction and return their keys."""
        keys = [uuid.UUID(int=next(_numbers) * 0x9E3779B97F4A7C15 % 2**128) for _ in rows]
        async with self.connection.transaction():
            await self._leave_message()
            customers = await self._customers({row.customer for row in rows})
            await self.connection.executemany(
                "INSERT INTO usage_key (book_id, event_key, customer_id, occurred_at) VALUES ($1, $2, $3, $4)",
                [
                    (self.book_id, key, customers[row.customer], _instant(row.at))
                    for key, row in zip(keys, rows, strict=True)
                ],
            )
            await self._append(list(zip(keys, rows, strict=True)), 1, 0)
        self.rows.update(zip(keys, rows, strict=True))
        return keys

    async def void(self, key: uuid.UUID) -> None:
        """Take an event back."""
        async with self.connection.transaction():
            await self._leave_message()
            await self._correct(key, "void")
            await self._append([(key, self.rows[key])], -1, 0)
        del self.rows[key]

    async def amend(self, key: uuid.UUID, row: Row) -> None:
        """Put other numbers in the place of an event's."""
        async with self.connection.transaction():
            await self._leave_message()
            await self._correct(key, "amend")
            await self._append([(key, self.rows[key])], -1, 0)
            await self._append([(key, row)], 1, 0)
        self.rows[key] = row

    async def customer_ids(self) -> dict[str, int]:
        """Return the customers' ids by name."""
        found = await self.connection.fetch("SELECT ref, customer_id FROM customer WHERE book_id = $1", self.book_id)
        return {row[0]: row[1] for row in found}

    async def horizon(self) -> int:
        """Return the order below which everything has ended."""
        value: int = await self.connection.fetchval("SELECT settled_horizon()")
        return value

    async def _leave_message(self) -> None:
        """Keep a message, as whatever stores usage does."""
        await self.connection.execute(
            "INSERT INTO message (book_id, transaction_id, place, key, operation, principal, hash, body, refused, answer, "
            "recorded_at) VALUES ($1, transaction_order(), 0, $2, 'usage.record', 'test', sha256(''), '', false, '', now())",
            self.book_id,
            f"stored {next(_numbers)}",
        )

    async def _customers(self, names: set[str]) -> dict[str, int]:
        await self.connection.execute(
            "INSERT INTO customer (book_id, customer_id, ref, transaction_id, created_at) "
            "SELECT $1, nextval('customer_number'), ref, transaction_order(), now() FROM unnest($2::text[]) AS ref "
            "ON CONFLICT DO NOTHING",
            self.book_id,
            sorted(names),
        )
        return await self.customer_ids()

    async def _correct(self, key: uuid.UUID, kind: str) -> None:
        await self.connection.execute(
            "INSERT INTO usage_correction (book_id, event_key, transaction_id, message_place, kind, reason, corrected_at) "
            "VALUES ($1, $2, transaction_order(), 0, $3, 'because', now())",
            self.book_id,
            key,
            kind,
        )

    async def _append(self, rows: Sequence[tuple[uuid.UUID, Row]], sign: int, place: int) -> None:
        customers = await self.customer_ids()
        months = {_instant(row.at).date().replace(day=1) for _, row in rows}
        await self.connection.execute("SELECT ensure_usage_months($1, $2)", self.book_id, sorted(months))
        await self.connection.executemany(
            "INSERT INTO usage_event (book_id, event_key, customer_id, occurred_at, type, quantities, dimensions, sign, "
            "transaction_id, message_place, source, event_id) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, transaction_order(), $9, 'test', 'event')",
            [
                (
                    self.book_id, key, customers[row.customer], _instant(row.at), row.type, json.dumps(row.quantities),
                    json.dumps(row.dimensions) if row.dimensions else None, sign, place,
                )
                for key, row in rows
            ],
        )  # fmt: skip


def _instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).astimezone(dt.UTC)
