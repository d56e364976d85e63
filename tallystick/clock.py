"""The time of day, passed in rather than looked up."""

import datetime as dt
from typing import Protocol

UTC = dt.UTC


class Clock(Protocol):
    """Something that knows the present instant."""

    def now(self) -> dt.datetime:
        """Return the present instant, aware, in UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> dt.datetime:
        """Return the present instant, aware, in UTC."""
        return dt.datetime.now(UTC)


class FixedClock:
    """A clock that stands where it was put, for tests and for running a month again."""

    def __init__(self, at: dt.datetime) -> None:
        """Stand at *at*, which must be aware."""
        self.at = at

    def now(self) -> dt.datetime:
        """Return the instant it was put at."""
        return self.at


class MovedClock:
    """A clock that stands until it is moved forward, so that a year can be tried out in a minute."""

    def __init__(self, at: dt.datetime) -> None:
        """Stand at *at*, which must be aware."""
        self._at = at

    def now(self) -> dt.datetime:
        """Return the instant it was moved to."""
        return self._at

    def advance(self, to: dt.datetime) -> None:
        """
        Move to *to*.

        Raises:
            ValueError: that is before the present.
        """
        if to < self._at:
            raise ValueError("a clock is only moved forward")
        self._at = to
