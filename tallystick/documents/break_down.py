"""Break an invoice down by tax category and rate, as EN 16931 counts: lines without tax, and one tax a rate. Pure."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Literal

from tallystick.documents.errors import NoElectronicInvoice
from tallystick.invoicing.model import Invoice, InvoiceLine
from tallystick.rating.exact import EXACT, HUNDRED
from tallystick.taxes.model import InvoiceTax
from tallystick.taxes.round_tax import split_tax

CategoryCode = Literal["S", "Z", "E", "AE", "O"]
"""Standard, zero rated, exempt, reverse charge, outside of the scope of VAT: UNTDID 5305."""
_CODES: dict[str, CategoryCode] = {"exempt": "E", "reverse_charge": "AE"}
_UNTAXED = "Not subject to VAT"
_LAST = dt.datetime.max.replace(tzinfo=dt.UTC)


@dataclass(slots=True)
class TaxGroup:
    """All that is taxed in one way; amounts are minor units."""

    code: CategoryCode
    percent: Decimal
    base: int = 0
    tax: int = 0
    reasons: list[str] = field(default_factory=list)
    """Why no tax is asked for."""


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The lines of an invoice without tax, and what taxes them."""

    nets: list[int]
    """What each line comes to, in minor units."""
    groups: list[TaxGroup]
    of_line: list[int]
    """The place in *groups* of each line."""


@dataclass(slots=True)
class _Together:
    """Taxes that have one base."""

    taxes: list[InvoiceTax]

    def takes(self, tax: InvoiceTax) -> bool:
        """Say whether *tax* is on the same base; one of the same name is on another."""
        if any(one.name == tax.name for one in self.taxes):
            return False
        simple = sum(one.amount for one in self.taxes)
        return tax.base in {self.base, self.base + simple}

    @property
    def base(self) -> int:
        """Return what is taxed, without any tax."""
        return self.taxes[0].base

    @property
    def asked(self) -> int:
        """Return what the lines ask for: the base and the taxes that they contain."""
        return self.base + sum(one.amount for one in self.taxes if one.inclusive)

    @property
    def rate(self) -> Decimal:
        """Return what part of the base all taxes together are."""
        rates = [Decimal(one.rate) for one in self.taxes]
        simple = sum((rate for one, rate in zip(self.taxes, rates, strict=True) if one.base == self.base), Decimal(0))
        compound = sum((rate for one, rate in zip(self.taxes, rates, strict=True) if one.base != self.base), Decimal(0))
        return EXACT.add(simple, EXACT.multiply(compound, EXACT.add(1, simple)))

    def as_group(self) -> TaxGroup:
        """Return the group that they belong to, with their part of it."""
        first, rate = self.taxes[0], self.rate
        code = _CODES.get(first.treatment, "S" if rate else "Z")
        reasons = sorted({one.reason for one in self.taxes if one.reason is not None})
        tax = sum(one.amount for one in self.taxes)
        return TaxGroup(code, EXACT.multiply(rate, HUNDRED).normalize(), self.base, tax, reasons)


def break_down(invoice: Invoice, categories: Sequence[str | None]) -> Breakdown:
    """
    Return the lines of an invoice without tax and the tax of each category and rate; together they are its total.

    Several taxes on one base, such as a state's and a county's, become one of the rate that they come to.

    Raises:
        NoElectronicInvoice: the taxes are not those of the lines (``documents.no_electronic_invoice``).
    """
    if not invoice.taxes:
        amounts = [line.amount for line in invoice.lines]
        outside = TaxGroup("O", Decimal(0), sum(amounts), 0, [_UNTAXED])
        return Breakdown(amounts, [outside], [0] * len(amounts))
    nets, of_line = [0] * len(invoice.lines), [0] * len(invoice.lines)
    groups: list[TaxGroup] = []
    for category, sets in _sets(invoice.taxes).items():
        places = [place for place, one in enumerate(categories) if one == category]
        for together, share in zip(sets, _share_out(invoice.lines, places, sets), strict=True):
            group = _add(groups, together.as_group())
            for place, net in zip(share, _without_tax(invoice.lines, share, together), strict=True):
                nets[place], of_line[place] = net, group
    _add_untaxed(invoice.lines, categories, Breakdown(nets, groups, of_line))
    if sum(nets) + sum(one.tax for one in groups) != invoice.total:
        raise NoElectronicInvoice(reason="its lines and taxes do not add up to its total")
    return Breakdown(nets, groups, of_line)


def _add_untaxed(lines: Sequence[InvoiceLine], categories: Sequence[str | None], breakdown: Breakdown) -> None:
    """Add lines that no tax is asked for, as exempt: what is outside of VAT may not stand beside what is not (BR-O-11)."""
    places = [place for place, category in enumerate(categories) if category is None]
    if not places:
        return
    for place in places:
        breakdown.nets[place] = lines[place].amount
    untaxed = TaxGroup("E", Decimal(0), sum(breakdown.nets[place] for place in places), 0, [_UNTAXED])
    group = _add(breakdown.groups, untaxed)
    for place in places:
        breakdown.of_line[place] = group


def _sets(taxes: Sequence[InvoiceTax]) -> dict[str, list[_Together]]:
    """Put taxes on one base together, by category: where the rates changed meanwhile, a category has two bases."""
    found: dict[str, list[_Together]] = {}
    for tax in taxes:
        sets = found.setdefault(tax.category, [])
        if sets and sets[-1].takes(tax):
            sets[-1].taxes.append(tax)
        else:
            sets.append(_Together([tax]))
    return found


def _share_out(lines: Sequence[InvoiceLine], places: Sequence[int], sets: Sequence[_Together]) -> list[list[int]]:
    """
    Divide the lines of a category onto its bases, each by the time it is for.

    Raises:
        NoElectronicInvoice: no way of doing so fits the bases (``documents.no_electronic_invoice``).
    """
    ordered = sorted(places, key=lambda place: (lines[place].period_end or _LAST, place))
    bounds = [0]
    for together in sets[:-1]:
        wanted, end = together.asked, bounds[-1]
        while end < len(ordered) and (end == bounds[-1] or wanted):
            wanted -= lines[ordered[end]].amount
            end += 1
        bounds.append(end)
    shares = [sorted(ordered[start:end]) for start, end in pairwise([*bounds, len(ordered)])]
    if any(
        sum(lines[one].amount for one in share) != together.asked for share, together in zip(shares, sets, strict=True)
    ):
        raise NoElectronicInvoice(reason="its taxes are on other amounts than those of its lines")
    return shares


def _without_tax(lines: Sequence[InvoiceLine], share: Sequence[int], together: _Together) -> list[int]:
    """Take the taxes that lines contain out of them; what is left adds up to the base."""
    amounts = [lines[place].amount for place in share]
    if together.asked == together.base or not together.asked:
        return amounts
    return split_tax(together.base, [Fraction(amount * together.base, together.asked) for amount in amounts])


def _add(groups: list[TaxGroup], more: TaxGroup) -> int:
    """Add to the group of the same category and rate, and return its place."""
    for place, group in enumerate(groups):
        if (group.code, group.percent) == (more.code, more.percent):
            group.base += more.base
            group.tax += more.tax
            group.reasons += [one for one in more.reasons if one not in group.reasons]
            return place
    groups.append(more)
    return len(groups) - 1
