"""Keys and values in PostgreSQL: they pass the suite for every store, and what has expired is swept."""

import asyncio
import contextlib
import datetime as dt
import uuid
from dataclasses import replace

import asyncpg
import pytest
from structlog.testing import capture_logs

from tallystick.clock import FixedClock
from tallystick.db.connect import StoreUnreachable, open_pool
from tallystick.keyvalue.in_postgres import KeyValueInPostgres
from tallystick.keyvalue.model import KeyValue
from tallystick.operations.run import Operations
from tallystick.operations.work_keyvalue import work_keyvalue
from tallystick.payments.sessions import Session, end_session, find_session, keep_session
from tests.conformance.keyvalue_suite import MINUTE, KeptStore, KeyValueSuite

NOW = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def store(pool: asyncpg.Pool) -> KeyValueInPostgres:
    """Return an empty store whose clock stands."""
    return KeyValueInPostgres(pool, FixedClock(NOW))


class TestInPostgres(KeyValueSuite):
    """The suite, on PostgreSQL."""

    @pytest.fixture
    def kept(self, pool: asyncpg.Pool) -> KeptStore:
        """Return an empty store with its clock."""
        clock = FixedClock(NOW)
        return KeptStore(KeyValueInPostgres(pool, clock), clock)


async def count(pool: asyncpg.Pool) -> int:
    """Return how many rows there are."""
    return int(await pool.fetchval("SELECT count(*) FROM kept_value"))


async def test_those_who_write_many_never_wait_in_a_circle(store: KeyValueInPostgres) -> None:
    """The same keys put in any order at once: each call does all of it, and the last one's values are there."""
    keys = [f"k{number}" for number in range(200)]
    for _ in range(3):
        await asyncio.gather(
            *(
                store.put_many("b", dict.fromkeys(order, order[0].encode()), None)
                for order in (keys, keys[::-1], keys, keys[::-1])
            )
        )
        assert len({entry.value for entry in (await store.get_many("b", keys)).values()}) == 1


async def test_what_has_expired_is_swept_in_bites(store: KeyValueInPostgres, pool: asyncpg.Pool) -> None:
    """No bite is larger than asked for, the oldest goes first, and what is alive stays."""
    await store.put_many("b", {f"k{number}": b"" for number in range(10)}, MINUTE)
    await store.put_many("b", {f"l{number}": b"" for number in range(10)}, 2 * MINUTE)
    await store.put_many("b", {"for ever": b""}, None)
    assert await store.sweep(100) == 0
    later = replace(store, clock=FixedClock(NOW + 2 * MINUTE))
    assert [await later.sweep(8) for _ in range(4)] == [8, 8, 4, 0]
    assert await count(pool) == 1


async def test_a_worker_sweeps(store: KeyValueInPostgres, pool: asyncpg.Pool) -> None:
    """More than a bite is swept bite by bite, without anybody asking."""
    await store.put_many("b", {f"k{number}": b"" for number in range(2500)}, MINUTE)
    operations = Operations(pool, FixedClock(NOW), {})
    operations.resources[KeyValue] = replace(store, clock=FixedClock(NOW + MINUTE))
    task = asyncio.create_task(work_keyvalue(operations))
    try:
        async with asyncio.timeout(30):
            while True:
                if not await count(pool):
                    break
                await asyncio.sleep(0.02)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert await count(pool) == 0


async def test_a_value_outside_of_any_transaction_stays(store: KeyValueInPostgres, owner: asyncpg.Connection) -> None:
    """What is put while somebody's transaction is open is there whatever becomes of that."""
    with contextlib.suppress(ZeroDivisionError):
        async with owner.transaction():
            await store.put("b", "k", b"1", None)
            raise ZeroDivisionError
    assert await store.get("b", "k") is not None


async def test_a_store_that_is_away_is_told(database_url: str) -> None:
    """Every call says in our words that the store cannot be reached; none says that it did something."""
    pool = await open_pool(database_url)
    store = KeyValueInPostgres(pool, FixedClock(NOW))
    await pool.close()
    for calling in (
        store.get("b", "k"), store.put("b", "k", b"", None), store.create("b", "k", b"", None),
        store.compare_and_set("b", "k", 1, b"", None), store.delete("b", "k"), store.sweep(1),
    ):  # fmt: skip
        with pytest.raises(StoreUnreachable):
            await calling


SESSION = Session(uuid.UUID(int=7), "ada@example.com", 1200, "USD", "sandbox", "token-1", "https://example.com/3ds")


async def test_a_session_waits_for_its_customer_and_no_longer(store: KeyValueInPostgres) -> None:
    """It is found by the provider's transaction until its time is over, in its own book and provider only."""
    await keep_session(store, "main", "tx-1", SESSION, 30 * MINUTE)
    assert await find_session(store, "main", "sandbox", "tx-1") == SESSION
    assert await find_session(store, "other", "sandbox", "tx-1") is None
    assert await find_session(store, "main", "stripe", "tx-1") is None
    assert await find_session(replace(store, clock=FixedClock(NOW + 30 * MINUTE)), "main", "sandbox", "tx-1") is None
    await end_session(store, "main", "sandbox", "tx-1")
    assert await find_session(store, "main", "sandbox", "tx-1") is None


async def test_a_payment_goes_on_without_its_session(database_url: str) -> None:
    """A store that is away, an id that is no key, a session that nobody can read: told without anybody's data, never raised."""
    pool = await open_pool(database_url)
    store = KeyValueInPostgres(pool, FixedClock(NOW))
    await store.put("payment sessions/main/sandbox", "old", b'{"version": 0}', MINUTE)
    with capture_logs() as logs:
        assert await find_session(store, "main", "sandbox", "old") is None
        await keep_session(store, "main", "a\nb", SESSION, MINUTE)
        assert await find_session(store, "main", "sandbox", "a\nb") is None
        await pool.close()
        await keep_session(store, "main", "tx-1", SESSION, MINUTE)
        assert await find_session(store, "main", "sandbox", "tx-1") is None
        await end_session(store, "main", "sandbox", "tx-1")
    assert [log["code"] for log in logs] == [
        "unreadable", *["keyvalue.key_not_acceptable"] * 2, *["store.unreachable"] * 3,
    ]  # fmt: skip
    assert "ada@" not in str(logs)
    assert "token" not in str(logs)


def test_a_session_does_not_print_who_pays() -> None:
    """What is printed may end in a log: neither the customer nor what lets somebody pay is in it."""
    assert repr(SESSION) == "Session(payment_id='00000000-0000-0000-0000-000000000007', provider='sandbox')"
