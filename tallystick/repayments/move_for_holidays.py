"""Move a day that banks are closed on to one that they are open on, by a rule. Pure."""

import datetime as dt
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from tallystick.errors import InvalidInput

if TYPE_CHECKING:
    import holidays

_ONE_DAY = dt.timedelta(days=1)
_WEEK = 7


class Rule(StrEnum):
    """Where a day goes that banks are closed on; the names are those of the ISDA's business day conventions."""

    FOLLOWING = "following"
    PRECEDING = "preceding"
    MODIFIED_FOLLOWING = "modified_following"
    """The following bank day, or the preceding one where that would be in another month."""


BankDay = Callable[[dt.date], bool]
"""Says whether banks are open on a day."""


def move_for_holidays(day: dt.date, rule: Rule, is_bank_day: BankDay) -> dt.date:
    """Return *day* if banks are open on it, else the day that *rule* moves it to."""
    if rule is Rule.PRECEDING:
        return _walk(day, -_ONE_DAY, is_bank_day)
    moved = _walk(day, _ONE_DAY, is_bank_day)
    if rule is Rule.MODIFIED_FOLLOWING and moved.month != day.month:
        return _walk(day, -_ONE_DAY, is_bank_day)
    return moved


def _walk(day: dt.date, step: dt.timedelta, is_bank_day: BankDay) -> dt.date:
    while not is_bank_day(day):
        day += step
    return day


def require_country(country: str, field: str = "country") -> None:
    """
    Find that the holidays of a country, or of a part of it such as ``DE-BY``, are known.

    Raises:
        InvalidInput: they are not (``invalid_input``).
    """
    import holidays  # noqa: PLC0415 - the calendars of all countries, which only who moves days by them shall load

    name, _, part = country.partition("-")
    known = holidays.list_supported_countries(include_aliases=False)
    if name not in known:
        raise InvalidInput(field=field, rule=f"Expected a country of ISO 3166-1 whose holidays are known; not {name}")
    if "-" in country and part not in known[name]:
        raise InvalidInput(field=field, rule=f"Expected a part of {name} whose holidays are known; not {part}")


def require_year(country: str, year: int, field: str = "on") -> None:
    """
    Find that the holidays of a country are known for a year and the two beside it.

    Raises:
        InvalidInput: they are not (``invalid_input``).
    """
    table = _table(country)
    first, last = table.start_year + 1, table.end_year - 1
    if not first <= year <= last:
        raise InvalidInput(field=field, rule=f"The bank holidays of {country} are known from {first} to {last}")


@lru_cache(maxsize=256)
def bank_days_of(country: str) -> BankDay:
    """
    Return what says on which days the banks of a country are open.

    They are closed on its weekend, its public holidays, and where its calendar has days of the banks alone, on those.
    """
    table = _table(country)

    @lru_cache(maxsize=4096)
    def is_bank_day(day: dt.date) -> bool:
        return table.is_working_day(day)

    return is_bank_day


@lru_cache(maxsize=256)
def _table(country: str) -> "holidays.HolidayBase":
    """Make a country's table; years are filled in as they are asked for."""
    import holidays  # noqa: PLC0415 - see above

    name, _, part = country.partition("-")
    plain = holidays.country_holidays(name, subdiv=part or None)
    if holidays.BANK not in plain.supported_categories:
        return plain
    return holidays.country_holidays(name, subdiv=part or None, categories=(holidays.PUBLIC, holidays.BANK))
