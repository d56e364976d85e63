"""Enqueue: what is to be done is kept in the transaction that wants it, as is that it is done or waits."""

import datetime as dt
from collections.abc import Sequence

from tallystick.db.queries import Connection, queries_beside
from tallystick.queues.model import NewJob

_queries = queries_beside(__file__)
_enqueue = _queries.run("enqueue")
_hasten = _queries.run("hasten")
_finish = _queries.run("finish")
_postpone = _queries.run("postpone")


async def enqueue(connection: Connection, book_id: int, jobs: Sequence[NewJob]) -> None:
    """
    Put jobs into their queues; where a key is there already, its priority and due time are replaced.

    A job that somebody holds stays with them, and is taken up again afterwards: what they saw may be older than this.
    """
    last = {(job.queue, job.key): job for job in jobs}.values()
    if last:
        await _enqueue(
            connection,
            book_id,
            [job.queue for job in last],
            [job.key for job in last],
            [job.priority for job in last],
            [job.due_at for job in last],
        )


async def hasten(connection: Connection, book_id: int, queue: str, keys: Sequence[str], due_at: dt.datetime) -> int:
    """
    Make those jobs due at *due_at* that would be later, and return how many of the keys have a job; the others get none.

    It hides no attempt: whoever takes a hastened job sees how often it was begun.
    """
    return await _hasten(connection, book_id, queue, keys, due_at)


async def finish(connection: Connection, book_id: int, queue: str, keys: Sequence[str]) -> None:
    """Take jobs out of their queue: nothing is to be done any more. It ends the hold of whoever has them."""
    await _finish(connection, book_id, queue, keys)


async def postpone(connection: Connection, book_id: int, queue: str, keys: Sequence[str], due_at: dt.datetime) -> None:
    """
    Have jobs wait until *due_at*, as if they had never failed; one that was asked for again since it was taken does not wait.

    A job that a worker holds stays with it until the worker is done with it, which is right after.
    """
    await _postpone(connection, book_id, queue, keys, due_at)
