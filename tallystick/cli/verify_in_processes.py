"""Verify in processes: a book is verified by this process and others beside it, all of them over one snapshot."""

import asyncio
import contextlib
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess

import uvloop

from tallystick.clock import SystemClock
from tallystick.db.connect import open_pool
from tallystick.errors import Kind, TallystickError
from tallystick.ledger.findings import Verification
from tallystick.ledger.log.note import Verifier
from tallystick.ledger.verify import Checker, Progress
from tallystick.ledger.verify.check_piece import PieceChecker
from tallystick.ledger.verify.model import Book, Checked, Piece
from tallystick.ledger.verify.share_snapshot import export_snapshot, take_snapshot
from tallystick.ledger.verify.verify_book import prepare_book, verify_book
from tallystick.operations.run import Operations

_WAITING = 2
"""So many pieces are with a process at once, so that it has the next when it is done with one."""


class HelperLost(TallystickError):
    """A process that helped to verify ended in the middle (exit code {exit_code}); run it again, with --processes 1 if need be."""

    code = "verify.helper_lost"
    kind = Kind.UNAVAILABLE


def cores() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which book is to be verified, and what is trusted."""

    book_id: int
    verifiers: Sequence[Verifier]
    origin: str
    held: bytes | None = None
    """A signed checkpoint to begin behind; None to begin at the beginning."""


async def verify_in_processes(
    operations: Operations, url: str, wanted: Wanted, *, processes: int, progress: Progress | None = None
) -> Verification:
    """
    Do what `verify` does, in so many processes; the others reach the store by *url*.

    Raises:
        TallystickError: what is held is no checkpoint of this log (``log.…``), or a process was lost
            (``verify.helper_lost``).
    """
    async with operations.pool.acquire() as connection, operations.begin(connection, isolation="repeatable_read"):
        book = await prepare_book(connection, wanted.book_id, wanted.verifiers, wanted.origin)
        snapshot = await export_snapshot(connection)
        async with _helpers(url, book, snapshot, processes - 1) as helpers:
            return await verify_book(connection, book, helpers, progress=progress, held=wanted.held)


@contextlib.asynccontextmanager
async def _helpers(url: str, book: Book, snapshot: str, count: int) -> AsyncIterator[list[Checker]]:
    """Give checkers in processes of their own; each starts with its first piece, and none outlives this."""
    helpers = [_Helper(url, book, snapshot) for _ in range(count)]
    try:
        yield [helper.check for _ in range(_WAITING) for helper in helpers]
    finally:
        for helper in helpers:
            helper.end()


class _Helper:
    """A process that checks pieces."""

    def __init__(self, url: str, book: Book, snapshot: str) -> None:
        """Be ready to start."""
        self._arguments = url, book, snapshot
        self._process: BaseProcess | None = None
        self._pipe: Pipe | None = None
        self._answers = asyncio.Lock()

    async def check(self, piece: Piece) -> Checked:
        """
        Let the process check a piece.

        Raises:
            HelperLost: it ended instead (``verify.helper_lost``).
        """
        pipe = self._pipe or self._start()
        try:
            pipe.send(piece)
            async with self._answers:  # they come in the order of the pieces
                checked = await asyncio.to_thread(pipe.recv)
        except (EOFError, OSError) as error:
            raise HelperLost(exit_code=self._process and self._process.exitcode) from error
        if isinstance(checked, TallystickError):
            raise checked
        found: Checked = checked
        return found

    def end(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.join()

    def _start(self) -> Pipe:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_help, args=(theirs, *self._arguments), daemon=True)
        self._process.start()
        theirs.close()
        return self._pipe


def _help(pipe: Pipe, url: str, book: Book, snapshot: str) -> None:
    """Check the pieces that come until nobody sends any more; Ctrl-C is for the one who sends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError, BrokenPipeError):
        uvloop.run(_check_pieces(pipe, url, book, snapshot))


async def _check_pieces(pipe: Pipe, url: str, book: Book, snapshot: str) -> None:
    try:
        pool = await open_pool(url, size=1)
    except TallystickError as error:
        pipe.send(error)
        raise
    begin = Operations(pool, SystemClock(), {}).begin
    async with pool.acquire() as connection, begin(connection, isolation="repeatable_read"):
        await take_snapshot(connection, snapshot)
        checker = PieceChecker(connection, book)
        while True:
            pipe.send(await checker.check(await asyncio.to_thread(pipe.recv)))
