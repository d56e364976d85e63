"""Judge a request for an invoice by itself: what its lines come to, whether its dates can be, which content it has. Pure."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from tallystick import canonical
from tallystick.errors import InvalidInput
from tallystick.invoicing.requesting.errors import (
    AccountUnusable,
    AmountBeyond,
    DueBeforeIssue,
    LineAmountDiffers,
    TotalBelowZero,
)
from tallystick.invoicing.requesting.model import InvoiceWanted, LineWanted
from tallystick.money import MAX_AMOUNT, Asset, Money
from tallystick.periods import iana_zones
from tallystick.rating.exact import plain

_OWN = ("invoices", "providers", "wallets", "customers", "unallocated")
"""Where accounts lie whose balances mean something to the product; what a line credits is none of these."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a request comes to, before its taxes."""

    wanted: InvoiceWanted
    amounts: Sequence[int]
    """Of the lines, in minor units."""
    content: bytes
    """The SHA-256 of what is asked for: two that say the same in other words have the same."""

    @property
    def subtotal(self) -> int:
        """Return what the lines come to."""
        return sum(self.amounts)


def judge(wanted: InvoiceWanted, asset: Asset) -> Judged:
    """
    Find a request to be one that can be drafted, and say what its lines come to.

    Raises:
        InvalidInput: a zone, or the way it says when it is due, is none (``invalid_input``).
        LineAmountDiffers: a line's amount is not what it comes to (``invoicing.line_amount_differs``).
        AmountBeyond: a line or the invoice is beyond the largest amount (``invoicing.amount_beyond``).
        TotalBelowZero: the lines come to less than nothing (``invoicing.total_below_zero``).
        AccountUnusable: a line credits an account that the product keeps for itself (``invoicing.account_unusable``).
    """
    if wanted.zone not in iana_zones():
        raise InvalidInput(field="zone", rule="a zone is an IANA name such as UTC or Europe/Vienna")
    if (wanted.due_on is None) == (wanted.terms_days is None):
        raise InvalidInput(
            field="due_on", rule="a request has either due_on, a date, or terms_days, counted from its issue"
        )
    amounts = [_amount(line, asset, f"lines[{place}]") for place, line in enumerate(wanted.lines)]
    require_total(sum(amounts))
    for place, line in enumerate(wanted.lines):
        if line.post_to is not None and line.post_to.split("/", 1)[0] in _OWN:
            why = "is one of those that the product keeps for itself"
            raise AccountUnusable(field=f"lines[{place}].post_to", account=line.post_to, why=why)
    return Judged(wanted, amounts, _content(wanted, amounts))


def require_total(total: int) -> None:
    """
    Refuse what nobody can be asked for.

    Raises:
        TotalBelowZero: it is less than nothing (``invoicing.total_below_zero``).
        AmountBeyond: it is beyond the largest amount (``invoicing.amount_beyond``).
    """
    if total < 0:
        raise TotalBelowZero(field="lines", total=total)
    if total > MAX_AMOUNT:
        raise AmountBeyond(field="lines", amount=total, largest=MAX_AMOUNT)


def due_on(wanted_due_on: dt.date | None, terms_days: int | None, zone: str, at: dt.datetime) -> dt.date:
    """
    Return the day that an invoice is due which is issued *at* an instant: the one given, or so many days later.

    Raises:
        DueBeforeIssue: the day is before that of the issue in *zone* (``invoicing.due_before_issue``).
    """
    issued_on = at.astimezone(ZoneInfo(zone)).date()
    if wanted_due_on is None:
        return issued_on + dt.timedelta(days=terms_days or 0)
    if wanted_due_on < issued_on:
        raise DueBeforeIssue(field="due_on", due_on=wanted_due_on.isoformat(), issued_on=issued_on.isoformat())
    return wanted_due_on


def _amount(line: LineWanted, asset: Asset, field: str) -> int:
    """Return what a line comes to: the amount given, which is quantity times unit amount where both are given."""
    if line.unit_amount is None:
        if line.amount is None:
            raise InvalidInput(field=f"{field}.amount", rule="a line has an amount, a unit_amount, or both")
        return line.amount
    exact = Fraction(line.quantity) * Fraction(line.unit_amount) / 10**asset.exponent
    if abs(exact) * 10**asset.exponent > MAX_AMOUNT:
        raise AmountBeyond(field=field, amount=f"{line.quantity} x {line.unit_amount}", largest=MAX_AMOUNT)
    comes_to = Money.from_fraction(exact, asset).minor
    if line.amount is not None and line.amount != comes_to:
        raise LineAmountDiffers(field=f"{field}.amount", amount=line.amount, product=comes_to)
    return comes_to


def _content(wanted: InvoiceWanted, amounts: Sequence[int]) -> bytes:
    said: dict[str, Any] = {
        "customer": wanted.customer,
        "asset": wanted.asset,
        "due_on": None if wanted.due_on is None else wanted.due_on.isoformat(),
        "terms_days": wanted.terms_days,
        "zone": wanted.zone,
        "memo": wanted.memo,
        "cost_rank": None if wanted.cost_rank is None else plain(wanted.cost_rank),
        "series": wanted.series,
        "lines": [
            [line.description, plain(line.quantity), None if line.unit_amount is None else plain(line.unit_amount),
             amount, line.tax_category, line.post_to]
            for line, amount in zip(wanted.lines, amounts, strict=True)
        ],
    }  # fmt: skip
    return canonical.digest(said)
