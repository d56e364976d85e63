"""Find subscriptions: as they stand by their newest revision."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput, Kind, TallystickError
from tallystick.periods import Cycle
from tallystick.subscriptions import model
from tallystick.subscriptions.model import (
    Bill,
    Revision,
    ScheduledSpan,
    Span,
    Subscription,
    SubscriptionsPage,
)
from tallystick.subscriptions.schedule import end_of

_queries = queries_beside(__file__)
_find_subscriptions = _queries.tuples("find_subscriptions")
_find_spans = _queries.tuples("find_spans")
_find_revision = _queries.tuples("find_revision")
_list_revisions = _queries.tuples("list_revisions")
_page_subscriptions = _queries.values("page_subscriptions")


class UnknownSubscription(TallystickError):
    """There is no subscription {subscription} in this book."""

    code = "subscriptions.unknown"
    kind = Kind.NOT_FOUND


@dataclass(frozen=True, slots=True)
class State:
    """A subscription as it stands."""

    id: str
    customer_id: int
    customer: str
    start_at: dt.datetime
    newest: Revision
    spans: list[Span]
    due_at: dt.datetime | None
    bill: Bill | None
    """The newest; None: it was never billed."""

    @property
    def end_at(self) -> dt.datetime | None:
        """Return when it ends; None: not as far as is known."""
        return end_of(self.spans, self.start_at)


async def find_state(connection: Connection, book_id: int, subscription_id: str) -> State:
    """
    Return the subscription.

    Raises:
        UnknownSubscription: there is none (``subscriptions.unknown``).
    """
    found = await find_states(connection, book_id, [subscription_id])
    if not found:
        raise UnknownSubscription(field="id", subscription=subscription_id)
    return found[0]


async def find_states(connection: Connection, book_id: int, subscription_ids: Sequence[str]) -> list[State]:
    """Return those of the subscriptions that exist, in order of id."""
    rows = await _find_subscriptions(connection, book_id, list(subscription_ids))
    spans = await _spans_of(connection, book_id, {row[0]: row[4] for row in rows})
    return [_state(row, spans.get(row[0], [])) for row in rows]


async def spans_of_revision(connection: Connection, book_id: int, subscription_id: str, revision: int) -> list[Span]:
    """Return the spans that a revision said, in order of time."""
    return (await _spans_of(connection, book_id, {subscription_id: revision})).get(subscription_id, [])


async def find_revision(connection: Connection, book_id: int, subscription_id: str, revision: int) -> Revision:
    """Return one revision of a subscription, which must have it."""
    (row,) = await _find_revision(connection, book_id, subscription_id, revision)
    return _revision(row)


async def list_revisions(connection: Connection, book_id: int, subscription_id: str) -> list[Revision]:
    """Return all revisions of a subscription, the first one first."""
    return [_revision(row) for row in await _list_revisions(connection, book_id, subscription_id)]


async def page_subscriptions(
    connection: Connection, book_id: int, customer: str | None, after: str, limit: int, now: dt.datetime
) -> SubscriptionsPage:
    """
    Return *limit* subscriptions whose ids sort behind *after*, of one customer if given.

    Raises:
        InvalidInput: *after* is no subscription (``invalid_input``).
    """
    if after and not await _find_subscriptions(connection, book_id, [after]):
        raise InvalidInput(field="after", rule="a cursor is what `next` of the page before gave")
    ids = await _page_subscriptions(connection, book_id, after, customer, limit + 1)
    items = [told(state, now) for state in await find_states(connection, book_id, ids[:limit])]
    return SubscriptionsPage(items, ids[limit - 1] if len(ids) > limit else None)


def told(state: State, now: dt.datetime) -> Subscription:
    """Return a subscription as callers see it."""
    return Subscription(
        id=state.id,
        customer=state.customer,
        status=_status(state, now),
        start_at=state.start_at,
        end_at=state.end_at,
        zone=state.spans[-1].cycle.zone if state.spans else "UTC",
        revision=state.newest.revision,
        spans=[
            ScheduledSpan(
                span.start_at, span.end_at, span.plan, span.version_at, span.phase, span.quantity, span.paused
            )
            for span in state.spans
        ],
        next_due_at=state.due_at,
        billed_until=None if state.bill is None else state.bill.due_at,
        credit=0 if state.bill is None else state.bill.carried,
    )


def _status(state: State, now: dt.datetime) -> str:
    if state.end_at is not None and state.end_at <= now:
        return "ended"
    for span in state.spans:
        if span.covers(now):
            return "paused" if span.paused else "active"
    return "scheduled"


async def _spans_of(connection: Connection, book_id: int, revisions: dict[str, int]) -> dict[str, list[Span]]:
    spans: dict[str, list[Span]] = {}
    for subscription_id, *rest in await _find_spans(connection, book_id, list(revisions), list(revisions.values())):
        start_at, end_at, plan, version_at, phase, quantity, paused, cycle = rest
        read = msgspec.json.decode(cycle, type=Cycle)
        span = Span(start_at, end_at, plan, version_at, phase, quantity, paused, read)
        spans.setdefault(subscription_id, []).append(span)
    return spans


def _revision(row: tuple[Any, ...]) -> Revision:
    revision, kind, *rest = row
    return Revision(revision, model.Kind(kind), *rest)


def _state(row: tuple[Any, ...], spans: list[Span]) -> State:
    subscription_id, customer_id, customer, start_at = row[:4]
    due_at, billed_at, revision, invoice_id, *carried = row[10:]
    bill = None if billed_at is None else Bill(billed_at, revision, invoice_id, *carried)
    return State(subscription_id, customer_id, customer, start_at, _revision(row[4:10]), spans, due_at, bill)
