"""Revise: write the spans of a subscription anew, and when it is billed next."""

import datetime as dt
from collections.abc import Sequence

from tallystick import canonical
from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.accounts import Recorded
from tallystick.subscriptions.find import State, find_state
from tallystick.subscriptions.model import Revision, Span, merged
from tallystick.subscriptions.schedule import next_due

_queries = queries_beside(__file__)
_insert_revision = _queries.run("insert_revision")
_insert_spans = _queries.run("insert_spans")
_set_due = _queries.run("set_due")
_lock_due = _queries.run("lock_due")


async def lock(connection: Connection, book_id: int, subscription_id: str) -> None:
    """Wait until nobody else changes or bills a subscription, and keep others waiting until the transaction ends."""
    await _lock_due(connection, book_id, [subscription_id])


async def revise(
    connection: Connection,
    recorded: Recorded,
    state: State,
    revision: Revision,
    spans: Sequence[Span],
) -> State:
    """Append a revision that says *spans*, and return the subscription as it stands then."""
    spans = merged(list(spans))
    await write_revision(connection, recorded, state.id, revision, spans)
    await set_due(connection, recorded.book_id, {state.id: due_after(state, spans, recorded.at)})
    return await find_state(connection, recorded.book_id, state.id)


def due_after(state: State, spans: Sequence[Span], now: dt.datetime) -> dt.datetime | None:
    """
    Return when a subscription is billed next after it was changed.

    One that ends no later than it was billed last is billed once more, at once: what it was asked for too much.
    """
    if state.bill is None:
        return next_due(spans, None)
    regular = next_due(spans, state.bill.due_at)
    return regular or max(now, state.bill.due_at + dt.timedelta.resolution)


async def write_revision(
    connection: Connection, recorded: Recorded, subscription_id: str, revision: Revision, spans: Sequence[Span]
) -> None:
    """Keep a revision and its spans, which must not overlap."""
    await _insert_revision(
        connection,
        recorded.book_id,
        subscription_id,
        revision.revision,
        revision.kind,
        revision.effective_at,
        revision.differs_from,
        revision.rests_on,
        recorded.message_place,
        recorded.at,
    )
    await _insert_spans(
        connection,
        recorded.book_id,
        subscription_id,
        revision.revision,
        [span.start_at for span in spans],
        [span.end_at for span in spans],
        [span.plan for span in spans],
        [span.version_at for span in spans],
        [span.phase for span in spans],
        [span.quantity for span in spans],
        [span.paused for span in spans],
        [canonical.encode(span.cycle).decode() for span in spans],
    )


async def set_due(connection: Connection, book_id: int, due: dict[str, dt.datetime | None]) -> None:
    """Say when subscriptions are billed next; None: never."""
    await _set_due(connection, book_id, list(due), list(due.values()))
