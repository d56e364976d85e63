"""The queues' workers: one job's trouble is no other's, and whatever dies, what it held is with another within seconds."""

import asyncio
import contextlib
import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest
from structlog.testing import capture_logs

from tallystick.clock import Clock, FixedClock, SystemClock
from tallystick.db.embedded import EmbeddedServer
from tallystick.db.queries import Connection
from tallystick.errors import Kind, TallystickError
from tallystick.operations import work_queues
from tallystick.operations.run import Operations
from tallystick.operations.work_queues import Handler, QueueWorker, take_over
from tallystick.queues import claim
from tallystick.queues.enqueue import enqueue, finish, hasten, postpone
from tallystick.queues.model import Job, NewJob, Outcome
from tests.conftest import House, url_of

SECONDS = 30
"""How long anything may take on a machine that is busy with other things."""


class Nope(TallystickError):
    """The customer {name} is not to be told of."""

    code = "test.nope"
    kind = Kind.UNAVAILABLE


@dataclass(slots=True)
class Doing:
    """A handler that notes what it is given; keys say how it goes with them, and what is done is finished."""

    taken: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    going_on: asyncio.Event = field(default_factory=asyncio.Event)
    """What is called ``slow…`` waits for it."""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def __call__(self, operations: Operations, jobs: Sequence[Job]) -> list[Outcome]:
        """Do each job; one that is called ``bad…`` takes them all down."""
        self.calls.append(len(jobs))
        self.taken += [job.key for job in jobs]
        self.at.append(time.monotonic())
        async with self.changed:
            self.changed.notify_all()
        for job in jobs:
            if job.key.startswith("bad"):
                raise ValueError(f"secret of {job.key}")
            if job.key.startswith("nope"):
                raise Nope(name="Ada")
        return list(await asyncio.gather(*(self._do(operations, job) for job in jobs)))

    async def _do(self, operations: Operations, job: Job) -> Outcome:
        if job.key.startswith("slow"):
            await self.going_on.wait()
        if not job.key.startswith("idle"):
            await operations.work(lambda connection: finish(connection, job.book_id, job.queue, [job.key]))
        self.done.append(job.key)
        async with self.changed:
            self.changed.notify_all()
        return Outcome(job)

    async def until(self, *keys: str) -> None:
        """Wait until these are done."""
        async with asyncio.timeout(SECONDS), self.changed:
            await self.changed.wait_for(lambda: set(keys) <= set(self.done))

    async def until_taken(self, key: str, times: int = 1) -> None:
        """Wait until it was taken so often."""
        async with asyncio.timeout(SECONDS), self.changed:
            await self.changed.wait_for(lambda: self.taken.count(key) >= times)


async def put(operations: Operations, *keys: str, queue: str = "payments", priority: int = 1, after: float = 0) -> None:
    """Enqueue what is due now, or *after* so many seconds."""
    due_at = operations.clock.now() + dt.timedelta(seconds=1) * after

    async def add(connection: Connection) -> None:
        book_id = await connection.fetchval("SELECT book_id FROM book")
        await enqueue(connection, book_id, [NewJob(queue, key, priority, due_at) for key in keys])

    await operations.work(add)


@contextlib.asynccontextmanager
async def working(house: House, handler: Handler, *more: str, clock: Clock | None = None) -> AsyncIterator[QueueWorker]:
    """Work the payments' queue off with a handler, and the queues *more* too."""
    operations = house.operations
    if clock is not None:
        operations = Operations(operations.pool, clock, operations.table)
    worker = QueueWorker(operations, dict.fromkeys(["payments", *more], handler))
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def shorten_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have leases last half a second, so that nobody waits long for their ends."""
    for module in (claim, work_queues):
        monkeypatch.setattr(module, "LEASE", dt.timedelta(seconds=0.5))
    monkeypatch.setattr(work_queues, "_HEARTBEAT", 0.1)
    monkeypatch.setattr(work_queues, "_POLL", 0.1)


async def until(look: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again until it is so; only for what happens in the store, which tells nobody."""
    async with asyncio.timeout(SECONDS):
        while True:
            if await look():
                return
            await asyncio.sleep(0.02)


async def is_so(house: House, question: str, *given: object) -> bool:
    """Ask the store something."""
    return bool(await house.operations.pool.fetchval(question, *given))


@contextlib.asynccontextmanager
async def outside(server: EmbeddedServer) -> AsyncIterator[asyncpg.Connection]:
    """Give a connection to another database of the server."""
    connection = await asyncpg.connect(url_of(server, "postgres"))
    try:
        yield connection
    finally:
        await connection.close()


async def rows(house: House, columns: str = "key") -> list[tuple[object, ...]]:
    """Return what is left in the queues."""
    return [tuple(row) for row in await house.operations.pool.fetch(f"SELECT {columns} FROM job ORDER BY key")]


async def test_what_is_enqueued_is_done_at_once(house: House) -> None:
    """A worker that is woken after the commit does the job in milliseconds, and says so to whoever waits for it."""
    doing = Doing()
    async with working(house, doing) as worker:
        await put(house.operations, "a")
        worker.wake()
        assert await worker.settled("main", "payments", "a", SECONDS)
        assert doing.done == ["a"]
        assert await rows(house) == []


async def test_what_nobody_tells_of_is_found_within_a_second(house: House) -> None:
    """Where another process enqueues, a worker finds it by itself; what falls due sooner is done when it does."""
    doing = Doing()
    async with working(house, doing):
        await put(house.operations, "now")
        await doing.until("now")
        due = time.monotonic() + 0.3
        await put(house.operations, "soon", after=0.3)
        await doing.until("soon")
    assert doing.at[-1] >= due - 0.05


async def test_many_are_taken_together(house: House) -> None:
    """A handler is given what is due in one call, up to its bound, so that it can read all of it at once."""
    doing = Doing()
    await put(house.operations, *(f"key {number}" for number in range(150)))
    async with working(house, doing):
        await doing.until(*(f"key {number}" for number in range(150)))
    assert doing.calls == [64, 64, 22]


async def test_one_jobs_fault_is_no_others(house: House) -> None:
    """A job that takes the handler down is tried by itself and backs off; those beside it get done, and other queues too."""
    doing = Doing()
    await put(house.operations, "bad", "good", "nope", "well")
    await put(house.operations, "refund", queue="refunds")
    with capture_logs() as logs:
        async with working(house, doing, "refunds") as worker:
            await doing.until("good", "well", "refund")
            assert await worker.settled("main", "payments", "bad", SECONDS)
            assert await worker.settled("main", "payments", "nope", SECONDS)
            await doing.until_taken("bad", 4)  # with the others, alone, and a second later
    assert [row[0] for row in await rows(house)] == ["bad", "nope"]
    told = [log for log in logs if log["event"] == "a job waits"]
    assert {(log["key"], log.get("code"), log.get("error")) for log in told} >= {
        ("bad", None, "ValueError"),
        ("nope", "test.nope", None),
    }
    assert all(log["log_level"] == ("error" if log["key"] == "bad" else "warning") for log in told)
    assert "secret" not in str(logs)
    assert "Ada" not in str(logs)


async def test_a_poisoned_job_backs_off(house: House) -> None:
    """What fails again and again is tried more and more rarely, by the clock of the books, and counts its attempts."""
    clock = FixedClock(SystemClock().now())
    doing = Doing()
    await put(house.operations, "bad", after=-60)
    waits = []
    async with working(house, doing, clock=clock) as worker:
        for attempt in range(1, 6):
            await doing.until_taken("bad", attempt)
            assert await worker.settled("main", "payments", "bad", SECONDS)
            ((attempts, due_at, holder),) = await rows(house, "attempts, due_at, worker")
            assert (attempts, holder) == (attempt, None)
            waits.append(round((due_at - clock.at).total_seconds()))  # type: ignore[operator]  # it is an instant
            clock.at = due_at  # type: ignore[assignment]  # it is an instant
            worker.wake()
    assert waits == [1, 2, 4, 8, 16]


async def test_a_job_that_its_handler_leaves_alone_is_not_taken_at_once_again(house: House) -> None:
    """A handler that finds nothing to do is asked again after a while, not in a circle."""
    doing = Doing()
    async with working(house, doing) as worker:
        await put(house.operations, "idle")
        worker.wake()
        assert await worker.settled("main", "payments", "idle", SECONDS)
        await put(house.operations, "a")
        worker.wake()
        await doing.until("a")
    assert doing.taken == ["idle", "a"]
    assert [row[1] for row in await rows(house, "key, worker")] == [None]


async def test_the_urgent_goes_first(house: House) -> None:
    """Of what is due, completions come before beginnings and those before refunds, whatever was enqueued first."""
    doing = Doing()
    await put(house.operations, "refund", queue="refunds", priority=2, after=-60)
    await put(house.operations, *(f"start {number}" for number in range(64)), after=-30)
    await put(house.operations, *(f"post {number}" for number in range(64)), priority=0)
    async with working(house, doing, "refunds"):
        await doing.until("refund", "start 0", "post 0")
    kinds = [key.partition(" ")[0] for key in doing.taken]
    assert kinds == ["post"] * 64 + ["start"] * 64 + ["refund"]


async def test_a_long_job_stays_with_its_worker(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life keep a job beyond its lease: no other worker takes it, however long it is worked on."""
    shorten_leases(monkeypatch)
    doing, other = Doing(), Doing()
    await put(house.operations, "slow")
    async with working(house, doing):
        await doing.until_taken("slow")
        async with working(house, other):
            first = await house.operations.pool.fetchval("SELECT leased_until FROM job")
            await until(lambda: is_so(house, "SELECT clock_timestamp() > $1::timestamptz + interval '200 ms'", first))
            doing.going_on.set()
            await doing.until("slow")
    assert (doing.taken + other.taken).count("slow") == 1


async def test_what_is_asked_for_meanwhile_is_done_afterwards(house: House) -> None:
    """A wake-up that comes while a job is worked on is not lost, nor worked on by two: whoever waits for it waits for that."""
    doing = Doing()
    async with working(house, doing) as worker:
        await put(house.operations, "slow")
        worker.wake()
        await doing.until_taken("slow")
        waits = asyncio.create_task(worker.settled("main", "payments", "slow", SECONDS))
        async with house.operations.pool.acquire() as connection:
            await finish(connection, 1, "payments", ["slow"])
        await put(house.operations, "slow")
        worker.wake()
        await until(lambda: is_so(house, "SELECT attempts = 1 FROM job"))
        assert doing.taken == ["slow"]
        doing.going_on.set()
        assert await waits
    assert doing.taken == ["slow", "slow"]


async def test_nobody_waits_for_the_slowest(house: House) -> None:
    """A handler says of each job when it is done with it, so that one slow job keeps nobody else waiting."""
    slow = asyncio.Event()

    async def handle(operations: Operations, jobs: Sequence[Job]) -> list[Outcome]:
        async def one(job: Job) -> Outcome:
            if job.key == "slow":
                await slow.wait()
            await operations.work(lambda connection: finish(connection, job.book_id, job.queue, [job.key]))
            outcome = Outcome(job)
            worker.end(outcome)
            return outcome

        return list(await asyncio.gather(*(one(job) for job in jobs)))

    await put(house.operations, "slow", "quick")
    async with working(house, handle) as worker:
        assert await worker.settled("main", "payments", "quick", SECONDS)
        assert not await worker.settled("main", "payments", "slow", 0.05)
        slow.set()
        assert await worker.settled("main", "payments", "slow", SECONDS)


async def test_a_handler_that_never_comes_back_is_given_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it had is tried again after a while, as if it had tripped over it."""
    monkeypatch.setattr(work_queues, "_LONGEST", 0.2)
    doing = Doing()
    async with working(house, doing):
        await put(house.operations, "slow")
        await doing.until_taken("slow", 2)
    assert doing.done == []


async def test_what_a_handler_says_nothing_of_is_tried_again(house: House) -> None:
    """A handler that forgets a job has not done it."""

    async def forget(operations: Operations, jobs: Sequence[Job]) -> list[Outcome]:
        del operations, jobs
        return []

    await put(house.operations, "a")
    with capture_logs() as logs:
        async with working(house, forget) as worker:
            assert await worker.settled("main", "payments", "a", SECONDS)
    assert [(log["event"], log["error"]) for log in logs] == [("a job waits", "LeftOut")]
    assert await rows(house, "key, attempts, worker") == [("a", 1, None)]


async def test_who_waits_for_another_process_learns_of_it_too(house: House) -> None:
    """Whoever waits beside a worker that did not get the job learns within a second or so that another process did it."""
    doing = Doing()
    idle = QueueWorker(house.operations, {})
    assert await idle.settled("main", "payments", "never enqueued", SECONDS)
    await put(house.operations, "a")
    assert not await idle.settled("main", "payments", "a", 0.3)
    waits = asyncio.create_task(idle.settled("main", "payments", "a", SECONDS))
    async with working(house, doing):
        assert await waits
    assert doing.done == ["a"]


async def test_a_store_that_does_not_answer_keeps_nobody_waiting_for_ever(
    house: House, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the connection hangs over which it is looked what other processes did, it is looked over another."""
    monkeypatch.setattr(work_queues, "_PATIENCE", 0.3)
    idle = QueueWorker(house.operations, {})
    asking = "FROM pg_locks JOIN pg_class ON pg_class.oid = relation WHERE relname = 'job' AND NOT granted"
    async with owner.transaction():
        await owner.execute("LOCK TABLE job IN ACCESS EXCLUSIVE MODE")
        waits = asyncio.create_task(idle.settled("main", "payments", "a", SECONDS))
        await until(lambda: is_so(house, f"SELECT count(*) = 1 {asking}"))
        hung = await owner.fetchval(f"SELECT pid {asking}")
        os.kill(hung, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert await waits
        assert time.monotonic() - began < SECONDS / 3
    finally:
        os.kill(hung, signal.SIGCONT)


async def test_a_worker_that_ends_gives_back_what_it_had(house: House) -> None:
    """A server that is stopped keeps nobody waiting: what it had begun is anybody's at once, who sees that it was begun."""
    doing, other = Doing(), Doing()
    other.going_on.set()
    await put(house.operations, "slow")
    async with working(house, doing):
        await doing.until_taken("slow")
    assert await rows(house, "key, attempts, worker") == [("slow", 1, None)]
    async with working(house, other):
        await other.until("slow")


async def test_all_that_is_due_can_be_worked_off_in_one_go(house: House) -> None:
    """Without a worker going on, what is due is done and counted; what is not due stays."""
    doing = Doing()
    await put(house.operations, "a", "b")
    await put(house.operations, "c", after=60)
    worker = QueueWorker(house.operations, {"payments": doing})
    assert await worker.work_once() == 2
    assert await worker.work_once() == 0
    assert await rows(house, "key, worker") == [("c", None)]


async def test_a_store_that_goes_away_is_waited_for(house: House, owner: asyncpg.Connection) -> None:
    """When every connection is cut, the worker finds its way back by itself, and does what came meanwhile."""
    doing = Doing()
    async with working(house, doing):
        await put(house.operations, "a")
        await doing.until("a")
        await owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await enqueue(owner, 1, [NewJob("payments", "b", 1, house.operations.clock.now())])
        await doing.until("b")


@pytest.mark.parametrize("rests", [False, True])
async def test_a_worker_ends_when_told_though_its_store_is_gone(
    house: House, owner: asyncpg.Connection, *, rests: bool
) -> None:
    """Whether it has noticed or not that its connection was cut, whoever stops the server does not wait for ever."""
    doing = Doing()
    worker = QueueWorker(house.operations, {"payments": doing})
    task = asyncio.create_task(worker.run())
    await put(house.operations, "a")
    await doing.until("a")
    await owner.execute(
        "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    if rests:
        await house.operations.pool.fetchval("SELECT 1")
    task.cancel()
    await asyncio.wait({task}, timeout=SECONDS)
    assert task.cancelled()


async def test_a_worker_stops_what_others_may_have_by_now(
    house: House, owner: asyncpg.Connection, server: EmbeddedServer
) -> None:
    """When no sign of life gets through for as long as a lease, the worker stops its handlers before anybody else begins."""
    doing = Doing()
    await put(house.operations, "slow")
    async with working(house, doing) as worker, outside(server) as operator:
        await doing.until_taken("slow")
        (task,) = worker._tasks
        name = await owner.fetchval("SELECT current_database()")
        with capture_logs() as logs:
            await operator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            await owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            async with asyncio.timeout(SECONDS):
                await asyncio.wait({task})
        assert task.cancelled()
        assert "queues were held too long without a sign of life" in {log["event"] for log in logs}
        assert await owner.fetchval("SELECT clock_timestamp() < leased_until + interval '1 second' FROM job")
        await operator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        doing.going_on.set()
        await doing.until("slow")
    assert doing.taken == ["slow", "slow"]


async def test_a_worker_that_gets_no_connection_stops_in_time(
    house: House, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its connection is lost and others have all there are, the worker stops its handlers as its leases end."""
    shorten_leases(monkeypatch)
    doing, pool = Doing(), house.operations.pool
    await put(house.operations, "slow")
    async with working(house, doing) as worker, contextlib.AsyncExitStack() as others:
        await doing.until_taken("slow")
        (task,) = worker._tasks
        while pool.get_size() < pool.get_max_size() or pool.get_idle_size():
            await others.enter_async_context(pool.acquire())
        waiting = asyncio.create_task(others.enter_async_context(pool.acquire()))  # it gets the worker's
        await owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        async with asyncio.timeout(SECONDS):
            await asyncio.wait({task})
        assert task.cancelled()
        assert await owner.fetchval("SELECT clock_timestamp() < leased_until + interval '1 second' FROM job")
        await waiting


async def test_a_process_that_was_asleep_goes_on_if_nobody_took_over(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a sleep longer than a lease, what nobody else has taken is still this worker's, and its handlers go on."""
    shorten_leases(monkeypatch)
    doing = Doing()
    await put(house.operations, "slow")
    async with working(house, doing) as worker:
        await doing.until_taken("slow")
        (task,) = worker._tasks
        time.sleep(0.8)  # noqa: ASYNC251 - the whole process sleeps
        await until(lambda: is_so(house, "SELECT leased_until > clock_timestamp() FROM job"))
        assert not task.cancelled()
        doing.going_on.set()
        await doing.until("slow")
    assert doing.taken == ["slow"]


async def test_a_process_that_was_asleep_stops_if_another_took_over(
    house: House, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another worker has taken meanwhile is no more worked on here."""
    shorten_leases(monkeypatch)
    doing = Doing()
    await put(house.operations, "slow")
    async with working(house, doing) as worker:
        await doing.until_taken("slow")
        (task,) = worker._tasks
        take_away = (
            "import asyncio, asyncpg, sys\n"
            "async def main():\n"
            "    connection = await asyncpg.connect(sys.argv[1])\n"
            "    await connection.execute(\"UPDATE tallystick.job SET worker = 'other', "
            "leased_until = clock_timestamp() + interval '1 minute'\")\n"
            "asyncio.run(main())\n"
        )
        command = [sys.executable, "-c", take_away, database_url]
        assert subprocess.run(command, check=False).returncode == 0  # noqa: ASYNC221 - this process sleeps meanwhile
        time.sleep(0.6)  # noqa: ASYNC251 - see above
        async with asyncio.timeout(SECONDS):
            await asyncio.wait({task})
        assert task.cancelled()
    assert await rows(house, "worker, attempts") == [("other", 1)]


@dataclass(slots=True)
class Child:
    """A process that works queues off, and what it has told."""

    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)
    heard: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def listen(self) -> None:
        """Note what it tells."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode().strip())
            async with self.heard:
                self.heard.notify_all()

    async def until(self, *lines: str) -> None:
        """Wait until it has told these."""
        async with asyncio.timeout(SECONDS), self.heard:
            await self.heard.wait_for(lambda: set(lines) <= set(self.lines))


@contextlib.asynccontextmanager
async def child(database_url: str) -> AsyncIterator[Child]:
    """Give a process that works queues off, and is killed in the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.scenarios.queue_process", database_url, cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    one = Child(process)
    listening = asyncio.create_task(one.listen())
    try:
        await one.until("ready")
        yield one
    finally:
        await kill(one)
        await listening


async def kill(one: Child) -> None:
    """End it without a word; a second time does nothing."""
    if one.process.returncode is None:
        one.process.kill()
    assert await one.process.wait() == -signal.SIGKILL


async def test_what_a_killed_process_held_is_with_another_within_seconds(house: House, database_url: str) -> None:
    """Two processes share a queue; one is killed while it holds jobs, and the other has every one about when the leases end."""
    stuck = [f"hang {number}" for number in range(10)]
    quick = [f"quick {number}" for number in range(200)]
    async with child(database_url) as first:
        await put(house.operations, *stuck)
        await first.until(*(f"took {key}" for key in stuck))
        async with child(database_url) as second:
            await put(house.operations, *quick)
            await until(lambda: is_so(house, "SELECT count(*) <= $1 FROM job", len(stuck)))
            assert not {f"took {key}" for key in stuck} & set(second.lines)
            await kill(first)
            began = time.monotonic()
            await second.until(*(f"took {key}" for key in stuck))
            took = time.monotonic() - began
    done = [line for one in (first, second) for line in one.lines if line.startswith("did")]
    assert sorted(done) == sorted(f"did {key}" for key in quick)  # each once, by one of them
    assert took < 7, took


async def test_who_is_alone_with_the_store_takes_over_at_once(house: House, database_url: str) -> None:
    """A server that starts on its own store waits for no lease that the killed one left."""
    doing = Doing()
    doing.going_on.set()
    async with child(database_url) as first:
        await put(house.operations, "hang")
        await first.until("took hang")
    await take_over(house.operations)
    async with working(house, doing):
        await doing.until("hang")


async def test_a_wake_up_reaches_a_job_that_waits(house: House) -> None:
    """What waits for its provider is looked at at once when a webhook says so, and then waits on."""
    hours = dt.timedelta(hours=1)
    looked: list[str] = []

    async def look(operations: Operations, jobs: Sequence[Job]) -> list[Outcome]:
        later = operations.clock.now() + hours
        for job in jobs:
            looked.append(job.key)
            await operations.work(lambda connection: postpone(connection, 1, "payments", ["a"], later))
        return [Outcome(job) for job in jobs]

    async with working(house, look) as worker:
        for _ in range(2):
            if looked:
                now = house.operations.clock.now()
                await house.operations.work(lambda connection: hasten(connection, 1, "payments", ["a"], now))  # noqa: B023 - awaited here
            else:
                await put(house.operations, "a")
            worker.wake()
            assert await worker.settled("main", "payments", "a", SECONDS)
    assert looked == ["a", "a"]
    ((due_at, attempts),) = await rows(house, "due_at, attempts")
    assert (attempts, due_at > house.operations.clock.now()) == (0, True)  # type: ignore[operator]  # it is an instant
