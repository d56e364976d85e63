"""Find late captures."""

import uuid
from collections.abc import Iterable

from tallystick.db.queries import Connection, queries_beside
from tallystick.payments.late.model import LateCapture, LateCapturesPage

_queries = queries_beside(__file__)
_find_late = _queries.row("find_late", LateCapture)
_page_late = _queries.rows("page_late", LateCapture)
_find_failed = _queries.values("find_failed")


async def seek_late(connection: Connection, book_id: int, payment_id: uuid.UUID) -> LateCapture | None:
    """Return what was taken late of a payment, None if nothing was."""
    found: LateCapture | None = await _find_late(connection, book_id, payment_id)
    return found


async def page_late(
    connection: Connection, book_id: int, after: uuid.UUID | None, limit: int, *, all_: bool
) -> LateCapturesPage:
    """Return *limit* late captures behind *after*: those that nobody has seen to, or all."""
    found = await _page_late(connection, book_id, after, all_, limit + 1)
    items = list(found[:limit])
    return LateCapturesPage(items, items[-1].payment_id if len(found) > limit else None)


async def find_failed(
    connection: Connection, book_id: int, named: Iterable[tuple[str, str]]
) -> list[uuid.UUID]:  # fmt: skip
    """Return the payments that have failed, and of which nothing late is known, by provider and its id of the transaction."""
    wanted = sorted(set(named))
    if not wanted:
        return []
    found = await _find_failed(connection, book_id, [one[0] for one in wanted], [one[1] for one in wanted])
    return list(found)
