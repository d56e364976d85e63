"""Claim: who works on which job, and for how long without a sign of life."""

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

from tallystick.db.queries import Connection, queries_beside
from tallystick.queues.back_off import LONGEST, wait_after
from tallystick.queues.model import HIGHEST_PRIORITY, LEASE, LOWEST_PRIORITY, Job, LetGo

_queries = queries_beside(__file__)
_plan_once = _queries.value("plan_once")
_claim = _queries.rows("claim", Job)
_find_next_due = _queries.value("find_next_due")
_extend = _queries.run("extend")
_count_lost = _queries.value("count_lost")
_let_go = _queries.tuples("let_go")
_give_back = _queries.run("give_back")
_release_all = _queries.run("release_all")
_find_waiting = _queries.values("find_waiting")
_PRIORITIES = range(HIGHEST_PRIORITY, LOWEST_PRIORITY + 1)


class Rest(NamedTuple):
    """How a job stands that a worker wanted to let go."""

    due: bool
    """It is to be taken up again at once."""
    held: bool
    """It could not be let go yet, since somebody has its row locked."""


async def plan_once(connection: Connection) -> None:
    """Have the session of a worker plan its statements once; the connection must not go back to others afterwards."""
    await _plan_once(connection)


async def claim(connection: Connection, worker: str, queues: Sequence[str], at: dt.datetime, most: int) -> list[Job]:
    """
    Take up to *most* jobs that are due and that nobody holds; those of the highest priority first, then as they fell due.

    Queues that have jobs of one priority are gone through in the order given.
    """
    jobs = await _claim(connection, worker, *_classes(queues), at, most, LEASE, wait_after(1), LONGEST)
    return sorted(jobs, key=lambda job: (job.priority, job.due_at))


async def find_next_due(connection: Connection, queues: Sequence[str], at: dt.datetime) -> dt.datetime | None:
    """Return when the next job falls due after *at*; None if there is none."""
    due_at: dt.datetime | None = await _find_next_due(connection, *_classes(queues), at)
    return due_at


async def extend(connection: Connection, worker: str, jobs: Sequence[Job]) -> int:
    """Keep jobs for another lease, and return how many of them the worker still has."""
    return await _extend(connection, worker, *_idents(jobs), LEASE)


async def count_lost(connection: Connection, worker: str, jobs: Sequence[Job]) -> int:
    """Return how many of the jobs another worker has by now."""
    return int(await _count_lost(connection, worker, *_idents(jobs)))


async def let_go(connection: Connection, worker: str, jobs: Sequence[LetGo], at: dt.datetime) -> list[Rest]:
    """
    Let jobs go that the worker is done with, and return how each stands now.

    One that was enqueued, hastened or postponed since it was taken is due when that said; any other when its `LetGo` says.
    """
    idents = _idents([one.job for one in jobs])
    return [Rest(*row) for row in await _let_go(connection, worker, *idents, [one.due_at for one in jobs], at)]


async def give_back(connection: Connection, worker: str, jobs: Sequence[Job]) -> None:
    """Let jobs go that the worker has not worked off, so that any other takes them at once."""
    await _give_back(connection, worker, *_idents(jobs))


async def release_all(connection: Connection) -> None:
    """
    End every hold now, for a process that knows that whoever had them is gone.

    Where it is wrong, a job is worked on by two at once, which must do no harm: each asks how things stand outside
    before it does anything.
    """
    await _release_all(connection)


async def find_waiting(
    connection: Connection, idents: Sequence[tuple[str, str, str]], at: dt.datetime
) -> set[tuple[str, str, str]]:
    """Return those of *idents*, each a book's name, a queue and a key, of which there is a job that is held, or due by now."""
    books, queues, keys = (list(column) for column in zip(*idents, strict=True)) if idents else ([], [], [])
    return {idents[place - 1] for place in await _find_waiting(connection, books, queues, keys, at)}


def _classes(queues: Sequence[str]) -> tuple[list[str], list[int]]:
    """Return each queue with each priority, in the order in which they are taken."""
    return list(queues) * len(_PRIORITIES), [priority for priority in _PRIORITIES for _ in queues]


def _idents(jobs: Sequence[Job]) -> tuple[list[int], list[str], list[str]]:
    return [job.book_id for job in jobs], [job.queue for job in jobs], [job.key for job in jobs]
