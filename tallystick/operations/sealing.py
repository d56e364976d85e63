"""The sealing loop: leads the log of every book that nobody else leads, and seals what was posted."""

import asyncio
import contextlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import asyncpg
import structlog

from tallystick.db.connect import LOST_CONNECTION
from tallystick.db.queries import Connection
from tallystick.errors import Kind, TallystickError
from tallystick.ledger.books import Book, list_books
from tallystick.ledger.log.note import Signer
from tallystick.ledger.log_keys import (
    LogKey,
    LogKeyExists,
    LogKeyLost,
    add_log_key,
    end_log_keys,
    list_log_keys,
    load_or_make_key,
    load_signers,
    standing,
)
from tallystick.ledger.read_log import newest_checkpoint
from tallystick.ledger.seal import MOST_BATCHES, PAUSE, Sealer, lead, seal
from tallystick.operations.run import Operations

_log = structlog.get_logger()
_LOOK_FOR_BOOKS = 1.0


class LogDamaged(TallystickError):
    """What is stored of the log {origin} is not the tree that was signed; `tallystick verify` names the rows."""

    code = "ledger.log_damaged"
    kind = Kind.REFUSED


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
    """The books of which it was told that they are not sealed."""

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
            try:
                await self._lead_or_change_keys(connection, book)
            except (LogKeyLost, LogKeyExists, LogDamaged) as lost:
                if book.name in self._sealers:
                    raise  # with the connection the leadership ends, and somebody who has the key can take it
                self._tell(book.name, lost)

    async def _lead_or_change_keys(self, connection: Connection, book: Book) -> None:
        """
        Seek the leadership of a book that somebody else leads; of one that is led here, see to the keys that sign.

        Raises:
            LogKeyLost: a key that must sign is not here (``ledger.log_key_lost``).
            LogKeyExists: the log has another first key than is here (``ledger.log_key_exists``).
            LogDamaged: what is stored is not what was signed (``ledger.log_damaged``).
        """
        sealer = self._sealers.get(book.name)
        if sealer is None:
            signers = await self._load_signers(connection, book, await self._ensure_keys(connection, book))
            sealer = await self._take_lead(connection, book, signers)
            if sealer is None:
                return
            self._sealers[book.name] = sealer
        self._told.discard(book.name)
        await self._change_keys(connection, book, sealer)

    async def _ensure_keys(self, connection: Connection, book: Book) -> list[LogKey]:
        """Return the keys of the book's log; the first is made, and becomes a fact, when it has none."""
        keys = await list_log_keys(connection, book.book_id)
        if keys:
            return keys
        newest = await newest_checkpoint(connection, book.book_id)
        first = load_or_make_key(self.keys, self.prefix, book.name, newest).verifier
        async with self.operations.begin(connection):
            await add_log_key(connection, book.book_id, 1, first, None, self.operations.clock.now())
        return await list_log_keys(connection, book.book_id)

    async def _take_lead(self, connection: Connection, book: Book, signers: tuple[Signer, ...]) -> Sealer | None:
        """
        Become the book's sealer, on top of the tree that was signed and no other; None when another leads.

        Raises:
            LogDamaged: what is stored is not what was signed (``ledger.log_damaged``).
        """
        origin = signers[0].verifier.name
        try:
            sealer = await lead(connection, book.book_id, origin, signers)
        except ValueError as error:  # hashes are missing
            raise LogDamaged(origin=origin) from error
        newest = await newest_checkpoint(connection, book.book_id)
        if sealer is None or newest is None:
            return sealer
        if (sealer.frontier.size, sealer.frontier.root()) != (newest.size, newest.root):
            raise LogDamaged(origin=origin)
        return sealer

    async def _change_keys(self, connection: Connection, book: Book, sealer: Sealer) -> None:
        """Let the keys sign that are to sign now; that others have ended is a fact before anything is signed without them."""
        at = self.operations.clock.now()
        keys = await list_log_keys(connection, book.book_id)
        now = standing(keys, at)
        if [key.verifier for key in now.signing] != [str(signer.verifier) for signer in sealer.signers]:
            sealer = replace(sealer, signers=await self._load_signers(connection, book, keys))
        if now.ending:
            async with self.operations.begin(connection):
                await end_log_keys(connection, book.book_id, now.ending, at)
        self._sealers[book.name] = sealer

    async def _load_signers(self, connection: Connection, book: Book, keys: list[LogKey]) -> tuple[Signer, ...]:
        newest = await newest_checkpoint(connection, book.book_id)
        signing = standing(keys, self.operations.clock.now()).signing
        return load_signers(self.keys, book.name, keys, signing, newest)

    def _tell(self, book: str, lost: TallystickError) -> None:
        """Tell once that a book's log is not sealed, and why."""
        if book not in self._told:
            _log.error("log is not sealed", book=book, reason=lost.message)
            self._told.add(book)

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
