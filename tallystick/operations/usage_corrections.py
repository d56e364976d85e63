"""The operations that correct usage: amend and void."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from tallystick.operations.model import Call, Input, Operation
from tallystick.operations.usage import Text
from tallystick.usage.correcting.correct import CorrectionOutcome, CorrectionStatus, Wanted, correct
from tallystick.usage.model import InvalidEvent, check_dimensions, check_quantities, check_text, name_flaw

MAX_CORRECTIONS = 1000
_FIXED = {
    "at": "cannot be amended: void the event and send the usage anew, under another id",
    "customer": "cannot be amended: void the event and send the usage anew, under another id",
    "type": "cannot be amended: void the event and send the usage anew, under another id",
}


class GivenAmendment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an event shall say; what is not given stays as it is."""

    id: str
    quantities: dict[str, int | str] | None = None
    """All of them; integers, or decimals in strings."""
    dimensions: dict[str, str] | None = None
    """All of them."""


class GivenVoid(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event to take back."""

    id: str


_AMENDMENT_SCHEMA = msgspec.json.schema_components((GivenAmendment,))[1]["GivenAmendment"]
_VOID_SCHEMA = msgspec.json.schema_components((GivenVoid,))[1]["GivenVoid"]


class AmendInput(Input, frozen=True):
    """Events of one source that shall say something else, and why; each is judged by itself."""

    source: Text
    reason: Text
    events: Annotated[
        list[Annotated[Any, msgspec.Meta(extra_json_schema=_AMENDMENT_SCHEMA)]],
        msgspec.Meta(min_length=1, max_length=MAX_CORRECTIONS),
    ]


class VoidUsageInput(Input, frozen=True):
    """Events of one source that shall not count, and why; each is judged by itself."""

    source: Text
    reason: Text
    events: Annotated[
        list[Annotated[Any, msgspec.Meta(extra_json_schema=_VOID_SCHEMA)]],
        msgspec.Meta(min_length=1, max_length=MAX_CORRECTIONS),
    ]


class CorrectedItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of an event that was not corrected just now."""

    item: int
    """Its place in the request, from 0."""
    status: CorrectionStatus
    """``known`` (corrected so before), ``unchanged``, ``unknown_event``, ``already_void`` or ``invalid``."""
    reason: str | None = None
    field: str | None = None


class CorrectOutput(msgspec.Struct, frozen=True):
    """What became of the events; one that is not among the items was corrected."""

    corrected: int
    known: int
    unchanged: int
    refused: int
    """Those that are unknown, void already, or invalid."""
    items: list[CorrectedItem]


async def amend(call: Call, request: AmendInput) -> CorrectOutput:
    """
    Amend usage events: other quantities or dimensions count from now on; what was recorded stays to be seen.

    When and by whom something was used cannot be amended: void the event and send the usage anew, under another id.
    What is on an invoice already becomes an adjustment on the next.
    """
    wanted = [_read_amendment(item) for item in request.events]
    return _output(await correct(call.connection, call.recorded, "amend", request.source, request.reason, wanted))


async def void(call: Call, request: VoidUsageInput) -> CorrectOutput:
    """
    Void usage events: they do not count from now on; what was recorded stays to be seen.

    An id that was voided stays taken. What is on an invoice already becomes an adjustment on the next.
    """
    wanted = [_read_void(item) for item in request.events]
    return _output(await correct(call.connection, call.recorded, "void", request.source, request.reason, wanted))


def _read_amendment(item: object) -> Wanted | InvalidEvent:
    try:
        _require_amendable(item)
        given = msgspec.convert(item, GivenAmendment)
        if given.quantities is None and given.dimensions is None:
            raise InvalidEvent("quantities", "or dimensions must be given: there is nothing to amend")  # noqa: TRY301 - told like all flaws of this item
        return Wanted(
            check_text("id", given.id),
            None if given.quantities is None else check_quantities(given.quantities),
            None if given.dimensions is None else check_dimensions(given.dimensions),
        )
    except InvalidEvent as error:
        return error
    except msgspec.ValidationError as error:
        return name_flaw(error, GivenAmendment, said=item)


def _require_amendable(item: object) -> None:
    for field, rule in _FIXED.items():
        if isinstance(item, dict) and field in item:
            raise InvalidEvent(field, rule)


def _read_void(item: object) -> Wanted | InvalidEvent:
    try:
        return Wanted(check_text("id", msgspec.convert(item, GivenVoid).id))
    except InvalidEvent as error:
        return error
    except msgspec.ValidationError as error:
        return name_flaw(error, GivenVoid)


def _output(outcomes: Sequence[CorrectionOutcome]) -> CorrectOutput:
    counts = Counter(outcome.status for outcome in outcomes)
    status = CorrectionStatus
    return CorrectOutput(
        corrected=counts[status.CORRECTED],
        known=counts[status.KNOWN],
        unchanged=counts[status.UNCHANGED],
        refused=counts[status.UNKNOWN_EVENT] + counts[status.ALREADY_VOID] + counts[status.INVALID],
        items=[
            CorrectedItem(place, outcome.status, outcome.reason, outcome.field)
            for place, outcome in enumerate(outcomes)
            if outcome.status is not status.CORRECTED
        ],
    )


OPERATIONS = [
    Operation("usage.amend", AmendInput, CorrectOutput, "usage:write", "POST /usage/amendments", amend),
    Operation("usage.void", VoidUsageInput, CorrectOutput, "usage:write", "POST /usage/voids", void),
]
