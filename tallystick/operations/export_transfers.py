"""Export: the transfers of a book, or of an account and what lies below it, in the order of the log, in columns."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from tallystick.db.connect import faults_told
from tallystick.ledger.books import find_book
from tallystick.ledger.files import Format, Posted, write_transfers
from tallystick.ledger.mass.read_transfers import EVERYTHING, Selection, begin_walk
from tallystick.operations.run import Operations
from tallystick.security.authorise import authorise
from tallystick.security.model import Principal

SCOPE = "ledger:read"

Progress = Callable[[int, int], None]
"""Told how many transfers were looked at, and how many there are."""


def _ignore(_: int, __: int) -> None:
    """Show no progress."""


async def read_transfers(
    operations: Operations,
    principal: Principal,
    book: str,
    selection: Selection = EVERYTHING,
    progress: Progress = _ignore,
) -> AsyncGenerator[Posted, None]:
    """
    Hand out the transfers of *book* that moved money, as far as *selection* says.

    No connection is held while the caller is busy with a block.

    Raises:
        TallystickError: it may not, or there is no such book or account, or the store is away.
    """
    authorise(principal, SCOPE, book)
    with faults_told():
        async with operations.pool.acquire() as connection:
            walk = await begin_walk(connection, (await find_book(connection, book)).book_id, selection)
    while True:
        with faults_told():
            async with operations.pool.acquire() as connection:
                block = await walk.step(connection)
        if block is None:
            return
        progress(walk.done, walk.total)
        if len(block):
            yield block


async def export_transfers(
    operations: Operations,
    principal: Principal,
    book: str,
    path: Path,
    format_: Format,
    selection: Selection = EVERYTHING,
    progress: Progress = _ignore,
) -> int:
    """
    Write what ``read_transfers`` hands out to the file *path*, which is there whole or not at all, and count it.

    Raises:
        TallystickError: of ``read_transfers``.
    """
    written = 0
    with await asyncio.to_thread(write_transfers, path, format_) as file:
        async for block in read_transfers(operations, principal, book, selection, progress):
            await asyncio.to_thread(file.write, block)
            written += len(block)
    return written
