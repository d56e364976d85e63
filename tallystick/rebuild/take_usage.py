"""Take usage as it is stored: of its messages the journal keeps count and hash, so it cannot be made anew from them."""

from dataclasses import dataclass

import msgspec

from tallystick.db.connect import SCHEMA
from tallystick.db.queries import Connection, queries_beside
from tallystick.ids import id_of_content
from tallystick.journal.model import Kept
from tallystick.rebuild.model import Difference

_queries = queries_beside(__file__)
_read_customers = _queries.tuples("read_customers")
_insert_customers = _queries.run("insert_customers")
_read_usage = _queries.tuples("read_usage")
_drafts_beside_others = _queries.tuples("drafts_beside_others")
_usage_through = _queries.value("usage_through")
_COLUMNS = ("event_key", "customer_id", "occurred_at", "transaction_id", "book_id", "message_place", "type", "source",
            "event_id", "quantities")  # fmt: skip


class _Given(msgspec.Struct):
    source: str


class _Body(msgspec.Struct):
    input: _Given


class _Answer(msgspec.Struct):
    accepted: int


@dataclass(frozen=True, slots=True)
class Taken:
    """How much was taken of one message."""

    events: int
    customers: int


async def take_usage(source: Connection, twin: Connection, book_id: int, kept: Kept) -> Taken:
    """
    Copy the events and the customers that a message of usage made, if they are what its answer says.

    Raises:
        Difference: their number, their source or the key of one is another.
    """
    place = book_id, kept.transaction_id, kept.place
    events = await _read_usage(source, *place)
    _require_told(kept, events)
    customers = await _read_customers(source, *place)
    if customers:
        await _insert_customers(twin, *place, *map(list, zip(*customers, strict=True)))
    if events:
        await twin.copy_records_to_table("usage_event", schema_name=SCHEMA, columns=_COLUMNS, records=events)
    return Taken(len(events), len(customers))


def _require_told(kept: Kept, events: list[tuple[object, ...]]) -> None:
    accepted = msgspec.json.decode(kept.answer, type=_Answer).accepted
    source = msgspec.json.decode(kept.body, type=_Body).input.source
    if len(events) != accepted:
        raise Difference(
            where=f"message {kept.key}", what=f"{accepted} events were accepted, and {len(events)} are stored"
        )
    for key, *_, of_source, event_id, _ in events:
        if of_source != source or str(key) != str(id_of_content([source, str(event_id)])):
            raise Difference(
                where=f"message {kept.key}", what=f"the event {event_id} is stored under another source or key"
            )


async def find_horizon(source: Connection, book_id: int, kept: Kept) -> int:
    """
    Return the place below which all had ended when a message was done: its own, or less where it drafted invoices.

    Which usage an invoice covers depended on what was under way beside it; the invoice says it.
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
