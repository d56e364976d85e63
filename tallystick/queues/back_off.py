"""Back off: when a job is taken up again that did not get done."""

import datetime as dt

_FIRST, LONGEST = dt.timedelta(seconds=1), dt.timedelta(minutes=15)
_MOST_DOUBLED = 10


def wait_after(attempts: int) -> dt.timedelta:
    """Return how long to wait after the *attempts*-th time: a second, and twice as long each time, up to a quarter of an hour."""
    return min(_FIRST * (1 << min(max(attempts - 1, 0), _MOST_DOUBLED)), LONGEST)
