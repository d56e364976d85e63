"""Retention: how long months of usage stay attached, and how long at all; and which steps that asks for now."""

import datetime as dt
from collections.abc import Sequence
from typing import Literal

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput
from tallystick.ledger.accounts import Recorded
from tallystick.usage.archive.model import UsageMonth, read_utc_month

_queries = queries_beside(__file__)
_newest_retention = _queries.tuples("newest_retention")
_insert_retention = _queries.run("insert_retention")


class Retention(msgspec.Struct, frozen=True):
    """The policy in force; null: for ever."""

    attached_months: int | None
    """How many months before the present one stay attached."""
    kept_months: int | None
    """How many months before the present one stay in the store."""
    set_at: dt.datetime | None
    """Null: nobody set one, and all stays."""


class RetentionStep(msgspec.Struct, frozen=True):
    """What is to be done with a month."""

    month: str
    step: Literal["detach", "export", "drop"]
    refused: str | None = None
    """Why it cannot be done now; what else is due for the month then waits."""


async def find_retention(connection: Connection, book_id: int) -> Retention:
    """Return the policy in force."""
    rows = await _newest_retention(connection, book_id)
    return Retention(*rows[0]) if rows else Retention(None, None, None)


async def set_retention(
    connection: Connection, recorded: Recorded, attached_months: int | None, kept_months: int | None
) -> Retention:
    """
    Put a policy in force; it does nothing by itself.

    Raises:
        InvalidInput: months would go while they are attached (``invalid_input``).
    """
    if kept_months is not None and (attached_months is None or kept_months < attached_months):
        raise InvalidInput(
            field="kept_months", rule="must not be less than attached_months: only what is detached is dropped"
        )
    await _insert_retention(
        connection, recorded.book_id, recorded.message_place, attached_months, kept_months, recorded.at
    )
    return Retention(attached_months, kept_months, recorded.at)


def due_steps(policy: Retention, months: Sequence[UsageMonth], now: dt.datetime) -> list[RetentionStep]:
    """Return what the policy asks for now, in order; what it asks for is exported before it is dropped."""
    steps: list[RetentionStep] = []
    for name in sorted({one.month for one in months}):
        age = _age(name, now)
        states = {one.state for one in months if one.month == name and (one.rows or not one.exact)}
        detach = policy.attached_months is not None and age > policy.attached_months and "attached" in states
        go = policy.kept_months is not None and age > policy.kept_months
        if detach:
            steps.append(RetentionStep(name, "detach"))
        if detach or "detached" in states:
            steps.append(RetentionStep(name, "export"))
        if go and (detach or states & {"detached", "exported"}):
            steps.append(RetentionStep(name, "drop"))
    return steps


def _age(name: str, now: dt.datetime) -> int:
    """Count the months from that one to the present one."""
    month = read_utc_month(name)
    return (now.year - month.year) * 12 + now.month - month.month
