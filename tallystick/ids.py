"""Identifiers: time-ordered UUIDs (RFC 9562 §5.7) and ids derived from content."""

import hashlib
import os
import threading
import time
import uuid
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from asyncpg.pgproto import pgproto

_lock = threading.Lock()
_last_tick = 0


def uuid7() -> uuid.UUID:
    """
    Make a UUID of version 7 that sorts after every one this process made before.

    The 12 bits behind the milliseconds count fractions of one (RFC 9562 §6.2, method 3).
    """
    global _last_tick  # noqa: PLW0603 - the order of ids is a promise of the process, not of a caller
    with _lock:
        tick = max(_tick(time.time_ns()), _last_tick + 1)
        _last_tick = tick
    milliseconds, fraction = divmod(tick, 4096)
    tail = int.from_bytes(os.urandom(8), "big") & ((1 << 62) - 1)
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | tail)


def uuid7_batch(count: int) -> npt.NDArray[np.void]:
    """Make *count* ascending UUIDs of version 7 as an array of 16-byte values, in network order."""
    global _last_tick  # noqa: PLW0603 - see uuid7
    with _lock:
        first = max(_tick(time.time_ns()), _last_tick + 1)
        _last_tick = first + count - 1
    ticks = np.arange(first, first + count, dtype=np.uint64)
    high = (ticks >> np.uint64(12)) << np.uint64(16) | np.uint64(0x7000) | (ticks & np.uint64(0xFFF))
    tail = np.frombuffer(os.urandom(8 * count), dtype=np.uint64)
    low = (tail & np.uint64((1 << 62) - 1)) | np.uint64(1 << 63)
    ids = np.empty(count, dtype=[("high", ">u8"), ("low", ">u8")])
    ids["high"], ids["low"] = high, low
    return ids.view("V16")


def id_of_content(parts: Iterable[str]) -> uuid.UUID:
    """
    Derive a UUID (version 8, RFC 9562 §5.8) from *parts*; the same parts always give the same id.

    A NUL stands between parts, so none may contain one.
    """
    value = bytearray(hashlib.sha256("\0".join(parts).encode()).digest()[:16])
    value[6] = value[6] & 0x0F | 0x80
    value[8] = value[8] & 0x3F | 0x80
    return pgproto.UUID(bytes(value))  # as good as a plain one, and made, hashed and sent in half the time


def _tick(nanoseconds: int) -> int:
    """Count 1/4096 milliseconds since the epoch."""
    return nanoseconds * 4096 // 1_000_000
