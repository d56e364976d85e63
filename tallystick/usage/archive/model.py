"""Months of usage: the states they go through, and what is known of each piece."""

import datetime as dt
import re
from decimal import Decimal
from typing import Literal, NamedTuple

import msgspec

from tallystick.errors import InvalidInput, Kind, TallystickError
from tallystick.periods import Period

Step = Literal["detached", "exported", "dropped", "restored", "attached"]
State = Literal["attached", "detached", "exported", "dropped"]
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])", re.ASCII)
_EARLIEST = 1970


class UnknownMonth(TallystickError):
    """There is no usage of {month} that is {state}."""

    code = "usage.unknown_month"
    kind = Kind.NOT_FOUND


class MonthNotOver(TallystickError):
    """The month {month} is not over; only past months are detached."""

    code = "usage.month_not_over"
    kind = Kind.REFUSED


class MonthBusy(TallystickError):
    """Usage of {month} is being read or written and cannot be moved now; try again in a moment."""

    code = "usage.month_busy"
    kind = Kind.UNAVAILABLE


class MonthNotExported(TallystickError):
    """Usage of {month} was not exported; export it first, or drop it even so."""

    code = "usage.month_not_exported"
    kind = Kind.REFUSED


class MonthHoldsLevels(TallystickError):
    """In {month} levels were set that a meter weighted by time reads for as long as they hold; the month must stay."""

    code = "usage.month_holds_levels"
    kind = Kind.REFUSED


class FileDiffers(TallystickError):
    """The file {file} is not the one that was exported: {what}."""

    code = "usage.file_differs"
    kind = Kind.CONFLICT


class Piece(NamedTuple):
    """What was detached of a month at one time, and how it stands."""

    month: dt.date
    piece: int
    step: Step
    """The newest."""
    rows: int
    first_order: int | None
    last_order: int | None
    checksum: Decimal | None
    """Of all rows, as it was exported; None: it never was."""
    file: str | None
    sha256: str | None

    @property
    def state(self) -> State:
        """Return how it stands; what was restored is detached, and exported before."""
        if self.step == "restored":
            return "exported"
        return self.step


class UsageMonth(msgspec.Struct, frozen=True):
    """What there is of one month (of UTC), or of a piece of it that was detached."""

    month: str
    """Written as ``2015-05``."""
    piece: int | None
    """Which time it was detached; null: it is attached, and counts."""
    state: State
    rows: int
    exact: bool
    """False: so many were there when the store looked last."""
    bytes: int | None
    """With its indexes; null: it was dropped."""
    first_order: int | None
    """The lowest place in the order of transactions among its rows, where it is known."""
    last_order: int | None
    file: str | None
    """Where it was exported to."""
    sha256: str | None
    """Of the file."""


def read_utc_month(text: str) -> dt.date:
    """
    Read ``2015-05`` as the first day of that month.

    Raises:
        InvalidInput: it is no month from 1970 on (``invalid_input``).
    """
    found = _MONTH.fullmatch(text)
    if found is None or int(found[1]) < _EARLIEST:
        raise InvalidInput(field="month", rule="a month is written as 2015-05, from 1970-01 on")
    return dt.date(int(found[1]), int(found[2]), 1)


def written(month: dt.date) -> str:
    """Write a month as ``2015-05``."""
    return f"{month:%Y-%m}"


def span_of(month: dt.date) -> Period:
    """Return the instants of a month of UTC."""
    starts = dt.datetime(month.year, month.month, 1, tzinfo=dt.UTC)
    return Period(starts, (starts + dt.timedelta(days=31)).replace(day=1))
