"""Find arrivals: which entries of a bank statement are payouts of providers, where that is certain."""

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tallystick.collecting.bank.model import Entry
from tallystick.ids import uuid7
from tallystick.operations.run import Operations
from tallystick.payments.payouts.model import Payout, PayoutsPage
from tallystick.security.model import Principal

_DAYS = dt.timedelta(days=7)
"""So far from the day on which a payout is to arrive an entry may be that names the provider alone."""
_LONGEST_WAY = dt.timedelta(days=60)
"""Payouts that were recorded so long before a statement begins are not looked for in it."""
_SHORTEST_ID = 6
"""What is shorter stands in a text by chance."""
_PAGE = 500
_NOT_A_LETTER = re.compile(r"[^a-z0-9]+")


class Arrival(NamedTuple):
    """An entry that certainly is a payout."""

    position: int
    """Of the entry in its statement, the first being 1."""
    payout: Payout
    why: str


def arrivals(entries: Iterable[tuple[int, Entry]], asset: str, payouts: Sequence[Payout]) -> list[Arrival]:
    """
    Return which entries of a statement in *asset* certainly are which of the payouts. Pure.

    The amount is the same to the unit, no bank statement has the payout yet, and the entry names it by its id; or it names
    the provider within a week of the day of its arrival. Where two could be meant, nothing is certain.
    """
    waiting = [one for one in payouts if one.asset == asset and not one.arrived and one.status != "failed"]
    by_id: list[Arrival] = []
    by_name: list[Arrival] = []
    for position, entry in entries:
        if entry.reversal:
            continue
        said = f"{entry.text} {entry.reference} {entry.bank_reference} {entry.name}".casefold()
        same = [one for one in waiting if one.amount == entry.amount]
        by_id += [
            Arrival(position, one, f"the payout {one.provider_id} of {one.provider}, which it names")
            for one in same
            if len(_letters(one.provider_id)) >= _SHORTEST_ID and _letters(one.provider_id) in _letters(said)
        ]
        by_name += [
            Arrival(
                position, one, f"the payout {one.provider_id}: it names {one.provider}, and exactly that was to come"
            )
            for one in same
            if one.provider.casefold() in _NOT_A_LETTER.split(said) and abs(entry.value_on - one.arrives_on) <= _DAYS
        ]
    sure = _unmistakable(by_id)
    taken = {one.position for one in by_id}, {one.payout.id for one in by_id}
    left = [one for one in by_name if one.position not in taken[0] and one.payout.id not in taken[1]]
    return sorted(sure + _unmistakable(left))


def _unmistakable(found: Sequence[Arrival]) -> list[Arrival]:
    """Keep those of which neither the entry nor the payout could be another."""
    entries = Counter(one.position for one in found)
    payouts = Counter(one.payout.id for one in found)
    return [one for one in found if entries[one.position] == payouts[one.payout.id] == 1]


def _letters(text: str) -> str:
    """Leave letters and digits alone: banks cut texts into lines where they like."""
    return _NOT_A_LETTER.sub("", text.casefold())


async def find_waiting(operations: Operations, principal: Principal, book: str, since: dt.date) -> list[Payout]:
    """Return the payouts that a statement which begins on a day may have, the newest first."""
    found: list[Payout] = []
    after: str | None = ""
    while after is not None:
        fields = {"after": after, "limit": _PAGE}
        page: PayoutsPage = await operations.call(principal, book, "payouts.list", "", fields)
        found += [one for one in page.items if not one.arrived]
        old = page.items and page.items[-1].recorded_at.date() < since - _LONGEST_WAY
        after = None if old else page.next
    return found


async def let_arrive(operations: Operations, principal: Principal, book: str, arrival: Arrival, entry: str) -> None:
    """
    Let an entry be a payout: its money is not on its way any more, the bank has it.

    Raises:
        EntryNotOfPayout: it became something else meanwhile (``payouts.entry_not_of_payout``).
    """
    fields = {"id": arrival.payout.id, "entry": entry}
    await operations.call(principal, book, "payouts.arrive", str(uuid7()), fields)
