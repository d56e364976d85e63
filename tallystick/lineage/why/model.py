"""What there is to say of one usage event."""

import datetime as dt
import uuid
from typing import Any, Literal

import msgspec

Standing = Literal["never_seen", "not_billable", "accepted", "void"]


class Arrival(msgspec.Struct, frozen=True):
    """One time that something came in under the event's id, and was kept."""

    outcome: Literal["accepted", "not_billable", "conflict"]
    at: dt.datetime | None
    door: str | None
    """``http``, ``cloudevents``, ``avro`` or ``file``; null where the message is not known."""
    message: str | None
    by: str | None
    """The principal that sent the message."""
    reason: str | None = None
    """Why it was not billable, or what differed."""
    rule: Any = None
    """The rule that said it was not billable: as it was set last before."""


class Correction(msgspec.Struct, frozen=True):
    """An amendment, or that it was taken back."""

    kind: Literal["amend", "void"]
    reason: str
    at: dt.datetime
    message: str | None
    by: str | None


class CountedBy(msgspec.Struct, frozen=True):
    """A meter that counts it, as it stands."""

    code: str
    name: str
    aggregation: str
    quantity: str | None
    """How much of it is counted; null: the event itself, or one of its dimensions."""


class PaidBy(msgspec.Struct, frozen=True):
    """A payment of the invoice; the amount is in minor units."""

    id: uuid.UUID
    amount: int
    provider: str
    step: str
    started_at: dt.datetime
    receipt: uuid.UUID | None
    receipt_at: dt.datetime | None


class RatedIn(msgspec.Struct, frozen=True):
    """A line of an invoice that counted it, or adjusts an earlier line for it; amounts are minor units of *asset*."""

    invoice: uuid.UUID
    number: str | None
    status: str
    line: int
    charge: str
    name: str
    product: str
    price_at: dt.datetime
    """Which version of the price: the instant it is in force from."""
    amount: int
    """Of the whole line."""
    asset: str
    exponent: int
    explanation: str
    adjusts: str | None
    """The line that it corrects, as ``INVOICE/LINE``."""
    payments: list[PaidBy]


class MonthStep(msgspec.Struct, frozen=True):
    """What became of the month that it lies in."""

    step: str
    at: dt.datetime
    file: str | None


class Why(msgspec.Struct, frozen=True):
    """Where an event is, and what came of it."""

    asked: str
    key: uuid.UUID | None
    """What it is stored under; null: nothing ever was."""
    standing: Standing
    source: str | None
    id: str | None
    customer: str | None
    at: dt.datetime | None
    type: str | None
    quantities: dict[str, int | str] | None
    """As they are now; null: nothing is stored, or its month is away."""
    dimensions: dict[str, str] | None
    attached: bool
    """False: its month is detached or dropped, so the lines are those of its customer and instant."""
    months: list[MonthStep]
    arrivals: list[Arrival]
    corrections: list[Correction]
    meters: list[CountedBy]
    lines: list[RatedIn]
    hints: list[str]
    """What to look at, where something is missing."""
