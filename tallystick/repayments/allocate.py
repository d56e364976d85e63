"""
Allocate: which invoice gets how much of an amount, by a policy, down to the last minor unit. Pure.

Of any policy the same is true: no invoice gets more than is outstanding on it, no more is placed than there is, all of
it is placed where enough is due, and the same question has the same answer in whatever order the invoices are given.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from tallystick.rating.explain import TIMES
from tallystick.repayments.policy import FixedSplit, HighestCostFirst, OldestFirst, Policy, ProductOrder, ProRata


class Due(NamedTuple):
    """An invoice that waits to be repaid; amounts are minor units of one asset."""

    invoice_id: uuid.UUID
    product: str
    due_on: dt.date
    issued_at: dt.datetime
    outstanding: int
    cost_rank: Decimal | None = None
    """What it costs its customer a year, of what is owed; None where its product does not say."""
    number: str = ""
    """As people know it; nothing depends on it."""


class Placed(msgspec.Struct, frozen=True):
    """What an invoice gets, and why that much and not another amount."""

    invoice: uuid.UUID
    number: str
    product: str
    due_on: dt.date
    outstanding: int
    """Before it gets anything."""
    amount: int
    why: str


def allocate(available: int, dues: Iterable[Due], policy: Policy) -> list[Placed]:
    """
    Place *available* minor units on *dues*; those that get nothing are left out.

    In order of the placing. Ties are broken by age: due date, then instant of issue, then id.

    Raises:
        ValueError: *available* or what is outstanding on an invoice is negative.
    """
    waiting = sorted(dues, key=_age)
    if available < 0 or any(one.outstanding < 0 for one in waiting):
        raise ValueError("nothing below zero can be placed, or placed on")
    waiting = [one for one in waiting if one.outstanding]
    match policy:
        case OldestFirst():
            return _in_order(available, waiting, lambda due: f"oldest first: due {due.due_on}")
        case ProductOrder(products):
            return _by_product(available, waiting, products)
        case HighestCostFirst():
            return _by_cost(available, waiting)
        case ProRata():
            return _pro_rata(available, waiting)
        case FixedSplit(weights):
            return _by_weights(available, waiting, weights)


def share_out(amount: int, weights: Sequence[int]) -> list[int]:
    """
    Divide *amount* by *weights*; left-over units go to the largest remainders, the first of equal ones before the others.

    Raises:
        ZeroDivisionError: the weights add up to nothing.
    """
    whole = sum(weights)
    parts = [divmod(amount * weight, whole) for weight in weights]
    left = amount - sum(part for part, _ in parts)
    favoured = {*sorted(range(len(parts)), key=lambda at: (-parts[at][1], at))[:left]}
    return [part + (at in favoured) for at, (part, _) in enumerate(parts)]


def _age(due: Due) -> tuple[dt.date, dt.datetime, bytes]:
    return due.due_on, due.issued_at, due.invoice_id.bytes


def _in_order(available: int, dues: Sequence[Due], why: Callable[[Due], str]) -> list[Placed]:
    """Pay one invoice after the other as far as the money goes."""
    placed = []
    for due in dues:
        amount = min(available, due.outstanding)
        if not amount:
            break
        available -= amount
        placed.append(_placed(due, amount, f"{why(due)}; {_takes(due, amount)}"))
    return placed


def _takes(due: Due, amount: int) -> str:
    if amount == due.outstanding:
        return f"takes all {amount} outstanding"
    return f"takes the last {amount} there was, of {due.outstanding} outstanding"


def _by_product(available: int, dues: Sequence[Due], products: Sequence[str]) -> list[Placed]:
    place = {product: at for at, product in enumerate(products)}

    def why(due: Due) -> str:
        if due.product not in place:
            return f"{due.product} is not in the order, so it comes last"
        return f"{due.product} is number {place[due.product] + 1} in the order of products"

    return _in_order(available, sorted(dues, key=lambda due: place.get(due.product, len(place))), why)


def _by_cost(available: int, dues: Sequence[Due]) -> list[Placed]:
    def cost(due: Due) -> Decimal:
        return due.cost_rank or Decimal(0)

    def why(due: Due) -> str:
        if due.cost_rank is None:
            return "nothing is said of its cost, so it counts as none"
        return f"highest cost first: {due.cost_rank:f} a year"

    return _in_order(available, sorted(dues, key=lambda due: -cost(due)), why)


def _pro_rata(available: int, dues: Sequence[Due]) -> list[Placed]:
    whole = sum(due.outstanding for due in dues)
    if available >= whole:
        return _in_order(available, dues, lambda _: f"pro rata: there is enough for all {whole} outstanding")
    placed = []
    for due, amount in zip(dues, share_out(available, [due.outstanding for due in dues]), strict=True):
        if amount:
            rounding = _rounding(amount, available * due.outstanding, whole)
            said = f"pro rata: {available} {TIMES} {due.outstanding} / {whole} = {amount}{rounding}"
            placed.append(_placed(due, amount, said))
    return placed


def _rounding(amount: int, product: int, whole: int) -> str:
    """Say how a share was rounded."""
    floor, remainder = divmod(product, whole)
    if not remainder:
        return ""
    return (
        " with a unit that was left over, for its remainder"
        if amount > floor
        else " and a remainder that was too small"
    )


def _by_weights(available: int, dues: Sequence[Due], weights: dict[str, int]) -> list[Placed]:
    """
    Split by weights; then, while a product cannot take its part, pay it off and split the rest among the others.

    Equal remainders go by the products' names. What no product with a weight can take goes to the other invoices, oldest
    first.
    """
    by_product = {product: [due for due in dues if due.product == product] for product in sorted(weights)}
    parts = _split(
        available, {product: sum(due.outstanding for due in own) for product, own in by_product.items()}, weights
    )
    placed: list[Placed] = []
    for product, (amount, why) in parts.items():
        placed += _in_order(amount, by_product[product], _saying(why))
    left = available - sum(one.amount for one in placed)
    others = [due for due in dues if not weights.get(due.product)]
    return placed + _in_order(left, others, lambda due: f"{due.product} has no part, and gets what the others left")


def _saying(why: str) -> Callable[[Due], str]:
    return lambda _: why


def _split(available: int, capacity: dict[str, int], weights: dict[str, int]) -> dict[str, tuple[int, str]]:
    """Return what each product gets, and why."""
    parts: dict[str, tuple[int, str]] = {}
    sharing = [product for product, most in capacity.items() if weights[product] and most]
    while sharing and available:
        whole = sum(weights[product] for product in sharing)
        shares = share_out(available, [weights[product] for product in sharing])
        full = [(product, share) for product, share in zip(sharing, shares, strict=True) if share >= capacity[product]]
        for product, share in full or zip(sharing, shares, strict=True):
            amount = min(share, capacity[product])
            said = f"fixed split: {product} has {weights[product]} of {whole} parts of {available}, which is {share}"
            if share > amount:
                said += f", and can take {amount}"
            parts[product] = (amount, said)
        if not full:
            break
        available -= sum(capacity[product] for product, _ in full)
        sharing = [product for product in sharing if product not in parts]
    return parts


def _placed(due: Due, amount: int, why: str) -> Placed:
    return Placed(due.invoice_id, due.number, due.product, due.due_on, due.outstanding, amount, why)
