"""Records, and what they are linked to."""

import datetime as dt
import uuid

import msgspec


class Asked(msgspec.Struct, frozen=True):
    """The message that made a record."""

    id: str
    """Its place in the order of transactions, which `trace` understands too."""
    key: str
    operation: str
    by: str
    """The principal that sent it."""
    at: dt.datetime


class Record(msgspec.Struct, frozen=True):
    """Something that is kept; amounts are minor units of *asset*."""

    kind: str
    id: str
    """What `trace` finds it by, alone or among others."""
    what: str
    at: dt.datetime | None
    """When it happened or was recorded; null of what has no time of its own."""
    amount: int | None
    asset: str | None
    exponent: int | None
    """How many decimal digits a major unit of *asset* has."""
    reason: str | None
    """Why money moves; null unless it is a transfer."""
    transfer_id: uuid.UUID | None
    """The transfer that it is, or that put it into the ledger."""
    place: int | None
    """The place of that transfer in the log; null until it is sealed."""
    message: Asked | None
    """What made it, or itself; null of what was made when messages were not yet noted with it."""


class Link(msgspec.Struct, frozen=True):
    """A record, and the next ones on the way."""

    record: Record
    links: "list[Links]"


class Links(msgspec.Struct, frozen=True):
    """Records of one kind that a record is linked to."""

    kind: str
    total: int | None
    """How many there are; null: they are not counted, since they may be without number."""
    next: int | None
    """What to ask for as ``after`` to see those behind; null: there are none, or they are further along the way."""
    items: list[Link]


class Traced(msgspec.Struct, frozen=True):
    """A record that an id names, with what it came from and what was made of it."""

    record: Record
    back: list[Links]
    forward: list[Links]


class Trace(msgspec.Struct, frozen=True):
    """All records that an id names; more than one if it is an id of several."""

    id: str
    found: list[Traced]
    whole: bool
    """False: there are more records along the way than are told at once; ask with less depth, or from further along."""
