"""Limit: how much of a payment can still be given back. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GivenBack:
    """Money of a payment that went back, or is held back while a dispute is open."""

    amount: int
    take_from: str
    """``invoice`` or ``unallocated`` for a refund, ``dispute`` for a dispute."""


def left_in_all(taken: int, given_back: Sequence[GivenBack]) -> int:
    """Return what is left of what was taken, less every refund that did not fail and every dispute that was not won."""
    return max(taken - sum(one.amount for one in given_back), 0)


def left_on_invoice(paid: int, given_back: Sequence[GivenBack]) -> int:
    """
    Return how much can be taken off the invoice again that the payment paid *paid* on.

    Never more than is left in all; and what was taken off it before is not on it any more.
    """
    taken_off = sum(one.amount for one in given_back if one.take_from == "invoice")
    return max(min(paid - taken_off, left_in_all(paid, given_back)), 0)
