"""Say on a line which units of it credits pay for."""

from collections.abc import Mapping

import msgspec

from tallystick.rating.exact import plain, spoken
from tallystick.rating.model import Line
from tallystick.wallets.model import Covered


def say_covered(line: Line, covered: Covered) -> str:
    """Say what a line asks for and, in front of it, what credits pay for, if they pay for any of it."""
    if not covered.draws:
        return line.explanation
    return f"{spoken(covered.quantity)} {line.unit} from credits; {line.explanation}"


def explain_covered(line: Line, covered: Covered) -> Line | Mapping[str, object]:
    """
    Return the detail of a line that was rated without the units that are covered, with those units beside it.

    A line of which nothing is covered stays as it is.
    """
    if not covered.draws:
        return line
    whole = msgspec.to_builtins(line)
    credits_ = [
        {
            "grant": str(draw.grant.grant_id),
            "asset": draw.asset,
            "amount": draw.amount,
            "quantity": plain(draw.quantity),
        }
        for draw in covered.draws
    ]
    said = say_covered(line, covered)
    return {**whole, "explanation": said, "covered": plain(covered.quantity), "credits": credits_}
