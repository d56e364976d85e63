"""On which days a customer's account is debited, month by month. Pure."""

import calendar
import datetime as dt
from dataclasses import dataclass
from typing import Literal

from tallystick.repayments.move_for_holidays import BankDay, Rule, bank_days_of, move_for_holidays

DayOfMonth = int | Literal["last"]
_MONTHS = 12
_LONGEST_WAIT = 3
"""A day of some month comes in this one or the two behind it, however far it is moved."""


@dataclass(frozen=True, slots=True)
class DebitDay:
    """The day of each month that a customer chose, and how it is moved where banks are closed on it."""

    day: DayOfMonth
    """1 to 28, which every month has, or the last of the month."""
    country: str
    rule: Rule

    def in_month(self, year: int, month: int) -> dt.date:
        """Return the day of a month on which the account is debited; it may have been moved into the one beside it."""
        return move_for_holidays(self.chosen_in(year, month), self.rule, self._bank_days)

    def chosen_in(self, year: int, month: int) -> dt.date:
        """Return the chosen day of a month, whether banks are open on it or not."""
        day = calendar.monthrange(year, month)[1] if self.day == "last" else self.day
        return dt.date(year, month, day)

    def next_on(self, earliest: dt.date) -> dt.date:
        """Return the first debit on or after a day."""
        found = (self.in_month(*_month_after(earliest, at)) for at in range(-1, _LONGEST_WAIT))
        return min(day for day in found if day >= earliest)

    def falls_on(self, day: dt.date) -> bool:
        """Say whether the account is debited on *day*."""
        return any(self.in_month(*_month_after(day, at)) == day for at in (-1, 0, 1))

    @property
    def _bank_days(self) -> BankDay:
        return bank_days_of(self.country)


def chosen_days_moved_to(day: dt.date, country: str, rule: Rule) -> list[DayOfMonth]:
    """Return the days of the month that lead to a debit on *day*; empty where banks are closed on it."""
    choices: list[DayOfMonth] = [*range(1, 29), "last"]
    return [one for one in choices if DebitDay(one, country, rule).falls_on(day)]


def _month_after(day: dt.date, months: int) -> tuple[int, int]:
    year, month = divmod(day.year * _MONTHS + day.month - 1 + months, _MONTHS)
    return year, month + 1
