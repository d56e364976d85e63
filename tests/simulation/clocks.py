"""A clock that jumps, as that of a machine whose time is set by hand: hours ahead, minutes back, and right again."""

import datetime as dt
import random
import time

_JUMPS = [0.0, 0.0, 0.0, 1.0, -1.0, 3.0, -7.0, 3600.0, -3600.0]
_HOLDS = 0.9
"""So many seconds each offset is kept."""


class JumpingClock:
    """The machine's clock, and an offset that changes every so often, out of the seed."""

    def __init__(self, seed: int | str) -> None:
        """Jump as *seed* says, counted from now on."""
        self._seed, self._began = seed, time.monotonic()

    def now(self) -> dt.datetime:
        """Return what this clock shows."""
        turn = int((time.monotonic() - self._began) / _HOLDS)
        offset = random.Random(f"{self._seed}/{turn}").choice(_JUMPS)
        return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=offset)
