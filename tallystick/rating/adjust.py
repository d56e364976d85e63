"""Adjust what a model asks by the price's terms: discounts, then the limits of spend; and where each part is rounded."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

import msgspec

from tallystick.money import Asset
from tallystick.rating.exact import EXACT, ONE, constant, plain, round_off, shortest, spoken
from tallystick.rating.model import Detail, Part
from tallystick.rating.terms import Discount, Terms

MINUS_ONE = Decimal(-1)
MINUS_HUNDREDTH = Decimal("-0.01")


@dataclass(slots=True)
class Adjusted:
    """The parts of a line as they add up."""

    terms: Terms
    share: Fraction
    asset: Asset
    details: list[Detail] = field(default_factory=list)
    amount: Fraction = Fraction(0)
    """What the line asks so far, in major units; of rounded parts, where each is rounded."""
    reasons: list[str] = field(default_factory=list)
    """What was done to it, in words."""

    def rounded(self, amount: Fraction) -> Fraction:
        """Round an amount, if each is rounded."""
        if self.terms.round_each == "line":
            return amount
        return round_off(amount, self.asset.exponent, self.terms.rounding)

    def add(self, detail: Detail) -> None:
        """Add a part, rounded if each is."""
        amount = self.rounded(Fraction(detail.amount))
        if self.terms.round_each == "detail":
            detail = msgspec.structs.replace(detail, rounded=int(amount * 10**self.asset.exponent))
        self.amount += amount
        self.details.append(detail)

    def change(self, part: Part, quantity: Decimal, rate: Fraction, limit: Fraction | None = None) -> None:
        """Add a part of our own."""
        amount = plain(shortest(Fraction(quantity) * rate))
        said = None if limit is None else plain(shortest(limit))
        self.add(Detail(part, constant(quantity), plain(shortest(rate)), amount, limit=said))


def adjust(terms: Terms, share: Fraction, details: Sequence[Detail], asset: Asset) -> Adjusted:
    """Return *details* of a model with what the terms add to them, in the order in which they are applied."""
    adjusted = Adjusted(terms, share, asset)
    for detail in details:
        adjusted.add(detail)
    for discount in terms.discounts:
        _discount(adjusted, discount)
    _limit(adjusted)
    if terms.round_each == "detail":
        adjusted.reasons.append("each part rounded" + _how(terms))
    elif terms.rounding != "half_even":
        adjusted.reasons.append("rounded" + _how(terms))
    return adjusted


def _discount(adjusted: Adjusted, discount: Discount) -> None:
    """Take a discount off what is asked so far, as far as there is something to take it off."""
    asset, asked = adjusted.asset.code, adjusted.amount
    if not asked:
        return
    if discount.percent is not None:
        adjusted.reasons.append(f"less {spoken(discount.percent)}% of {spoken(shortest(asked))} {asset}")
        adjusted.change("discount", EXACT.multiply(discount.percent, MINUS_HUNDREDTH), asked)
    elif discount.amount is not None:
        taken = min(Fraction(discount.amount) * adjusted.share, asked)
        adjusted.reasons.append(f"less {spoken(shortest(taken))} {asset}")
        adjusted.change("discount", MINUS_ONE, taken)


def _limit(adjusted: Adjusted) -> None:
    """
    Bring what is asked down to the maximum and up to the minimum.

    Where each part is rounded, so is a limit: what is left of an amount that is cut to it depends on nothing else.
    """
    terms, asset = adjusted.terms, adjusted.asset.code
    if terms.maximum_spend is not None:
        most = adjusted.rounded(Fraction(terms.maximum_spend) * adjusted.share)
        if adjusted.amount > most:
            adjusted.reasons.append(f"cut to the maximum of {spoken(shortest(most))} {asset}")
            adjusted.change("maximum_spend", MINUS_ONE, adjusted.amount - most, most)
    least = adjusted.rounded(Fraction(terms.minimum_spend) * adjusted.share)
    if adjusted.amount < least:
        adjusted.reasons.append(f"raised to the minimum of {spoken(shortest(least))} {asset}")
        adjusted.change("minimum_spend", ONE, least - adjusted.amount, least)


def _how(terms: Terms) -> str:
    """Name a mode of rounding that is not the usual one, with a space before it."""
    return "" if terms.rounding == "half_even" else f" {terms.rounding.replace('_', ' ')}"
