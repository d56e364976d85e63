"""List queues: how much there is in each, and how it goes with it."""

import datetime as dt

import msgspec

from tallystick.db.queries import Connection, queries_beside

_queries = queries_beside(__file__)


class QueueState(msgspec.Struct, frozen=True):
    """How many jobs of a queue stand how; each is counted in one of ``due``, ``held`` and ``later``."""

    queue: str
    due: int
    """They could be taken now, and nobody has them yet."""
    held: int
    """Somebody is at them, or was until a moment ago."""
    later: int
    """They wait for their time."""
    failing: int
    """Of those due or waiting: they were taken and did not get done."""
    oldest_due: dt.datetime | None
    """Since when the one has been due that nobody has taken for the longest; null where none is due."""


_list_queues = _queries.rows("list_queues", QueueState)


async def list_queues(connection: Connection, book_id: int, at: dt.datetime) -> list[QueueState]:
    """Return the queues of a book that have jobs, by name. It counts every job."""
    return await _list_queues(connection, book_id, at)
