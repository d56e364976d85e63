"""The jobs of disputes: looked at when a webhook says so, and each day while they are open."""

import datetime as dt
from collections.abc import Sequence

from tallystick.queues.model import NewJob

QUEUE = "disputes"
_PRIORITY = 3
EACH = dt.timedelta(days=1)
"""So often an open dispute is looked at, whatever webhooks say: they can be lost."""


def dispute_jobs(named: Sequence[tuple[str, str]], at: dt.datetime) -> list[NewJob]:
    """Return the jobs of asking providers about disputes now; each is named by its provider and the provider's id of it."""
    return [NewJob(QUEUE, key_of(provider, dispute_id), _PRIORITY, at) for provider, dispute_id in named]


def key_of(provider: str, dispute_id: str) -> str:
    """Return the key of the job of a dispute."""
    return f"{provider}/{dispute_id}"


def read_key(key: str) -> tuple[str, str]:
    """Return the provider and its id of the dispute that a job is about."""
    provider, _, dispute_id = key.partition("/")
    return provider, dispute_id
