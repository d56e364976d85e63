"""Find disputes."""

import uuid

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput
from tallystick.payments.disputes.errors import UnknownDispute
from tallystick.payments.disputes.model import Dispute, DisputePage

_queries = queries_beside(__file__)
_find_dispute = _queries.row("find_dispute", Dispute)
_find_place = _queries.tuples("find_place")
_page_disputes = _queries.rows("page_disputes", Dispute)
_DIGITS = 18


async def find_dispute(connection: Connection, book_id: int, dispute_id: uuid.UUID) -> Dispute:
    """
    Return a dispute as it stands.

    Raises:
        UnknownDispute: there is none (``disputes.unknown_dispute``).
    """
    found = await seek_dispute(connection, book_id, dispute_id)
    if found is None:
        raise UnknownDispute(field="dispute_id", dispute=dispute_id)
    return found


async def seek_dispute(connection: Connection, book_id: int, dispute_id: uuid.UUID) -> Dispute | None:
    """Return a dispute as it stands, None if there is none."""
    found: Dispute | None = await _find_dispute(connection, book_id, dispute_id)
    return found


async def page_disputes(
    connection: Connection, book_id: int, after: str, payment_id: uuid.UUID | None, status: str | None, limit: int
) -> DisputePage:
    """
    Return *limit* disputes behind *after* in the order in which they were noted, of one payment and in one status if given.

    Raises:
        InvalidInput: *after* is no cursor (``invalid_input``).
    """
    transaction_id, place = _read_cursor(after)
    found = await _page_disputes(connection, book_id, transaction_id, place, payment_id, status, limit + 1)
    items = list(found[:limit])
    if len(found) <= limit:
        return DisputePage(items, None)
    ((transaction_id, place),) = await _find_place(connection, book_id, items[-1].dispute_id)
    return DisputePage(items, f"{transaction_id}.{place}")


def _read_cursor(after: str) -> tuple[int, int]:
    if not after:
        return 0, 0
    transaction_id, _, place = after.partition(".")
    if not (transaction_id.isdecimal() and place.isdecimal() and max(len(transaction_id), 2 * len(place)) <= _DIGITS):
        raise InvalidInput(field="after", rule="a cursor is what `next` of the page before gave")
    return int(transaction_id), int(place)
