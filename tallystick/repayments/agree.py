"""Agree: a customer chooses the day on which the account is debited, and may choose another until it is announced."""

import datetime as dt
from dataclasses import dataclass
from typing import cast

from tallystick.db.queries import Connection, queries_beside
from tallystick.invoicing.life.enter_to_decide import enter_to_decide
from tallystick.ledger.accounts import Recorded
from tallystick.repayments.check_account import read_bank_account
from tallystick.repayments.debit_days import DayOfMonth, DebitDay
from tallystick.repayments.errors import NoAgreement
from tallystick.repayments.model import Agreement
from tallystick.repayments.move_for_holidays import Rule, require_country, require_year

_queries = queries_beside(__file__)
_insert_agreement = _queries.run("insert_agreement")
_find_agreements = _queries.tuples("find_agreements")


@dataclass(frozen=True, slots=True)
class Choice:
    """What a customer wants."""

    bank_account: str
    days: DebitDay


@dataclass(frozen=True, slots=True)
class _Agreed:
    """What was agreed once."""

    bank_account: str | None
    days: DebitDay | None
    cutoff_days: int
    from_on: dt.date


async def choose_debit_day(
    connection: Connection, recorded: Recorded, customer_id: int, customer: str, choice: Choice | None, cutoff_days: int
) -> Agreement:
    """
    Let a choice count from behind the cut-off on; None ends the debits.

    A debit that is less than the cut-off away is on its way to the bank: it stays as it was agreed before. So does what
    was agreed before with a longer cut-off.

    Raises:
        InvalidInput: the IBAN is wrong, or the holidays of country and year are not known (``invalid_input``).
    """
    today = recorded.at.date()
    if choice is not None:
        require_country(choice.days.country)
        require_year(choice.days.country, today.year, "country")
        choice = Choice(read_bank_account(choice.bank_account), choice.days)
    await enter_to_decide(connection, recorded.book_id)
    before = await _agreed(connection, recorded.book_id, customer_id)
    longest = max([cutoff_days, *(one.cutoff_days for one in before[:1])])
    from_on = today + dt.timedelta(days=longest)
    days = None if choice is None else choice.days
    await _insert_agreement(
        connection,
        recorded.book_id,
        customer_id,
        None if choice is None else choice.bank_account,
        None if days is None or days.day == "last" else days.day,
        None if days is None else days.country,
        None if days is None else days.rule.value,
        cutoff_days,
        from_on,
        recorded.message_place,
        recorded.at,
    )
    made = _Agreed(None if choice is None else choice.bank_account, days, cutoff_days, from_on)
    return _told(customer, [made, *before], today)


async def find_agreement(
    connection: Connection, book_id: int, customer_id: int, customer: str, today: dt.date
) -> Agreement:
    """
    Return what a customer agreed to last, and when the account is debited next.

    Raises:
        NoAgreement: nothing was agreed (``repayments.no_agreement``).
    """
    agreed = await _agreed(connection, book_id, customer_id)
    if not agreed:
        raise NoAgreement(field="customer", customer=customer)
    return _told(customer, agreed, today)


async def _agreed(connection: Connection, book_id: int, customer_id: int) -> list[_Agreed]:
    """Return all that was agreed, the newest first."""
    found = []
    for bank_account, day, country, rule, cutoff_days, from_on in await _find_agreements(
        connection, book_id, customer_id
    ):
        chosen = None
        if bank_account is not None:
            chosen = DebitDay(cast("DayOfMonth", "last" if day is None else day), country, Rule(rule))
        found.append(_Agreed(bank_account, chosen, cutoff_days, from_on))
    return found


def _told(customer: str, agreed: list[_Agreed], today: dt.date) -> Agreement:
    newest, days = agreed[0], agreed[0].days
    return Agreement(
        customer=customer,
        bank_account=newest.bank_account,
        day=None if days is None else days.day,
        country=None if days is None else days.country,
        rule=None if days is None else days.rule,
        cutoff_days=newest.cutoff_days,
        from_on=newest.from_on,
        next_debit_on=None if days is None else days.next_on(max(newest.from_on, today)),
        still_on=_still_on(agreed, today),
    )


def _still_on(agreed: list[_Agreed], today: dt.date) -> dt.date | None:
    """Return the first debit that is still by what was agreed before the newest."""
    until = agreed[0].from_on
    for at in range((until - today).days):
        day = today + dt.timedelta(days=at)
        governing = next((one for one in agreed[1:] if one.from_on <= day), None)
        if governing is not None and governing.days is not None and governing.days.falls_on(day):
            return day
    return None
