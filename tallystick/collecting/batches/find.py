"""Find runs with what they came to."""

import datetime as dt
import uuid
from collections import Counter
from typing import Any

import msgspec

from tallystick.collecting.batches.errors import UnknownRun
from tallystick.collecting.batches.model import BatchRun, BatchRunsPage, Failure
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput

_queries = queries_beside(__file__)
_find_run = _queries.tuples("find_run")
_page_runs = _queries.tuples("page_runs")
_find_notes = _queries.tuples("find_notes")
_find_failures = _queries.tuples("find_failures")
_SHOWN = 1_000


async def find_run(connection: Connection, book_id: int, run_id: uuid.UUID) -> BatchRun:
    """
    Return a run with the customers who were left out.

    Raises:
        UnknownRun: there is none (``batches.unknown_run``).
    """
    found = await _read(connection, book_id, await _page_runs(connection, book_id, None, run_id, None, 1))
    if not found:
        raise UnknownRun(field="id", run=run_id)
    failures = [Failure(*row) for row in await _find_failures(connection, book_id, run_id, _SHOWN)]
    return msgspec.structs.replace(found[0], failures=failures)


async def page_runs(
    connection: Connection, book_id: int, kind: str | None, after: uuid.UUID | None, limit: int
) -> BatchRunsPage:
    """
    Return runs, the newest first, of one kind if given.

    Raises:
        InvalidInput: *after* is no run (``invalid_input``).
    """
    if after is not None and not await _find_run(connection, book_id, after):
        raise InvalidInput(field="after", rule="a cursor is what `next` of the page before gave")
    rows = await _page_runs(connection, book_id, kind, None, after, limit + 1)
    items = await _read(connection, book_id, rows[:limit])
    return BatchRunsPage(items, items[-1].id if len(rows) > limit else None)


async def _read(connection: Connection, book_id: int, rows: list[tuple[Any, ...]]) -> list[BatchRun]:
    counts: dict[uuid.UUID, Counter[str]] = {row[0]: Counter() for row in rows}
    failed: Counter[uuid.UUID] = Counter()
    ended: set[uuid.UUID] = set()
    noted: dict[uuid.UUID, dt.datetime] = {}
    for run_id, said, failures, last, at in await _find_notes(connection, book_id, list(counts)):
        counts[run_id].update(msgspec.json.decode(said, type=dict[str, int]))
        failed[run_id] += failures
        noted[run_id] = at
        if last:
            ended.add(run_id)
    return [
        BatchRun(
            run_id, kind, of, "ended" if run_id in ended else "not_ended",
            dict(sorted(counts[run_id].items())), failed[run_id], [], begun_at, noted.get(run_id, begun_at),
        )
        for run_id, kind, of, begun_at in rows
    ]  # fmt: skip
