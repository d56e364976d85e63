"""
The store of keys and values, whatever keeps it, and the ways in which it refuses.

    TallystickError
    ├── KeyNotAcceptable        the bucket or the key is no name
    ├── ValueTooLarge           the value is larger than any store here has to take
    └── LifetimeNotAcceptable   the value would be gone at once, or outlive everybody

A store that is away is told by the errors of ``db/connect.py``; nobody knows then whether a change was made.
"""

import datetime as dt
from collections.abc import Collection, Mapping
from typing import NamedTuple, Protocol

from tallystick.errors import Kind, TallystickError

MOST_BYTES = 64 * 1024
LONGEST_NAME = 255
LONGEST_LIFETIME = dt.timedelta(days=3650)


class KeyNotAcceptable(TallystickError):
    """A bucket and a key have 1 to 255 printable characters each."""

    code = "keyvalue.key_not_acceptable"
    kind = Kind.INVALID


class ValueTooLarge(TallystickError):
    """A value has {size} bytes, and no more than {most} are kept under one key."""

    code = "keyvalue.value_too_large"
    kind = Kind.TOO_LARGE


class LifetimeNotAcceptable(TallystickError):
    """A lifetime is more than nothing, and no more than ten years."""

    code = "keyvalue.lifetime_not_acceptable"
    kind = Kind.INVALID


class Entry(NamedTuple):
    """A value as it was found."""

    value: bytes
    revision: int
    """Which writing of the key it is: above zero, and never again the same for this key, even when it was deleted between."""


class KeyValue(Protocol):
    """
    Values of up to `MOST_BYTES` under keys, in buckets that know nothing of each other.

    A value lives for its lifetime, None: until it is deleted. One that has expired is absent at once, in every answer,
    by the clock that the store was given. Each call does all of it or nothing, and is a transaction of its own:
    it must not be made inside another. Nothing that has to be true may hang on a value being there.

    Each call may raise `KeyNotAcceptable`, each that writes `ValueTooLarge` and `LifetimeNotAcceptable`.
    """

    async def get(self, bucket: str, key: str) -> Entry | None:
        """Return what is under the key, None if there is nothing."""
        ...

    async def get_many(self, bucket: str, keys: Collection[str]) -> dict[str, Entry]:
        """Return what is under those of the keys that have something."""
        ...

    async def put(self, bucket: str, key: str, value: bytes, lifetime: dt.timedelta | None) -> int:
        """Keep the value whatever was there, and return its revision; its lifetime begins now."""
        ...

    async def put_many(self, bucket: str, values: Mapping[str, bytes], lifetime: dt.timedelta | None) -> dict[str, int]:
        """Keep the values whatever was there, all of them or none, and return the revision of each."""
        ...

    async def create(self, bucket: str, key: str, value: bytes, lifetime: dt.timedelta | None) -> int | None:
        """Keep the value if there is none, and return its revision; None if there is. Of many at once one succeeds."""
        ...

    async def compare_and_set(
        self, bucket: str, key: str, revision: int, value: bytes, lifetime: dt.timedelta | None
    ) -> int | None:
        """Keep the value if the one there has that revision, and return the new one; None if not. Of many at once one succeeds."""
        ...

    async def delete(self, bucket: str, key: str, revision: int | None = None) -> bool:
        """Delete what is under the key, with *revision* only if it has that one; return whether something was there."""
        ...
