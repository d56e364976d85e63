"""Accept: judge usage events and keep those that are billable, each once; the one way usage comes in."""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
import numpy as np

from tallystick.db.connect import SCHEMA
from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.accounts import Recorded
from tallystick.usage.billable import Reason, remembering_judge
from tallystick.usage.model import InvalidEvent, UsageEvent
from tallystick.usage.rule import find_rule

_queries = queries_beside(__file__)
_find_known_events = _queries.tuples("find_known_events")
_find_customers = _queries.tuples("find_customers")
_make_customers = _queries.run("make_customers")
_order_transaction = _queries.value("order_transaction")

MAX_AHEAD = dt.timedelta(days=1)
"""How far behind the present usage may lie: clocks differ, and nobody uses anything next week."""

_COLUMNS = ("event_key", "customer_id", "occurred_at", "transaction_id", "book_id", "message_place", "type", "source",
            "event_id", "quantities")  # fmt: skip
_quantities = msgspec.json.Encoder(decimal_format="string")


class Status(StrEnum):
    """What became of an event; the closed set."""

    ACCEPTED = "accepted"
    KNOWN = "known"
    NOT_BILLABLE = "not_billable"
    CONFLICT = "conflict"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one event, and why."""

    status: Status
    reason: str | None = None
    """Why it is not billable, or which rule it breaks."""
    field: str | None = None
    """The field at fault, of one that is invalid or in conflict."""


_ACCEPTED, _KNOWN = Outcome(Status.ACCEPTED), Outcome(Status.KNOWN)
_NOT_BILLABLE = {reason: Outcome(Status.NOT_BILLABLE, reason.value) for reason in Reason}
_TOO_FAR_AHEAD = Outcome(Status.INVALID, "must not lie more than a day ahead of the present", "at")
_CONFLICT = {
    name: Outcome(Status.CONFLICT, "differs from the event that is stored under the same source and id", name)
    for name in ("customer", "type", "at", "quantities")
}


@dataclass(frozen=True, slots=True)
class _Stored:
    """What is stored under a key, or about to be."""

    customer_id: int
    type: str
    at: dt.datetime
    quantities: Mapping[str, object]


async def accept(
    connection: Connection, recorded: Recorded, source: str, events: Sequence[UsageEvent | InvalidEvent]
) -> list[Outcome]:
    """
    Keep those of *events* that are billable and new, and say of each, in their order, what became of it.

    An event is the same as one that is stored if *source* and id are the same; that comes before any other
    judgement, and a repeat within *events* is answered as it would be in a later call. What was found invalid
    before is passed in as its error, so that the answer has a place for it.

    Raises:
        asyncpg.UniqueViolationError: another transaction stored one of them meanwhile; run the transaction again.
    """
    keys = event_keys(source, events)
    known = await _find_known(connection, recorded.book_id, keys)
    customers = _Customers(connection, recorded)
    await customers.find({event.customer for event in events if not isinstance(event, InvalidEvent)})
    judge = remembering_judge((await find_rule(connection, recorded.book_id)).compiled)
    latest = recorded.at + MAX_AHEAD
    outcomes: list[Outcome] = []
    fresh: dict[str, UsageEvent] = {}
    for event, key in zip(events, keys, strict=True):
        if isinstance(event, InvalidEvent):
            outcomes.append(Outcome(Status.INVALID, event.rule, event.field))
        elif key in known:
            outcomes.append(_compare(event, known[key], customers.ids.get(event.customer)))
        elif key in fresh:
            outcomes.append(_compare_repeat(event, fresh[key]))
        elif event.at > latest:
            outcomes.append(_TOO_FAR_AHEAD)
        elif (reason := judge(event)) is not None:
            outcomes.append(_NOT_BILLABLE[reason])
        else:
            fresh[key] = event
            outcomes.append(_ACCEPTED)
    if fresh:
        await customers.make({event.customer for event in fresh.values()})
        await _store(connection, recorded, source, fresh, customers.ids)
    return outcomes


def event_keys(source: str, events: Sequence[UsageEvent | InvalidEvent]) -> list[str]:
    """
    Derive what each event is stored under, in hex: ``ids.id_of_content([source, id])``, quicker for many.

    One that is invalid has the key ``""``.
    """
    start, sha256 = source.encode() + b"\0", hashlib.sha256
    digests = [
        b"" if isinstance(event, InvalidEvent) else sha256(start + event.id.encode()).digest() for event in events
    ]
    made = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)[:, :16].copy()
    made[:, 6] = made[:, 6] & 0x0F | 0x80
    made[:, 8] = made[:, 8] & 0x3F | 0x80
    written = made.tobytes().hex()
    keys = iter([written[place : place + 32] for place in range(0, len(written), 32)])
    return [next(keys) if digest else "" for digest in digests]


async def _find_known(connection: Connection, book_id: int, keys: Sequence[str]) -> dict[str, _Stored]:
    # As the text of an array: the driver takes its time over each element of a list.
    rows = await _find_known_events(connection, book_id, f"{{{','.join(filter(None, keys))}}}")
    return {
        key.hex: _Stored(customer_id, type_, at, msgspec.json.decode(quantities))
        for key, customer_id, type_, at, quantities in rows
    }


def _compare(event: UsageEvent, stored: _Stored, customer_id: int | None) -> Outcome:
    """Answer an event whose id is stored: the same again, or another under the same id."""
    if customer_id != stored.customer_id:
        return _CONFLICT["customer"]
    if event.type != stored.type:
        return _CONFLICT["type"]
    if event.at != stored.at:
        return _CONFLICT["at"]
    if event.quantities != stored.quantities and not _same_numbers(event.quantities, stored.quantities):
        return _CONFLICT["quantities"]
    return _KNOWN


def _compare_repeat(event: UsageEvent, first: UsageEvent) -> Outcome:
    """Answer an event whose id stood before among the same events, as if that one were stored already."""
    if event.customer != first.customer:
        return _CONFLICT["customer"]
    return _compare(event, _Stored(0, first.type, first.at, first.quantities), 0)


def _same_numbers(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Compare by value: what is stored has decimals as strings, and 0.5 is 0.50."""
    return one.keys() == other.keys() and all(Decimal(one[name]) == Decimal(other[name]) for name in one)


async def _store(
    connection: Connection,
    recorded: Recorded,
    source: str,
    fresh: Mapping[str, UsageEvent],
    customer_ids: Mapping[str, int],
) -> None:
    """Append events by COPY, in order of key: transactions that share some wait for each other, and never in a ring."""
    order = await _order_transaction(connection)
    book_id, place, write = recorded.book_id, recorded.message_place, _quantities.encode
    rows = [
        (key, customer_ids[event.customer], event.at, order, book_id, place, event.type, source, event.id,
         write(event.quantities).decode())
        for key, event in sorted(fresh.items())
    ]  # fmt: skip
    await connection.copy_records_to_table("usage_event", schema_name=SCHEMA, columns=_COLUMNS, records=rows)


@dataclass(slots=True)
class _Customers:
    """The customers that the events of one call name."""

    connection: Connection
    recorded: Recorded
    ids: dict[str, int] = field(default_factory=dict)

    async def find(self, refs: set[str]) -> None:
        """Look up those that the book has."""
        self.ids.update(await _find_customers(self.connection, self.recorded.book_id, list(refs)))

    async def make(self, refs: set[str]) -> None:
        """Make those that the book had not, in order: another transaction that makes some of them waits, or we do."""
        missing = sorted(refs - self.ids.keys())
        if missing:
            await _make_customers(self.connection, self.recorded.book_id, missing, self.recorded.at)
            await self.find(set(missing))
