"""Rates, roundings and customers of taxes, and the tax of an invoice."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import msgspec

Treatment = Literal["taxed", "exempt", "reverse_charge"]
Scope = Literal["line", "invoice"]
Mode = Literal["half_up", "half_even", "up", "down"]
STANDARD = "standard"
"""The category of what has no other."""


class InvoiceTax(msgspec.Struct, frozen=True):
    """One tax of an invoice: a rate on what some of its lines come to."""

    jurisdiction: str
    category: str
    """The product category that the rate is for."""
    name: str
    """As the invoice prints it."""
    rate: str
    """Of the base, as decimal text: ``0.19``."""
    inclusive: bool
    """The lines contain it; otherwise it is added to them."""
    base: int
    """What is taxed, in minor units, without the tax."""
    amount: int
    """In minor units."""
    treatment: Treatment = "taxed"
    """Whether it is asked for. A rate of zero is a tax of nothing; who is exempt owes none."""
    reason: str | None = None
    """Why none is asked for; null exactly when it is."""


class TaxRate(msgspec.Struct, frozen=True):
    """A tax of a jurisdiction on a product category, from *effective_at* until its next version."""

    jurisdiction: str
    category: str
    name: str
    effective_at: dt.datetime
    rate: str | None
    """Of the base, as decimal text; null: the tax ends."""
    inclusive: bool
    compound: bool
    """It is taken of the base and the taxes that are not compound."""


class TaxRounding(msgspec.Struct, frozen=True):
    """How a jurisdiction's taxes are rounded onto minor units, from *effective_at* on."""

    jurisdiction: str
    effective_at: dt.datetime
    scope: Scope
    """Each line by itself, or all lines of a rate once."""
    mode: Mode
    """``half_up`` and ``up`` round away from zero, so that what is taken back is rounded as it was asked for."""


class TaxCategory(msgspec.Struct, frozen=True):
    """The category of a product or one of its charges, from *effective_at* on."""

    product: str
    charge: str | None
    """Null: every charge of the product that has no category of its own."""
    effective_at: dt.datetime
    category: str


class TaxCustomer(msgspec.Struct, frozen=True):
    """Where a customer is taxed, and how, from *effective_at* on."""

    customer: str
    effective_at: dt.datetime
    jurisdiction: str
    treatment: Treatment
    reason: str | None
    """Why no tax is asked for; null exactly when it is."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate in force."""

    name: str
    rate: Decimal
    inclusive: bool
    compound: bool


@dataclass(frozen=True, slots=True)
class Rounding:
    """A rounding in force."""

    scope: Scope = "invoice"
    mode: Mode = "half_up"


@dataclass(frozen=True, slots=True)
class Whose:
    """Where a customer is taxed, and how."""

    jurisdiction: str
    treatment: Treatment = "taxed"
    reason: str | None = None
