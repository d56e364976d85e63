"""Reconcile: the difference between what a subscription should come to and what was asked for already. Pure."""

import datetime as dt
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TypeVar

from tallystick.money import Asset
from tallystick.periods import Period
from tallystick.subscriptions.wanted import Wanted, major
from tallystick.wallets.give_back import NOTHING_BACK, GivenBack, LineKey
from tallystick.wallets.model import UnitDraw


@dataclass(frozen=True, slots=True)
class Billed:
    """A line of an invoice that was made for the subscription."""

    invoice_id: uuid.UUID
    position: int
    plan: str
    charge: str
    price_at: dt.datetime
    meter: str | None
    period: Period
    events: int
    quantity: Decimal
    amount: int
    adjusts: tuple[uuid.UUID, int] | None
    explanation: str
    through: int = 0
    """Its invoice covers the usage recorded by transactions ordered below this."""
    covered: Decimal = Decimal(0)
    """Of the quantity, what credits paid for; below zero where it gives some back."""


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What corrects a line: the difference of what it should have come to."""

    billed: Billed
    period: Period
    """The part of the line's time in which something changed."""
    events: int
    quantity: Decimal
    amount: int
    explanation: str
    covers_from: int
    """It covers the usage that was ordered from here on: what the line and its corrections did not."""
    given_back: GivenBack = NOTHING_BACK
    """What becomes of the credits that paid for more than is left."""

    @property
    def draws(self) -> Sequence[UnitDraw]:
        """Return what moves in the ledger with it."""
        return self.given_back.draws


@dataclass(slots=True)
class Balance:
    """A line as it was asked for, with all that corrected it since."""

    billed: Billed
    events: int
    quantity: Decimal
    amount: int
    through: int
    covered: Decimal
    fitting: list[Wanted] = field(default_factory=list)
    """What it should have come to."""

    @property
    def key(self) -> LineKey:
        """Return the invoice and the position of the line."""
        return self.billed.invoice_id, self.billed.position


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What is to be asked for now."""

    adjustments: list[Adjustment]
    new: list[Wanted]
    carried: int = 0
    """What is owed to the customer beyond what the rest comes to, in minor units."""
    carried_from: dt.datetime | None = None
    """Where the earliest billing begins of which something is carried."""

    @property
    def total(self) -> int:
        """Return what the lines come to, in minor units."""
        return sum(one.amount for one in self.adjustments) + sum(one.amount for one in self.new)


def reconcile(
    wanted: Iterable[Wanted],
    billed: Sequence[Billed],
    asset: Asset,
    least: int = 0,
    given_back: Mapping[LineKey, GivenBack] | None = None,
) -> Reconciled:
    """
    Return the lines that make what was billed into what is wanted.

    A line that was billed is corrected by what is left of it: the parts of its time that are still at its price and
    quantity. What no line stands for is new. Where that comes to less than *least* as much is given back as the rest
    can bear, and the remainder is carried: it is a difference again when the same periods are looked at next.
    *given_back* says of lines what becomes of the credits that paid for them.
    """
    balances = balances_of(billed)
    new: list[Wanted] = []
    for one in wanted:
        found = line_of(one, balances)
        if found is None:
            new.append(one)
        else:
            found.fitting.append(one)
    back = given_back or {}
    made = [_adjust(balance, asset, back.get(balance.key, NOTHING_BACK)) for balance in balances]
    return _bear(Reconciled([one for one in made if one is not None], new), least)


def line_of(one: Wanted, balances: Iterable[Balance]) -> Balance | None:
    """Return the line that stands for *one* on an invoice already."""
    return next((balance for balance in balances if _fits(one, balance.billed)), None)


def _corrects(one: Billed) -> bool:
    """Say whether a line corrects one of an earlier invoice; the maximum of a period takes back from its own."""
    return one.adjusts is not None and one.adjusts[0] != one.invoice_id


def balances_of(billed: Sequence[Billed]) -> list[Balance]:
    """Put each line together with what corrected it."""
    found: dict[LineKey, Balance] = {}
    for one in billed:
        corrected = found.get(one.adjusts) if one.adjusts is not None and _corrects(one) else None
        if corrected is None:
            found[one.invoice_id, one.position] = Balance(
                one, one.events, one.quantity, one.amount, one.through, one.covered
            )
            continue
        corrected.events += one.events
        corrected.quantity += one.quantity
        corrected.amount += one.amount
        corrected.covered += one.covered
        corrected.through = max(corrected.through, one.through)
    return list(found.values())


def _fits(one: Wanted, billed: Billed) -> bool:
    """Say whether *one* is what remains of a line: the same price, the same quantity, a time inside of it."""
    same = (one.plan, one.charge, one.price_at) == (billed.plan, billed.charge, billed.price_at)
    inside = billed.period.start_at <= one.period.start_at and one.period.end_at <= billed.period.end_at
    return same and inside and (one.meter is not None or one.quantity == billed.quantity)


def _adjust(balance: Balance, asset: Asset, given_back: GivenBack) -> Adjustment | None:
    billed = balance.billed
    amount = sum(one.amount for one in balance.fitting) - balance.amount
    metered = billed.meter is not None
    events = sum(one.events for one in balance.fitting) - balance.events
    quantity = sum((one.quantity for one in balance.fitting), Decimal(0)) - balance.quantity
    if not amount and not (metered and (events or quantity)) and not given_back.draws:
        return None
    due = "; ".join(one.explanation for one in balance.fitting) or f"nothing = {major(0, asset)}"
    return Adjustment(
        billed,
        _changed(balance),
        events if metered else 0,
        quantity if metered else Decimal(0),
        amount,
        f"{major(balance.amount, asset)} was asked for ({billed.explanation}); due is {due}"
        + given_back.explanation(billed.meter or ""),
        balance.through,
        given_back,
    )


def _changed(balance: Balance) -> Period:
    """Return the part of a line's time that is not as it was, or all of it."""
    whole = balance.billed.period
    start_at, end_at = whole.start_at, whole.end_at
    for one in sorted(balance.fitting, key=lambda one: one.period.start_at):
        if one.period.start_at != start_at:
            break
        start_at = one.period.end_at
    for one in sorted(balance.fitting, key=lambda one: one.period.end_at, reverse=True):
        if one.period.end_at != end_at:
            break
        end_at = one.period.start_at
    return Period(start_at, end_at) if start_at < end_at else whole


def _bear(all_of_it: Reconciled, least: int) -> Reconciled:
    """Take back no more than leaves *least* of the rest, the earliest first."""
    over = least - all_of_it.total
    if over <= 0:
        return all_of_it
    new, left, from_new = _spare(all_of_it.new, over, lambda one: one.billing_start)
    adjustments, left, from_old = _spare(all_of_it.adjustments, left, lambda one: one.billed.period.start_at)
    return Reconciled(adjustments, new, over - left, min([*from_new, *from_old], default=None))


_Line = TypeVar("_Line", Wanted, Adjustment)


def _spare(
    lines: Sequence[_Line], left: int, start_of: Callable[[_Line], dt.datetime]
) -> tuple[list[_Line], int, list[dt.datetime]]:
    """Take back *left* less, from the last line on; say what is left, and of which starts something was spared."""
    kept: list[_Line] = []
    spared_from: list[dt.datetime] = []
    for one in reversed(lines):
        spared = min(left, max(-one.amount, 0))
        left -= spared
        if spared:
            spared_from.append(start_of(one))
        if one.amount + spared or not spared or one.draws:
            kept.insert(0, replace(one, amount=one.amount + spared))
    return kept, left, spared_from
