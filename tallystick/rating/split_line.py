"""Split a line: what each of its details comes to in whole minor units, so that they add up to its amount."""

import math
from fractions import Fraction

from tallystick.money import Asset
from tallystick.rating.model import Line


def split_line(line: Line, asset: Asset) -> list[int]:
    """
    Return what each detail of *line* comes to, in minor units of its *asset*; they add up to the amount of the line.

    Where each detail is rounded, it is that. Where the line is rounded once, each is less than a unit off its exact
    amount: all are rounded down, and the units left over go to the largest remainders, earliest detail first.
    """
    if all(detail.rounded is not None for detail in line.details):
        return [detail.rounded or 0 for detail in line.details]
    exact = [Fraction(detail.amount) * 10**asset.exponent for detail in line.details]
    parts = [math.floor(amount) for amount in exact]
    by_remainder = sorted(range(len(exact)), key=lambda place: (parts[place] - exact[place], place))
    for place in by_remainder[: line.amount - sum(parts)]:
        parts[place] += 1
    return parts
