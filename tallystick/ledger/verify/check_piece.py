"""
Check a piece: recompute all that its own rows are enough for.

    messages ─► leaves of the transfers ─► leaf hashes of the batches ─► tile roots ─► checkpoints ─► their signatures
                transfers ─► pages of the batches, rows of net_change ─► snapshots, limits (less what was before)

Each arrow is recomputed from what stands left of it as it is stored, so a changed row is found where it is.
"""

from dataclasses import dataclass, field

import numpy as np

from tallystick.db.queries import Connection
from tallystick.journal.check_attachments import check_attachments
from tallystick.ledger.log.tree import Frontier
from tallystick.ledger.verify.check_changes import check_changes, check_pages, compute_changes, total
from tallystick.ledger.verify.check_limits import (
    AccountFacts,
    check_closings,
    find_exceeding,
    measure_slack,
    read_account_facts,
)
from tallystick.ledger.verify.check_messages import MessageHashes, check_messages
from tallystick.ledger.verify.check_relations import check_relations
from tallystick.ledger.verify.check_snapshots import claims_of
from tallystick.ledger.verify.check_transfers import (
    KnownAssets,
    about,
    check_accounts,
    check_leaves,
    check_positions,
    lay_out,
)
from tallystick.ledger.verify.check_tree import check_tree, restore_tree
from tallystick.ledger.verify.model import Book, Checked, Numbers, Piece, Rows, StoredBatch
from tallystick.ledger.verify.read_details import read_details
from tallystick.ledger.verify.read_piece import read_batches, read_net_changes, read_rows, read_snapshots


@dataclass(slots=True)
class PieceChecker:
    """Checks pieces over one connection, and remembers what several of them need."""

    connection: Connection
    book: Book
    known: KnownAssets = field(init=False)
    _facts: AccountFacts | None = None
    _newest: tuple[int, Frontier] | None = None
    """The piece checked last, and the tree at its end."""

    def __post_init__(self) -> None:
        """Know no account yet."""
        self.known = KnownAssets(self.book.accounts)

    async def check(self, piece: Piece, frontier: Frontier | None = None) -> Checked:
        """Check a piece, on top of *frontier* or of the tree that the stored tiles give for its beginning."""
        checked = Checked(piece)
        if frontier is None:
            frontier = await self._find_tree(piece)
        if frontier is None:
            frontier = Frontier()  # of another size than the piece needs, so it is checked again on what comes before
        else:
            checked.begun_with = frontier.size, frontier.root()
        batches, rows, orphans = await self._read(piece)
        ids = _ids_of(batches)
        checked.batches, checked.transfers = len(batches), len(rows) + len(orphans)
        checked.findings.add_each(range(len(orphans)), lambda at: about(orphans, at, None, "its batch is missing"))
        messages = await check_messages(self.connection, self.book, checked, batches, ids)
        for batch_id, at, key in await check_attachments(self.connection, self.book.book_id, piece.before, piece.last):
            row = f"message {key!r} (transaction {batch_id}, place {at})"
            checked.findings.add("message", row, "its attachment is missing or changed", batch_id=batch_id, position=at)
        await self._check_rows(checked, batches, rows, messages)
        await check_tree(self.connection, self.book, checked, batches, frontier)
        self._newest = piece.number, frontier.copy()
        return checked

    async def name_exceeding(self, checked: Checked, starts: dict[int, tuple[int, int]]) -> None:
        """Name the transfers that exceed the limits of accounts, given what these began the piece with."""
        batches, rows, _ = await self._read(checked.piece)
        find_exceeding(checked.findings, batches, rows, await self._account_facts(), starts)

    async def _find_tree(self, piece: Piece) -> Frontier | None:
        if self._newest is not None and self._newest[0] == piece.number - 1 and self._newest[1].size == piece.size:
            return self._newest[1].copy()
        return await restore_tree(self.connection, self.book, piece.size)

    async def _read(self, piece: Piece) -> tuple[list[StoredBatch], Rows, Rows]:
        batches = await read_batches(self.connection, self.book.book_id, piece.before, piece.last)
        return batches, *await read_rows(self.connection, self.book, piece, _ids_of(batches))

    async def _account_facts(self) -> AccountFacts:
        if self._facts is None:
            self._facts = await read_account_facts(self.connection, self.book)
        return self._facts

    async def _check_rows(
        self, checked: Checked, batches: list[StoredBatch], rows: Rows, messages: MessageHashes
    ) -> None:
        findings, piece = checked.findings, checked.piece
        place = lay_out(findings, batches)
        rows = check_positions(findings, batches, place, rows)
        details = await read_details(self.connection, self.book, piece, findings, batches, rows)
        check_leaves(self.book, findings, batches, place, rows, details, messages)
        await check_accounts(self.connection, self.book, findings, batches, rows, self.known)
        await check_relations(self.connection, self.book, findings, batches, rows, details)
        facts = await self._account_facts()
        check_closings(findings, batches, rows, facts)
        checked.slack = measure_slack(rows, facts)
        changes = compute_changes(rows)
        check_pages(findings, batches, changes)
        stored = await read_net_changes(self.connection, self.book, piece)
        checked.net_changes = len(stored)
        check_changes(findings, stored, changes)
        snapshots = await read_snapshots(self.connection, self.book, piece)
        checked.claims = claims_of(findings, batches, snapshots, changes)
        checked.places, checked.debits, checked.credits = total(changes)


def _ids_of(batches: list[StoredBatch]) -> Numbers:
    return np.array([batch.batch_id for batch in batches], np.int64)
