"""Export: events of usage, or readings of meters, to a file or to whoever takes them row by row."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tallystick.db.connect import faults_told
from tallystick.ledger.books import find_book
from tallystick.operations.run import Operations
from tallystick.operations.usage_queries import EventsInput, TotalsInput, read_question, select
from tallystick.security.authorise import authorise
from tallystick.security.model import Principal
from tallystick.usage.export.model import (
    EVENT_COLUMNS,
    Column,
    ExportedRow,
    Format,
    event_row,
    total_columns,
    total_row,
)
from tallystick.usage.query import count_events, page_events, settled_horizon
from tallystick.usage.totals.ask import ask
from tallystick.usage.totals.read import read_totals
from tallystick.usage.totals.require_there import require_attached

if TYPE_CHECKING:
    from tallystick.usage.export.write_rows import RowWriter

SCOPE = "usage:read"
ROWS_AT_ONCE = 5_000
Progress = Callable[[int, int | None], None]
"""Told how many rows were read, and how many there are, as far as that is known."""
Block = tuple[Sequence[Column], list[ExportedRow]]


def _ignore(_: int, __: int | None) -> None:
    """Show no progress."""


async def read_event_rows(
    operations: Operations,
    principal: Principal,
    book: str,
    request: EventsInput,
    progress: Progress = _ignore,
) -> AsyncGenerator[Block, None]:
    """
    Hand out the events that *request* selects, as they were in force when it began; its cursor and limit do not count.

    At least one block comes, and no connection is held while the caller is busy with it.

    Raises:
        TallystickError: it may not, there is no such book, the question makes no sense, or the store is away.
    """
    authorise(principal, SCOPE, book)
    with faults_told():
        async with operations.pool.acquire() as connection:
            book_id = (await find_book(connection, book)).book_id
            selection = await select(connection, book_id, request)
            await require_attached(connection, book_id, selection.period)
            through = await settled_horizon(connection)
            total = await count_events(connection, book_id, selection, through)
    done, after = 0, ""
    while True:
        with faults_told():
            async with operations.pool.acquire() as connection:
                page = await page_events(
                    connection, book_id, selection, after=after, limit=ROWS_AT_ONCE, through=through
                )
        done += len(page.items)
        progress(done, total)
        yield EVENT_COLUMNS, [event_row(one) for one in page.items]
        if page.next is None:
            return
        after = page.next


async def read_total_rows(
    operations: Operations,
    principal: Principal,
    book: str,
    request: TotalsInput,
    progress: Progress = _ignore,
) -> AsyncGenerator[Block, None]:
    """
    Hand out the readings that *request* asks for, all of one moment; its cursor and limit do not count.

    At least one block comes. A connection is held, and reads of one moment, until the last was taken.

    Raises:
        TallystickError: it may not, there is no such book, the question makes no sense, or the store is away.
    """
    authorise(principal, SCOPE, book)
    done, after = 0, ""
    with faults_told():
        async with operations.pool.acquire() as connection, operations.begin(connection, "repeatable_read"):
            book_id = (await find_book(connection, book)).book_id
            wanted = await ask(connection, book_id, read_question(request))
            while True:
                page = await read_totals(connection, book_id, wanted, after, ROWS_AT_ONCE)
                done += len(page.items)
                progress(done, None)
                yield total_columns(wanted), [total_row(one, wanted) for one in page.items]
                if page.next is None:
                    return
                after = page.next


def read_rows(
    operations: Operations,
    principal: Principal,
    book: str,
    request: EventsInput | TotalsInput,
    progress: Progress = _ignore,
) -> AsyncGenerator[Block, None]:
    """Hand out what *request* asks for; see ``read_event_rows`` and ``read_total_rows``."""
    if isinstance(request, EventsInput):
        return read_event_rows(operations, principal, book, request, progress)
    return read_total_rows(operations, principal, book, request, progress)


async def export_usage(
    operations: Operations,
    principal: Principal,
    book: str,
    path: Path,
    format_: Format,
    request: EventsInput | TotalsInput,
    progress: Progress = _ignore,
) -> int:
    """
    Write what ``read_rows`` hands out to the file *path*, which is there whole or not at all, and count it.

    Raises:
        TallystickError: of ``read_rows``.
    """
    written = 0
    async with aclosing(read_rows(operations, principal, book, request, progress)) as blocks:
        columns, rows = await anext(blocks)
        with await asyncio.to_thread(make_writer, path, columns, format_) as file:
            await asyncio.to_thread(file.write, rows)
            written += len(rows)
            async for _, more in blocks:
                await asyncio.to_thread(file.write, more)
                written += len(more)
    return written


def make_writer(where: Path | BinaryIO, columns: Sequence[Column], format_: Format) -> "RowWriter":
    """Begin a file; Arrow, which takes a third of a second to load, is loaded for it and for no other command."""
    writer: RowWriter = import_module("tallystick.usage.export.write_rows").RowWriter(where, columns, format_)
    return writer
