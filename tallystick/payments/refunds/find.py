"""Find refunds."""

import uuid

from tallystick.db.queries import Connection, queries_beside
from tallystick.payments.refunds.errors import UnknownRefund
from tallystick.payments.refunds.model import Refund, RefundPage

_queries = queries_beside(__file__)
_find_refund = _queries.row("find_refund", Refund)
_page_refunds = _queries.rows("page_refunds", Refund)


async def find_refund(connection: Connection, book_id: int, refund_id: uuid.UUID) -> Refund:
    """
    Return a refund as it stands.

    Raises:
        UnknownRefund: there is none (``refunds.unknown_refund``).
    """
    found = await _find_refund(connection, book_id, refund_id)
    if found is None:
        raise UnknownRefund(field="refund_id", refund=refund_id)
    return found


async def page_refunds(
    connection: Connection, book_id: int, after: uuid.UUID, payment_id: uuid.UUID | None, status: str | None, limit: int
) -> RefundPage:
    """Return *limit* refunds behind *after*, of one payment and in one status if given."""
    found = await _page_refunds(connection, book_id, after, payment_id, status, limit + 1)
    items = list(found[:limit])
    return RefundPage(items, items[-1].refund_id if len(found) > limit else None)
