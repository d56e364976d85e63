"""Subscribe: begin a subscription of a customer to a plan."""

import datetime as dt
from dataclasses import dataclass

from tallystick.catalog.model import instant_in_utc
from tallystick.catalog.plans.check_plan import is_zone
from tallystick.catalog.plans.find_plan import find_plan
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput, Kind, TallystickError
from tallystick.ledger.accounts import Recorded
from tallystick.subscriptions import model
from tallystick.subscriptions.find import State, find_state, spans_of_revision
from tallystick.subscriptions.lay_out import Terms, lay_out
from tallystick.subscriptions.model import Revision
from tallystick.subscriptions.revise import set_due, write_revision
from tallystick.subscriptions.schedule import next_due

_queries = queries_beside(__file__)
_make_customer = _queries.run("make_customer")
_find_customer = _queries.value("find_customer")
_insert_subscription = _queries.run("insert_subscription")
_EARLIEST = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LATEST = dt.datetime(9000, 1, 1, tzinfo=dt.UTC)
MAX_ANCHOR_DAY = 31


class SubscriptionExists(TallystickError):
    """There is a subscription {subscription} already, with other terms; take another id."""

    code = "subscriptions.exists"
    kind = Kind.CONFLICT


@dataclass(frozen=True, slots=True)
class Order:
    """What a subscription begins with."""

    id: str
    customer: str
    plan: str
    quantity: int
    start_at: dt.datetime
    end_at: dt.datetime | None
    zone: str | None
    """None: the plan's."""
    anchor_day: int | None
    pinned: bool
    """It keeps the version of the plan that it begins with."""


async def subscribe(connection: Connection, recorded: Recorded, order: Order) -> State:
    """
    Begin a subscription, which may be in the past; the same again is found as it stands now.

    Raises:
        InvalidInput: it ends before it starts, or a rule of zone, day or calendar is broken (``invalid_input``).
        UnknownPlan: there is no version of the plan at its start (``plans.unknown``).
        SubscriptionExists: the id is another one's (``subscriptions.exists``).
        BeyondCalendar: a phase would last until after the year 9999 (``subscriptions.beyond_calendar``).
    """
    start_at = calendar_instant(order.start_at, "start_at")
    end_at = None if order.end_at is None else calendar_instant(order.end_at, "end_at")
    if end_at is not None and end_at <= start_at:
        raise InvalidInput(field="end_at", rule="a subscription must end after it starts")
    if order.zone is not None and not is_zone(order.zone):
        raise InvalidInput(field="zone", rule="a zone is an IANA name such as UTC or Europe/Vienna")
    version = await find_plan(connection, recorded.book_id, order.plan, start_at)
    if order.anchor_day is not None and (version.content.billing == "calendar" or not version.interval.months):
        rule = "only a plan of months, quarters or years, by anniversary, has a day of the month to begin on"
        raise InvalidInput(field="anchor_day", rule=rule)
    terms = Terms(order.quantity, order.zone or version.content.zone, order.anchor_day, order.pinned)
    spans = lay_out(version, start_at, end_at, terms)
    customer_id = await _customer(connection, recorded, order.customer)
    new = await _insert_subscription(
        connection, recorded.book_id, order.id, customer_id, start_at, recorded.message_place, recorded.at
    )
    if new:
        first = Revision(0, model.Kind.SUBSCRIBE, start_at, start_at, None, recorded.at)
        await write_revision(connection, recorded, order.id, first, spans)
        await set_due(connection, recorded.book_id, {order.id: next_due(spans, None)})
    state = await find_state(connection, recorded.book_id, order.id)
    there = spans if new else await spans_of_revision(connection, recorded.book_id, order.id, 0)
    if (state.customer, there) != (order.customer, spans):
        raise SubscriptionExists(field="id", subscription=order.id)
    return state


def calendar_instant(instant: dt.datetime, field: str) -> dt.datetime:
    """
    Return *instant* in UTC.

    Raises:
        InvalidInput: it is before 1970 or after 9000 (``invalid_input``).
    """
    try:
        found = instant_in_utc(instant)
    except ValueError as error:
        raise InvalidInput(field=field, rule=str(error)) from error
    if not _EARLIEST <= found < _LATEST:
        raise InvalidInput(field=field, rule="an instant of a subscription is of the years 1970 to 8999")
    return found


async def _customer(connection: Connection, recorded: Recorded, ref: str) -> int:
    await _make_customer(connection, recorded.book_id, ref, recorded.at)
    customer_id: int = await _find_customer(connection, recorded.book_id, ref)
    return customer_id
