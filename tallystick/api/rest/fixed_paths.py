"""The paths that are no operations: is it alive, what does it offer, and the log in the form the world's tools read."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg
import msgspec

from tallystick.api.rest.openapi import document, write
from tallystick.api.rest.reply import Reply, json_reply
from tallystick.db.connect import LOST_CONNECTION, StoreUnreachable
from tallystick.db.queries import queries_beside
from tallystick.errors import Kind, TallystickError
from tallystick.ledger.books import find_book
from tallystick.ledger.log.tiles import parse_path
from tallystick.ledger.read_log import fetch_tiles, read_newest_checkpoint
from tallystick.operations.run import Operations

LOG = re.compile(r"/v1/books/(?P<book>[a-z][a-z0-9-]{0,62})/log/(?P<what>.+)", re.ASCII)
_ping = queries_beside(__file__).value("ping")
_HASH_BYTES = 32
_STORE_SECONDS = 1


class UnknownTile(TallystickError):
    """The log has no {path} yet."""

    code = "rest.unknown_tile"
    kind = Kind.NOT_FOUND


@dataclass(slots=True)
class Health:
    """Whether the store answers, asked once a second at most however often callers ask."""

    pool: asyncpg.Pool
    now: Callable[[], float] = time.monotonic
    _known: str = ""
    _until: float = 0

    async def __call__(self) -> Reply:
        """Say that the process lives, and whether it reaches its store."""
        if self.now() >= self._until:
            self._known = await self._ask()
            self._until = self.now() + _STORE_SECONDS
        return json_reply(msgspec.json.encode({"status": "ok", "store": self._known}))

    async def _ask(self) -> str:
        try:
            async with asyncio.timeout(_STORE_SECONDS), self.pool.acquire() as connection:
                await _ping(connection)
        except (asyncpg.PostgresError, *LOST_CONNECTION):
            return "unreachable"
        return "reachable"


def fixed_paths(operations: Operations) -> dict[str, Callable[[], Awaitable[Reply]]]:
    """Return what anyone may read, by path."""
    described = json_reply(write(document(operations.table)))

    async def describe() -> Reply:
        return described

    return {"/health": Health(operations.pool), "/openapi.json": describe}


async def read_log(operations: Operations, book: str, what: str) -> Reply:
    """
    Return the log's newest checkpoint, or one of its tiles (C2SP tlog-tiles).

    Raises:
        UnknownBook: there is no such book (``ledger.unknown_book``).
        NothingSealed: the log is empty (``ledger.nothing_sealed``).
        BadTile: *what* is not the address of a tile (``log.bad_tile``).
        UnknownTile: the log does not reach that far (``rest.unknown_tile``).
    """
    try:
        async with operations.pool.acquire() as connection:
            book_id = (await find_book(connection, book)).book_id
            if what == "checkpoint":
                newest = await read_newest_checkpoint(connection, book_id)
                return _plain(newest.note.encode(), b"text/plain; charset=utf-8", b"no-store")
            tile = parse_path(what)
            content = (await fetch_tiles(connection, book_id, [tile]))[tile]
    except LOST_CONNECTION as error:
        raise StoreUnreachable from error
    if len(content) != tile.width * _HASH_BYTES:
        raise UnknownTile(path=what)
    return _plain(content, b"application/octet-stream", b"private, max-age=31536000, immutable")


def _plain(body: bytes, type_: bytes, keep: bytes) -> Reply:
    return Reply(200, [(b"content-type", type_), (b"cache-control", keep)], body)
