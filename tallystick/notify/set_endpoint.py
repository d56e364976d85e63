"""Set endpoints: who is told, of what, and with which generation of secret; each change says all of it anew."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput, Kind, TallystickError
from tallystick.ledger.accounts import Recorded
from tallystick.notify.model import EVENT_TYPES, Told
from tallystick.notify.tell import tell

_queries = queries_beside(__file__)

MOST_ENDPOINTS = 100
"""Each event is written once for each of them that wants it."""


class UnknownEndpoint(TallystickError):
    """There is no webhook endpoint {endpoint_id}."""

    code = "webhooks.unknown_endpoint"
    kind = Kind.NOT_FOUND


class EndpointDisabled(TallystickError):
    """The endpoint is disabled ({reason}); enable it first."""

    code = "webhooks.endpoint_disabled"
    kind = Kind.CONFLICT


class TooManyEndpoints(TallystickError):
    """A book has at most {most} webhook endpoints; change one that is no longer needed."""

    code = "webhooks.too_many_endpoints"
    kind = Kind.REFUSED


class OverlapRunning(TallystickError):
    """The secret before the last still signs until {until}; rotate again after that, or with an overlap of 0."""

    code = "webhooks.overlap_running"
    kind = Kind.CONFLICT


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint as it is in force."""

    endpoint_id: uuid.UUID
    url: str
    description: str
    types: list[str] | None
    """The types it is told of; None: every one."""
    state: str
    reason: str | None
    """Why it is disabled."""
    generation: int
    overlap_until: dt.datetime | None
    set_at: dt.datetime


_lock_endpoint = _queries.value("lock_endpoint")
_find_endpoint = _queries.row("find_endpoint", Endpoint)
_count_endpoints = _queries.value("count_endpoints")
_insert_endpoint = _queries.run("insert_endpoint")
_set_work = _queries.run("set_work")
_make_due = _queries.run("make_due")
_skip_pending = _queries.run("skip_pending")


def require_types(types: Sequence[str] | None) -> list[str] | None:
    """
    Return the types of events in their order, each once.

    Raises:
        InvalidInput: one is not in the list of them (``invalid_input``).
    """
    if types is None:
        return None
    for place, name in enumerate(types):
        if name not in EVENT_TYPES:
            raise InvalidInput(field=f"types[{place}]", rule=f"{name} is no type of event: {', '.join(EVENT_TYPES)}")
    return sorted(set(types))


async def add_endpoint(connection: Connection, recorded: Recorded, endpoint: Endpoint) -> Endpoint:
    """
    Tell *endpoint* of what happens from now on.

    Raises:
        TooManyEndpoints: the book has as many as it may (``webhooks.too_many_endpoints``).
    """
    if await _count_endpoints(connection, recorded.book_id) >= MOST_ENDPOINTS:
        raise TooManyEndpoints(most=MOST_ENDPOINTS)
    return await _write(connection, recorded, endpoint)


async def change_endpoint(
    connection: Connection,
    recorded: Recorded,
    endpoint_id: uuid.UUID,
    url: str,
    description: str,
    types: list[str] | None,
) -> Endpoint:
    """
    Tell an endpoint elsewhere, or of other types; what waits for it goes to where it is then.

    Raises:
        UnknownEndpoint: there is none of that id (``webhooks.unknown_endpoint``).
    """
    endpoint = await hold_endpoint(connection, recorded.book_id, endpoint_id)
    changed = await _write(
        connection, recorded, replace(endpoint, url=url, description=description, types=types, set_at=recorded.at)
    )
    await _make_due(connection, recorded.book_id, endpoint_id, recorded.at)
    return changed


async def rotate_secret(
    connection: Connection, recorded: Recorded, endpoint_id: uuid.UUID, overlap: dt.timedelta
) -> Endpoint:
    """
    Sign with a new secret from now on, and for *overlap* with the one before too.

    Raises:
        UnknownEndpoint: there is none of that id (``webhooks.unknown_endpoint``).
        OverlapRunning: two secrets sign already, and a third is asked to (``webhooks.overlap_running``).
    """
    endpoint = await hold_endpoint(connection, recorded.book_id, endpoint_id)
    if overlap and endpoint.overlap_until is not None and endpoint.overlap_until > recorded.at:
        raise OverlapRunning(until=endpoint.overlap_until.isoformat())
    until = recorded.at + overlap if overlap else None
    rotated = replace(endpoint, generation=endpoint.generation + 1, overlap_until=until, set_at=recorded.at)
    return await _write(connection, recorded, rotated)


async def disable_endpoint(
    connection: Connection,
    recorded: Recorded,
    endpoint_id: uuid.UUID,
    reason: str,
    failing_since: dt.datetime | None = None,
) -> Endpoint:
    """
    Send an endpoint nothing any more, and tell the others; one that is disabled stays as it is.

    What waits for it is kept; what happens meanwhile is not put to it, and can be replayed.

    Raises:
        UnknownEndpoint: there is none of that id (``webhooks.unknown_endpoint``).
    """
    endpoint = await hold_endpoint(connection, recorded.book_id, endpoint_id)
    if endpoint.state == "disabled":
        return endpoint
    disabled = await _write(
        connection, recorded, replace(endpoint, state="disabled", reason=reason, set_at=recorded.at)
    )
    data: dict[str, object] = {"endpoint_id": str(endpoint_id), "reason": reason, "failing_since": failing_since}
    await tell(connection, recorded, [Told("endpoint.disabled", f"endpoint/{endpoint_id}", data)])
    return disabled


async def enable_endpoint(
    connection: Connection, recorded: Recorded, endpoint_id: uuid.UUID, *, skip: bool
) -> Endpoint:
    """
    Send to an endpoint again, at once and from where it stood; with *skip* what waits is passed over.

    Raises:
        UnknownEndpoint: there is none of that id (``webhooks.unknown_endpoint``).
    """
    endpoint = await hold_endpoint(connection, recorded.book_id, endpoint_id)
    if skip:
        await _skip_pending(connection, recorded.book_id, endpoint_id, recorded.at)
    enabled = replace(endpoint, state="enabled", reason=None, set_at=recorded.at)
    await _write(connection, recorded, enabled)
    await _make_due(connection, recorded.book_id, endpoint_id, recorded.at)
    return enabled


async def test_endpoint(connection: Connection, recorded: Recorded, endpoint_id: uuid.UUID) -> None:
    """
    Tell an endpoint, and no other, a ``webhook.test``.

    Raises:
        UnknownEndpoint: there is none of that id (``webhooks.unknown_endpoint``).
        EndpointDisabled: it is sent nothing (``webhooks.endpoint_disabled``).
    """
    await hold_enabled(connection, recorded.book_id, endpoint_id)
    data: dict[str, object] = {"endpoint_id": str(endpoint_id)}
    told = Told("webhook.test", f"endpoint/{endpoint_id}", data)
    await tell(connection, recorded, [told], only=endpoint_id)


async def hold_enabled(connection: Connection, book_id: int, endpoint_id: uuid.UUID) -> Endpoint:
    """
    Return an endpoint that is enabled, which nobody else changes until the transaction ends.

    Raises:
        UnknownEndpoint: there is none of that id (``webhooks.unknown_endpoint``).
        EndpointDisabled: it is sent nothing (``webhooks.endpoint_disabled``).
    """
    endpoint = await hold_endpoint(connection, book_id, endpoint_id)
    if endpoint.state == "disabled":
        raise EndpointDisabled(reason=endpoint.reason)
    return endpoint


async def hold_endpoint(connection: Connection, book_id: int, endpoint_id: uuid.UUID) -> Endpoint:
    """
    Return an endpoint, which nobody else changes until the transaction ends.

    Raises:
        UnknownEndpoint: there is none of that id (``webhooks.unknown_endpoint``).
    """
    await _lock_endpoint(connection, book_id, endpoint_id)
    return await find_endpoint(connection, book_id, endpoint_id)


async def find_endpoint(connection: Connection, book_id: int, endpoint_id: uuid.UUID) -> Endpoint:
    """
    Return an endpoint as it is in force.

    Raises:
        UnknownEndpoint: there is none of that id (``webhooks.unknown_endpoint``).
    """
    endpoint = await _find_endpoint(connection, book_id, endpoint_id)
    if endpoint is None:
        raise UnknownEndpoint(field="endpoint_id", endpoint_id=endpoint_id)
    return endpoint


async def _write(connection: Connection, recorded: Recorded, endpoint: Endpoint) -> Endpoint:
    await _insert_endpoint(
        connection, recorded.book_id, endpoint.endpoint_id, endpoint.url, endpoint.description, endpoint.types,
        endpoint.state, endpoint.reason, endpoint.generation, endpoint.overlap_until, recorded.message_place, recorded.at,
    )  # fmt: skip
    await _set_work(
        connection, recorded.book_id, endpoint.endpoint_id, endpoint.state == "enabled", endpoint.types, endpoint.url,
        endpoint.generation, endpoint.overlap_until,
    )  # fmt: skip
    return endpoint
