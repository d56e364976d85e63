"""`tallystick up`, by a clock that goes as every clock goes and is a while ahead: hours of waiting in no time."""

import datetime as dt
import os

import tallystick.open_store
from tallystick.cli.app import main

AHEAD = dt.timedelta(seconds=int(os.environ.get("SIMULATION_SECONDS_AHEAD", "0")))


class ClockAhead:
    """The machine's clock, and a while."""

    def now(self) -> dt.datetime:
        """Return the instant that it shall be."""
        return dt.datetime.now(dt.UTC) + AHEAD


if __name__ == "__main__":
    setattr(tallystick.open_store, "SystemClock", ClockAhead)  # noqa: B010 - the clock is what tests may replace
    main()
