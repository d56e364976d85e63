"""Recognise callers by the API keys they show, and record those who are turned away."""

import contextlib
import datetime as dt
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import asyncpg

from tallystick.clock import Clock
from tallystick.db.connect import LOST_CONNECTION, StoreUnreachable
from tallystick.errors import Kind, TallystickError
from tallystick.ledger.books import UnknownBook, find_book
from tallystick.security.authorise import authorise
from tallystick.security.keys import PREFIX, KeyInvalid, KeyMissing, authenticate, record_refusal
from tallystick.security.model import Principal

REMEMBERED_SECONDS = 1
"""How long a key that was found good is taken for good: a revoked one stops within this time."""
_MOST_REMEMBERED = 10_000
_LONGEST_KEY = 255
_PREFIX = PREFIX.encode()
NOBODY = "nobody"
"""Who is recorded when no key or no good one was shown."""
_REFUSALS = {Kind.UNAUTHENTICATED, Kind.FORBIDDEN}


@dataclass(slots=True)
class Recogniser:
    """
    Tells who shows a key, with a memory of the last second.

    Only good keys are remembered, by their hash: never a key itself, and never that one was bad, since it
    might have been made just now.
    """

    pool: asyncpg.Pool
    clock: Clock
    now: Callable[[], float] = time.monotonic
    _remembered: dict[bytes, tuple[Principal, float]] = field(default_factory=dict)

    async def recognise(self, authorization: bytes | None) -> Principal:
        """
        Return who sent this Authorization header.

        Raises:
            KeyMissing: there is none, or of another scheme than Bearer (``security.key_missing``).
            KeyInvalid: the key is unknown, expired or revoked (``security.key_invalid``).
            StoreUnreachable: nobody can look it up (``store.unreachable``).
        """
        scheme, _, shown = (authorization or b"").partition(b" ")
        if scheme.lower() != b"bearer":
            raise KeyMissing
        key = shown.strip()
        if not key.startswith(_PREFIX) or len(key) > _LONGEST_KEY or not key.isascii():
            raise KeyInvalid
        digest = hashlib.sha256(key).digest()
        now = self.now()
        remembered = self._remembered.get(digest)
        if remembered is not None and now < remembered[1]:
            return remembered[0]
        self._remembered.pop(digest, None)
        principal = await self._look_up(key.decode())
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[digest] = principal, now + REMEMBERED_SECONDS
        return principal

    async def _look_up(self, key: str) -> Principal:
        try:
            async with self.pool.acquire() as connection:
                return await authenticate(connection, key, self.clock.now())
        except LOST_CONNECTION as error:
            raise StoreUnreachable from error


@dataclass(slots=True)
class RefusalBook:
    """
    Records who was refused what in which book, each (principal, operation, code, book) once a minute at most.

    Books that do not exist count as one, so that made-up names fill nothing either.

    Beyond ``most`` different ones a minute nothing more is recorded in that minute: whoever hammers at the
    door must not fill the disk.
    """

    pool: asyncpg.Pool
    clock: Clock
    most: int = 1_000
    _minute: int = -1
    _recorded: set[tuple[str, str, str, int | None]] = field(default_factory=set)
    _book_ids: dict[str, int] = field(default_factory=dict)
    """Of books that were found once: none ever goes away."""

    async def record(self, principal: str, operation: str, book: str, error: TallystickError) -> None:
        """Record a refusal; that the store is away must not keep the caller from its answer."""
        at = self.clock.now()
        minute = int(at.timestamp()) // 60
        if minute != self._minute:
            self._minute, self._recorded = minute, set()
        if len(self._recorded) >= self.most:
            return
        with contextlib.suppress(asyncpg.PostgresError, *LOST_CONNECTION):
            entry = principal, operation, error.code, await self._book_id(book)
            if entry not in self._recorded:
                self._recorded.add(entry)
                await self._write(entry, at)

    async def _book_id(self, name: str) -> int | None:
        if name not in self._book_ids:
            try:
                async with self.pool.acquire() as connection:
                    self._book_ids[name] = (await find_book(connection, name)).book_id
            except UnknownBook:
                return None
        return self._book_ids[name]

    async def _write(self, entry: tuple[str, str, str, int | None], at: dt.datetime) -> None:
        principal, operation, code, book_id = entry
        try:
            async with self.pool.acquire() as connection:
                await record_refusal(connection, book_id, principal, operation, code, at)
        except BaseException:
            self._recorded.discard(entry)
            raise


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caller wants to do where, and the scope that it takes."""

    operation: str
    scope: str
    book: str


async def admit(recogniser: Recogniser, refusals: RefusalBook, authorization: bytes | None, asked: Asked) -> Principal:
    """
    Return who asks, if it may; that it may not is recorded.

    Raises:
        KeyMissing, KeyInvalid: nobody knows who it is (``security.key_missing``, ``security.key_invalid``).
        OtherBook, ScopeMissing: it may not (``security.other_book``, ``security.scope_missing``).
    """
    name = NOBODY
    try:
        principal = await recogniser.recognise(authorization)
        name = principal.name
        authorise(principal, asked.scope, asked.book)
    except TallystickError as error:
        if error.kind in _REFUSALS:
            await refusals.record(name, asked.operation, asked.book, error)
        raise
    return principal
