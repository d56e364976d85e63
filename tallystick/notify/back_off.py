"""Back off: when what failed is tried again, and when no more."""

import datetime as dt
import hashlib
import uuid

WAITS = tuple(
    dt.timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
"""How long after each failed attempt of an event the next one is made; after the last of them, as long each time."""

GIVE_UP = dt.timedelta(days=3)
"""An event that failed for so long is given up, if the endpoint has taken others since; else it waits with the endpoint."""

DISABLE = dt.timedelta(days=5)
"""An endpoint to which nothing went well for so long is disabled."""

IN_A_ROW = 5
"""After so many failures in a row an endpoint is asked with one event at a time."""

_PAUSE, _LONGEST_PAUSE = dt.timedelta(seconds=5), dt.timedelta(minutes=10)
_LONGEST_ASKED = dt.timedelta(days=1)
_JITTER = 0x40
"""A wait is made longer by up to a quarter, in parts of 256."""


def wait_after(attempts: int, event_id: uuid.UUID, asked: dt.timedelta | None) -> dt.timedelta:
    """
    Return how long to wait after the *attempts*-th attempt failed, no less than the endpoint *asked* for (up to a day).

    The jitter is derived of event and attempt: spread as by chance, and yet the same for whoever looks again.
    """
    wait = WAITS[min(attempts, len(WAITS)) - 1]
    digest = hashlib.sha256(event_id.bytes + attempts.to_bytes(8, "big")).digest()
    wait += wait * (digest[0] % _JITTER) / 0x100
    return wait if asked is None else max(wait, min(asked, _LONGEST_ASKED))


def pause_after(failures: int) -> dt.timedelta | None:
    """Return how long an endpoint rests after *failures* in a row; None: it does not."""
    if failures < IN_A_ROW:
        return None
    return min(_PAUSE * (1 << min(failures - IN_A_ROW, 16)), _LONGEST_PAUSE)
