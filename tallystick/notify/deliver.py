"""Deliver: what waits for an endpoint, who works at it, and what became of each attempt."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from tallystick.db.queries import Connection, queries_beside
from tallystick.notify.back_off import GIVE_UP, pause_after

_queries = queries_beside(__file__)


@dataclass(frozen=True, slots=True)
class Work:
    """An endpoint with something to send to it."""

    book: str
    book_id: int
    endpoint_id: uuid.UUID
    url: str
    generation: int
    overlap_until: dt.datetime | None
    key_fingerprint: str | None
    failures: int
    """How many attempts in a row have failed."""

    def generations(self, at: dt.datetime) -> list[int]:
        """Return the generations of secret that sign at *at*, the newest first."""
        overlaps = self.overlap_until is not None and self.overlap_until > at
        return [self.generation, self.generation - 1] if overlaps else [self.generation]


@dataclass(frozen=True, slots=True)
class Pending:
    """A delivery that is due."""

    sequence: int
    event_id: uuid.UUID
    type: str
    subject: str
    data: str
    told_at: dt.datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of sending it once."""

    sequence: int
    due_at: dt.datetime
    """When it is sent again, where the endpoint did not take it."""
    status: int | None
    answer: str
    took: bool
    resting_until: dt.datetime | None = None
    """Until when the endpoint asked to be left alone."""


_find_workable = _queries.rows("find_workable", Work)
_find_work = _queries.row("find_work", Work)
_try_to_hold = _queries.value("try_to_hold")
_let_go = _queries.value("let_go")
_find_due = _queries.rows("find_due", Pending)
_find_probe = _queries.rows("find_probe", Pending)
_end_attempts = _queries.run("end_attempts")
_note_health = _queries.value("note_health")
_make_unanswered_due = _queries.run("make_unanswered_due")
_delete_ended = _queries.run("delete_ended")


async def find_workable(connection: Connection, at: dt.datetime) -> list[Work]:
    """Return the endpoints of all books that something is due for."""
    return await _find_workable(connection, at)


async def find_work(connection: Connection, book_id: int, endpoint_id: uuid.UUID, at: dt.datetime) -> Work | None:
    """Return an endpoint as it is by now; None: nothing is sent to it at present."""
    return await _find_work(connection, book_id, endpoint_id, at)


async def hold(connection: Connection, endpoint_id: uuid.UUID) -> bool:
    """Become the one who sends to an endpoint, for as long as the session lasts; say whether nobody else is."""
    return bool(await _try_to_hold(connection, endpoint_id))


async def let_go(connection: Connection, endpoint_id: uuid.UUID) -> None:
    """Let another send to it."""
    await _let_go(connection, endpoint_id)


async def find_due(
    connection: Connection, work: Work, at: dt.datetime, busy: Sequence[str], most: int
) -> list[Pending]:
    """
    Return what can be sent next, in the order in which it was told, of subjects that are not *busy*.

    An event whose subject has one before it that failed and is not due yet is not among it. To an endpoint that fails as a
    whole it is one event and no more.
    """
    if pause_after(work.failures) is not None:
        return [] if busy else await _find_probe(connection, work.book_id, work.endpoint_id, at)
    return await _find_due(connection, work.book_id, work.endpoint_id, at, busy, most)


async def end_attempts(
    connection: Connection, work: Work, attempts: Sequence[Attempt], at: dt.datetime
) -> tuple[int, dt.datetime | None]:
    """
    Note what became of *attempts*, all at once.

    Returns how many have failed in a row by now, and since when.
    """
    took = any(one.took for one in attempts)
    now = work.failures
    for one in attempts:
        now = 0 if one.took else now + 1
    await _end_attempts(
        connection, work.book_id, work.endpoint_id, at, [one.sequence for one in attempts],
        [one.took for one in attempts], [one.due_at for one in attempts], [one.status for one in attempts],
        [one.answer for one in attempts], at - GIVE_UP,
    )  # fmt: skip
    pause = pause_after(now)
    rests = [one.resting_until for one in attempts if one.resting_until is not None]
    until = max([*rests, *([at + pause] if pause is not None else [])], default=None)
    since = await _note_health(connection, work.book_id, work.endpoint_id, now, took, at, until)
    if took and pause_after(work.failures) is not None:
        await _make_unanswered_due(connection, work.book_id, work.endpoint_id, at)
    return now, since


async def delete_ended(connection: Connection, book_id: int, before: dt.datetime, most: int) -> int:
    """Delete deliveries that ended *before*, up to *most*; the events stay."""
    return await _delete_ended(connection, book_id, before, most)
