"""Messages: what callers asked, and what they were answered."""

import datetime as dt
import hashlib
from dataclasses import dataclass

from tallystick import canonical


@dataclass(frozen=True, slots=True)
class Message:
    """
    A request for a change, in the form it is kept in.

    ``key`` names it in its book for ever: the caller's idempotency key. ``body`` is the canonical JSON of
    book, id, operation and input, and ``hash`` its SHA-256: two messages of one hash ask for the same.
    """

    key: str
    operation: str
    body: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """A message in the journal."""

    transaction_id: int
    place: int
    key: str
    operation: str
    principal: str
    hash: bytes
    body: bytes
    refused: bool
    answer: bytes
    recorded_at: dt.datetime


def message(book: str, key: str, operation: str, input_: object) -> Message:
    """Write the message that asks for *operation* on *book* with *input_*."""
    body = canonical.encode({"book": book, "id": key, "input": input_, "operation": operation})
    return Message(key, operation, body, hashlib.sha256(body).digest())
