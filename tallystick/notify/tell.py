"""Tell: append events to the outbox, in the transaction that makes them true."""

import uuid
from collections.abc import Sequence

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.accounts import Recorded
from tallystick.notify.model import EVENT_TYPES, EventData, Told

__all__ = ["Told", "tell"]

_queries = queries_beside(__file__)
_insert_events = _queries.run("insert_events")
_encoder = msgspec.json.Encoder(decimal_format="string")


async def tell(
    connection: Connection,
    recorded: Recorded,
    events: Sequence[Told],
    only: uuid.UUID | None = None,
    places: Sequence[int] | None = None,
) -> None:
    """
    Append *events* in their order, with a delivery to each endpoint that wants their type; to *only* that one, if named.

    *places* are the places of the messages that tell them, where one transaction does many; None: all are of one.

    However many there are, it is one statement. Who tells of a subject holds whatever its changes wait for (its lock, its
    account's row), so that its events come to stand in the order in which it changed.

    Raises:
        ValueError: the type is none of `EVENT_TYPES`, or the data are not its own.
    """
    if not events:
        return
    await _insert_events(
        connection,
        recorded.book_id,
        [recorded.message_place] * len(events) if places is None else list(places),
        recorded.at,
        [one.type for one in events],
        [one.subject for one in events],
        [_written(one) for one in events],
        only,
    )


def _written(event: Told) -> str:
    """Write an event's data as JSON, after holding them against what the type says."""
    known = EVENT_TYPES.get(event.type)
    if known is None:
        raise ValueError(f"{event.type} is no type of event")
    try:
        data: EventData = msgspec.convert(event.data, known.data)
    except msgspec.ValidationError as error:
        raise ValueError(f"the data of {event.type} do not fit {known.data.__name__}: {error}") from error
    return _encoder.encode(data).decode()
