"""What a subscription is: spans of time in which plan, phase and quantity stay the same."""

import datetime as dt
import uuid
from enum import StrEnum

import msgspec

from tallystick.periods import Cycle


class Span(msgspec.Struct, frozen=True):
    """A part of a subscription's life in which nothing changes."""

    start_at: dt.datetime
    end_at: dt.datetime | None
    """Null: until further notice."""
    plan: str
    version_at: dt.datetime | None
    """The version of the plan it is pinned to; null: each period is billed by the newest one as the period begins."""
    phase: str
    quantity: int
    paused: bool
    cycle: Cycle
    """Where its billing periods begin."""

    def covers(self, instant: dt.datetime) -> bool:
        """Say whether *instant* lies inside."""
        return self.start_at <= instant and (self.end_at is None or instant < self.end_at)

    def cut(self, start_at: dt.datetime, end_at: dt.datetime | None) -> "Span | None":
        """Return the part of it inside of that time, if there is any."""
        start = max(self.start_at, start_at)
        ends = [end for end in (self.end_at, end_at) if end is not None]
        end = min(ends) if ends else None
        if end is not None and end <= start:
            return None
        return msgspec.structs.replace(self, start_at=start, end_at=end)


class Kind(StrEnum):
    """What a revision did; the closed set."""

    SUBSCRIBE = "subscribe"
    QUANTITY = "quantity"
    PLAN = "plan"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    UNDO = "undo"


class Revision(msgspec.Struct, frozen=True):
    """One change of a subscription, as it was recorded."""

    revision: int
    kind: Kind
    effective_at: dt.datetime
    """From when it changes something."""
    differs_from: dt.datetime
    rests_on: int | None
    """The revision that it changed; null: it is the first, or goes back to it."""
    revised_at: dt.datetime


class Bill(msgspec.Struct, frozen=True):
    """A date that a subscription was billed on."""

    due_at: dt.datetime
    revision: int
    invoice_id: uuid.UUID | None
    """Null: there was nothing to ask for."""
    carried: int
    """What is owed to the customer and was more than the invoice came to, in minor units."""
    carried_from: dt.datetime | None
    usage_through: int


class ScheduledSpan(msgspec.Struct, frozen=True):
    """A part of a subscription's life in which nothing changes, as callers see it."""

    start_at: dt.datetime
    end_at: dt.datetime | None
    """Null: until further notice."""
    plan: str
    version_at: dt.datetime | None
    """The version of the plan it is pinned to; null: it follows the newest."""
    phase: str
    quantity: int
    paused: bool


class Subscription(msgspec.Struct, frozen=True):
    """A subscription with its schedule: every span from its start on, as far as it is known now."""

    id: str
    customer: str
    status: str
    """``scheduled``, ``active``, ``paused`` or ``ended``."""
    start_at: dt.datetime
    end_at: dt.datetime | None
    zone: str
    """Whose days and midnights its billing periods are counted by."""
    revision: int
    spans: list[ScheduledSpan]
    next_due_at: dt.datetime | None
    """When it will be billed next; null: never again."""
    billed_until: dt.datetime | None
    """When it was billed last."""
    credit: int
    """What it was asked for too much and no invoice has taken up yet, in minor units."""


class SubscriptionsPage(msgspec.Struct, frozen=True):
    """Subscriptions in order of id; ``next`` is the cursor of the page behind, null on the last."""

    items: list[Subscription]
    next: str | None


def merged(spans: list[Span]) -> list[Span]:
    """Return the same spans in order of time, with those that touch and are alike made one."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start_at):
        if found and found[-1].end_at == span.start_at and _alike(found[-1], span):
            found[-1] = msgspec.structs.replace(found[-1], end_at=span.end_at)
        else:
            found.append(span)
    return found


def _alike(one: Span, other: Span) -> bool:
    return msgspec.structs.replace(one, start_at=other.start_at, end_at=other.end_at) == other
