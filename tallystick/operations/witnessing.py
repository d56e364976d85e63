"""The witnessing loop: has checkpoints cosigned by others, beside the sealing, which never waits for them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp
import structlog

from tallystick.db.connect import LOST_CONNECTION
from tallystick.errors import Kind, TallystickError
from tallystick.ledger.books import Book, list_books
from tallystick.ledger.log.cosignature import Cosignature
from tallystick.ledger.log.proofs import consistency_proof, ranges_for_consistency
from tallystick.ledger.log.submission import StaleSize, Submission
from tallystick.ledger.read_log import KeptCheckpoint, fetch_tiles, newest_checkpoint
from tallystick.ledger.watching.ask_witness import WitnessAddress, submit
from tallystick.ledger.watching.keep_cosignatures import keep_cosignatures, newest_size_of
from tallystick.operations.run import Operations

_log = structlog.get_logger()
_LONGEST_PAUSE = 300.0
_TRIES = 3
"""So often a witness is asked again at once, each time from the size that it says it knows."""


class AheadOfUs(TallystickError):
    """The witness {witness} has seen {size} leaves of the log, which has {ours}: the store is older than the log was."""

    code = "log.witness_ahead"
    kind = Kind.CONFLICT


@dataclass(slots=True)
class Witnessing:
    """The witnesses that are asked, each at a pace of its own."""

    operations: Operations
    witnesses: Sequence[WitnessAddress]
    pause: float = 1.0
    """Seconds between two rounds with one witness; a witness that fails is asked less and less often."""
    seconds: float = 10.0
    """How long one exchange may take."""
    _told: set[tuple[str, str, str]] = field(default_factory=set)

    async def run(self) -> None:
        """Ask until cancelled; one that hangs holds up no other."""
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=True) as client,
            asyncio.TaskGroup() as group,
        ):
            for address in self.witnesses:
                group.create_task(self._keep_asking(client, address))

    async def _keep_asking(self, client: aiohttp.ClientSession, address: WitnessAddress) -> None:
        pause = self.pause
        while True:
            try:
                well = await self.ask_once(client, address)
            except (*LOST_CONNECTION, TallystickError) as error:
                _log.warning("witnessing waits", reason=str(error) or type(error).__name__)
                well = False
            pause = self.pause if well else min(2 * pause, _LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def ask_once(self, client: aiohttp.ClientSession, address: WitnessAddress) -> bool:
        """Have the newest checkpoint of every book cosigned that is not yet; say whether all went well."""
        async with self.operations.pool.acquire() as connection:
            books = await list_books(connection)
        return all([await self._ask_for(client, address, book) for book in books])

    async def _ask_for(self, client: aiohttp.ClientSession, address: WitnessAddress, book: Book) -> bool:
        """Have a book's newest checkpoint cosigned; what goes wrong is told once, and is nothing to the other books."""
        try:
            await self._cosign(client, address, book)
        except TallystickError as error:
            told = (address.url, book.name, error.code)
            if told not in self._told:
                _log.warning("not cosigned", book=book.name, witness=address.witness.name, reason=error.message)
                self._told.add(told)
            return False
        self._told = {told for told in self._told if told[:2] != (address.url, book.name)}
        return True

    async def _cosign(self, client: aiohttp.ClientSession, address: WitnessAddress, book: Book) -> None:
        """
        Have a book's newest checkpoint cosigned, if it is not yet, and keep that.

        No connection is held while the witness is asked. An answer that is lost costs nothing: asked again, the
        witness says which size it knows by now.
        """
        async with self.operations.pool.acquire() as connection:
            newest = await newest_checkpoint(connection, book.book_id)
            known = await newest_size_of(connection, book.book_id, address.witness)
        if newest is None or newest.size == known:
            return
        found = await self._insist(client, address, book, newest, known)
        await self.operations.work(
            lambda connection: keep_cosignatures(connection, book.book_id, newest.size, found),
        )

    async def _insist(
        self, client: aiohttp.ClientSession, address: WitnessAddress, book: Book, newest: KeptCheckpoint, known: int
    ) -> list[Cosignature]:
        """
        Submit the checkpoint from the size that we think the witness knows, and then from the one it says it knows.

        Raises:
            AheadOfUs: it knows more of the log than there is (``log.witness_ahead``).
            TallystickError: as `submit` says.
        """
        for _ in range(_TRIES):
            try:
                return await submit(client, address, await self._submission(book, newest, known), self.seconds)
            except StaleSize as stale:
                known = stale.size
                if known > newest.size:
                    raise AheadOfUs(witness=address.witness.name, size=known, ours=newest.size) from stale
        raise StaleSize(known)

    async def _submission(self, book: Book, newest: KeptCheckpoint, known: int) -> Submission:
        async with self.operations.pool.acquire() as connection:
            tiles = await fetch_tiles(connection, book.book_id, ranges_for_consistency(known, newest.size))
        hashes = consistency_proof(known, newest.size, tiles)
        return Submission(known, tuple(hashes), newest.note.encode())
