"""Check what is to be kept, the same for every store."""

import datetime as dt
from collections.abc import Iterable

from tallystick.keyvalue.model import (
    LONGEST_LIFETIME,
    LONGEST_NAME,
    MOST_BYTES,
    KeyNotAcceptable,
    LifetimeNotAcceptable,
    ValueTooLarge,
)


def require_names(bucket: str, keys: Iterable[str]) -> None:
    """
    Let names pass that every store can keep.

    Raises:
        KeyNotAcceptable: one is empty, too long, or has a character that nobody can see (``keyvalue.key_not_acceptable``).
    """
    for field, name in (("bucket", bucket), *(("key", key) for key in keys)):
        if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
            raise KeyNotAcceptable(field=field)


def require_values(values: Iterable[bytes]) -> None:
    """
    Let values pass that every store has to take.

    Raises:
        ValueTooLarge: one has too many bytes (``keyvalue.value_too_large``).
    """
    for value in values:
        if len(value) > MOST_BYTES:
            raise ValueTooLarge(field="value", size=len(value), most=MOST_BYTES)


def end_of(lifetime: dt.timedelta | None, now: dt.datetime) -> dt.datetime | None:
    """
    Return when what is kept now expires, None: never.

    Raises:
        LifetimeNotAcceptable: it is nothing, or longer than ten years (``keyvalue.lifetime_not_acceptable``).
    """
    if lifetime is None:
        return None
    if not dt.timedelta() < lifetime <= LONGEST_LIFETIME:
        raise LifetimeNotAcceptable(field="lifetime")
    return now + lifetime
