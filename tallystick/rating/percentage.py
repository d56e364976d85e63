"""Charge a percentage of a transacted amount, and a fixed part for each transaction."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from tallystick.rating.exact import EXACT, ZERO
from tallystick.rating.measure import Measured, round_converted
from tallystick.rating.model import Percentage
from tallystick.rating.share import Share


def charge_percentage(price: Percentage, measured: Measured, events: int, share: Fraction) -> list[Share]:
    """Return the percentage of all that is billable, and the fixed part of the transactions that pay it."""
    free = min(free_transactions(price, share), events)
    tally = Tally(measured.billable, free, events - free)
    return tally.shares(price, measured.whole)


def charge_transactions(
    price: Percentage, measured: Measured, transactions: Sequence[Decimal], share: Fraction
) -> tuple[Measured, list[Share]]:
    """
    Judge *transactions*, in order of time, one by one.

    Returns what was measured then: each amount is converted by itself, and one that is free with its transaction uses
    nothing of the free amount.
    """
    free = free_transactions(price, share)
    free_amount = EXACT.multiply(price.free_amount, measured.fixed)
    granted = left = EXACT.add(free_amount, EXACT.multiply(price.discounted_units, measured.fixed))
    tally = Tally(ZERO, 0, 0)
    priced, parts = ZERO, Decimal(share.denominator)
    for place, given in enumerate(transactions):
        converted = given if price.unit is None else round_converted(given, price.unit)
        amount = EXACT.multiply(converted.copy_abs(), parts)
        priced = EXACT.add(priced, amount)
        left = EXACT.subtract(left, tally.judge(price, amount, measured.whole, left, free=place < free))
    taken = EXACT.subtract(granted, left)
    by_amount = min(free_amount, taken)
    measured = measured._replace(
        priced=priced,
        free=EXACT.add(by_amount, tally.freed),
        discounted=EXACT.subtract(taken, by_amount),
        billable=EXACT.subtract(priced, EXACT.add(taken, tally.freed)),
    )
    return measured, tally.shares(price, measured.whole)


def free_transactions(price: Percentage, share: Fraction) -> int:
    """Return how many transactions are free in *share* of a period: begun ones are granted whole."""
    return math.ceil(Fraction(price.free_transactions) * share)


@dataclass(slots=True)
class Tally:
    """What transactions come to, in the groups that a line tells apart; amounts are multiplied by *whole*."""

    at_rate: Decimal
    """The amount that the percentage is taken of."""
    free: int
    """Transactions free of the fixed part."""
    fixed: int
    """Transactions that pay it."""
    freed: Decimal = ZERO
    """The amount of transactions that are free of all."""
    raised: int = 0
    raised_amount: Decimal = ZERO
    """The amount of those that pay the minimum."""
    capped: int = 0
    capped_amount: Decimal = ZERO
    """The amount of those that pay the maximum."""

    def judge(self, price: Percentage, amount: Decimal, whole: Decimal, left: Decimal, *, free: bool) -> Decimal:
        """Add a transaction to its group; return how much of *left*, the free amount there still is, it uses."""
        if free and price.free_transactions_cover == "all":
            self.free += 1
            self.freed = EXACT.add(self.freed, amount)
            return ZERO
        taken = min(left, amount)
        charged = EXACT.subtract(amount, taken)
        is_covered = free or bool(taken and not charged)
        free = free or (is_covered and price.free_amount_covers == "all")
        self.free += free
        fee = EXACT.multiply(charged, price.rate)
        if not free:
            fee = EXACT.add(fee, EXACT.multiply(price.per_transaction, whole))
        maximum = price.maximum_per_transaction
        if not is_covered and fee < EXACT.multiply(price.minimum_per_transaction, whole):
            self.raised += 1
            self.raised_amount = EXACT.add(self.raised_amount, charged)
        elif maximum is not None and fee > EXACT.multiply(maximum, whole):
            self.capped += 1
            self.capped_amount = EXACT.add(self.capped_amount, charged)
        else:
            self.at_rate = EXACT.add(self.at_rate, charged)
            self.fixed += not free
        return taken

    def shares(self, price: Percentage, whole: Decimal) -> list[Share]:
        """Return the parts of the line."""
        shares = []
        if self.free:
            count = EXACT.multiply(Decimal(self.free), whole)
            freed = self.freed if price.free_transactions_cover == "all" else None
            shares.append(Share("free_transactions", count, ZERO, of=freed))
        if self.at_rate:
            shares.append(Share("percent", self.at_rate, price.rate))
        if self.fixed and price.per_transaction:
            shares.append(Share("transaction_fee", EXACT.multiply(Decimal(self.fixed), whole), price.per_transaction))
        if self.raised:
            count = EXACT.multiply(Decimal(self.raised), whole)
            shares.append(Share("transaction_minimum", count, price.minimum_per_transaction, of=self.raised_amount))
        if self.capped and price.maximum_per_transaction is not None:
            count = EXACT.multiply(Decimal(self.capped), whole)
            shares.append(Share("transaction_maximum", count, price.maximum_per_transaction, of=self.capped_amount))
        return shares
