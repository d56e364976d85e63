"""The security operations: API keys of a book."""

import datetime as dt
import uuid
from typing import Annotated

import msgspec

from tallystick.errors import InvalidInput
from tallystick.operations.model import Call, Input, NothingInput, Operation
from tallystick.security import keys as verbs
from tallystick.security.authorise import ScopeMissing
from tallystick.security.model import ApiKey

Scope = Annotated[str, msgspec.Meta(pattern=r"^(\*|[a-z]+:(\*|[a-z]+))$(?!\n)")]


class CreateKeyInput(Input, frozen=True):
    """A key that the caller made and keeps: only its hash travels, so that it stands in clear nowhere here."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    scopes: Annotated[list[Scope], msgspec.Meta(min_length=1, max_length=100)]
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
    """SHA-256, in hex, of the key's text, which is ``tsk_`` and at least 32 random bytes in base64url."""
    expires_at: Annotated[dt.datetime, msgspec.Meta(tz=True)] | None = None


class KeyIdInput(Input, frozen=True):
    """The id of an API key."""

    key_id: uuid.UUID


async def create_key(call: Call, request: CreateKeyInput) -> ApiKey:
    """Let an API key in, of which only the hash is told; it may do no more than whoever lets it in."""
    for scope in request.scopes:
        if not call.principal.holds(scope):
            raise ScopeMissing(scope=scope)
    if request.expires_at is not None and request.expires_at <= call.at:
        raise InvalidInput(field="expires_at", rule="a key must expire in the future")
    return await verbs.create_key(
        call.connection,
        call.book.book_id,
        request.name,
        request.scopes,
        bytes.fromhex(request.sha256),
        call.at,
        request.expires_at,
    )


async def list_keys(call: Call, _: NothingInput) -> list[ApiKey]:
    """List the book's API keys, revoked ones included."""
    return await verbs.list_keys(call.connection, call.book.book_id)


async def revoke_key(call: Call, request: KeyIdInput) -> ApiKey:
    """Revoke an API key for good, everywhere within a second."""
    return await verbs.revoke_key(call.connection, call.book.book_id, request.key_id, call.at)


OPERATIONS = [
    Operation("security.create_key", CreateKeyInput, ApiKey, "security:admin", "POST /keys", create_key),
    Operation("security.list_keys", NothingInput, list[ApiKey], "security:admin", "GET /keys", list_keys, reads=True),
    Operation("security.revoke_key", KeyIdInput, ApiKey, "security:admin", "POST /keys/{key_id}/revoke", revoke_key),
]
