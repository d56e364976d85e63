"""Compute: the taxes of lines, exact in fractions until each is rounded once. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from tallystick.money import MAX_AMOUNT
from tallystick.rating.exact import plain
from tallystick.taxes.errors import NoTaxRate, TaxTooLarge
from tallystick.taxes.model import InvoiceTax, Rate, Rounding, Whose
from tallystick.taxes.round_tax import round_tax, split_tax

Rates = Mapping[str, Sequence[Rate]]
"""By category the rates in force, in the order in which they are printed."""


class TaxLine(NamedTuple):
    """What one line comes to, and the category of what it is for."""

    category: str
    amount: int
    """In minor units; negative where it takes back."""


@dataclass(frozen=True, slots=True)
class Taxed:
    """The taxes of an invoice."""

    taxes: list[InvoiceTax]
    exclusive: int
    """What is added to the lines."""
    parts: list[list[int]]
    """For each tax, the part of each line; they add up to its amount."""


def compute(whose: Whose, rounding: Rounding, rates: Rates, lines: Sequence[TaxLine]) -> Taxed:
    """
    Return the taxes of *lines*, category by category.

    Several rates of a category each apply to the same base; one that is compound, to the base and the taxes that are
    not. What is inclusive is contained in the amounts: base and inclusive taxes add back to exactly what the lines ask.

    Raises:
        NoTaxRate: a category has no rate in force (``taxes.no_rate``).
        TaxTooLarge: a tax is beyond what can be asked for (``taxes.amount_too_large``).
    """
    taxed = Taxed([], 0, [])
    for category in sorted({line.category for line in lines}):
        amounts = [line.amount if line.category == category else 0 for line in lines]
        if whose.treatment != "taxed":
            _add_untaxed(taxed, whose, category, amounts)
            continue
        if not rates.get(category):
            raise NoTaxRate(jurisdiction=whose.jurisdiction, category=category)
        _add_category(taxed, whose.jurisdiction, rounding, category, rates[category], amounts)
    exclusive = sum(one.amount for one in taxed.taxes if not one.inclusive)
    if any(abs(one.amount) > MAX_AMOUNT for one in taxed.taxes) or abs(exclusive) > MAX_AMOUNT:
        raise TaxTooLarge(largest=MAX_AMOUNT)
    return Taxed(taxed.taxes, exclusive, taxed.parts)


def _add_untaxed(taxed: Taxed, whose: Whose, category: str, amounts: Sequence[int]) -> None:
    """Say that no tax is asked for, and why."""
    name = whose.treatment.replace("_", " ")
    base = sum(amounts)
    taxed.taxes.append(
        InvoiceTax(
            whose.jurisdiction,
            category,
            name,
            "0",
            inclusive=False,
            base=base,
            amount=0,
            treatment=whose.treatment,
            reason=whose.reason,
        )
    )
    taxed.parts.append([0] * len(amounts))


def _add_category(
    taxed: Taxed, jurisdiction: str, rounding: Rounding, category: str, rates: Sequence[Rate], amounts: Sequence[int]
) -> None:
    factors = _factors(rates)
    contained = 1 + sum((factor for rate, factor in zip(rates, factors, strict=True) if rate.inclusive), Fraction(0))
    parts = [_round([amount * factor / contained for amount in amounts], rounding) for factor in factors]
    totals = [sum(one) for one in parts]
    net = sum(amounts) - sum(total for rate, total in zip(rates, totals, strict=True) if rate.inclusive)
    simple = sum(total for rate, total in zip(rates, totals, strict=True) if not rate.compound)
    for rate, total, part in zip(rates, totals, parts, strict=True):
        taxed.taxes.append(
            InvoiceTax(
                jurisdiction,
                category,
                rate.name,
                plain(rate.rate),
                inclusive=rate.inclusive,
                base=net + simple if rate.compound else net,
                amount=total,
            )
        )
        taxed.parts.append(part)


def _factors(rates: Sequence[Rate]) -> list[Fraction]:
    """Return what part of the base each tax is."""
    simple = sum((Fraction(rate.rate) for rate in rates if not rate.compound), Fraction(0))
    return [Fraction(rate.rate) * (1 + simple if rate.compound else 1) for rate in rates]


def _round(shares: Sequence[Fraction], rounding: Rounding) -> list[int]:
    """Round line by line, or all together once and split that back onto the lines."""
    if rounding.scope == "line":
        return [round_tax(share, rounding.mode) for share in shares]
    return split_tax(round_tax(sum(shares, Fraction(0)), rounding.mode), shares)
