"""Queues: what is enqueued is taken once, in order, and is held until it is let go or the holder is gone."""

import asyncio
import datetime as dt
from collections.abc import Sequence

import asyncpg
import pytest
import pytest_asyncio

from tallystick.queues.back_off import LONGEST, wait_after
from tallystick.queues.claim import (
    claim,
    extend,
    find_next_due,
    find_waiting,
    give_back,
    let_go,
    release_all,
)
from tallystick.queues.enqueue import enqueue, finish, hasten, postpone
from tallystick.queues.list_queues import QueueState
from tallystick.queues.model import Job, LetGo, NewJob
from tests.conftest import House

NOW = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
QUEUES = ["payments", "refunds"]


def new(key: str, priority: int = 1, after: dt.timedelta = dt.timedelta(), queue: str = "payments") -> NewJob:
    """Make a job that is due *after* now."""
    return NewJob(queue, key, priority, NOW + after)


@pytest_asyncio.fixture
async def book_id(house: House) -> int:
    """Return the id of the book ``main``."""
    return int(await house.operations.pool.fetchval("SELECT book_id FROM book"))


async def put(pool: asyncpg.Pool, book_id: int, *jobs: NewJob) -> None:
    """Enqueue in a transaction of its own."""
    async with pool.acquire() as connection:
        await enqueue(connection, book_id, jobs)


async def take(pool: asyncpg.Pool, worker: str = "ada", at: dt.datetime = NOW, most: int = 64) -> list[Job]:
    """Claim from both queues."""
    async with pool.acquire() as connection:
        return await claim(connection, worker, QUEUES, at, most)


def keys(jobs: Sequence[Job]) -> list[str]:
    """Return what jobs are about."""
    return [job.key for job in jobs]


async def drop(
    pool: asyncpg.Pool, *jobs: Job, worker: str = "ada", after: dt.timedelta = SECOND
) -> list[tuple[bool, bool]]:
    """Let jobs go as the worker does whose handler came back."""
    async with pool.acquire() as connection:
        return list(await let_go(connection, worker, [LetGo(job, NOW + after) for job in jobs], NOW))


async def lapse(owner: asyncpg.Connection) -> None:
    """Let the time of every lease be over."""
    await owner.execute("UPDATE job SET leased_until = clock_timestamp() WHERE worker IS NOT NULL")


async def test_what_is_due_is_taken_by_priority_and_then_by_age(pool: asyncpg.Pool, book_id: int) -> None:
    """The highest priority goes first whatever its queue, then what has been due the longest; what is not due stays."""
    await put(
        pool, book_id, new("young", 1, -SECOND), new("old", 1, -9 * SECOND), new("later", 0, SECOND),
        new("refund", 0, -SECOND, "refunds"), new("last", 9, -60 * SECOND),
    )  # fmt: skip
    assert keys(await take(pool, most=2)) == ["refund", "old"]
    assert keys(await take(pool)) == ["young", "last"]
    assert keys(await take(pool, at=NOW + SECOND)) == ["later"]


async def test_a_job_is_told_whole(pool: asyncpg.Pool, book_id: int) -> None:
    """Who takes a job learns whose it is, since when it was due, and how often it was taken."""
    await put(pool, book_id, new("a", 3, -SECOND))
    assert await take(pool) == [Job("main", book_id, "payments", "a", 3, 1, NOW - SECOND)]


async def test_two_workers_never_hold_one_job(pool: asyncpg.Pool, book_id: int) -> None:
    """However many take at once, each job goes to one of them."""
    await put(pool, book_id, *(new(str(number)) for number in range(200)))
    taken = await asyncio.gather(*(take(pool, f"worker {number}", most=30) for number in range(10)))
    more = [keys(await take(pool, "last", most=200))]
    assert sorted(key for jobs in [*map(keys, taken), *more] for key in jobs) == sorted(map(str, range(200)))


async def test_a_claim_does_not_wait_for_whoever_changes_a_job(
    pool: asyncpg.Pool, book_id: int, owner: asyncpg.Connection
) -> None:
    """A job in somebody's open transaction is left for later, and the others are taken."""
    await put(pool, book_id, new("a", 0), new("b"))
    async with owner.transaction():
        await postpone(owner, book_id, "payments", ["a"], NOW)
        assert keys(await take(pool)) == ["b"]
    assert keys(await take(pool)) == ["a"]


async def test_what_is_not_committed_is_not_taken(pool: asyncpg.Pool, book_id: int, owner: asyncpg.Connection) -> None:
    """A job comes and goes with the transaction that wanted it."""
    transaction = owner.transaction()
    await transaction.start()
    await enqueue(owner, book_id, [new("a")])
    assert await take(pool) == []
    await transaction.rollback()
    assert await take(pool) == []


async def test_a_lease_ends_by_itself_and_is_kept_by_signs_of_life(
    pool: asyncpg.Pool, book_id: int, owner: asyncpg.Connection
) -> None:
    """What nobody extends is anybody's when its lease is over; what is extended is not, and one who lost a job keeps nothing."""
    await put(pool, book_id, new("a"), new("b"))
    jobs = await take(pool)
    assert await take(pool, "bob") == []
    await lapse(owner)
    async with pool.acquire() as connection:
        assert await extend(connection, "ada", jobs[:1]) == 1
    other = await take(pool, "bob")
    assert (keys(other), other[0].attempts) == (["b"], 2)
    async with pool.acquire() as connection:
        assert await extend(connection, "ada", jobs) == 1
    assert await drop(pool, *jobs) == [(False, False), (False, False)]
    assert keys(await take(pool, "eve", NOW + SECOND)) == ["a"]  # b is still bob's


async def test_a_lease_is_by_the_clock_of_the_database(pool: asyncpg.Pool, book_id: int) -> None:
    """Moving the clock of the books far ahead takes a job from nobody."""
    await put(pool, book_id, new("a"))
    await take(pool)
    assert await take(pool, "bob", NOW + dt.timedelta(days=300)) == []


async def test_who_was_taken_often_is_held_longer(pool: asyncpg.Pool, book_id: int, owner: asyncpg.Connection) -> None:
    """A job that ends each process that takes it does so more and more rarely."""
    await put(pool, book_id, new("a"))
    holds = []
    for _ in range(12):
        await take(pool)
        holds.append(await owner.fetchval("SELECT extract(epoch FROM leased_until - clock_timestamp())::int FROM job"))
        await lapse(owner)
    assert holds == [5, 5, 5, 8, 16, 32, 64, 128, 256, 512, 900, 900]


async def test_one_key_has_one_job(pool: asyncpg.Pool, book_id: int) -> None:
    """Enqueued again, a job has the new priority and time and has never failed; of several at once the last counts."""
    await put(pool, book_id, new("a", 5, SECOND), new("a", 4, SECOND))
    await put(pool, book_id, new("a", 2, -SECOND))
    assert [(job.priority, job.due_at, job.attempts) for job in await take(pool)] == [(2, NOW - SECOND, 1)]


async def test_what_is_asked_for_while_it_is_held_is_done_again(pool: asyncpg.Pool, book_id: int) -> None:
    """A wake-up that comes while somebody works stays theirs, survives their postponing, and is done once more."""
    await put(pool, book_id, new("a"), new("b"), new("c"))
    jobs = await take(pool)
    await put(pool, book_id, new("a"))
    async with pool.acquire() as connection:
        assert await hasten(connection, book_id, "payments", ["b", "no such"], NOW) == 1
        await postpone(connection, book_id, "payments", ["a", "b", "c"], NOW + dt.timedelta(hours=1))
    assert await take(pool, "bob") == []
    assert await drop(pool, *sorted(jobs, key=lambda job: job.key)) == [(True, False), (True, False), (False, False)]
    assert sorted(keys(await take(pool, "bob"))) == ["a", "b"]


async def test_hastening_makes_no_job_and_delays_none(pool: asyncpg.Pool, book_id: int) -> None:
    """What was finished stays so, and what is due earlier stays earlier."""
    await put(pool, book_id, new("a", after=-SECOND), new("b", after=dt.timedelta(hours=1)))
    async with pool.acquire() as connection:
        assert await hasten(connection, book_id, "payments", ["a", "b", "c"], NOW) == 2
    assert [(job.key, job.due_at) for job in await take(pool)] == [("a", NOW - SECOND), ("b", NOW)]


async def test_what_is_finished_is_gone_and_what_is_postponed_waits(pool: asyncpg.Pool, book_id: int) -> None:
    """Both are in the transaction of whoever did the work; letting go afterwards changes neither."""
    await put(pool, book_id, new("a"), new("b"))
    jobs = await take(pool)
    async with pool.acquire() as connection:
        await finish(connection, book_id, "payments", ["a", "no such"])
        await postpone(connection, book_id, "payments", ["b", "no such"], NOW + 60 * SECOND)
    assert await drop(pool, *jobs) == [(False, False), (False, False)]
    assert await take(pool, at=NOW + 59 * SECOND) == []
    assert [(job.key, job.attempts) for job in await take(pool, at=NOW + 60 * SECOND)] == [("b", 1)]


async def test_a_job_that_is_left_as_it_was_waits(pool: asyncpg.Pool, book_id: int) -> None:
    """Whether its handler failed or had nothing to do, it is not taken again and again at once; each time counts."""
    await put(pool, book_id, new("a"))
    for attempt in (1, 2, 3):
        (job,) = await take(pool, at=NOW + SECOND)
        assert job.attempts == attempt
        assert await drop(pool, job) == [(False, False)]
        assert await take(pool) == []


async def test_a_job_whose_row_is_locked_is_let_go_later(
    pool: asyncpg.Pool, book_id: int, owner: asyncpg.Connection
) -> None:
    """Neither letting go nor a sign of life waits for somebody's open transaction: they say that the row is left."""
    await put(pool, book_id, new("a"), new("b"))
    jobs = sorted(await take(pool), key=lambda job: job.key)
    async with owner.transaction():
        await enqueue(owner, book_id, [new("a")])
        async with pool.acquire() as connection:
            assert await extend(connection, "ada", jobs) == 1
        assert await drop(pool, *jobs) == [(False, True), (False, False)]
    assert await drop(pool, jobs[0]) == [(True, False)]


async def test_what_is_given_back_is_anybodys_at_once(pool: asyncpg.Pool, book_id: int) -> None:
    """A worker that ends in good order keeps nobody waiting; who takes it next sees that somebody has begun it."""
    await put(pool, book_id, new("a"), new("b"))
    jobs = await take(pool)
    async with pool.acquire() as connection:
        await give_back(connection, "bob", jobs)
        assert await take(pool, "eve") == []
        await give_back(connection, "ada", jobs)
    assert [(job.key, job.attempts) for job in await take(pool, "eve")] == [("a", 2), ("b", 2)]


async def test_who_is_alone_takes_over_at_once(pool: asyncpg.Pool, book_id: int) -> None:
    """A process that has the store to itself waits for no lease of its dead predecessor."""
    await put(pool, book_id, new("a"))
    await take(pool)
    async with pool.acquire() as connection:
        await release_all(connection)
    assert [(job.key, job.attempts) for job in await take(pool, "bob")] == [("a", 2)]


async def test_hastening_hides_no_attempt(pool: asyncpg.Pool, book_id: int, owner: asyncpg.Connection) -> None:
    """A job whose worker died is seen to have been begun, even if somebody asks for it before the lease ends."""
    await put(pool, book_id, new("a"))
    await take(pool)
    async with pool.acquire() as connection:
        await hasten(connection, book_id, "payments", ["a"], NOW)
    await lapse(owner)
    assert [(job.key, job.attempts, job.due_at) for job in await take(pool, "bob")] == [("a", 2, NOW)]


async def test_what_is_next_and_what_waits_is_known(pool: asyncpg.Pool, book_id: int) -> None:
    """The next due time is that of the queues asked for; a job waits while it is due or held."""
    await put(pool, book_id, new("a", after=9 * SECOND), new("b", after=5 * SECOND, queue="refunds"), new("c"))
    async with pool.acquire() as connection:
        assert await find_next_due(connection, ["payments"], NOW) == NOW + 9 * SECOND
        assert await find_next_due(connection, QUEUES, NOW) == NOW + 5 * SECOND
        assert await find_next_due(connection, QUEUES, NOW + 9 * SECOND) is None
        asked = [("main", "payments", key) for key in "acd"] + [("other", "payments", "c"), ("main", "refunds", "b")]
        assert await find_waiting(connection, asked, NOW) == {("main", "payments", "c")}
        await claim(connection, "ada", QUEUES, NOW + 9 * SECOND, 9)
        assert await find_waiting(connection, asked, NOW) == {asked[0], asked[1], asked[4]}
        assert await find_waiting(connection, [], NOW) == set()


async def test_a_few_due_jobs_are_found_behind_many_that_are_not(
    pool: asyncpg.Pool, book_id: int, owner: asyncpg.Connection
) -> None:
    """Customers who have half an hour do not slow down what is due: the claim reads by the index, and little of it."""
    await owner.execute(
        "INSERT INTO job SELECT $1, 'payments', n::text, n % 2, $2::timestamptz + interval '1 hour' FROM generate_series(1, 20000) n",
        book_id, NOW,
    )  # fmt: skip
    await owner.execute("ANALYZE job")
    await put(pool, book_id, new("a", 4), new("b", 9, queue="refunds"))
    blocks = "SELECT idx_blks_hit + idx_blks_read + heap_blks_hit + heap_blks_read FROM pg_statio_user_tables WHERE relname = 'job'"
    async with pool.acquire() as connection:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        before = await connection.fetchval(blocks)
        assert keys(await claim(connection, "ada", QUEUES, NOW, 64)) == ["a", "b"]
        await connection.execute("SELECT pg_stat_force_next_flush()")
        assert await connection.fetchval(blocks) - before < 200


async def test_who_looks_after_the_server_sees_how_much_waits(house: House, pool: asyncpg.Pool, book_id: int) -> None:
    """By queue: what is due and since when, what is being worked on, what waits for its time, and what fails."""
    assert (await house.do("queues.list")).items == []
    now = house.operations.clock.now()
    hour = dt.timedelta(hours=1)
    await put(pool, book_id, *(NewJob("payments", key, 1, now - hour) for key in "abc"))
    await put(pool, book_id, NewJob("payments", "d", 1, now + hour), NewJob("refunds", "a", 1, now + hour))
    a, b, _ = sorted(await take(pool, at=now), key=lambda job: job.key)
    async with pool.acquire() as connection:
        await let_go(connection, "ada", [LetGo(a, now - hour / 2), LetGo(b, now + hour)], now)
    assert (await house.do("queues.list")).items == [
        QueueState("payments", due=1, held=1, later=2, failing=2, oldest_due=now - hour / 2),
        QueueState("refunds", due=0, held=0, later=1, failing=0, oldest_due=None),
    ]


@pytest.mark.parametrize("bad", [new("", 1), new("x" * 256, 1), new("a", 10), new("a", -1), new("a", 1, queue="")])
async def test_a_job_that_is_none_is_not_kept(pool: asyncpg.Pool, book_id: int, bad: NewJob) -> None:
    """The store itself refuses a key or queue without a name and a priority that is none."""
    with pytest.raises(asyncpg.CheckViolationError):
        await put(pool, book_id, bad)


def test_waits_double_up_to_a_quarter_of_an_hour() -> None:
    """A second, two, four, and so on; never more than fifteen minutes, however often."""
    assert [wait_after(attempts).total_seconds() for attempts in (0, 1, 2, 3, 10, 11, 1000)] == [
        1,
        1,
        2,
        4,
        512,
        900,
        900,
    ]
    assert wait_after(99) == LONGEST
