"""The sealing loop: leads the log of every book that nobody else leads, and seals what was posted."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import structlog

from tallystick.db.connect import LOST_CONNECTION
from tallystick.db.queries import Connection
from tallystick.errors import TallystickError
from tallystick.ledger.books import Book, list_books
from tallystick.ledger.log_keys import LogKeyLost, load_or_make_key
from tallystick.ledger.read_log import newest_checkpoint
from tallystick.ledger.seal import MOST_BATCHES, PAUSE, Sealer, lead, seal
from tallystick.operations.run import Operations

_log = structlog.get_logger()
_LOOK_FOR_BOOKS = 1.0


@dataclass(slots=True)
class Sealing:
    """The sealers of this process, by book, on the connection that their leadership hangs on."""

    operations: Operations
    keys: Path
    """The directory of the logs' keys."""
    prefix: str
    """What stands before the book in a log's origin."""
    pause: float = PAUSE
    _sealers: dict[str, Sealer] = field(default_factory=dict)
    _looked: float = 0.0
    _told: set[str] = field(default_factory=set)
    """The books whose lost keys were told of."""

    async def run(self) -> None:
        """Seal until cancelled; a lost connection ends the leadership, and a new one seeks it again."""
        while True:
            try:
                async with self.operations.pool.acquire() as connection:
                    try:
                        await self._lead_and_seal(connection)
                    finally:
                        with contextlib.suppress(asyncpg.InterfaceError):  # it is lost already
                            connection.terminate()  # and with it the leadership, which is a lock of the session
            except (*LOST_CONNECTION, TallystickError, asyncpg.PostgresError) as error:
                _log.warning("sealing waits", reason=str(error) or type(error).__name__)
                await asyncio.sleep(1)

    async def _lead_and_seal(self, connection: Connection) -> None:
        self._sealers, self._looked = {}, 0.0
        while True:
            await self._look_for_books(connection)
            more = [await self._seal_once(connection, name) for name in list(self._sealers)]
            if not any(more):
                await asyncio.sleep(self.pause)

    async def _look_for_books(self, connection: Connection) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._looked < _LOOK_FOR_BOOKS:
            return
        self._looked = now
        for book in await list_books(connection):
            if book.name not in self._sealers:
                sealer = await self._lead(connection, book)
                if sealer is not None:
                    self._sealers[book.name] = sealer

    async def _lead(self, connection: Connection, book: Book) -> Sealer | None:
        """Seek the leadership of one book; a book whose key is lost is told of, and the others are sealed."""
        try:
            newest = await newest_checkpoint(connection, book.book_id)
            signer = load_or_make_key(self.keys, self.prefix, book.name, newest)
        except LogKeyLost as lost:
            if book.name not in self._told:
                _log.error("log is not sealed", book=book.name, reason=lost.message)
                self._told.add(book.name)
            return None
        return await lead(connection, book.book_id, signer.verifier.name, signer)

    async def _seal_once(self, connection: Connection, name: str) -> bool:
        """
        Seal one round of the book; the sealer moves on only when that is committed.

        Says whether the round was full, so that more waits already.
        """
        at = self.operations.clock.now()
        async with self.operations.begin(connection):
            done = await seal(connection, self._sealers[name], at)
        if done is None:
            return False
        sealed, self._sealers[name] = done
        return sealed.batches == MOST_BATCHES
