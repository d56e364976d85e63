"""The usage room's operations: record events, set what is billable, ask what is there."""

import datetime as dt
import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, cast

import msgspec

from tallystick.errors import InvalidInput
from tallystick.operations.model import Call, Input, Operation
from tallystick.periods import Period
from tallystick.usage import query
from tallystick.usage.accept import Outcome, Status, accept
from tallystick.usage.billable import BillableRule
from tallystick.usage.model import GivenEvent, InvalidEvent, UsageEvent, check_event, name_flaw
from tallystick.usage.query import EventsPage, Summary
from tallystick.usage.rule import RuleInForce, find_rule, set_rule

MAX_EVENTS = 5000

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00]+$(?!\n)")]
Instant = Annotated[dt.datetime, msgspec.Meta(tz=True)]
PageSize = Annotated[int, msgspec.Meta(ge=1, le=1000)]

_GIVEN_SCHEMA = msgspec.json.schema_components((GivenEvent,))[1]["GivenEvent"]
_in_full = msgspec.json.Encoder(decimal_format="string", order="sorted")


class RecordInput(Input, frozen=True):
    """Events that one source reports, each judged by itself: one that is wrong costs itself alone."""

    source: Text
    """Who reports; an event's id is unique within its source."""
    events: Annotated[
        list[Annotated[Any, msgspec.Meta(extra_json_schema=_GIVEN_SCHEMA)]],
        msgspec.Meta(min_length=1, max_length=MAX_EVENTS),
    ]
    """What JSON brought, or ``UsageEvent`` from within this process."""


class RecordedItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of an event that was not accepted just now."""

    item: int
    """Its place in the request, from 0."""
    status: Status
    """``known`` (stored before, or a repeat), ``not_billable``, ``conflict`` or ``invalid``."""
    reason: str | None = None
    field: str | None = None


class RecordOutput(msgspec.Struct, frozen=True):
    """What became of the events; one that is not among the items was accepted."""

    accepted: int
    known: int
    not_billable: int
    refused: int
    """Those that are invalid or in conflict."""
    items: list[RecordedItem]


class RuleInput(Input, frozen=True):
    """The rule that says which usage is billed."""

    rule: BillableRule


class RuleOutput(msgspec.Struct, frozen=True):
    """The rule in force, and since when; null: it is the default."""

    rule: BillableRule
    set_at: dt.datetime | None


class NoInput(Input, frozen=True):
    """Nothing beside the book."""


class SummaryInput(Input, frozen=True):
    """A half-open period; of one customer or of all; and the quantity to add up."""

    start_at: Instant
    end_at: Instant
    customer: Text | None = None
    quantity: Text | None = None


class EventsInput(Input, frozen=True):
    """A page of a customer's events in order of time, within a half-open period."""

    customer: Text
    start_at: Instant = dt.datetime(1, 1, 1, tzinfo=dt.UTC)
    end_at: Instant = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)
    after: str = ""
    limit: PageSize = 100


async def record(call: Call, request: RecordInput) -> RecordOutput:
    """Record usage events: those that are billable and new are stored, and each of the others is told why not."""
    outcomes = await accept(call.connection, call.recorded, request.source, read_given(request.events))
    return _output(outcomes)


def keep_no_payload(request: RecordInput) -> dict[str, object]:
    """
    Keep of the events how many they were and their hash.

    Who, what, when and how much is in the facts that they made; the evidence for the billable rule is nobody's to keep.
    """
    digest = hashlib.sha256(_in_full.encode(request.events)).hexdigest()
    return {"source": request.source, "events": {"count": len(request.events), "sha256": digest}}


def read_given(given: Sequence[object]) -> list[UsageEvent | InvalidEvent]:
    """Hold each event against the rules of its shape; from within this process they come checked."""
    if given and isinstance(given[0], UsageEvent):
        return cast("list[UsageEvent | InvalidEvent]", given)
    return [_read_one(item) for item in given]


async def set_billable_rule(call: Call, request: RuleInput) -> RuleOutput:
    """Set which usage is billed from now on; what is stored stays."""
    return _rule_output(await set_rule(call.connection, call.recorded, request.rule))


async def read_billable_rule(call: Call, _: NoInput) -> RuleOutput:
    """Return the rule that says which usage is billed."""
    return _rule_output(await find_rule(call.connection, call.book.book_id))


async def summarise(call: Call, request: SummaryInput) -> Summary:
    """Count the events of a period and add up one of their quantities."""
    return await query.summarise(
        call.connection,
        call.book.book_id,
        _period(request.start_at, request.end_at),
        customer=request.customer,
        quantity=request.quantity,
    )


async def list_events(call: Call, request: EventsInput) -> EventsPage:
    """Return a page of a customer's events in order of time."""
    period = _period(request.start_at, request.end_at)
    return await query.page_events(
        call.connection, call.book.book_id, request.customer, period, after=request.after, limit=request.limit
    )


def _read_one(item: object) -> UsageEvent | InvalidEvent:
    try:
        return check_event(msgspec.convert(item, GivenEvent))
    except InvalidEvent as error:
        return error
    except msgspec.ValidationError as error:
        return name_flaw(error)


def _output(outcomes: Sequence[Outcome]) -> RecordOutput:
    counts = Counter(outcome.status for outcome in outcomes)
    return RecordOutput(
        accepted=counts[Status.ACCEPTED],
        known=counts[Status.KNOWN],
        not_billable=counts[Status.NOT_BILLABLE],
        refused=counts[Status.CONFLICT] + counts[Status.INVALID],
        items=[
            RecordedItem(place, outcome.status, outcome.reason, outcome.field)
            for place, outcome in enumerate(outcomes)
            if outcome.status is not Status.ACCEPTED
        ],
    )


def _rule_output(found: RuleInForce) -> RuleOutput:
    return RuleOutput(found.rule, found.set_at)


def _period(start_at: dt.datetime, end_at: dt.datetime) -> Period:
    if end_at <= start_at:
        raise InvalidInput(field="end_at", rule="a period must end after it starts")
    return Period(start_at, end_at)


OPERATIONS = [
    Operation(
        "usage.record", RecordInput, RecordOutput, "usage:write", "POST /usage/events", record, kept=keep_no_payload
    ),
    Operation(
        "usage.set_billable_rule", RuleInput, RuleOutput, "usage:admin", "POST /usage/billable-rule", set_billable_rule
    ),
    Operation(
        "usage.billable_rule",
        NoInput,
        RuleOutput,
        "usage:read",
        "GET /usage/billable-rule",
        read_billable_rule,
        reads=True,
    ),
    Operation("usage.summary", SummaryInput, Summary, "usage:read", "GET /usage/summary", summarise, reads=True),
    Operation("usage.list_events", EventsInput, EventsPage, "usage:read", "GET /usage/events", list_events, reads=True),
]
