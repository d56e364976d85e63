"""Jobs, and what became of working on one."""

import datetime as dt
from typing import NamedTuple

LEASE = dt.timedelta(seconds=5)
"""How long a job stays with a worker that gives no sign of life."""

HIGHEST_PRIORITY, LOWEST_PRIORITY = 0, 9


class NewJob(NamedTuple):
    """Something to be done."""

    queue: str
    key: str
    """What it is about, such as a payment's id; in a queue of a book there is one job for each key."""
    priority: int
    """0 to 9; 0 is taken first."""
    due_at: dt.datetime


class Job(NamedTuple):
    """A job that a worker holds."""

    book: str
    book_id: int
    queue: str
    key: str
    priority: int
    attempts: int
    """How often it was taken, this time included, since it was enqueued or postponed; above 1, somebody may have begun it."""
    due_at: dt.datetime


class Outcome(NamedTuple):
    """What became of working on a job."""

    job: Job
    error: BaseException | None = None
    """
    What it tripped over, so that it is tried again after a while.

    None: it is done, and finished, postponed or enqueued anew by the verbs that did it. One that they left as it was is
    looked at again after a while too.
    """


class LetGo(NamedTuple):
    """A job on its way out of a worker's hands."""

    job: Job
    due_at: dt.datetime
    """When it is due again, unless somebody said otherwise since it was taken."""
