"""Unanswered: when a refund was last asked for without an answer, since that call may still be under way."""

import datetime as dt
import uuid

from tallystick.db.queries import Connection, queries_beside

_queries = queries_beside(__file__)
_find_unanswered = _queries.value("find_unanswered")
_keep_unanswered = _queries.value("keep_unanswered")


async def find_unanswered(connection: Connection, book_id: int, refund_id: uuid.UUID) -> dt.datetime | None:
    """Return when a refund was last asked for without an answer; None if nobody can have told the provider of it."""
    asked_at: dt.datetime | None = await _find_unanswered(connection, book_id, refund_id)
    return asked_at


async def keep_unanswered(
    connection: Connection, book_id: int, refund_id: uuid.UUID, asked_at: dt.datetime
) -> dt.datetime | None:
    """Keep, before a refund is asked for, that it is, and return what was kept before; its first step forgets it."""
    before: dt.datetime | None = await _keep_unanswered(connection, book_id, refund_id, asked_at)
    return before
