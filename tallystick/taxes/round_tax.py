"""Round a tax: the one rounding of its exact amount, and its split back onto lines."""

from collections.abc import Sequence
from fractions import Fraction

from tallystick.taxes.model import Mode

_HALF = Fraction(1, 2)


def round_tax(exact: Fraction, mode: Mode) -> int:
    """Return minor units; of a negative amount what its mirror gives, so that what is taken back is what was asked for."""
    whole, rest = divmod(abs(exact), 1)
    up = {
        "half_up": rest >= _HALF,
        "half_even": rest > _HALF or (rest == _HALF and whole % 2 == 1),
        "up": rest > 0,
        "down": False,
    }[mode]
    amount = int(whole) + up
    return -amount if exact < 0 else amount


def split_tax(total: int, shares: Sequence[Fraction]) -> list[int]:
    """
    Divide *total*, which is the sum of *shares* rounded, into whole parts that add back to it.

    The units that are left over when each share is cut go to the largest remainders, earliest part first.
    """
    parts = [share.numerator // share.denominator for share in shares]
    rests = [share - part for share, part in zip(shares, parts, strict=True)]
    left_over = total - sum(parts)
    for place in sorted(range(len(parts)), key=lambda place: (-rests[place], place))[:left_over]:
        parts[place] += 1
    return parts
