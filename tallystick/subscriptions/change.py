"""Change a subscription from an instant on: quantity, plan, pause, resume, cancel; and undo what is not in force yet."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from tallystick.catalog.plans.find_plan import find_plan
from tallystick.db.queries import Connection
from tallystick.errors import Kind, TallystickError
from tallystick.ledger.accounts import Recorded
from tallystick.periods import LocalDay
from tallystick.subscriptions import model
from tallystick.subscriptions.find import State, find_revision, find_state, spans_of_revision
from tallystick.subscriptions.lay_out import Terms, cycle_from
from tallystick.subscriptions.model import Revision, Span
from tallystick.subscriptions.revise import lock, revise
from tallystick.subscriptions.schedule import periods_from
from tallystick.subscriptions.subscribe import calendar_instant

At = Literal["now", "period_end"] | dt.datetime
"""When a change takes effect: at once, when the billing period that is under way ends, or at an instant."""


class BeforeStart(TallystickError):
    """The subscription {subscription} starts at {start}; nothing of it can change before."""

    code = "subscriptions.before_start"
    kind = Kind.REFUSED


class SubscriptionEnded(TallystickError):
    """The subscription {subscription} ends at {end}; nothing of it can change from then on."""

    code = "subscriptions.ended"
    kind = Kind.REFUSED


class NothingChanges(TallystickError):
    """The subscription {subscription} is so from that instant on already."""

    code = "subscriptions.nothing_changes"
    kind = Kind.REFUSED


class NothingToUndo(TallystickError):
    """The newest change of {subscription} took effect at {effective}; only one that is still to come can be undone."""

    code = "subscriptions.nothing_to_undo"
    kind = Kind.REFUSED


class OtherAsset(TallystickError):
    """The plan {plan} is in {asset}, and the subscription in {present}; cancel it and begin another."""

    code = "subscriptions.other_asset"
    kind = Kind.REFUSED


@dataclass(frozen=True, slots=True)
class Change:
    """What is to change, and from when."""

    id: str
    at: At
    kind: model.Kind
    quantity: int | None = None
    plan: str | None = None
    resume_at: dt.datetime | None = None
    """When a pause ends by itself; None: when somebody says so."""
    pinned: bool = field(default=False)
    """It keeps the version of the new plan that it begins with."""


async def change(connection: Connection, recorded: Recorded, wanted: Change) -> State:
    """
    Append a revision in which the subscription is as wanted from an instant on, which may be in the past.

    What that makes of periods that were billed is on the next invoice: credits and charges that name the lines that they
    correct. Changes of the same thing that were scheduled for later are overridden.

    Raises:
        InvalidInput: an instant is outside the calendar (``invalid_input``).
        UnknownSubscription: ``subscriptions.unknown``.
        BeforeStart: the instant is before its start (``subscriptions.before_start``).
        SubscriptionEnded: the instant is not before its end (``subscriptions.ended``).
        NothingChanges: it is as wanted already (``subscriptions.nothing_changes``).
        UnknownPlan: there is no such plan at that instant (``plans.unknown``).
        OtherAsset: the other plan is in another asset (``subscriptions.other_asset``).
    """
    await lock(connection, recorded.book_id, wanted.id)
    state = await find_state(connection, recorded.book_id, wanted.id)
    at = _resolve(state, wanted.at, recorded.at)
    if at < state.start_at:
        raise BeforeStart(field="at", subscription=state.id, start=state.start_at.isoformat())
    if state.end_at is not None and at >= state.end_at:
        raise SubscriptionEnded(field="at", subscription=state.id, end=state.end_at.isoformat())
    before = [part for span in state.spans if (part := span.cut(state.start_at, at)) is not None]
    after = [part for span in state.spans if (part := span.cut(at, None)) is not None]
    behind = await _behind(connection, recorded, wanted, at, after)
    if model.merged(behind) == model.merged(after):
        raise NothingChanges(field="at", subscription=state.id)
    revision = Revision(state.newest.revision + 1, wanted.kind, at, at, state.newest.revision, recorded.at)
    return await revise(connection, recorded, state, revision, [*before, *behind])


async def undo(connection: Connection, recorded: Recorded, subscription_id: str) -> State:
    """
    Go back to what was before the newest change, which must not be in force yet.

    Raises:
        UnknownSubscription: ``subscriptions.unknown``.
        NothingToUndo: it is in force, or there is none (``subscriptions.nothing_to_undo``).
    """
    await lock(connection, recorded.book_id, subscription_id)
    state = await find_state(connection, recorded.book_id, subscription_id)
    newest = state.newest
    if newest.rests_on is None or newest.effective_at <= recorded.at:
        raise NothingToUndo(subscription=state.id, effective=newest.effective_at.isoformat())
    base = await find_revision(connection, recorded.book_id, subscription_id, newest.rests_on)
    spans = await spans_of_revision(connection, recorded.book_id, subscription_id, base.revision)
    revision = Revision(
        newest.revision + 1, model.Kind.UNDO, base.effective_at, newest.differs_from, base.rests_on, recorded.at
    )
    return await revise(connection, recorded, state, revision, spans)


def _resolve(state: State, at: At, now: dt.datetime) -> dt.datetime:
    if isinstance(at, dt.datetime):
        return calendar_instant(at, "at")
    if at == "now":
        return max(now, state.start_at)
    present = next(periods_from(state.spans, max(now, state.start_at)), None)
    return now if present is None else present.period.end_at


async def _behind(
    connection: Connection, recorded: Recorded, wanted: Change, at: dt.datetime, after: list[Span]
) -> list[Span]:
    """Return the spans from *at* on as they are wanted."""
    match wanted.kind:
        case model.Kind.CANCEL:
            return []
        case model.Kind.PAUSE:
            until = None if wanted.resume_at is None else calendar_instant(wanted.resume_at, "resume_at")
            return _paused(wanted.id, at, until, after)
        case model.Kind.RESUME:
            return _each(after, lambda span: msgspec.structs.replace(span, paused=False))
        case model.Kind.QUANTITY:
            quantity = wanted.quantity or 0
            return _each(after, lambda span: msgspec.structs.replace(span, quantity=quantity))
        case _:
            return await _on_plan(connection, recorded, wanted, at, after)


def _each(spans: list[Span], revised: Callable[[Span], Span]) -> list[Span]:
    return [revised(span) for span in spans]


def _paused(subscription_id: str, at: dt.datetime, until: dt.datetime | None, after: list[Span]) -> list[Span]:
    """Return the spans paused until an instant, and behind it as they were."""
    if until is not None and until <= at:
        raise NothingChanges(field="resume_at", subscription=subscription_id)
    paused = [part for span in after if (part := span.cut(at, until)) is not None]
    rest = [] if until is None else [part for span in after if (part := span.cut(until, None)) is not None]
    return [*_each(paused, lambda span: msgspec.structs.replace(span, paused=True)),
            *_each(rest, lambda span: msgspec.structs.replace(span, paused=False))]  # fmt: skip


async def _on_plan(
    connection: Connection, recorded: Recorded, wanted: Change, at: dt.datetime, after: list[Span]
) -> list[Span]:
    """
    Return the spans on the new plan: in its last phase, since a trial is given once.

    When a pause ends, or begins, and how many there are from when on stays as it was. Where both plans are billed by the same interval the periods go on as they were; otherwise new ones begin.
    """
    present = after[0]
    new = await find_plan(connection, recorded.book_id, wanted.plan or "", at)
    old = await find_plan(connection, recorded.book_id, present.plan, present.version_at or present.start_at)
    if new.content.asset != old.content.asset:
        raise OtherAsset(field="plan", plan=new.plan, asset=new.content.asset, present=old.content.asset)
    zone = present.cycle.zone
    cycle = present.cycle
    if (new.content.interval, new.content.billing) != (old.content.interval, old.content.billing):
        cycle = cycle_from(new, LocalDay.of(at, zone), at, Terms(present.quantity, zone, None, wanted.pinned))
    pinned_to = new.effective_at if wanted.pinned else None
    fields: dict[str, object] = {
        "plan": new.plan,
        "version_at": pinned_to,
        "phase": new.phases[-1].name,
        "cycle": cycle,
    }
    if wanted.quantity is not None:
        fields["quantity"] = wanted.quantity
    return _each(after, lambda span: msgspec.structs.replace(span, **fields))
