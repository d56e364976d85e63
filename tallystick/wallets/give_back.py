"""Give back: what credits paid of a quantity that has become less returns to the grants that it came from. Pure."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

import msgspec

from tallystick.rating.exact import added_up, plain, spoken
from tallystick.wallets.model import UnitDraw

LineKey = tuple[uuid.UUID, int]
"""An invoice, and the position of a line of it."""


class LineUse(NamedTuple):
    """What a grant pays of a line by now: what was drawn of it, less what was given back."""

    draw: UnitDraw
    gone: str | None
    """Why nothing can be given back to the grant: it has ``expired`` or was ``voided``; None: something can."""

    def part(self, amount: int) -> "LineUse":
        """Return what *amount* minor units of it are."""
        return self._replace(draw=self.draw.part(amount))


class SaidBack(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is given back, for the detail of a line; what is not there is left out."""

    returned: str | None = None
    """How many metered units."""
    credits: Sequence[Mapping[str, object]] = msgspec.field(default_factory=list)
    not_returned: Sequence[Mapping[str, object]] = msgspec.field(default_factory=list)


@dataclass(frozen=True, slots=True)
class GivenBack:
    """What a line gives back, and what it cannot."""

    draws: Sequence[UnitDraw] = ()
    """Their figures are below zero."""
    lost: Sequence[LineUse] = ()
    """What stays with the line, since its grants have ended."""

    @property
    def quantity(self) -> Decimal:
        """Return how many metered units are given back."""
        return added_up(-draw.quantity for draw in self.draws)

    def detail(self) -> "SaidBack":
        """Say what is given back as the detail of a line does."""
        return SaidBack(
            plain(self.quantity) if self.draws else None,
            [_said(draw) for draw in self.draws],
            [{**_said(one.draw), "why": one.gone} for one in self.lost],
        )

    def explanation(self, unit: str) -> str:
        """Say it to people, to be put behind the explanation of a line."""
        text = f"; {spoken(self.quantity)} {unit} are given back to credits" if self.draws else ""
        for why in sorted({one.gone or "" for one in self.lost}):
            lost = added_up(one.draw.quantity for one in self.lost if one.gone == why)
            how = "have expired" if why == "expired" else f"were {why}"
            text += f"; {spoken(lost)} {unit} are not given back, since the credits that paid for them {how}"
        return text


NOTHING_BACK = GivenBack()


def free(uses: Sequence[LineUse], quantity: Decimal) -> list[LineUse]:
    """
    Return those of *uses*, which are in order of their spending, that paid for the last *quantity* of a line.

    Only whole minor units are free, and never more than the quantity.
    """
    found: list[LineUse] = []
    rest = Fraction(quantity)
    for one in reversed(uses):
        each = Fraction(one.draw.quantity) / one.draw.amount
        amount = min(one.draw.amount, int(rest / each))
        if amount > 0:
            found.insert(0, one.part(amount))
            rest -= amount * each
    return found


def give_back(freed: Iterable[LineUse]) -> GivenBack:
    """Give what is free back to the grants that have not ended."""
    freed = list(freed)
    draws = [one.draw.part(-one.draw.amount) for one in freed if one.gone is None]
    return GivenBack(draws, [one for one in freed if one.gone is not None])


def merged(draws: Iterable[UnitDraw]) -> list[UnitDraw]:
    """Return one draw for each grant, in the order in which they come first."""
    found: dict[uuid.UUID, UnitDraw] = {}
    for one in draws:
        there = found.get(one.grant.grant_id)
        found[one.grant.grant_id] = one if there is None else there.part(there.amount + one.amount)
    return list(found.values())


def _said(draw: UnitDraw) -> dict[str, object]:
    return {
        "grant": str(draw.grant.grant_id),
        "asset": draw.asset,
        "amount": draw.amount,
        "quantity": plain(draw.quantity),
    }
