"""The jobs of late captures: the provider is asked about a payment that has failed, since it told that there is news."""

import datetime as dt
import uuid
from collections.abc import Sequence

from tallystick.queues.model import NewJob

QUEUE = "late_captures"
_PRIORITY = 3


def late_jobs(payment_ids: Sequence[uuid.UUID], at: dt.datetime) -> list[NewJob]:
    """Return the jobs of asking now how the transactions of payments stand that have failed."""
    return [NewJob(QUEUE, str(one), _PRIORITY, at) for one in payment_ids]
