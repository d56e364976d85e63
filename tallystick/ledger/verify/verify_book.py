"""
Verify a book: recompute the whole ledger from its rows, and name each row that does not fit.

The order of the log is cut into pieces, which any number of checkers recompute side by side, each from the rows of its
piece alone; what depends on the pieces before is then put together here, one piece after the other:

    piece 1 ─► piece 2 ─► piece 3 …     the tree at the end of each is what the next one began with
                                        sums of accounts: snapshots and limits hold on top of them
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.findings import Findings, Verification
from tallystick.ledger.log import checkpoint as checkpoints
from tallystick.ledger.log.note import Verifier
from tallystick.ledger.log.tree import Frontier
from tallystick.ledger.log_keys import LogKey, list_log_keys
from tallystick.ledger.verify.check_piece import PieceChecker
from tallystick.ledger.verify.check_tree import add_checkpoint, name_tile_root, restore_tree
from tallystick.ledger.verify.link_pieces import Chain, Sums
from tallystick.ledger.verify.model import FIRST, LAST, Book, Checked, Checker, Exact, Piece, Progress, TrustedKey
from tallystick.ledger.verify.read_piece import read_extents

_queries = queries_beside(__file__)
_name_of_book = _queries.value("name_of_book")
_cut_batches = _queries.tuples("cut_batches")
_newest_account_id = _queries.value("newest_account_id")
_batch_ending_at = _queries.tuples("batch_ending_at")
_sums_through = _queries.tuples("sums_through")
_false_accounts = _queries.tuples("false_accounts")
_false_account_facts = _queries.tuples("false_account_facts")
_sealed_without_batch = _queries.tuples("sealed_without_batch")
_tile_roots_beyond = _queries.tuples("tile_roots_beyond")
_checkpoints_between = _queries.tuples("checkpoints_between")

TRANSFERS_AT_ONCE = 65_536
_MOST_AHEAD = 4
"""So many pieces a checker may be ahead of those that are linked; this bounds the memory."""


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a verification begins: behind which batch, with what there is up to there."""

    before: int
    frontier: Frontier
    piece: Piece
    sums: Sums


async def prepare_book(
    connection: Connection, book_id: int, verifiers: Iterable[Verifier], origin: str
) -> Book:  # fmt: skip
    """Gather what every checker of a book has to know."""
    name = await _name_of_book(connection, book_id) or ""
    facts = {one.verifier: one for one in await list_log_keys(connection, book_id)}
    keys = tuple(_with_range(verifier, facts.get(str(verifier))) for verifier in verifiers)
    extents, accounts = await read_extents(connection, book_id), await _newest_account_id(connection, book_id)
    return Book(book_id, name, origin, keys, extents, accounts)


def _with_range(verifier: Verifier, fact: LogKey | None) -> TrustedKey:
    """Let a key count where the facts say that it signed; everywhere if they say nothing of it."""
    if fact is None:
        return TrustedKey(verifier, -1, LAST)
    return TrustedKey(verifier, fact.after_size, LAST if fact.last_size is None else fact.last_size)


async def verify(
    connection: Connection,
    book_id: int,
    verifiers: Iterable[Verifier],
    origin: str,
    *,
    progress: Progress | None = None,
    held: bytes | None = None,
) -> Verification:
    """
    Recompute everything in the ledger of a book from its rows, and name what does not fit; it stops at nothing.

    Call it in a transaction of REPEATABLE READ, so that all it reads is of one moment; what is posted
    meanwhile is not looked at. *held* is a signed checkpoint from elsewhere that is trusted: the log must continue it,
    and only what is behind it is recomputed. Memory is bounded: so much for a piece, and 32 bytes an account.

    What no hash covers it cannot check: who sent a message and what it was answered, and when a checkpoint was signed.

    Raises:
        TallystickError: *held* is no checkpoint of this log that a key of *verifiers* signed (``log.…``).
    """
    book = await prepare_book(connection, book_id, verifiers, origin)
    return await verify_book(connection, book, progress=progress, held=held)


async def verify_book(
    connection: Connection, book: Book, helpers: Sequence[Checker] = (), *, progress: Progress | None = None,
    held: bytes | None = None,
) -> Verification:  # fmt: skip
    """Do what `verify` does, with *helpers* that check pieces beside it, over the same snapshot of the database."""
    checker = PieceChecker(connection, book)
    findings = Findings()
    start = await _begin(connection, book, findings, held)
    pieces = await _cut(connection, book, start)
    chain = Chain(checker, start.frontier, start.sums, findings)
    await _Crew(pieces, chain, progress).work([checker.check, *helpers])
    await _check_rest(connection, book, chain, start)
    return Verification(
        chain.batches, chain.transfers, chain.messages, chain.net_changes, chain.checkpoints, chain.frontier.size,
        findings.count, findings.first, start.piece.size,
    )  # fmt: skip


class _Crew:
    """Checkers at work on the pieces of a book: each takes the next one that nobody has."""

    def __init__(self, pieces: Sequence[Piece], chain: Chain, progress: Progress | None) -> None:
        """Begin with nothing done."""
        self._pieces, self._chain, self._progress = pieces, chain, progress
        self._next = 0
        self._linked = 0
        self._waiting: dict[int, Checked] = {}
        self._moved = asyncio.Condition()
        self._most_ahead = 0

    async def work(self, checkers: Sequence[Checker]) -> None:
        """Check every piece; the first checker is the one of this very connection, which also links."""
        own, *helpers = checkers
        first = self._take()
        self._most_ahead = _MOST_AHEAD * len(checkers)
        tasks = [asyncio.create_task(self._help(one)) for one in helpers[: len(self._pieces) - 1]]
        try:
            await self._lead(own, first, tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _lead(self, own: Checker, first: Piece | None, tasks: Sequence[asyncio.Task[None]]) -> None:
        piece = first
        while self._linked < len(self._pieces):
            if piece is not None:
                await self._put(await own(piece))
            else:
                waiting = asyncio.create_task(self._wait())
                busy = [task for task in tasks if not task.done()]
                await asyncio.wait({waiting, *busy}, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
            await self._link()
            _raise_faults(tasks)
            piece = self._take()

    async def _help(self, helper: Checker) -> None:
        while True:
            async with self._moved:
                await self._moved.wait_for(lambda: self._next < self._linked + self._most_ahead or self._is_done())
            piece = self._take()
            if piece is None:
                return
            await self._put(await helper(piece))

    async def _wait(self) -> None:
        """Wait for the piece that is to be linked next."""
        async with self._moved:
            await self._moved.wait_for(lambda: self._linked in self._waiting)

    def _is_done(self) -> bool:
        return self._next >= len(self._pieces)

    def _take(self) -> Piece | None:
        if self._is_done():
            return None
        self._next += 1
        return self._pieces[self._next - 1]

    async def _put(self, checked: Checked) -> None:
        async with self._moved:
            self._waiting[checked.piece.number] = checked
            self._moved.notify_all()

    async def _link(self) -> None:
        """Link what has come, in order."""
        while (checked := self._waiting.pop(self._linked, None)) is not None:
            await self._chain.link(checked)
            self._linked += 1
            if self._progress is not None:
                self._progress(checked.piece.done, self._pieces[-1].done)
        async with self._moved:
            self._moved.notify_all()


def _raise_faults(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            raise error


async def _begin(connection: Connection, book: Book, findings: Findings, held: bytes | None) -> _Start:
    """Return where to begin: behind the checkpoint that is held, if the log continues it, and else at the very start."""
    nothing = Piece(0, FIRST, FIRST, 0, None, False, 0)  # noqa: FBT003 - nothing is unsealed yet
    start = _Start(FIRST, Frontier(), nothing, Sums(book.accounts))
    if held is None:
        return start
    trusted = checkpoints.verify(held, [key.verifier for key in book.keys], book.origin)
    ends = await _batch_ending_at(connection, book.book_id, trusted.size)
    if trusted.size == 0:
        return start
    if not ends or ends[0][1] < trusted.size:
        size = ends[0][1] if ends else 0
        message = f"the log ends at {size}, before the checkpoint that is held: it was cut off"
        findings.add("checkpoint", f"held checkpoint of size {trusted.size}", message, batch_id=FIRST)
        return start
    frontier = await restore_tree(connection, book, trusted.size)
    if frontier is None or frontier.root() != trusted.root or ends[0][1] != trusted.size:
        message = "the log does not continue the checkpoint that is held: what is before it was changed"
        findings.add("checkpoint", f"held checkpoint of size {trusted.size}", message, batch_id=FIRST)
        return start
    through, _, settled_at = ends[0]
    sums = Sums(book.accounts)
    found = await _sums_through(connection, book.book_id, through)
    values = np.array([(int(row[1]), int(row[2])) for row in found], object).reshape(-1, 2)
    sums.add(np.array([row[0] for row in found], np.int64), *_narrow(values))
    return _Start(through, frontier, Piece(0, through, through, trusted.size, settled_at, False, 0), sums)  # noqa: FBT003 - what is sealed has nothing unsealed before it


def _narrow(values: "np.ndarray[tuple[int, int], np.dtype[np.object_]]") -> tuple[Exact, Exact]:
    fits = not len(values) or max(abs(one) for one in values.ravel().tolist()) < 2**61
    narrow = values.astype(np.int64) if fits else values
    return narrow[:, 0], narrow[:, 1]


async def _cut(connection: Connection, book: Book, start: _Start) -> list[Piece]:
    """Cut the batches behind the start into pieces of bounded size; the last one goes on to the end of the order."""
    found = await _cut_batches(connection, book.book_id, start.before, TRANSFERS_AT_ONCE)
    pieces: list[Piece] = []
    before = start.piece
    for last, done, size, settled_at, unsealed in sorted(found):
        settled = max(filter(None, (settled_at, start.piece.settled_at)), default=None)
        pieces.append(before._replace(number=len(pieces), last=last, done=int(done)))
        before = Piece(len(pieces), last, last, start.piece.size + size, settled, unsealed, int(done))
    if not pieces:
        return [before._replace(last=LAST)]
    pieces[-1] = pieces[-1]._replace(last=LAST)
    return pieces


async def _check_rest(connection: Connection, book: Book, chain: Chain, start: _Start) -> None:
    """Check what belongs to no piece: accounts, and the end of the log."""
    found, size = chain.findings, chain.frontier.size
    accounts = await _false_accounts(connection, book.book_id)
    for account_id, opened_by, before, no_asset, misplaced, other_instant in accounts:
        wrong = [
            message
            for message, is_so in (
                (f"the one before it is {before}: an account is missing or was renumbered", account_id != before + 1),
                ("its asset is missing", no_asset),
                ("an account with a lower number was opened later", misplaced),
                ("it and its message were not recorded at the same instant", other_instant),
            )
            if is_so
        ]
        found.add("account", f"account {account_id}", "; ".join(wrong), batch_id=opened_by)
    facts = await _false_account_facts(connection, book.book_id)
    for kind, account_id, transaction_id, no_account, too_early, other_instant in facts:
        message = "its account is missing"
        if not no_account:
            message = "it is from before its account was opened" if too_early else ""
            message = message or ("it and its message were not recorded at the same instant" if other_instant else "")
        found.add(
            kind, f"{kind} of account {account_id} (transaction {transaction_id})", message, batch_id=transaction_id
        )
    for batch_id, place in await _sealed_without_batch(connection, book.book_id, start.before):
        row = f"sealed_batch {batch_id} at place {place}"
        found.add("sealed_batch", row, "its batch is missing", batch_id=batch_id)
    for level, place in await _tile_roots_beyond(connection, book.book_id, size):
        found.add("tile_root", name_tile_root(level, place), "the log does not reach so far")
    if size and not await _checkpoints_between(connection, book.book_id, size - 1, size):
        add_checkpoint(found, size, "it is missing", LAST)
