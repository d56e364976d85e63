"""Match: which invoices an entry is for, with how much certainty and why. Pure."""

import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tallystick.collecting.bank.model import Partner

CERTAIN = 85
"""From this score on nobody has to be asked."""
_HEX = re.compile(r"[0-9a-f]{32,}")
_BETWEEN = r"[\s./-]*"


@dataclass(frozen=True, slots=True)
class Open:
    """An invoice that an entry may be for."""

    invoice: uuid.UUID
    number: str
    customer_id: int
    customer: str
    outstanding: int
    named: bool
    """Its number stands in the entry."""
    own_account: bool
    """The money comes from the customer's account."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What an entry is for."""

    score: int
    why: str
    invoices: Sequence[Open]
    """The likeliest first; if it is certain, those that the money goes to."""

    @property
    def certain(self) -> bool:
        """Say whether nobody has to be asked."""
        return self.score >= CERTAIN

    def partners(self, most: int = 5) -> list[Partner]:
        """Return the likeliest invoices."""
        return [
            Partner(one.invoice, one.number, one.customer, one.outstanding, self.score, self.why)
            for one in self.invoices[:most]
        ]


def ids_in(text: str) -> list[uuid.UUID]:
    """Return all that can be ids of charges or files in a text; banks break lines anywhere, and write hyphens or not."""
    joined = re.sub(r"[\s-]+", "", text.lower())
    runs = (found.group() for found in _HEX.finditer(joined))
    return [uuid.UUID(run[at : at + 32]) for run in runs for at in range(min(len(run) - 31, 64))]


def numbers_in(text: str, series: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Go through all that can be numbers of invoices in a text: as they are printed, and with separators lost or broken."""
    upper = text.upper()
    joined = re.sub(r"\s+", "", upper)
    for own in series:
        letters = _BETWEEN.join(re.escape(one) for one in own if one.isalnum())
        loose = rf"(?<![A-Z0-9]){letters}{_BETWEEN}0*([0-9]{{1,12}})(?![0-9])"
        strict = rf"{re.escape(own)}-?([0-9]{{6}})(?![0-9])"
        found = {int(one) for one in (*re.findall(loose, upper), *re.findall(strict, joined))}
        yield from ((own, one) for one in sorted(found))


def judge(amount: int, invoices: Sequence[Open]) -> Judged:
    """
    Judge what an amount that came is for, by what is named, whose account it is, and what is outstanding.

    Certain is: named, and exactly that is outstanding; named, from the customer's own account; or the customer's own account
    and exactly one invoice, or all of them, of this amount.
    """
    waiting = [one for one in invoices if one.outstanding > 0]
    named = [one for one in waiting if one.named]
    if named:
        return _by_name(amount, named)
    own = [one for one in waiting if one.own_account]
    if own and len({one.customer_id for one in own}) == 1:
        return _by_account(amount, own)
    same = [one for one in waiting if one.outstanding == amount]
    if same:
        return Judged(30, "exactly this amount is outstanding", same)
    return Judged(10 if waiting else 0, "an invoice that is open", waiting)


def _by_name(amount: int, named: Sequence[Open]) -> Judged:
    numbers = ", ".join(one.number for one in named)
    if len({one.customer_id for one in named}) > 1:
        return Judged(40, f"names {numbers}, which are not of one customer", named)
    if sum(one.outstanding for one in named) == amount:
        return Judged(100, f"names {numbers}, and exactly that is outstanding", named)
    if all(one.own_account for one in named):
        return Judged(95, f"names {numbers}, and comes from the customer's account", named)
    return Judged(70, f"names {numbers}, of which another amount is outstanding", named)


def _by_account(amount: int, own: Sequence[Open]) -> Judged:
    exact = [one for one in own if one.outstanding == amount]
    if len(exact) == 1:
        return Judged(90, "the customer's account, and exactly this is outstanding", exact)
    if sum(one.outstanding for one in own) == amount:
        return Judged(85, "the customer's account, and exactly this is outstanding of all", own)
    return Judged(60 if exact else 50, "the customer's account", exact or own)
