"""The webhooks' operations: who is told of what, how far that has come, and telling it once more."""

import asyncio
import datetime as dt
import uuid
from typing import Annotated, Literal

import msgspec
from msgspec.structs import replace

from tallystick.db.queries import Connection
from tallystick.errors import InvalidInput
from tallystick.ledger.books import find_book
from tallystick.notify import set_endpoint as setting
from tallystick.notify.derive_secret import WebhookKey, written
from tallystick.notify.find_deliveries import (
    DeliveryPage,
    EndpointState,
    EventPage,
    claim_key,
    find_state,
    list_endpoints,
    page_deliveries,
    page_events,
)
from tallystick.notify.judge_address import NotReached, Reach, parse_url
from tallystick.notify.replay import Replay, replay
from tallystick.notify.set_endpoint import Endpoint, require_types
from tallystick.operations.fields import Instant, PageSize
from tallystick.operations.model import Call, Input, NothingInput, Operation
from tallystick.operations.run import Operations
from tallystick.security.model import Principal

Url = Annotated[str, msgspec.Meta(min_length=10, max_length=2048)]
Words = Annotated[str, msgspec.Meta(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
Types = Annotated[list[str], msgspec.Meta(min_length=1, max_length=100)]
_DAY = 86_400
_LOOK_SECONDS = 5
_SHOWN_FOR = dt.timedelta(hours=24)
_FIRST, _LAST = dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 1, 1, tzinfo=dt.UTC)
INTERNAL = ""
"""The route of an operation that only the product's own workers call."""


class SetEndpointInput(Input, frozen=True):
    """Where to send events to; with the id of an endpoint, that one is changed."""

    url: Url
    types: Types | None = None
    """The types of events it is told of; left out, every one, those of later versions too."""
    description: Words = ""
    endpoint_id: uuid.UUID | None = None


class EndpointIdInput(Input, frozen=True):
    """The id of an endpoint."""

    endpoint_id: uuid.UUID


class RotateSecretInput(Input, frozen=True):
    """An endpoint that gets a new secret."""

    endpoint_id: uuid.UUID
    overlap_seconds: Annotated[int, msgspec.Meta(ge=0, le=30 * _DAY)] = _DAY
    """For so long both secrets sign, so that the receiver can change over at its leisure."""


class DisableInput(Input, frozen=True):
    """An endpoint that is sent nothing any more, and why."""

    endpoint_id: uuid.UUID
    reason: Reason = "by hand"


class EnableInput(Input, frozen=True):
    """An endpoint that is sent to again."""

    endpoint_id: uuid.UUID
    skip: bool = False
    """Pass over what waits for it, instead of sending it."""


class GiveUpInput(Input, frozen=True):
    """An endpoint that the worker gives up, and why."""

    endpoint_id: uuid.UUID
    reason: Reason
    failing_since: Instant | None = None


class DeliveriesInput(Input, frozen=True):
    """A page of the deliveries to an endpoint, the newest first."""

    endpoint_id: uuid.UUID
    state: Literal["pending", "delivered", "given_up", "skipped"] | None = None
    before: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 2**63 - 1
    limit: PageSize = 100


class ReplayInput(Input, frozen=True):
    """Which events to send once more: those that fit all that is given, which must name a time or events."""

    endpoint_id: uuid.UUID
    start_at: Instant | None = None
    """Those told then or later."""
    end_at: Instant | None = None
    """Those told before."""
    types: Types | None = None
    events: Annotated[list[uuid.UUID], msgspec.Meta(min_length=1, max_length=1000)] | None = None


class ToldEventsInput(Input, frozen=True):
    """A page of events, in the order of their times."""

    since: Instant | None = None
    after: uuid.UUID = uuid.UUID(int=0)
    limit: PageSize = 100


class EndpointOutput(msgspec.Struct, frozen=True):
    """An endpoint as it was set."""

    endpoint_id: uuid.UUID
    url: str
    description: str
    types: list[str] | None
    """The types it is told of; null: every one."""
    state: str
    """``enabled`` or ``disabled``."""
    reason: str | None
    """Why it is disabled."""
    generation: int
    """Which secret signs: 1 is the first."""
    overlap_until: dt.datetime | None
    """Until then the secret before signs too."""
    set_at: dt.datetime
    secret: str | None = None
    """What the receiver checks signatures by; only in the answer to what made it, for a day."""
    warning: str | None = None
    """Why nothing can be sent there as things stand."""


class EndpointsOutput(msgspec.Struct, frozen=True):
    """The endpoints of a book."""

    items: list[EndpointState]


class WaitingOutput(msgspec.Struct, frozen=True):
    """What waits for an endpoint after this."""

    endpoint_id: uuid.UUID
    pending: int | None = None


async def set_endpoint(call: Call, request: SetEndpointInput) -> EndpointOutput:
    """
    Send events to a URL as signed webhooks (Standard Webhooks), from now on; or change where and of what an endpoint is told.

    The answer has the secret of a new endpoint, this once.
    """
    parse_url(request.url)
    types = require_types(request.types)
    if request.endpoint_id is not None:
        changed = await setting.change_endpoint(
            call.connection, call.recorded, request.endpoint_id, request.url, request.description, types
        )
        return _output(changed)
    endpoint = Endpoint(call.new_id(), request.url, request.description, types, "enabled", None, 1, None, call.at)
    return _with_new_secret(await setting.add_endpoint(call.connection, call.recorded, endpoint))


async def rotate_secret(call: Call, request: RotateSecretInput) -> EndpointOutput:
    """Sign with a new secret, which the answer has, this once; for the overlap the secret before signs too."""
    overlap = dt.timedelta(seconds=request.overlap_seconds)
    return _with_new_secret(await setting.rotate_secret(call.connection, call.recorded, request.endpoint_id, overlap))


async def disable(call: Call, request: DisableInput) -> EndpointOutput:
    """Send an endpoint nothing any more, and tell the others; what waits for it is kept."""
    return _output(await setting.disable_endpoint(call.connection, call.recorded, request.endpoint_id, request.reason))


async def enable(call: Call, request: EnableInput) -> EndpointOutput:
    """Send to an endpoint again, at once: what waits for it first, unless that is skipped."""
    return _output(
        await setting.enable_endpoint(call.connection, call.recorded, request.endpoint_id, skip=request.skip)
    )


async def give_up(call: Call, request: GiveUpInput) -> EndpointOutput:
    """Disable an endpoint that is gone, or has failed for too long, and tell the others."""
    return _output(
        await setting.disable_endpoint(
            call.connection, call.recorded, request.endpoint_id, request.reason, request.failing_since
        )
    )


async def list_all(call: Call, _: NothingInput) -> EndpointsOutput:
    """Return every webhook endpoint with how it goes: failing since, pending, last delivered."""
    return EndpointsOutput(await list_endpoints(call.connection, call.book.book_id))


async def list_deliveries(call: Call, request: DeliveriesInput) -> DeliveryPage:
    """Return a page of the deliveries to an endpoint, each with its last answer, the newest first."""
    await setting.find_endpoint(call.connection, call.book.book_id, request.endpoint_id)
    return await page_deliveries(
        call.connection, call.book.book_id, request.endpoint_id, request.state, request.before, request.limit
    )


async def send_again(call: Call, request: ReplayInput) -> WaitingOutput:
    """Send events to an endpoint once more, by time, type or id, under the ids they had."""
    if request.start_at is None and request.events is None:
        raise InvalidInput(field="start_at", rule="Expected start_at or events: which events to send")
    start_at, end_at = request.start_at or _FIRST, request.end_at or _LAST
    for field, at in (("start_at", start_at), ("end_at", end_at)):
        if not _FIRST <= at <= _LAST:
            raise InvalidInput(field=field, rule="Expected an instant from the year 1970 to the year 9999")
    if end_at <= start_at:
        raise InvalidInput(field="end_at", rule="Expected an instant after start_at")
    wanted = Replay(request.endpoint_id, start_at, end_at, require_types(request.types), request.events)
    await replay(call.connection, call.recorded, wanted)
    return WaitingOutput(request.endpoint_id)


async def test(call: Call, request: EndpointIdInput) -> WaitingOutput:
    """Send an endpoint, and no other, an event of the type webhook.test."""
    await setting.test_endpoint(call.connection, call.recorded, request.endpoint_id)
    return WaitingOutput(request.endpoint_id)


async def list_events(call: Call, request: ToldEventsInput) -> EventPage:
    """Return a page of what was told, whether anybody listened or not."""
    since = request.since or _FIRST
    if not _FIRST <= since <= _LAST:
        raise InvalidInput(field="since", rule="Expected an instant from the year 1970 to the year 9999")
    return await page_events(call.connection, call.book.book_id, request.after, since, request.limit)


def _output(endpoint: Endpoint) -> EndpointOutput:
    return EndpointOutput(
        endpoint.endpoint_id,
        endpoint.url,
        endpoint.description,
        endpoint.types,
        endpoint.state,
        endpoint.reason,
        endpoint.generation,
        endpoint.overlap_until,
        endpoint.set_at,
    )


def _with_new_secret(endpoint: Endpoint) -> EndpointOutput:
    """Leave a place for the secret, which is derived after the commit and is never kept."""
    return replace(_output(endpoint), secret="")


async def _complete(operations: Operations, _principal: Principal, book: str, output: EndpointOutput) -> EndpointOutput:
    """
    Put a secret that was made into its place, for as long as it is shown; and say whether the address is refused.

    Raises:
        WebhookKeyLost: the endpoint's secrets come from another key (``webhooks.key_lost``).
    """
    key: WebhookKey | None = operations.resources.get(WebhookKey)
    if output.secret is not None:
        shown = key is not None and operations.clock.now() - output.set_at < _SHOWN_FOR
        output = replace(output, secret=await _show(operations, key, book, output) if shown and key else None)
    return await _warn(operations, output)


async def _show(operations: Operations, key: WebhookKey, book: str, output: EndpointOutput) -> str:
    async def claim(connection: Connection) -> None:
        await claim_key(connection, (await find_book(connection, book)).book_id, output.endpoint_id, key)

    await operations.work(claim)
    return written(key.secret(output.endpoint_id, output.generation))


async def _warn(operations: Operations, output: EndpointOutput) -> EndpointOutput:
    """Say what stands in the way of sending there, as far as the name tells; it can change, and is looked at each time."""
    reach: Reach | None = operations.resources.get(Reach)
    if reach is None:
        return output
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            await reach.find(parse_url(output.url))
    except NotReached as refused:
        return replace(output, warning=str(refused))
    except TimeoutError:
        return replace(output, warning="its name was not resolved in time")
    return output


async def _count_waiting(
    operations: Operations, _principal: Principal, book: str, output: WaitingOutput
) -> WaitingOutput:
    """Say how much waits for the endpoint by now."""

    async def count(connection: Connection) -> int:
        book_id = (await find_book(connection, book)).book_id
        return (await find_state(connection, book_id, output.endpoint_id)).pending

    return replace(output, pending=await operations.work(count))


OPERATIONS = [
    Operation(
        "webhooks.set_endpoint", SetEndpointInput, EndpointOutput, "webhooks:write", "POST /webhooks", set_endpoint,
        then=_complete,
    ),
    Operation("webhooks.list", NothingInput, EndpointsOutput, "webhooks:read", "GET /webhooks", list_all, reads=True),
    Operation(
        "webhooks.rotate_secret", RotateSecretInput, EndpointOutput, "webhooks:write",
        "POST /webhooks/{endpoint_id}/rotate", rotate_secret, then=_complete,
    ),
    Operation(
        "webhooks.disable", DisableInput, EndpointOutput, "webhooks:write", "POST /webhooks/{endpoint_id}/disable", disable
    ),
    Operation(
        "webhooks.enable", EnableInput, EndpointOutput, "webhooks:write", "POST /webhooks/{endpoint_id}/enable", enable,
        then=_complete,
    ),
    Operation(
        "webhooks.test", EndpointIdInput, WaitingOutput, "webhooks:write", "POST /webhooks/{endpoint_id}/test", test
    ),
    Operation(
        "webhooks.replay", ReplayInput, WaitingOutput, "webhooks:write", "POST /webhooks/{endpoint_id}/replay", send_again,
        then=_count_waiting,
    ),
    Operation(
        "webhooks.deliveries", DeliveriesInput, DeliveryPage, "webhooks:read", "GET /webhooks/{endpoint_id}/deliveries",
        list_deliveries, reads=True,
    ),
    Operation("webhooks.give_up", GiveUpInput, EndpointOutput, "webhooks:carry", INTERNAL, give_up),
    Operation("events.list", ToldEventsInput, EventPage, "webhooks:read", "GET /events", list_events, reads=True),
]  # fmt: skip
