"""
The queues' worker: takes what is due, has it done by the handler of its queue, and lets it go.

    enqueue (in somebody's transaction) ──► claim, a lease of five seconds ──► handler ──► let go
                                                    └─ extended each second ─┘

Any number of workers share the queues. One that dies loses its leases, and what it held is with another within seconds.
All of a worker's own statements go over one connection, so that those of everybody else never keep it from extending.
"""

import asyncio
import contextlib
import datetime as dt
import os
import socket
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import structlog

from tallystick.db.connect import LOST_CONNECTION
from tallystick.db.queries import Connection
from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.operations.run import Operations
from tallystick.queues.back_off import wait_after
from tallystick.queues.claim import (
    claim,
    count_lost,
    extend,
    find_next_due,
    find_waiting,
    give_back,
    let_go,
    plan_once,
    release_all,
)
from tallystick.queues.model import LEASE, Job, LetGo, Outcome

_log = structlog.get_logger()

Handler = Callable[[Operations, Sequence[Job]], Awaitable[Sequence[Outcome]]]
"""
Does what jobs of one queue ask for, each as far as it goes now, and says of each what became of it.

It may be asked for the same job again at any time, even while another process still works on it: it asks how things stand
before it does anything outside. Whoever is done with one of many says so at once (`QueueWorker.end`).
"""

_TOGETHER = 64
"""So many jobs are taken at once."""
_AT_ONCE = 256
"""A queue of which so many jobs are being worked on waits, and the others go on."""
_POLL = 1.0
_HEARTBEAT = 1.0
_PATIENCE = 4.0
"""A store that has not answered for so long is taken to be away."""
_LAST_TRY = 1.0
"""How long a process that was asleep for longer than a lease takes to find out whether anybody has taken over from it."""
_REST_AFTER_FAULT = 0.5
_LONGEST = 3600.0
"""A handler that has not come back after so many seconds never will: what it has is tried again."""
_LOCKED_PAUSE = 0.02
_ELSEWHERE_EVERY = 0.1
"""So often it is looked, for all who wait at once, whether another process has done what they wait for."""

_Ident = tuple[str, str, str]
"""Book, queue, key."""


class LeftOut(Exception):
    """A handler came back without a word about this job."""


class HeldByAnother(Exception):
    """Another worker has a job that was held here, since this process was asleep for longer than a lease."""


def _ident(job: Job) -> _Ident:
    return job.book, job.queue, job.key


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _name_worker() -> str:
    """Make up the name of a worker: where it runs, and something that no other has."""
    return f"{socket.gethostname()}/{os.getpid()}/{uuid7()}"


@dataclass(slots=True)
class QueueWorker:
    """The working off of queues by one process: those that it has handlers for."""

    operations: Operations
    handlers: Mapping[str, Handler]
    name: str = field(default_factory=_name_worker)
    _stirred: asyncio.Event = field(default_factory=asyncio.Event)
    """There is something to do: to look for jobs, or to let some go."""
    _look: bool = True
    """There may be jobs that are due."""
    _look_at: float = 0.0
    """When to look for them if nobody says so before."""
    _crowded: bool = False
    """A queue was left out, since so many of its jobs are worked on."""
    _held: dict[_Ident, Job] = field(default_factory=dict)
    """What handlers are at."""
    _next: dict[_Ident, Job] = field(default_factory=dict)
    """What was finished, enqueued anew and taken before its handler was done with it: it is next."""
    _ended: dict[_Ident, Outcome] = field(default_factory=dict)
    """What handlers are done with and is still to be let go."""
    _waiting: dict[_Ident, list["asyncio.Future[Any]"]] = field(default_factory=dict)
    _elsewhere_next: asyncio.TimerHandle | None = None
    """When it is looked next what other processes have done; None: nobody waits, or it is being looked."""
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)
    _looks: set["asyncio.Task[None]"] = field(default_factory=set)
    _sure_until: float = 0.0
    """Until then nobody else can have what is held here."""
    _extended: float = 0.0

    def wake(self) -> None:
        """Look at once for what is due: to be called after a commit that made something due."""
        self._look = True
        self._stirred.set()

    async def run(self) -> None:
        """Work until cancelled; then give back what was not worked off, for another to take at once."""
        try:
            while True:
                await self._run_on_one_connection()
                await asyncio.sleep(_REST_AFTER_FAULT)
        finally:
            await self._stop()

    async def settled(self, book: str, queue: str, key: str, wait: float) -> bool:
        """
        Wait until a job was worked on once, by this process or another, and nothing of it is due by now.

        Returns False when that has not come about within *wait* seconds. Nothing follows for the job: it stays in its queue.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self.watched(book, queue, key, done):
            try:
                async with asyncio.timeout(wait):
                    await done
            except TimeoutError:
                return False
        return True

    @contextlib.contextmanager
    def watched(self, book: str, queue: str, key: str, done: "asyncio.Future[Any]") -> Iterator[None]:
        """Meanwhile give *done* the result None once a job was worked on, as in `settled`, unless it has one by then."""
        ident = (book, queue, key)
        self._waiting.setdefault(ident, []).append(done)
        self._plan_look_elsewhere()
        try:
            yield
        finally:
            self._forget(ident, done)

    def end(self, outcome: Outcome) -> None:
        """Say of a job what became of it, before its handler is done with the others; a second time it changes nothing."""
        ident = _ident(outcome.job)
        if self._held.get(ident) is not outcome.job:
            return
        del self._held[ident]
        if outcome.error is not None:
            _tell(outcome.job, outcome.error)
        again = self._next.pop(ident, None)
        if again is not None:
            self._begin([again])
            return
        self._ended[ident] = outcome
        self._look |= self._crowded
        self._stirred.set()

    async def work_once(self) -> int:
        """Work off all that is due now, and return how many jobs that were; for whoever has no `run` going on."""
        count = 0
        while True:
            async with self.operations.pool.acquire() as connection:
                taken = await self._take(connection)
            count += taken
            if not taken:
                return count
            await asyncio.gather(*self._tasks)
            while self._ended:
                async with self.operations.pool.acquire() as connection:
                    await self._let_go(connection)

    async def _run_on_one_connection(self) -> None:
        """Work for as long as the store answers."""
        try:
            async with self.operations.pool.acquire(timeout=self._patience()) as connection:
                try:
                    await self._work(connection)
                except BaseException:
                    connection.terminate()  # it may be in the middle of something, and plans as no other does
                    raise
        except (*LOST_CONNECTION, asyncpg.PostgresError, HeldByAnother) as error:
            if _is_cancelled():  # the connection that was given back for it has an error of its own to tell
                raise asyncio.CancelledError from error
            _log.warning("queues wait", reason=str(error) or type(error).__name__)
        if self._held and time.monotonic() + _REST_AFTER_FAULT >= self._sure_until:
            await self._abandon()

    async def _work(self, connection: Connection) -> None:
        async with asyncio.timeout(self._patience()):
            await plan_once(connection)
        while True:
            self._stirred.clear()
            async with asyncio.timeout(self._patience()):
                await self._extend(connection)
                await self._let_go(connection)
                if self._look or time.monotonic() >= self._look_at:
                    await self._look_for_jobs(connection)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._find_pause()):
                    await self._stirred.wait()

    def _find_pause(self) -> float:
        """Return for how long there is nothing to do unless something stirs."""
        if self._look:
            return 0.0
        if self._ended and not self._stirred.is_set():  # somebody has their rows locked
            return _LOCKED_PAUSE
        return max(0.0, self._look_at - time.monotonic())

    async def _look_for_jobs(self, connection: Connection) -> None:
        """Take what is due; where there may be no more of it, find out when to look again."""
        self._look = False
        taken = await self._take(connection)
        if taken == _TOGETHER:
            self._look = True
            return
        now = self.operations.clock.now()
        due_at = await find_next_due(connection, list(self.handlers), now)
        pause = _POLL if due_at is None else min(_POLL, (due_at - now) / dt.timedelta(seconds=1))
        self._look_at = time.monotonic() + pause

    def _patience(self) -> float:
        """Return for how long the store may keep us waiting: no longer than it is sure that what is held is ours."""
        if not self._held:
            return _PATIENCE
        left = self._sure_until - time.monotonic()
        return min(_PATIENCE, left) if left > 0 else _LAST_TRY

    async def _extend(self, connection: Connection) -> None:
        """Give a sign of life for all that is held, if it is time for one."""
        now = time.monotonic()
        jobs = [*self._held.values(), *(outcome.job for outcome in self._ended.values())]
        if not jobs or now - self._extended < _HEARTBEAT:
            return
        await extend(connection, self.name, jobs)
        if now >= self._sure_until and await count_lost(connection, self.name, jobs):
            raise HeldByAnother
        self._extended, self._sure_until = now, now + LEASE.total_seconds()

    async def _take(self, connection: Connection) -> int:
        """Take jobs and have them done; return how many."""
        queues = [queue for queue in self.handlers if self._count(queue) < _AT_ONCE]
        self._crowded = len(queues) < len(self.handlers)
        if not queues:
            return 0
        if not self._held and not self._ended:
            self._extended = time.monotonic()
            self._sure_until = self._extended + LEASE.total_seconds()
        jobs = await claim(connection, self.name, queues, self.operations.clock.now(), _TOGETHER)
        at_hand = [job for job in jobs if _ident(job) not in self._held]
        self._next |= {_ident(job): job for job in jobs if _ident(job) in self._held}
        for job in at_hand:  # what was finished and enqueued anew is not to be let go for the old one
            self._ended.pop(_ident(job), None)
        for queue in dict.fromkeys(job.queue for job in at_hand):
            self._begin([job for job in at_hand if job.queue == queue])
        return len(jobs)

    def _count(self, queue: str) -> int:
        return sum(1 for job in self._held.values() if job.queue == queue)

    def _begin(self, jobs: Sequence[Job]) -> None:
        self._held |= {_ident(job): job for job in jobs}
        task = asyncio.create_task(self._carry(jobs))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, jobs: Sequence[Job]) -> None:
        """Have jobs of one queue done; where that trips over one of them, each by itself, so that the others get done."""
        try:
            async with asyncio.timeout(_LONGEST):
                outcomes = await self.handlers[jobs[0].queue](self.operations, jobs)
        except Exception as error:  # noqa: BLE001 - one job's fault must not end the others
            left = [job for job in jobs if self._held.get(_ident(job)) is job]
            if len(jobs) > 1:
                await asyncio.gather(*(self._carry([job]) for job in left))
                return
            outcomes = [Outcome(job, error) for job in left]
        for outcome in outcomes:
            self.end(outcome)
        for job in jobs:
            self.end(Outcome(job, LeftOut()))

    async def _let_go(self, connection: Connection) -> None:
        """Let go what handlers are done with, and tell those who wait for it."""
        if not self._ended:
            return
        now = self.operations.clock.now()
        ended = list(self._ended.items())
        going = [LetGo(outcome.job, now + wait_after(outcome.job.attempts)) for _, outcome in ended]
        for (ident, _), rest in zip(ended, await let_go(connection, self.name, going, now), strict=True):
            if rest.held:
                continue
            del self._ended[ident]
            if rest.due:
                self._look = True
            else:
                _tell_all(self._waiting.get(ident, ()))

    def _plan_look_elsewhere(self) -> None:
        if self._waiting and self._elsewhere_next is None and not self._looks:
            loop = asyncio.get_running_loop()
            self._elsewhere_next = loop.call_later(_ELSEWHERE_EVERY, self._begin_look_elsewhere)

    def _begin_look_elsewhere(self) -> None:
        self._elsewhere_next = None
        look = asyncio.create_task(self._look_elsewhere())
        self._looks.add(look)
        look.add_done_callback(self._looks.discard)
        look.add_done_callback(lambda _: self._plan_look_elsewhere())

    async def _look_elsewhere(self) -> None:
        """
        Tell those who wait for what another process has done, or nobody has to do.

        Not those who come to wait meanwhile: theirs may have become due since. A store that does not answer is asked again
        over another connection.
        """
        away = {ident: list(waiting) for ident, waiting in self._waiting.items() if not self._is_here(ident)}
        if not away:
            return
        with contextlib.suppress(*LOST_CONNECTION, asyncpg.PostgresError):
            async with asyncio.timeout(_PATIENCE), self.operations.pool.acquire(timeout=_PATIENCE) as connection:
                due = await find_waiting(connection, list(away), self.operations.clock.now())
            for ident in away.keys() - due:
                if not self._is_here(ident):
                    _tell_all(away[ident])

    def _is_here(self, ident: _Ident) -> bool:
        return ident in self._held or ident in self._ended

    def _forget(self, ident: _Ident, done: "asyncio.Future[Any]") -> None:
        self._waiting[ident].remove(done)
        if not self._waiting[ident]:
            del self._waiting[ident]
        if not self._waiting and self._elsewhere_next is not None:
            self._elsewhere_next.cancel()
            self._elsewhere_next = None

    async def _abandon(self) -> None:
        """Stop working on what others may have by now."""
        _log.error("queues were held too long without a sign of life", jobs=len(self._held))
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for mine in (self._held, self._next, self._ended):
            mine.clear()

    async def _stop(self) -> None:
        """Stop the handlers, and give back what they had."""
        tasks = [*self._tasks, *self._looks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(*LOST_CONNECTION, asyncpg.PostgresError):
            async with asyncio.timeout(_PATIENCE), self.operations.pool.acquire() as connection:
                while self._ended:
                    await self._let_go(connection)
                await give_back(connection, self.name, list(self._held.values()))
        self._held.clear()
        self._next.clear()


async def take_over(operations: Operations) -> None:
    """
    End the holds that an earlier process left, so that its jobs are taken up at once.

    Only for a process that has the store to itself; where others work beside it, their holds stand.
    """
    await operations.work(release_all)


def _tell_all(waiting: Sequence["asyncio.Future[Any]"]) -> None:
    for done in waiting:
        if not done.done():
            done.set_result(None)


def _tell(job: Job, error: BaseException) -> None:
    """Tell what a job tripped over: neither its text nor the frames' values, since a customer's data may be in them."""
    told = {"book": job.book, "queue": job.queue, "key": job.key, "attempts": job.attempts}
    if isinstance(error, TallystickError):
        _log.warning("a job waits", **told, code=error.code)
        return
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "nowhere"
    _log.error("a job waits", **told, error=type(error).__name__, at=where)
