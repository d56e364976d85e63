"""
The webhooks' worker: sends what was told to who wants to know, each endpoint by itself.

    outbox ──► up to 512 due events, in lanes by subject ──► 16 requests at once ──► outcomes, marked together

An endpoint is held by one process at a time, on a lock of a session: so no two send events of one subject, and when the
process dies the next takes over at once. What it had sent and not marked is sent again, under the same id.
"""

import asyncio
import contextlib
import datetime as dt
import ssl
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import asyncpg
import structlog

from tallystick.clock import SystemClock
from tallystick.db.connect import LOST_CONNECTION
from tallystick.db.queries import Connection
from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.ledger.books import list_books
from tallystick.notify.back_off import DISABLE, IN_A_ROW, wait_after
from tallystick.notify.deliver import (
    Attempt,
    Pending,
    Work,
    delete_ended,
    end_attempts,
    find_due,
    find_work,
    find_workable,
    hold,
    let_go,
)
from tallystick.notify.derive_secret import WebhookKey
from tallystick.notify.find_deliveries import claim_key
from tallystick.notify.judge_address import NotReached, Reach, parse_url
from tallystick.notify.send import Reply, Sender
from tallystick.notify.sign import body_of, sign
from tallystick.operations.run import RESERVED, Operations
from tallystick.security.model import SYSTEM

_log = structlog.get_logger()
_Done = TypeVar("_Done")

AT_ONCE = 16
"""So many requests at once go to one endpoint."""
_MOST_TAKEN = 512
"""So many events of an endpoint are in memory at most."""
_FEW_LEFT = 128
_MARK_EVERY = 0.05
_LONGEST_BETWEEN = 1.0
"""An endpoint that keeps us waiting is looked at more and more rarely, down to this, for what else is due."""
_REST_AFTER_FAULT = 30.0
"""How long an endpoint is left alone that this process cannot work at."""
KEPT = dt.timedelta(days=30)
"""How long it can be seen what became of a delivery; the events stay for ever."""
_DELETED_AT_ONCE = 10_000
_LOOK_FOR_OLD = 3600.0
_GONE = 410
_ASKS_TO_REST = {429, 503}


@dataclass(slots=True)
class Webhooks:
    """The sending of one process."""

    operations: Operations
    key: WebhookKey
    reach: Reach
    tls: ssl.SSLContext | None = None
    """How servers are known; None: by the system's authorities."""
    pause: float = 0.2
    _lines: dict[uuid.UUID, "asyncio.Task[None]"] = field(default_factory=dict)
    _senders: dict[uuid.UUID, Sender] = field(default_factory=dict)
    _resting: dict[uuid.UUID, float] = field(default_factory=dict)
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    _looked: float | None = None

    @classmethod
    def of(cls, operations: Operations) -> "Webhooks":
        """Return the sending by the key, and to the addresses, that *operations* have at hand."""
        return cls(operations, operations.resources[WebhookKey], operations.resources[Reach])

    async def run(self) -> None:
        """Send until cancelled; a lost connection lets every endpoint go, and a new one takes them up again."""
        while True:
            try:
                async with self.operations.pool.acquire() as connection:
                    try:
                        await self._look_and_send(connection)
                    finally:
                        await self._stop()
                        with contextlib.suppress(asyncpg.InterfaceError):  # it is lost already
                            connection.terminate()  # and with it the endpoints, which are locks of the session
            except (*LOST_CONNECTION, TallystickError, asyncpg.PostgresError) as error:
                _log.warning("webhooks wait", reason=str(error) or type(error).__name__)
                await asyncio.sleep(1)

    async def _look_and_send(self, connection: Connection) -> None:
        while True:
            await self._end_lines(connection)
            for work in await find_workable(connection, self.operations.clock.now()):
                if not self._is_resting(work.endpoint_id) and await hold(connection, work.endpoint_id):
                    self._lines[work.endpoint_id] = asyncio.create_task(self._send(work))
            await self._delete_old()
            await asyncio.sleep(self.pause)

    async def _end_lines(self, connection: Connection) -> None:
        """Let go of the endpoints that nothing is left for; a line that broke is told."""
        for endpoint_id, line in list(self._lines.items()):
            if not line.done():
                continue
            del self._lines[endpoint_id]
            error = line.exception()
            if error is not None:
                self._resting[endpoint_id] = asyncio.get_running_loop().time() + _REST_AFTER_FAULT
                reason = error.message if isinstance(error, TallystickError) else str(error) or type(error).__name__
                _log.error("webhook endpoint is not sent to", endpoint=str(endpoint_id), reason=reason,
                           exc_info=None if isinstance(error, TallystickError | OSError) else error)  # fmt: skip
            await let_go(connection, endpoint_id)

    def _is_resting(self, endpoint_id: uuid.UUID) -> bool:
        until = self._resting.get(endpoint_id)
        return endpoint_id in self._lines or (until is not None and asyncio.get_running_loop().time() < until)

    async def _stop(self) -> None:
        for line in self._lines.values():
            line.cancel()
        await asyncio.gather(*self._lines.values(), return_exceptions=True)
        self._lines.clear()
        for sender in self._senders.values():
            sender.close()
        self._senders.clear()

    async def _delete_old(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._looked is not None and now - self._looked < _LOOK_FOR_OLD:
            return
        before = self.operations.clock.now() - KEPT
        for book in await self.operations.work(list_books):
            if await self._delete_old_of(book.book_id, before) == _DELETED_AT_ONCE:
                return  # it looks again at once, after what is due
        self._looked = now

    async def _delete_old_of(self, book_id: int, before: dt.datetime) -> int:
        return await self.store(lambda connection: delete_ended(connection, book_id, before, _DELETED_AT_ONCE))

    async def _send(self, work: Work) -> None:
        """Send to one endpoint until nothing is due."""
        await self.store(lambda connection: claim_key(connection, work.book_id, work.endpoint_id, self.key))
        target = parse_url(work.url)
        sender = self._senders.get(work.endpoint_id)
        if sender is None or sender.target != target:
            if sender is not None:
                sender.close()
            sender = self._senders[work.endpoint_id] = Sender(target, self.reach, self.operations.clock, self.tls)
        await _Line(self.operations, self.store, self.key, work, sender).run()

    async def store(self, verb: Callable[[Connection], Awaitable[_Done]]) -> _Done:
        """Run *verb* in a transaction, with few others of ours at once: the connections are there for callers too."""
        async with self._turn:
            return await self.operations.work(verb)


@dataclass(slots=True)
class _Line:
    """What is on its way to one endpoint."""

    operations: Operations
    store: "Callable[[Callable[[Connection], Awaitable[Any]]], Awaitable[Any]]"
    key: WebhookKey
    work: Work
    sender: Sender
    lanes: "asyncio.Queue[deque[Pending]]" = field(default_factory=asyncio.Queue)
    """Events that wait to be sent, those of one subject together."""
    busy: set[str] = field(default_factory=set)
    """The subjects of which something is read and not yet marked."""
    ended: list[str] = field(default_factory=list)
    """Those whose lane has come to its end, and that are free when that is marked."""
    done: list[Attempt] = field(default_factory=list)
    failures: int = 0
    """How many attempts in a row have failed."""
    secrets: list[bytes] = field(default_factory=list, repr=False)
    _between: float = 0.0
    _read_at: float = 0.0

    async def run(self) -> None:
        """Send what is due until nothing is, or nothing may be sent for now."""
        self.failures = self.work.failures
        senders = [asyncio.create_task(self._send_lanes()) for _ in range(AT_ONCE)]
        try:
            while await self._take():
                await asyncio.wait(senders, timeout=_MARK_EVERY, return_when=asyncio.FIRST_EXCEPTION)
                for sender in senders:
                    if sender.done():
                        sender.result()
                if not await self._mark():
                    return
        finally:
            for sender in senders:
                sender.cancel()
            await asyncio.gather(*senders, return_exceptions=True)
            if self.done:  # what was sent until now need not be sent again
                await self._note()

    async def _take(self) -> bool:
        """Read what can be sent next; say whether anything is under way."""
        now = asyncio.get_running_loop().time()
        if self.lanes.qsize() >= _FEW_LEFT or (self.busy and now < self._read_at + self._between):
            return True
        at = self.operations.clock.now()
        work, due = await self.store(lambda connection: self._read(connection, at))
        if work is None:  # it rests, was disabled, or sends elsewhere from now on: what is unsent waits
            self._empty()
            return bool(self.busy)
        self._read_at = now
        self._between = 0.0 if due else min(_LONGEST_BETWEEN, max(_MARK_EVERY, 2 * self._between))
        self.work = work
        self.secrets = [self.key.secret(work.endpoint_id, one) for one in work.generations(at)]
        lanes: dict[str, deque[Pending]] = {}
        for one in due:
            lanes.setdefault(one.subject, deque()).append(one)
        self.busy.update(lanes)
        for lane in lanes.values():
            self.lanes.put_nowait(lane)
        return bool(self.busy)

    async def _read(self, connection: Connection, at: dt.datetime) -> tuple[Work | None, list[Pending]]:
        work = await find_work(connection, self.work.book_id, self.work.endpoint_id, at)
        if work is None or work.url != self.work.url:
            return None, []
        return work, await find_due(connection, work, at, list(self.busy), _MOST_TAKEN)

    def _empty(self) -> None:
        while not self.lanes.empty():
            self.busy.discard(self.lanes.get_nowait()[0].subject)

    async def _send_lanes(self) -> None:
        while True:
            lane = await self.lanes.get()
            subject = lane[0].subject
            while lane and (self.failures < IN_A_ROW or self.work.failures >= IN_A_ROW):
                attempt = await self._attempt(lane.popleft())
                self.done.append(attempt)
                if not attempt.took:
                    self.failures += 1
                    break
                self.failures = 0
            self.ended.append(subject)

    async def _attempt(self, event: Pending) -> Attempt:
        """Send an event once."""
        body = body_of(self.work.book, event)
        # A receiver holds the time against its own clock, whatever time it is in the book.
        headers = sign(self.secrets, event.event_id, SystemClock().now(), body)
        try:
            reply = await self.sender.post(headers, body)
        except NotReached as error:
            return self._failed(event, None, str(error)[:200])
        if reply.took:
            return Attempt(event.sequence, self.operations.clock.now(), reply.status, reply.text, took=True)
        return self._failed(event, reply, reply.text)

    def _failed(self, event: Pending, reply: Reply | None, answer: str) -> Attempt:
        at = self.operations.clock.now()
        asked = None if reply is None or reply.retry_after is None else dt.timedelta(seconds=reply.retry_after)
        due_at = at + wait_after(event.attempts + 1, event.event_id, asked)
        rests = asked is not None and reply is not None and reply.status in _ASKS_TO_REST
        return Attempt(
            event.sequence,
            due_at,
            None if reply is None else reply.status,
            answer,
            took=False,
            resting_until=due_at if rests else None,
        )

    async def _mark(self) -> bool:
        """Note what became of what was sent, all at once; say whether to go on."""
        if not self.done:
            self._free(len(self.ended))
            return True
        ended = len(self.ended)
        done, since = await self._note()
        self._free(ended)
        if any(one.status == _GONE for one in done):
            await self._disable("it answered 410 Gone", None)
            return False
        if since is not None and self.operations.clock.now() - since >= DISABLE:
            await self._disable(f"nothing sent to it went well for {DISABLE.days} days", since)
            return False
        return True

    async def _note(self) -> tuple[list[Attempt], dt.datetime | None]:
        """Write what was done and return it, and since when nothing goes well."""
        done, self.done = self.done, []
        self._between = 0.0
        at = self.operations.clock.now()
        failures, since = await self.store(lambda connection: end_attempts(connection, self.work, done, at))
        self.work = replace(self.work, failures=failures)
        return done, since

    def _free(self, count: int) -> None:
        self.busy.difference_update(self.ended[:count])
        del self.ended[:count]

    async def _disable(self, reason: str, since: dt.datetime | None) -> None:
        asked = {
            "endpoint_id": str(self.work.endpoint_id),
            "reason": reason,
            "failing_since": None if since is None else since.isoformat(),
        }
        key = f"{RESERVED}webhook-disabled:{uuid7()}"
        await self.operations.call(SYSTEM, self.work.book, "webhooks.give_up", key, asked)
        _log.error("webhook endpoint disabled", book=self.work.book, endpoint=asked["endpoint_id"], reason=reason)
