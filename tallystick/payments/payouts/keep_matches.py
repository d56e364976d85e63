"""Keep matches: what lines were found to be, each a fact; a line that is matched waits no longer."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from tallystick.db.queries import queries_beside
from tallystick.payments.payouts.accounts import Books
from tallystick.payments.payouts.model import PartnerKind

_queries = queries_beside(__file__)
_insert_matches = _queries.run("insert_matches")
_delete_open = _queries.run("delete_open")


@dataclass(frozen=True, slots=True)
class Found:
    """What a line is."""

    position: int
    partner: PartnerKind | str
    partner_id: uuid.UUID | None
    """None where it is booked on an account."""
    amount: int
    """What the line left open."""
    why: str


async def keep_matches(
    books: Books,
    payout_id: uuid.UUID,
    found: Sequence[Found],
    *,
    by_hand: bool = False,
    account_id: int | None = None,
    transfers: Sequence[uuid.UUID] = (),
) -> None:
    """Append what lines of a payout are; those by hand come one at a time, with what moved for them."""
    if not found:
        return
    await _insert_matches(
        books.connection, books.book_id, payout_id, books.recorded.message_place, books.recorded.at, account_id,
        by_hand, list(transfers), [one.position for one in found], [one.partner for one in found],
        [one.partner_id for one in found], [one.amount for one in found], [one.why for one in found],
    )  # fmt: skip
    await _delete_open(books.connection, books.book_id, payout_id, [one.position for one in found])
