"""The usage room's operations: record events, set what is billable, ask what is there."""

import datetime as dt
import hashlib
from operator import itemgetter
from typing import Annotated, Any, Literal, cast

import msgspec

from tallystick.errors import InvalidInput
from tallystick.operations.model import Call, Input, NothingInput, Operation
from tallystick.usage.accept import Judged, SeenUsage, Status, accept
from tallystick.usage.billable import BillableRule
from tallystick.usage.columns import EventColumns, columns_of
from tallystick.usage.model import GivenEvent, InvalidEvent, UsageEvent, check_event, check_fineness, name_flaw
from tallystick.usage.rule import RuleInForce, find_rule, set_rule

MAX_EVENTS = 5000
_MOST_OF_A_FILE = 50_000
"""Columns come from within this process, and those of files are long."""

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00]+$(?!\n)")]

Door = Literal["http", "cloudevents", "avro", "file"]

_GIVEN_SCHEMA = msgspec.json.schema_components((GivenEvent,))[1]["GivenEvent"]


class RecordInput(Input, frozen=True):
    """Events that one source reports, each judged by itself: one that is wrong costs itself alone."""

    source: Text
    """Who reports, where an event does not say so itself; an event's id is unique within its source."""
    events: Annotated[
        Any,
        msgspec.Meta(
            extra_json_schema={"type": "array", "items": _GIVEN_SCHEMA, "minItems": 1, "maxItems": MAX_EVENTS}
        ),
    ]
    """What JSON brought; from within this process also ``UsageEvent`` and ``InvalidEvent``, or ``EventColumns``."""
    door: Door = "http"
    """By which way they came."""


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


async def record(call: Call, request: RecordInput) -> RecordOutput:
    """Record usage events: those that are billable and new are stored, and each of the others is told why not."""
    events = read_given(request.source, request.events)
    seen = call.book.remembered.setdefault(SeenUsage, SeenUsage())
    return _output(await accept(call.connection, call.recorded, events, seen))


def _flaw_of(error: InvalidEvent) -> list[str | None]:
    return [error.field, error.rule]


_in_full = msgspec.json.Encoder(decimal_format="string", order="sorted", enc_hook=_flaw_of)


def keep_no_payload(request: RecordInput) -> dict[str, object]:
    """
    Keep of the events how many they were and their hash.

    Who, what, when and how much is in the facts that they made; the evidence for the billable rule is nobody's to keep.
    """
    events = request.events
    _require_some(events)
    digest = events.digest if isinstance(events, EventColumns) else hashlib.sha256(_in_full.encode(events)).hexdigest()
    kept: dict[str, object] = {"source": request.source, "events": {"count": len(events), "sha256": digest}}
    return kept if request.door == "http" else {**kept, "door": request.door}


def read_given(source: str, given: object) -> EventColumns:
    """
    Hold each event against the rules of its shape; from within this process they come checked.

    Raises:
        InvalidInput: it is no list, or has none or too many (``invalid_input``).
    """
    _require_some(given)
    if isinstance(given, EventColumns):
        return given
    listed = cast("list[object]", given)
    if not all(isinstance(one, UsageEvent | InvalidEvent) for one in listed):
        return columns_of(source, [_read_one(item) for item in listed])
    return columns_of(source, cast("list[UsageEvent | InvalidEvent]", listed))


def _require_some(given: object) -> None:
    most = _MOST_OF_A_FILE if isinstance(given, EventColumns) else MAX_EVENTS
    if not isinstance(given, list | EventColumns) or not 1 <= len(given) <= most:
        raise InvalidInput(field="events", rule=f"Expected a list of 1 to {most} elements")


async def set_billable_rule(call: Call, request: RuleInput) -> RuleOutput:
    """Set which usage is billed from now on; what is stored stays."""
    return _rule_output(await set_rule(call.connection, call.recorded, request.rule))


async def read_billable_rule(call: Call, _: NothingInput) -> RuleOutput:
    """Return the rule that says which usage is billed."""
    return _rule_output(await find_rule(call.connection, call.book.book_id))


def _read_one(item: object) -> UsageEvent | InvalidEvent:
    try:
        if isinstance(item, dict) and isinstance(at := item.get("at"), str):
            check_fineness("at", at)
        return check_event(msgspec.convert(item, GivenEvent))
    except InvalidEvent as error:
        return error
    except msgspec.ValidationError as error:
        return name_flaw(error, said=item)


def _output(judged: Judged) -> RecordOutput:
    counts = judged.counts()
    return RecordOutput(
        accepted=counts[Status.ACCEPTED],
        known=counts[Status.KNOWN],
        not_billable=counts[Status.NOT_BILLABLE],
        refused=counts[Status.CONFLICT] + counts[Status.INVALID],
        items=[
            RecordedItem(place, outcome.status, outcome.reason, outcome.field)
            for place, outcome in sorted(judged.others.items(), key=itemgetter(0))
        ],
    )


def _rule_output(found: RuleInForce) -> RuleOutput:
    return RuleOutput(found.rule, found.set_at)


OPERATIONS = [
    Operation(
        "usage.record", RecordInput, RecordOutput, "usage:write", "POST /usage/events", record, kept=keep_no_payload
    ),
    Operation(
        "usage.set_billable_rule", RuleInput, RuleOutput, "usage:admin", "POST /usage/billable-rule", set_billable_rule
    ),
    Operation(
        "usage.billable_rule",
        NothingInput,
        RuleOutput,
        "usage:read",
        "GET /usage/billable-rule",
        read_billable_rule,
        reads=True,
    ),
]
