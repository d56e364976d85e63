"""Take usage as it is stored: of its messages the journal keeps count and hash, so it cannot be made anew from them."""

from dataclasses import dataclass
from typing import Any

import msgspec

from tallystick.db.connect import SCHEMA
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import Kind, TallystickError
from tallystick.ids import id_of_content
from tallystick.journal.model import Kept
from tallystick.rebuild.model import Difference

_queries = queries_beside(__file__)
_read_customers = _queries.tuples("read_customers")
_insert_customers = _queries.run("insert_customers")
_read_usage = _queries.tuples("read_usage")
_drafts_beside_others = _queries.tuples("drafts_beside_others")
_usage_through = _queries.value("usage_through")
_read_keys = _queries.tuples("read_keys")
_read_conflicts = _queries.tuples("read_conflicts")
_read_not_billable = _queries.tuples("read_not_billable")
_read_month_events = _queries.tuples("read_month_events")
_months_away = _queries.values("months_away")
_ensure_months = _queries.run("ensure_months")
_EVENT = ("customer_id", "occurred_at", "transaction_id", "event_key", "book_id", "message_place", "sign", "type", "source",
          "event_id", "quantities", "dimensions")  # fmt: skip
_KEY = ("event_key", "content", "customer_id", "occurred_at", "book_id")
_CONFLICT = ("book_id", "event_key", "transaction_id", "message_place", "position", "field", "said", "reported_at")
_NOT_BILLABLE = ("book_id", "event_key", "transaction_id", "message_place", "reason", "judged_at")
_MONTH_EVENT = ("book_id", "month", "piece", "step", "rows", "first_order", "last_order", "checksum", "file", "sha256",
                "transaction_id", "message_place", "at")  # fmt: skip


class MonthsAway(TallystickError):
    """Usage of {months} is not attached, and a book cannot be made anew without it; attach it first."""

    code = "rebuild.months_away"
    kind = Kind.REFUSED


class _Answer(msgspec.Struct):
    accepted: int


@dataclass(frozen=True, slots=True)
class Taken:
    """How much was taken of one message."""

    events: int
    customers: int


async def require_attached(source: Connection, book_id: int) -> None:
    """
    Find all usage of the book attached.

    Raises:
        MonthsAway: some is detached or dropped (``rebuild.months_away``).
    """
    away = await _months_away(source, book_id)
    if away:
        raise MonthsAway(months=", ".join(f"{month:%Y-%m}" for month in away))


async def take_usage(source: Connection, twin: Connection, book_id: int, kept: Kept) -> Taken:
    """
    Copy the events and the customers that a message of usage made, if they are what its answer says.

    Raises:
        Difference: their number or the key of one is another.
    """
    place = book_id, kept.transaction_id, kept.place
    events = await _read_usage(source, *place)
    _require_told(kept, events)
    customers = await take_customers(source, twin, book_id, kept)
    if events:
        keys = await _read_keys(source, book_id, [event[3] for event in events])
        await _ensure_months(twin, book_id, [event[1] for event in events])
        await _copy(twin, "usage_key", _KEY, keys)
        await _copy(twin, "usage_event", _EVENT, events)
    await _copy(twin, "usage_conflict", _CONFLICT, await _read_conflicts(source, *place))
    await _copy(twin, "usage_not_billable", _NOT_BILLABLE, await _read_not_billable(source, *place))
    return Taken(len(events), customers)


async def take_customers(source: Connection, twin: Connection, book_id: int, kept: Kept) -> int:
    """Copy the customers that a message made, whose numbers are those of a sequence; return how many they are."""
    place = book_id, kept.transaction_id, kept.place
    customers = await _read_customers(source, *place)
    if customers:
        await _insert_customers(twin, *place, *map(list, zip(*customers, strict=True)))
    return len(customers)


async def take_months(source: Connection, twin: Connection, book_id: int, kept: Kept) -> None:
    """Copy what a message said of months of usage; in the twin all of them stay where they are."""
    rows = await _read_month_events(source, book_id, kept.transaction_id, kept.place)
    await _copy(twin, "usage_month_event", _MONTH_EVENT, rows)


async def _copy(twin: Connection, table: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    if rows:
        await twin.copy_records_to_table(table, schema_name=SCHEMA, columns=columns, records=rows)


def _require_told(kept: Kept, events: list[tuple[Any, ...]]) -> None:
    accepted = msgspec.json.decode(kept.answer, type=_Answer).accepted
    if len(events) != accepted:
        raise Difference(
            where=f"message {kept.key}", what=f"{accepted} events were accepted, and {len(events)} are stored"
        )
    for event in events:
        key, source, event_id = event[3], event[8], event[9]
        if str(key) != str(id_of_content([source, event_id])):
            raise Difference(where=f"message {kept.key}", what=f"the event {event_id} is stored under another key")


async def find_horizon(source: Connection, book_id: int, kept: Kept) -> int:
    """
    Return the place below which all had ended when a message was done: its own, or less where it drafted invoices, or billed subscriptions.

    Which usage an invoice covers depended on what was under way beside it; the invoice, or the bill, says it.
    """
    through: int | None = await _usage_through(source, book_id, kept.transaction_id, kept.place)
    return kept.transaction_id if through is None else through


async def find_drafts_beside_others(source: Connection, book_id: int, bound: int) -> list[tuple[int, int]]:
    """
    Return the drafts that did not see all that is ordered before them: from which place on, and their own.

    Usage that is ordered in between, and is late for them, came in when they were done.
    """
    found = await _drafts_beside_others(source, book_id, bound)
    return [(through, place) for through, place in found]
