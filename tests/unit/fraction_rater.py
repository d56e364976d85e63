"""
A second rater, written from docs/reference/charge-models.md alone: it shares no code with the product.

It reads a price as its JSON content and computes in fractions, one rule of the page after the other.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

Price = dict[str, Any]
NOTHING = Fraction(0)


@dataclass
class Asked:
    """What is rated: a quantity, how many events it came in, perhaps each of them, in a share of a period."""

    quantity: Decimal
    events: int = 0
    transactions: Sequence[Decimal] | None = None
    share: Fraction = Fraction(1)


@dataclass
class Sum:
    """Parts as they add up; each is rounded onto *exponent* digits where the price rounds each."""

    price: Price
    exponent: int
    total: Fraction = NOTHING
    exact: list[Fraction] = field(default_factory=list)

    def add(self, part: Fraction) -> None:
        """Add one part."""
        self.exact.append(part)
        self.total += self.rounded(part)

    def rounded(self, part: Fraction) -> Fraction:
        """Round a part, or a limit, where the price rounds each."""
        each = self.price.get("round_each") == "detail"
        return round_to(part, self.exponent, mode_of(self.price)) if each else part


def rate_in_fractions(price: Price, asked: Asked, exponent: int) -> tuple[Fraction, int]:
    """Return the sum of the exact parts, and the amount in minor units."""
    parts = Sum(price, exponent)
    for part in MODELS[price["model"]](price, asked):
        parts.add(part)
    for discount in price.get("discounts", []):
        if "percent" in discount:
            parts.add(-parts.total * Fraction(discount["percent"]) / 100)
        elif "amount" in discount:
            parts.add(-min(Fraction(discount["amount"]) * asked.share, parts.total))
    if price.get("maximum_spend") is not None:
        parts.add(min(parts.rounded(Fraction(price["maximum_spend"]) * asked.share) - parts.total, NOTHING))
    parts.add(max(parts.rounded(number(price, "minimum_spend") * asked.share) - parts.total, NOTHING))
    return sum(parts.exact, NOTHING), int(round_to(parts.total, exponent, mode_of(price)) * 10**exponent)


def number(price: Price, name: str) -> Fraction:
    """Return a number of the price, zero if it is left out."""
    return Fraction(price.get(name, 0))


def mode_of(price: Price) -> str:
    """Return how the price rounds money."""
    return str(price.get("rounding", "half_even"))


def round_to(number: Fraction, digits: int, mode: str) -> Fraction:
    """Round away from zero (up), towards it (down), or to the nearest."""
    size = abs(number) * 10**digits
    whole = {
        "up": lambda: math.ceil(size),
        "down": lambda: math.floor(size),
        "half_up": lambda: math.floor(size + Fraction(1, 2)),
        "half_even": lambda: round(size),
    }[mode]()
    return Fraction(whole if number >= 0 else -whole, 10**digits)


def converted(price: Price, quantity: Decimal) -> Fraction:
    """Return a metered quantity in the price's unit."""
    unit = price.get("unit", {"per": 1})
    exact = Fraction(quantity) / Fraction(unit["per"])
    mode = unit.get("rounding", "none")
    return exact if mode == "none" else round_to(exact, unit.get("digits", 0), mode)


def granted(price: Price, asked: Asked) -> Fraction:
    """Return how much is free or discounted by units in the share of a period."""
    discounted = sum((number(discount, "units") for discount in price.get("discounts", [])), NOTHING)
    return (number(price, "free_units") + number(price, "free_amount") + discounted) * asked.share


def billable(price: Price, asked: Asked) -> Fraction:
    """Return what is left of the quantity behind free and discounted units."""
    return max(converted(price, asked.quantity) - granted(price, asked), NOTHING)


def flat(price: Price, asked: Asked) -> list[Fraction]:
    """Rate a flat price."""
    return [Fraction(price["amount"]) * asked.share]


def per_unit(price: Price, asked: Asked) -> list[Fraction]:
    """Rate by unit."""
    return [billable(price, asked) * Fraction(price["rate"])]


def package(price: Price, asked: Asked) -> list[Fraction]:
    """Rate by package."""
    packages = billable(price, asked) / Fraction(price["size"])
    mode = price.get("package_rounding", "up")
    if mode != "exact":
        packages = round_to(packages, 0, "half_up" if mode == "nearest" else mode)
    return [packages * Fraction(price["rate"])]


def rate_of(tier: Price) -> Fraction:
    """Return what a unit in a tier costs."""
    return Fraction(tier["rate"]) if "rate" in tier else Fraction(tier["percent"]) / 100


def entered(price: Price, amount: Fraction) -> list[tuple[Fraction, Price]]:
    """Return the tiers that *amount* enters, each with the bound below it."""
    bounds = [NOTHING, *(Fraction(tier["up_to"]) for tier in price["tiers"][:-1])]
    tiers = list(zip(bounds, price["tiers"], strict=True))
    if amount == 0:
        return tiers[:1] if price.get("charge_first_tier_at_zero") else []
    if price.get("bounds") == "exclusive":
        return [(low, tier) for low, tier in tiers if amount >= low]
    return [(low, tier) for low, tier in tiers if amount > low]


def graduated(price: Price, asked: Asked) -> list[Fraction]:
    """Rate tier by tier: what an amount up to each tier's end costs, less what was counted below."""
    amount = billable(price, asked)
    parts = []
    for low, tier in entered(price, amount):
        end = amount if tier["up_to"] is None else min(amount, Fraction(tier["up_to"]))
        parts += [(end - low) * rate_of(tier), number(tier, "flat") * asked.share]
    return parts


def volume(price: Price, asked: Asked) -> list[Fraction]:
    """Rate everything by the last tier entered."""
    amount = billable(price, asked)
    return [
        part
        for _, tier in entered(price, amount)[-1:]
        for part in (amount * rate_of(tier), number(tier, "flat") * asked.share)
    ]


def percentage(price: Price, asked: Asked) -> list[Fraction]:
    """Rate a transacted amount: by transaction where one must be judged by itself, else by their sum."""
    by_itself = (
        number(price, "minimum_per_transaction")
        or price.get("maximum_per_transaction") is not None
        or (price.get("free_transactions_cover") == "all" and number(price, "free_transactions"))
        or (
            price.get("free_amount_covers") == "all" and number(price, "free_amount") * number(price, "per_transaction")
        )
    )
    if by_itself:
        return transactions(price, asked)
    free = min(math.ceil(number(price, "free_transactions") * asked.share), asked.events)
    return [
        billable(price, asked) * number(price, "percent") / 100,
        (asked.events - free) * number(price, "per_transaction"),
    ]


def transactions(price: Price, asked: Asked) -> list[Fraction]:
    """Rate each transaction; those at the rate, the minimum and the maximum are parts of the line."""
    free = math.ceil(number(price, "free_transactions") * asked.share)
    left = granted(price, asked)
    least, most = number(price, "minimum_per_transaction"), price.get("maximum_per_transaction")
    percents = fixed = raised = capped = NOTHING
    for place, given in enumerate(asked.transactions or []):
        amount = converted(price, given)
        if place < free and price.get("free_transactions_cover") == "all":
            continue
        used = min(left, amount)
        left -= used
        percent = (amount - used) * number(price, "percent") / 100
        inside = bool(used) and used == amount
        pays_none = place < free or (inside and price.get("free_amount_covers") == "all")
        part = NOTHING if pays_none else number(price, "per_transaction")
        has_minimum = place >= free and not inside
        if has_minimum and percent + part < least:
            raised += least
        elif most is not None and percent + part > Fraction(most):
            capped += Fraction(most)
        else:
            percents, fixed = percents + percent, fixed + part
    return [percents, fixed, raised, capped]


def dynamic(price: Price, asked: Asked) -> list[Fraction]:
    """Rate amounts that came with the events."""
    amount = billable(price, asked)
    return [amount, amount * number(price, "markup_percent") / 100]


MODELS: dict[str, Callable[[Price, Asked], list[Fraction]]] = {
    "flat": flat,
    "per_unit": per_unit,
    "graduated": graduated,
    "volume": volume,
    "package": package,
    "percentage": percentage,
    "graduated_percentage": graduated,
    "dynamic": dynamic,
}
