"""Pair: the debits and the credits of one business fact become transfers, each from one account to another. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

Side = tuple[int, int]
"""An account and an amount above zero."""


class Pairing(NamedTuple):
    """What is to move."""

    debit: int
    credit: int
    amount: int


def split_sides(amounts: Mapping[int, int]) -> tuple[list[Side], list[Side]]:
    """Split what accounts are credited with into debits, where it is below zero, and credits, in their order."""
    debits = [(account, -amount) for account, amount in amounts.items() if amount < 0]
    return debits, [(account, amount) for account, amount in amounts.items() if amount > 0]


def pair(debits: Sequence[Side], credits_: Sequence[Side]) -> list[Pairing]:
    """
    Return the fewest transfers that go through both sides in their order.

    Raises:
        ValueError: the sides do not come to the same.
    """
    if _sum(debits) != _sum(credits_):
        raise ValueError("debits and credits do not come to the same")
    paired: list[Pairing] = []
    waiting = list(reversed(credits_))
    for debit, owed in debits:
        rest = owed
        while rest:
            credit, room = waiting.pop()
            amount = min(rest, room)
            paired.append(Pairing(debit, credit, amount))
            rest -= amount
            if room > amount:
                waiting.append((credit, room - amount))
    return paired


def _sum(sides: Iterable[Side]) -> int:
    return sum(amount for _, amount in sides)
