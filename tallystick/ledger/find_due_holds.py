"""Find due holds: those whose time has run out and that nothing has ended yet."""

import datetime as dt
import uuid
from dataclasses import dataclass

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.model import microseconds

_queries = queries_beside(__file__)
_expiry_pass = _queries.tuples("expiry_pass")
_due_holds = _queries.values("due_holds")
_note_expiry_pass = _queries.run("note_expiry_pass")

MOST_DUE = 5_000


@dataclass(frozen=True, slots=True)
class DueHolds:
    """The holds that are due, and up to where they were looked for."""

    holds: list[uuid.UUID]
    through_at: int
    before: int
    """Every hold of a batch below this was seen, however late it was committed."""


async def find_due_holds(connection: Connection, book_id: int, at: dt.datetime) -> DueHolds:
    """
    Return up to ``MOST_DUE`` holds that expired by *at* since the last complete pass.

    Beside those that expired since, it looks at the holds of batches that could still have been under way then: so
    however many holds a book has, a pass reads those that are due, and none is ever missed.
    """
    ((through_at, before, horizon),) = await _expiry_pass(connection, book_id)
    now = microseconds(at)
    found = await _due_holds(connection, book_id, through_at, before, now, MOST_DUE)
    return DueHolds(found, now, horizon)


async def note_expiry_pass(connection: Connection, book_id: int, due: DueHolds) -> None:
    """Note that nothing was due when *due* was looked for."""
    await _note_expiry_pass(connection, book_id, due.through_at, due.before)
