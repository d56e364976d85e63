"""Runs over all customers: what the verbs answer with."""

import datetime as dt
import uuid
from typing import Literal

import msgspec


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who was left out, and why."""

    customer: str
    """Or the subscription, of a run that bills subscriptions."""
    code: str
    message: str


class BatchRun(msgspec.Struct, frozen=True):
    """One run over all customers; together with those before it did what is to be done."""

    id: uuid.UUID
    kind: str
    of: str
    """The day or month that it was for."""
    status: Literal["ended", "not_ended"]
    """Not ended: it is under way, or was broken off; then another run does the rest."""
    counts: dict[str, int]
    """What it did, by the name of what is counted."""
    failed: int
    """How many customers were left out."""
    failures: list[Failure]
    """The first of them, 1,000 at the most; in a list of runs, none."""
    begun_at: dt.datetime
    noted_at: dt.datetime
    """When it was heard of last."""


class BatchRunsPage(msgspec.Struct, frozen=True):
    """Runs, the newest first; ``next`` is the cursor of the page behind, null on the last."""

    items: list[BatchRun]
    next: uuid.UUID | None
