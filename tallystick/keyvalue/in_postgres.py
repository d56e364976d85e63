"""Keys and values in PostgreSQL: each call is one statement, committed by itself."""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import cast

import asyncpg

from tallystick.clock import Clock
from tallystick.db.connect import faults_told
from tallystick.db.queries import queries_beside
from tallystick.keyvalue.check import end_of, require_names, require_values
from tallystick.keyvalue.model import Entry

_queries = queries_beside(__file__)
_get_many = _queries.tuples("get_many")
_put_many = _queries.tuples("put_many")
_create = _queries.value("create")
_compare_and_set = _queries.value("compare_and_set")
_delete = _queries.value("delete")
_sweep = _queries.run("sweep")


@dataclass(frozen=True, slots=True)
class KeyValueInPostgres:
    """A `KeyValue` in the table ``kept_value``, over a pool's connections."""

    pool: asyncpg.Pool
    clock: Clock

    async def get(self, bucket: str, key: str) -> Entry | None:
        """Return what is under the key, None if there is nothing."""
        return (await self.get_many(bucket, [key])).get(key)

    async def get_many(self, bucket: str, keys: Collection[str]) -> dict[str, Entry]:
        """Return what is under those of the keys that have something."""
        require_names(bucket, keys)
        with faults_told():
            async with self.pool.acquire() as connection:
                found = await _get_many(connection, bucket, list(keys), self.clock.now())
        return {key: Entry(value, revision) for key, value, revision in found}

    async def put(self, bucket: str, key: str, value: bytes, lifetime: dt.timedelta | None) -> int:
        """Keep the value whatever was there, and return its revision; its lifetime begins now."""
        return (await self.put_many(bucket, {key: value}, lifetime))[key]

    async def put_many(self, bucket: str, values: Mapping[str, bytes], lifetime: dt.timedelta | None) -> dict[str, int]:
        """Keep the values whatever was there, all of them or none, and return the revision of each."""
        expires_at = self._check(bucket, values, lifetime)
        with faults_told():
            async with self.pool.acquire() as connection:
                kept = await _put_many(connection, bucket, list(values), list(values.values()), expires_at)
        return dict(cast("list[tuple[str, int]]", kept))

    async def create(self, bucket: str, key: str, value: bytes, lifetime: dt.timedelta | None) -> int | None:
        """Keep the value if there is none, and return its revision; None if there is. Of many at once one succeeds."""
        expires_at = self._check(bucket, {key: value}, lifetime)
        with faults_told():
            async with self.pool.acquire() as connection:
                revision: int | None = await _create(connection, bucket, key, value, expires_at, self.clock.now())
        return revision

    async def compare_and_set(
        self, bucket: str, key: str, revision: int, value: bytes, lifetime: dt.timedelta | None
    ) -> int | None:
        """Keep the value if the one there has that revision, and return the new one; None if not. Of many at once one succeeds."""
        expires_at = self._check(bucket, {key: value}, lifetime)
        with faults_told():
            async with self.pool.acquire() as connection:
                made: int | None = await _compare_and_set(
                    connection, bucket, key, revision, value, expires_at, self.clock.now()
                )
        return made

    async def delete(self, bucket: str, key: str, revision: int | None = None) -> bool:
        """Delete what is under the key, with *revision* only if it has that one; return whether something was there."""
        require_names(bucket, [key])
        with faults_told():
            async with self.pool.acquire() as connection:
                return bool(await _delete(connection, bucket, key, revision, self.clock.now()))

    async def sweep(self, most: int) -> int:
        """Delete the rows of up to *most* values that have expired, those of longest ago first, and return how many."""
        with faults_told():
            async with self.pool.acquire() as connection:
                return await _sweep(connection, self.clock.now(), most)

    def _check(self, bucket: str, values: Mapping[str, bytes], lifetime: dt.timedelta | None) -> dt.datetime | None:
        """Return when the values expire, if all is as it must be."""
        require_names(bucket, values)
        require_values(values.values())
        return end_of(lifetime, self.clock.now())
