"""Replay: put events to an endpoint once more, under the ids they had."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import Kind, TallystickError
from tallystick.ledger.accounts import Recorded
from tallystick.notify.set_endpoint import hold_enabled

_queries = queries_beside(__file__)
_replay = _queries.run("replay")
_count_to_replay = _queries.value("count_to_replay")
_find_known_events = _queries.values("find_known_events")


MOST_REPLAYED = 100_000
"""So many events are put to an endpoint in one go: more would hold a transaction, and the endpoint, for too long."""


class UnknownEvent(TallystickError):
    """There is no event {event_id}."""

    code = "webhooks.unknown_event"
    kind = Kind.NOT_FOUND


class TooManyToReplay(TallystickError):
    """More than {most} events fit; replay a shorter time, one after the other."""

    code = "webhooks.too_many_to_replay"
    kind = Kind.REFUSED


@dataclass(frozen=True, slots=True)
class Replay:
    """Which events to put to which endpoint: all that fit every part that is given."""

    endpoint_id: uuid.UUID
    start_at: dt.datetime
    end_at: dt.datetime
    types: list[str] | None
    events: Sequence[uuid.UUID] | None


async def replay(connection: Connection, recorded: Recorded, wanted: Replay) -> None:
    """
    Put events to an endpoint once more, whatever became of them before and whether it wants their types or not.

    They go out behind what waits already, in the order in which they were told; what waits already is left as it is.

    Raises:
        UnknownEndpoint: there is none of that id (``webhooks.unknown_endpoint``).
        EndpointDisabled: it is sent nothing (``webhooks.endpoint_disabled``).
        UnknownEvent: one of the events named is not in the book (``webhooks.unknown_event``).
        TooManyToReplay: they are more than are put to it in one go (``webhooks.too_many_to_replay``).
    """
    await hold_enabled(connection, recorded.book_id, wanted.endpoint_id)
    if wanted.events is not None:
        await _require_known(connection, recorded.book_id, wanted.events)
    fitting = await _count_to_replay(
        connection, recorded.book_id, wanted.events, wanted.types, wanted.start_at, wanted.end_at, MOST_REPLAYED + 1
    )
    if fitting > MOST_REPLAYED:
        raise TooManyToReplay(most=MOST_REPLAYED)
    await _replay(
        connection, recorded.book_id, wanted.endpoint_id, recorded.at, wanted.events, wanted.types, wanted.start_at,
        wanted.end_at,
    )  # fmt: skip


async def _require_known(connection: Connection, book_id: int, events: Sequence[uuid.UUID]) -> None:
    known = {one.bytes for one in await _find_known_events(connection, book_id, events)}
    for place, event_id in enumerate(events):
        if event_id.bytes not in known:
            raise UnknownEvent(field=f"events[{place}]", event_id=event_id)
