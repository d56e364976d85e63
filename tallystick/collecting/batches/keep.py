"""Keep what runs over all customers come to, chunk by chunk."""

import uuid
from collections.abc import Mapping, Sequence

import msgspec

from tallystick.collecting.batches.errors import RunBegun, RunEnded, UnknownRun
from tallystick.collecting.batches.model import Failure
from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.accounts import Recorded

_queries = queries_beside(__file__)
_insert_run = _queries.run("insert_run")
_enter_to_note = _queries.run("enter_to_note")
_find_run = _queries.tuples("find_run")
_insert_note = _queries.run("insert_note")


async def begin_run(connection: Connection, recorded: Recorded, run_id: uuid.UUID, kind: str, of: str) -> None:
    """
    Keep that a run began, once.

    Raises:
        RunBegun: another one has this id (``batches.begun``).
    """
    await _enter_to_note(connection, recorded.book_id, run_id)
    rows = await _find_run(connection, recorded.book_id, run_id)
    if not rows:
        await _insert_run(connection, recorded.book_id, run_id, kind, of, recorded.message_place, recorded.at)
    elif rows[0][:2] != (kind, of):
        raise RunBegun(field="id", run=run_id)


async def note_run(
    connection: Connection,
    recorded: Recorded,
    run_id: uuid.UUID,
    counts: Mapping[str, int],
    failures: Sequence[Failure],
    *,
    last: bool,
) -> None:
    """
    Keep what a chunk of a run came to; the *last* one ends the run.

    Raises:
        UnknownRun: there is none (``batches.unknown_run``).
        RunEnded: it has ended (``batches.ended``).
    """
    await _enter_to_note(connection, recorded.book_id, run_id)
    rows = await _find_run(connection, recorded.book_id, run_id)
    if not rows:
        raise UnknownRun(field="id", run=run_id)
    if rows[0][2]:
        raise RunEnded(field="id", run=run_id)
    encode = msgspec.json.encode
    await _insert_note(
        connection, recorded.book_id, run_id, encode(counts).decode(), encode(failures).decode(), last,
        recorded.message_place, recorded.at,
    )  # fmt: skip
