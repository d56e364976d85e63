"""The paths that are no operations: is it alive, what does it offer, and the log in the form the world's tools read."""

import gzip
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg
import msgspec

from tallystick.api.probe_store import STORE_SECONDS, store_answers
from tallystick.api.rest.openapi import document, write
from tallystick.api.rest.reply import Reply, json_reply
from tallystick.db.connect import LOST_CONNECTION, StoreUnreachable
from tallystick.db.queries import Connection
from tallystick.errors import Kind, TallystickError
from tallystick.ledger.books import find_book
from tallystick.ledger.log.entries import Bundle, encode_bundle, is_bundle, parse_bundle_path
from tallystick.ledger.log.tiles import parse_path
from tallystick.ledger.log.tree import HASH_SIZE
from tallystick.ledger.read_entries import read_entries
from tallystick.ledger.read_log import fetch_tiles, read_published_checkpoint
from tallystick.operations.run import Operations

LOG = re.compile(r"/v1/books/(?P<book>[a-z][a-z0-9-]{0,62})/log/(?P<what>.+)", re.ASCII)
_COSIGNED = "checkpoint/cosigned"
_CHECKPOINTS = {"checkpoint", _COSIGNED}
_FOR_EVER = (
    (b"content-type", b"application/octet-stream"),
    (b"cache-control", b"private, max-age=31536000, immutable"),
)
_QUICKLY = 1
"""Ids and hashes do not compress however long one tries, and the rest does at once."""


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
            self._known = "reachable" if await store_answers(self.pool) else "unreachable"
            self._until = self.now() + STORE_SECONDS
        return json_reply(msgspec.json.encode({"status": "ok", "store": self._known}))


def fixed_paths(operations: Operations) -> dict[str, Callable[[], Awaitable[Reply]]]:
    """Return what anyone may read, by path."""
    described = json_reply(write(document(operations.table)))

    async def describe() -> Reply:
        return described

    return {"/health": Health(operations.pool), "/openapi.json": describe}


async def read_log(operations: Operations, book: str, what: str) -> Reply:
    """
    Return the log's newest checkpoint, one of its tiles, or a bundle of its entries (C2SP tlog-tiles).

    What was once there stays there: a partial tile or bundle keeps its address when it has become full. Beside
    ``checkpoint`` there is ``checkpoint/cosigned``, the newest that a witness has cosigned.

    Raises:
        UnknownBook: there is no such book (``ledger.unknown_book``).
        NothingSealed: the log is empty (``ledger.nothing_sealed``).
        BadTile: *what* is not the address of a tile or bundle (``log.bad_tile``).
        UnknownTile: the log does not reach that far (``rest.unknown_tile``).
    """
    try:
        async with operations.pool.acquire() as connection:
            book_id = (await find_book(connection, book)).book_id
            if what in _CHECKPOINTS:
                note = await read_published_checkpoint(connection, book_id, cosigned=what == _COSIGNED)
                return Reply(
                    200, [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")], note
                )
            if is_bundle(what):
                return await _read_bundle(connection, book_id, parse_bundle_path(what))
            tile = parse_path(what)
            content = (await fetch_tiles(connection, book_id, [tile]))[tile]
    except asyncpg.DataError as error:  # so far behind any end that the store has no number for it
        raise UnknownTile(path=what) from error
    except LOST_CONNECTION as error:
        raise StoreUnreachable from error
    if len(content) != tile.width * HASH_SIZE:
        raise UnknownTile(path=what)
    return Reply(200, [*_FOR_EVER], content)


async def _read_bundle(connection: Connection, book_id: int, bundle: Bundle) -> Reply:
    """Return entries as they are now in the store, compressed as the specification allows without asking."""
    entries = await read_entries(connection, book_id, bundle.tile.first, bundle.width)
    if len(entries) != bundle.width:
        raise UnknownTile(path=bundle.path)
    packed = gzip.compress(encode_bundle(entries), compresslevel=_QUICKLY, mtime=0)
    return Reply(200, [*_FOR_EVER, (b"content-encoding", b"gzip")], packed)
