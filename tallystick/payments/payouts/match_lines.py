"""
Match lines: what is certain of lines that wait is found out by looking, and then noted.

Looking sees what has been committed by then, which nobody could see again; so what was found is said in a message, and noting
holds each pair against the facts once more. A line that is nothing yet waits, and is looked at again.
"""

import uuid
from collections.abc import Sequence
from typing import Annotated

import msgspec

from tallystick.db.queries import Connection
from tallystick.db.retry import OrderLost
from tallystick.ledger.read_in_order import take_place
from tallystick.payments.payouts.accounts import Books
from tallystick.payments.payouts.candidates import (
    Open,
    find_by_id,
    find_named,
    find_open,
    page_open,
    page_open_of_payout,
)
from tallystick.payments.payouts.errors import UnknownPartner
from tallystick.payments.payouts.keep_matches import Found, keep_matches
from tallystick.payments.payouts.match import fits, match, why_certain
from tallystick.payments.payouts.model import PartnerKind


class Pair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of a payout, and what it is of ours."""

    payout_id: uuid.UUID
    position: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    partner: PartnerKind
    partner_id: uuid.UUID


class Looked(msgspec.Struct, frozen=True):
    """What is certain of some lines; ``next`` is the cursor of the lines behind, null at the end."""

    pairs: list[Pair]
    next: str | None


async def look(
    connection: Connection, book_id: int, after: tuple[int, int], limit: int, payout_id: uuid.UUID | None
) -> Looked:
    """Find out what is certain of *limit* lines behind *after* that wait, of one payout if it is named."""
    if payout_id is None:
        waiting = await page_open(connection, book_id, after, limit)
    else:
        waiting = await page_open_of_payout(connection, book_id, payout_id, after[1], limit)
    named = await find_named(connection, book_id, waiting)
    pairs = []
    for provider, known in named.items():
        own = [one for one in waiting if one.provider == provider]
        judged = match([one.line for one in own], [one.candidate for one in known])
        pairs += [
            Pair(one.payout_id, one.line.position, said.certain.kind, said.certain.id)
            for one, said in zip(own, judged, strict=True)
            if said.certain is not None
        ]
    return Looked(pairs, f"{waiting[-1].ordered}.{waiting[-1].line.position}" if len(waiting) == limit else None)


async def note(books: Books, pairs: Sequence[Pair]) -> int:
    """
    Note what lines are, and return how many did not have it yet; what was matched meanwhile stays as it is.

    Raises:
        UnknownPartner: there is no such thing in the book, or it does not fit (``payouts.unknown_partner``).
        OrderLost: it moved in a transaction that is ordered later.
    """
    await books.enter()
    place = (await take_place(books.connection)).place
    known = await find_by_id(books.connection, books.book_id, sorted({one.partner_id for one in pairs}))
    partners = {(one.candidate.kind, one.candidate.id): one for one in known}
    of_payouts: dict[uuid.UUID, list[Pair]] = {}
    for pair in pairs:
        of_payouts.setdefault(pair.payout_id, []).append(pair)
    count = 0
    taken = set()
    for payout_id, own in of_payouts.items():
        wanted = {one.position: one for one in own}
        found = []
        for one in await find_open(books.connection, books.book_id, payout_id, list(wanted)):
            pair = wanted[one.line.position]
            partner = partners.get((pair.partner, pair.partner_id))
            if partner is None or partner.provider != one.provider or not fits(one.line, partner.candidate):
                raise UnknownPartner(field="pairs", partner=pair.partner, id=pair.partner_id)
            if partner.ordered > place:
                raise OrderLost
            if partner.candidate.taken is None and (pair.partner, pair.partner_id) not in taken:
                taken.add((pair.partner, pair.partner_id))
                found.append(_found(one, pair, why_certain(one.line, partner.candidate)))
        await keep_matches(books, payout_id, found)
        count += len(found)
    return count


def _found(one: Open, pair: Pair, why: str) -> Found:
    return Found(one.line.position, pair.partner, pair.partner_id, one.open, why)
