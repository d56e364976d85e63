"""The day that a customer chose, in every month, moved by the bank holidays of the country; and the account it concerns."""

import calendar
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.errors import InvalidInput
from tallystick.repayments.check_account import read_bank_account
from tallystick.repayments.debit_days import DayOfMonth, DebitDay, chosen_days_moved_to
from tallystick.repayments.move_for_holidays import (
    Rule,
    bank_days_of,
    move_for_holidays,
    require_country,
    require_year,
)

choices: st.SearchStrategy[DayOfMonth] = st.one_of(st.integers(1, 28), st.just("last"))
debit_days = st.builds(DebitDay, choices, st.sampled_from(["JP", "DE", "DE-BY", "US"]), st.sampled_from(Rule))


@pytest.mark.parametrize(
    ("country", "day", "following", "preceding", "modified"),
    [
        ("JP", "2026-05-03", "2026-05-07", "2026-05-01", "2026-05-07"),  # golden week: 3 to 6 May, behind a Saturday
        ("JP", "2026-04-29", "2026-04-30", "2026-04-28", "2026-04-30"),
        (
            "JP",
            "2026-12-31",
            "2027-01-04",
            "2026-12-30",
            "2026-12-30",
        ),  # banks are closed from 31 December to 3 January
        ("JP", "2027-01-02", "2027-01-04", "2026-12-30", "2027-01-04"),
        ("JP", "2026-09-21", "2026-09-24", "2026-09-18", "2026-09-24"),  # the day between two holidays is one
        ("DE", "2026-12-25", "2026-12-28", "2026-12-24", "2026-12-28"),
        ("DE", "2027-01-01", "2027-01-04", "2026-12-31", "2027-01-04"),
        ("DE", "2026-05-01", "2026-05-04", "2026-04-30", "2026-05-04"),
        ("DE", "2026-05-31", "2026-06-01", "2026-05-29", "2026-05-29"),
        ("DE-BY", "2026-01-06", "2026-01-07", "2026-01-05", "2026-01-07"),  # Epiphany: in Bavaria, not everywhere
        ("DE", "2026-01-06", "2026-01-06", "2026-01-06", "2026-01-06"),
        ("US", "2026-07-04", "2026-07-06", "2026-07-02", "2026-07-06"),  # a Saturday, kept on the Friday
        ("US", "2026-11-26", "2026-11-27", "2026-11-25", "2026-11-27"),
        ("US", "2027-01-01", "2027-01-04", "2026-12-31", "2027-01-04"),
        ("US", "2028-02-29", "2028-02-29", "2028-02-29", "2028-02-29"),
    ],
)
def test_a_closed_day_is_moved_by_the_rule(
    country: str, day: str, following: str, preceding: str, modified: str
) -> None:
    """To the next bank day, the one before, or the one within the month."""
    moved = [
        move_for_holidays(dt.date.fromisoformat(day), rule, bank_days_of(country)).isoformat()
        for rule in (Rule.FOLLOWING, Rule.PRECEDING, Rule.MODIFIED_FOLLOWING)
    ]
    assert moved == [following, preceding, modified]


@given(debit_days, st.dates(dt.date(2020, 1, 1), dt.date(2060, 1, 1)))
def test_every_month_has_one_debit_on_a_bank_day(chosen: DebitDay, within: dt.date) -> None:
    """Near the chosen day, in the direction that the rule says, with no bank day between."""
    moved, plain = chosen.in_month(within.year, within.month), chosen.chosen_in(within.year, within.month)
    open_ = bank_days_of(chosen.country)
    assert open_(moved)
    assert abs((moved - plain).days) <= 10
    first, last = sorted((moved, plain))
    between = [first + dt.timedelta(days=at) for at in range(1, (last - first).days)]
    assert not any(open_(day) for day in between) or chosen.rule is Rule.MODIFIED_FOLLOWING
    if chosen.rule is Rule.MODIFIED_FOLLOWING:
        assert moved.month == plain.month
    if chosen.rule is Rule.PRECEDING:
        assert moved <= plain


@given(debit_days, st.dates(dt.date(2020, 1, 1), dt.date(2060, 1, 1)))
def test_the_next_debit_is_found_from_any_day(chosen: DebitDay, today: dt.date) -> None:
    """It is not before that day, and there is none between."""
    found = chosen.next_on(today)
    assert found >= today
    assert chosen.falls_on(found)
    between = (today + dt.timedelta(days=at) for at in range((found - today).days))
    assert not any(chosen.falls_on(day) for day in between)


@given(debit_days, st.dates(dt.date(2020, 1, 1), dt.date(2060, 1, 1)))
def test_a_day_knows_the_choices_that_lead_to_it(chosen: DebitDay, today: dt.date) -> None:
    """So that all who are debited on it are found at once."""
    leading = chosen_days_moved_to(today, chosen.country, chosen.rule)
    assert (chosen.day in leading) == chosen.falls_on(today)
    assert not leading or bank_days_of(chosen.country)(today)


@pytest.mark.parametrize("year", [2024, 2026, 2028, 2100])
def test_the_last_of_february_follows_leap_years(year: int) -> None:
    """The 29th where there is one."""
    chosen = DebitDay("last", "US", Rule.PRECEDING)
    assert chosen.chosen_in(year, 2) == dt.date(year, 2, 29 if calendar.isleap(year) else 28)


@pytest.mark.parametrize("country", ["XX", "de", "JPN", "DE-XX", "DE-", "", "D", "GERMANY"])
def test_a_country_without_known_holidays_is_refused(country: str) -> None:
    """Nobody is debited by a calendar that is not there."""
    with pytest.raises(InvalidInput) as refused:
        require_country(country)
    assert refused.value.field == "country"


@pytest.mark.parametrize("year", [1, 1900, 2099, 2100, 9999])
def test_a_year_without_known_holidays_is_refused(year: int) -> None:
    """A day far away is named, not guessed."""
    with pytest.raises(InvalidInput, match="known from"):
        require_year("JP", year)


@pytest.mark.parametrize("iban", ["DE89 3704 0044 0532 0130 00", "gb29NWBK60161331926819", "NO9386011117947"])
def test_an_iban_is_kept_without_its_spaces(iban: str) -> None:
    """However it is written, it is the same account."""
    assert read_bank_account(iban) == iban.replace(" ", "").upper()


@pytest.mark.parametrize("at", range(4, 22))
def test_an_iban_with_a_wrong_digit_is_refused(at: int) -> None:
    """The check digits find every single one."""
    iban = "DE89370400440532013000"
    wrong = iban[:at] + str((int(iban[at]) + 1) % 10) + iban[at + 1 :]
    with pytest.raises(InvalidInput, match="check digits"):
        read_bank_account(wrong)


@pytest.mark.parametrize("account", ["0005-001-1234567", "021000021 123456789", "mandate 17", "DE12"])
def test_what_is_no_iban_is_kept_as_it_is(account: str) -> None:
    """Banks without IBANs have numbers of their own."""
    assert read_bank_account(account) == account
