"""Prorate: divide an amount that was rounded already, so that its parts add back to it."""

import math
from collections.abc import Sequence
from fractions import Fraction

from tallystick.rating.exact import round_off


def prorate(amount: int, shares: Sequence[Fraction]) -> list[int]:
    """
    Return the parts of *amount*, in minor units, that fall to each of *shares* of a period.

    Their sum is the amount times the sum of the shares, rounded once, half to even: for shares of a whole, the amount
    itself. What is left over goes to the largest remainders, earliest part first.

    Raises:
        ValueError: a share is negative.
    """
    if any(share < 0 for share in shares):
        raise ValueError("a share of a period is not negative")
    exact = [abs(amount) * Fraction(share) for share in shares]
    parts = [math.floor(part) for part in exact]
    left_over = int(round_off(sum(exact, Fraction(0)), 0, "half_even")) - sum(parts)
    by_remainder = sorted(range(len(exact)), key=lambda place: (parts[place] - exact[place], place))
    for place in by_remainder[:left_over]:
        parts[place] += 1
    return [-part for part in parts] if amount < 0 else parts
