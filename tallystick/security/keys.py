"""API keys: made, recognised by their hash, listed, revoked."""

import datetime as dt
import hashlib
import secrets
import uuid
from collections.abc import Sequence

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import Kind, TallystickError
from tallystick.ids import id_of_content
from tallystick.security.model import ApiKey, Principal

_queries = queries_beside(__file__)
_insert_key = _queries.run("insert_key")
_find_key = _queries.tuples("find_key")
_list_keys = _queries.rows("list_keys", ApiKey)
_revoke_key = _queries.run("revoke_key")
_insert_refusal = _queries.run("insert_refusal")

PREFIX = "tsk_"
_SECRET_BYTES = 32


class KeyMissing(TallystickError):
    """No API key was sent; send it as `Authorization: Bearer tsk_…`."""

    code = "security.key_missing"
    kind = Kind.UNAUTHENTICATED


class KeyInvalid(TallystickError):
    """The API key is unknown, expired or revoked."""

    code = "security.key_invalid"
    kind = Kind.UNAUTHENTICATED


class KeyExists(TallystickError):
    """A key with this hash is known already; make another."""

    code = "security.key_exists"
    kind = Kind.CONFLICT


class UnknownKey(TallystickError):
    """There is no API key {key_id} in this book."""

    code = "security.unknown_key"
    kind = Kind.NOT_FOUND


def hash_of(key: str) -> bytes:
    """Return what is kept of a key: SHA-256 is enough, since a key is 256 random bits and cannot be guessed."""
    return hashlib.sha256(key.encode()).digest()


def make_key() -> str:
    """Make a key of 256 random bits; whoever makes it is the only one who ever holds it in clear."""
    return PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


async def create_key(
    connection: Connection,
    book_id: int,
    name: str,
    scopes: Sequence[str],
    key_hash: bytes,
    at: dt.datetime,
    expires_at: dt.datetime | None,
) -> ApiKey:
    """
    Let the key with this hash do what *scopes* allow on the book, until it expires or is revoked.

    Raises:
        KeyExists: a key with this hash is known, of this book or another (``security.key_exists``).
    """
    if await _find_key(connection, key_hash):
        raise KeyExists(field="sha256")
    key_id = id_of_content(["api key", key_hash.hex()])
    await _insert_key(connection, book_id, key_id, name, key_hash, list(scopes), at, expires_at)
    return ApiKey(key_id, name, list(scopes), at, expires_at, None)


async def authenticate(connection: Connection, key: str, at: dt.datetime) -> Principal:
    """
    Recognise the holder of *key*.

    Raises:
        KeyInvalid: it is unknown, expired at *at*, or revoked (``security.key_invalid``).
    """
    rows = await _find_key(connection, hash_of(key))
    if not rows:
        raise KeyInvalid
    key_id, book, scopes, expires_at, revoked_at = rows[0]
    if revoked_at is not None or (expires_at is not None and expires_at <= at):
        raise KeyInvalid
    return Principal(f"key:{key_id}", book, frozenset(scopes))


async def list_keys(connection: Connection, book_id: int) -> list[ApiKey]:
    """Return the book's keys, oldest first."""
    return await _list_keys(connection, book_id)


async def revoke_key(connection: Connection, book_id: int, key_id: uuid.UUID, at: dt.datetime) -> ApiKey:
    """
    Revoke a key for good; revoking it again changes nothing.

    Raises:
        UnknownKey: the book has no such key (``security.unknown_key``).
    """
    await _revoke_key(connection, book_id, key_id, at)
    for key in await list_keys(connection, book_id):
        if key.key_id == key_id:
            return key
    raise UnknownKey(field="key_id", key_id=key_id)


async def record_refusal(
    connection: Connection, book_id: int | None, principal: str, operation: str, code: str, at: dt.datetime
) -> None:
    """Record who was refused what."""
    await _insert_refusal(connection, book_id, principal, operation, code, at)
