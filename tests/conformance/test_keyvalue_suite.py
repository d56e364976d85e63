"""The suite for stores of keys and values is right: another store passes it, and none that is wrong does."""

import asyncio
import datetime as dt
import inspect
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pytest

from tallystick.clock import FixedClock
from tallystick.keyvalue.check import end_of, require_names, require_values
from tallystick.keyvalue.model import Entry
from tests.conformance.keyvalue_suite import KeptStore, KeyValueSuite

NOW = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
Place = tuple[str, str]


@dataclass
class InMemory:
    """A `KeyValue` that lasts as long as its process."""

    clock: FixedClock
    kept: dict[Place, tuple[Entry, dt.datetime | None]] = field(default_factory=dict)
    revision: int = 0

    async def get(self, bucket: str, key: str) -> Entry | None:
        """Return what is under the key."""
        return (await self.get_many(bucket, [key])).get(key)

    async def get_many(self, bucket: str, keys: Collection[str]) -> dict[str, Entry]:
        """Return what is under those of the keys that have something."""
        require_names(bucket, keys)
        found = {key: self.alive(bucket, key) for key in keys}
        return {key: entry for key, entry in found.items() if entry is not None}

    async def put(self, bucket: str, key: str, value: bytes, lifetime: dt.timedelta | None) -> int:
        """Keep the value."""
        return (await self.put_many(bucket, {key: value}, lifetime))[key]

    async def put_many(self, bucket: str, values: Mapping[str, bytes], lifetime: dt.timedelta | None) -> dict[str, int]:
        """Keep the values."""
        require_names(bucket, values)
        require_values(values.values())
        end_of(lifetime, self.clock.now())
        return {key: self.write(bucket, key, value, lifetime) for key, value in values.items()}

    async def create(self, bucket: str, key: str, value: bytes, lifetime: dt.timedelta | None) -> int | None:
        """Keep the value if there is none."""
        require_names(bucket, [key])
        require_values([value])
        end_of(lifetime, self.clock.now())
        there = self.alive(bucket, key)
        await self.between()
        return self.write(bucket, key, value, lifetime) if there is None else None

    async def compare_and_set(
        self, bucket: str, key: str, revision: int, value: bytes, lifetime: dt.timedelta | None
    ) -> int | None:
        """Keep the value if the one there has that revision."""
        require_names(bucket, [key])
        require_values([value])
        end_of(lifetime, self.clock.now())
        there = self.alive(bucket, key)
        await self.between()
        same = there is not None and there.revision == revision
        return self.write(bucket, key, value, lifetime) if same else None

    async def delete(self, bucket: str, key: str, revision: int | None = None) -> bool:
        """Delete what is under the key."""
        require_names(bucket, [key])
        there = self.alive(bucket, key)
        if there is None or revision not in {None, there.revision}:
            return False
        del self.kept[self.place(bucket, key)]
        return True

    def place(self, bucket: str, key: str) -> Place:
        """Say under what a key of a bucket is kept."""
        return bucket, key

    def alive(self, bucket: str, key: str) -> Entry | None:
        """Return what is there and has not expired."""
        entry, expires_at = self.kept.get(self.place(bucket, key), (None, None))
        return None if self.is_over(expires_at) else entry

    def is_over(self, expires_at: dt.datetime | None) -> bool:
        """Say whether something has expired."""
        return expires_at is not None and expires_at <= self.clock.now()

    def write(self, bucket: str, key: str, value: bytes, lifetime: dt.timedelta | None) -> int:
        """Keep a value."""
        self.revision = self.next_revision(bucket, key)
        entry = Entry(value, self.revision)
        self.kept[self.place(bucket, key)] = entry, end_of(lifetime, self.clock.now())
        return self.revision

    def next_revision(self, bucket: str, key: str) -> int:
        """Make up a revision."""
        del bucket, key
        return self.revision + 1

    async def between(self) -> None:
        """Let nobody in between looking and writing."""


class TestInMemory(KeyValueSuite):
    """The suite, on a store that has nothing in common with PostgreSQL."""

    @pytest.fixture
    def kept(self) -> KeptStore:
        """Return an empty store with its clock."""
        clock = FixedClock(NOW)
        return KeptStore(InMemory(clock), clock)


class NeverExpires(InMemory):
    """Keeps for ever."""

    def is_over(self, expires_at: dt.datetime | None) -> bool:
        """Say no."""
        del expires_at
        return False


class ExpiresTooLate(InMemory):
    """Is an instant late."""

    def is_over(self, expires_at: dt.datetime | None) -> bool:
        """Say whether it expired before now."""
        return expires_at is not None and expires_at < self.clock.now()


class CountsForEachKey(InMemory):
    """Counts writings of a key from one again when it was deleted or has expired."""

    def next_revision(self, bucket: str, key: str) -> int:
        """Count on from what is there."""
        there = self.alive(bucket, key)
        return 1 if there is None else there.revision + 1


class GluesNames(InMemory):
    """Keeps bucket and key under one name."""

    def place(self, bucket: str, key: str) -> Place:
        """Put them together."""
        return f"{bucket}/{key}", ""


class LooksAndThenWrites(InMemory):
    """Lets others in between looking and writing."""

    async def between(self) -> None:
        """Let whoever waits go first."""
        await asyncio.sleep(0)


class DeletesAnyRevision(InMemory):
    """Deletes whatever is there."""

    async def delete(self, bucket: str, key: str, revision: int | None = None) -> bool:
        """Delete, without comparing."""
        del revision
        return await super().delete(bucket, key)


class CreatesOverOthers(InMemory):
    """Takes the place of what is there."""

    async def create(self, bucket: str, key: str, value: bytes, lifetime: dt.timedelta | None) -> int | None:
        """Put."""
        return await self.put(bucket, key, value, lifetime)


class SetsForEver(InMemory):
    """Forgets the lifetime of what is set."""

    async def compare_and_set(
        self, bucket: str, key: str, revision: int, value: bytes, lifetime: dt.timedelta | None
    ) -> int | None:
        """Set, for ever."""
        end_of(lifetime, self.clock.now())
        return await super().compare_and_set(bucket, key, revision, value, None)


class TakesAnything(InMemory):
    """Keeps values of any size."""

    async def put(self, bucket: str, key: str, value: bytes, lifetime: dt.timedelta | None) -> int:
        """Keep, without looking."""
        return self.write(bucket, key, value, lifetime)


WRONG = [
    NeverExpires, ExpiresTooLate, CountsForEachKey, GluesNames, LooksAndThenWrites, DeletesAnyRevision,
    CreatesOverOthers, SetsForEver, TakesAnything,
]  # fmt: skip


async def failures(make: type[InMemory]) -> list[str]:
    """Return the promises that a store breaks, of those that need nothing but a store."""
    broken = []
    for name, test in inspect.getmembers(KeyValueSuite(), inspect.iscoroutinefunction):
        clock = FixedClock(NOW)
        if list(inspect.signature(test).parameters) == ["kept"]:
            try:
                async with asyncio.timeout(20):
                    await test(KeptStore(make(clock), clock))
            except (AssertionError, pytest.fail.Exception):
                broken.append(name)
    return broken


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: str(wrong.__name__))
async def test_the_suite_finds_a_store_that_is_wrong(wrong: type[InMemory]) -> None:
    """Each way to be wrong breaks a promise, and the store that they are made of breaks none."""
    assert await failures(InMemory) == []
    assert await failures(wrong) != []
