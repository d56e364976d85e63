"""Check transfers: each with what is kept beside it, against the hash of its leaf that its batch keeps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.encode_leaf import PREFIXED_BYTES, ToSeal, encode_leaves, find_detailed, hash_leaves
from tallystick.ledger.findings import Finding, Findings, name_batch, name_position, name_transfer
from tallystick.ledger.log.tree import HASH_SIZE, leaf_hashes
from tallystick.ledger.model import COLUMNS, Batch, Transfers, microseconds
from tallystick.ledger.verify.check_messages import MessageHashes
from tallystick.ledger.verify.check_tree import whole_hashes
from tallystick.ledger.verify.model import Book, Numbers, Rows, StoredBatch
from tallystick.ledger.verify.read_details import Details
from tallystick.ledger.verify.read_piece import take

_assets_of_accounts = queries_beside(__file__).tuples("assets_of_accounts")
_UNKNOWN = -1
_FALSE = (
    "it is not the one whose hash its batch keeps: it was changed, or what is kept beside it (its reference, its "
    "hold …), or the leaf hash in the batch"
)


class KnownAssets:
    """The assets of accounts that a process looked up: 4 bytes an account of the book."""

    def __init__(self, accounts: int) -> None:
        """Know nothing yet of so many accounts, whose ids have no gaps."""
        self._assets = np.full(accounts + 1, _UNKNOWN, np.int32)
        self._assets[0] = 0  # no account has this id

    async def find(self, connection: Connection, book_id: int, accounts: Numbers) -> npt.NDArray[np.int32]:
        """Return the asset of each account, 0 for one that is not in the book."""
        within = (accounts >= 0) & (accounts < len(self._assets))
        at = accounts if within.all() else np.where(within, accounts, 0)
        assets: npt.NDArray[np.int32] = self._assets[at]
        if not (assets == _UNKNOWN).any():
            return assets
        missing = np.unique(at[assets == _UNKNOWN])
        self._assets[missing] = 0
        for account, asset in await _assets_of_accounts(connection, book_id, missing.tolist()):
            self._assets[account] = asset
        return self._assets[at]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the leaves of each batch of a piece begin, among all of theirs."""

    firsts: Numbers
    counts: Numbers
    hashes: npt.NDArray[np.void]


def lay_out(findings: Findings, batches: Sequence[StoredBatch]) -> Place:
    """Lay the leaf hashes of a piece out."""
    hashes = [whole_hashes(batch.leaf_hashes) for batch in batches]
    for batch in batches:
        if len(batch.leaf_hashes) != HASH_SIZE * batch.transfers:
            row = name_batch(batch.batch_id, batch.first_place, batch.transfers)
            findings.add("batch", row, "it has not one leaf hash for each transfer", batch_id=batch.batch_id)
    counts = np.array([len(one) // HASH_SIZE for one in hashes], np.int64)
    return Place(np.cumsum(counts) - counts, counts, np.frombuffer(b"".join(hashes), "V32"))


def check_positions(findings: Findings, batches: Sequence[StoredBatch], place: Place, rows: Rows) -> Rows:
    """Name the transfers that are missing and those that are too many, and return the others."""
    within = (rows.position >= 0) & (rows.position < place.counts[rows.ordinal])
    many = np.flatnonzero(~within)

    def one_more(at: int) -> Finding:
        batch = batches[rows.ordinal[at]]
        leaves = len(batch.leaf_hashes) // HASH_SIZE
        return about(rows, at, batch, f"its batch has {leaves} transfers, and it is one more")

    findings.add_each(many.tolist(), one_more)
    if len(many):
        rows = take(rows, within)
    there = np.zeros(len(place.hashes), np.bool_)
    there[place.firsts[rows.ordinal] + rows.position] = True
    lost = np.flatnonzero(~there)

    def missing(leaf: int) -> Finding:
        at = int(np.searchsorted(place.firsts, leaf, side="right")) - 1
        batch, position = batches[at], leaf - int(place.firsts[at])
        name = name_batch(batch.batch_id, batch.first_place, batch.transfers)
        row = f"transfer ({name_position(batch.batch_id, position, batch.first_place)})"
        return Finding("transfer", row, f"it is missing from {name}", batch.batch_id, position)

    findings.add_each(lost.tolist(), missing)
    return rows


def check_leaves(
    book: Book, findings: Findings, batches: Sequence[StoredBatch], place: Place, rows: Rows, details: Details,
    messages: MessageHashes,
) -> None:  # fmt: skip
    """Hold the leaf of each transfer against the hash that its batch keeps at its position."""
    at, named = messages.find(rows.ordinal, rows.message_place)
    tell(findings, batches, rows, np.flatnonzero(~named).tolist(), "its message is missing or was refused")
    judged = named & details.whole
    every = bool(judged.all())
    candidates = np.arange(len(rows)) if every else np.flatnonzero(judged)
    stored = place.hashes[place.firsts[rows.ordinal] + rows.position]
    recorded = np.array([microseconds(batch.recorded_at) for batch in batches], np.int64)[rows.ordinal]
    leaves = _Leaves(book.book_id, _as_transfers(rows, at), rows.ordinal, recorded, details)
    false = leaves.differing(candidates, messages.stored, stored)
    if len(false):  # a message whose hash alone was changed has been named; its transfers are as they were
        false = leaves.differing(false, messages.computed, stored)
    tell(findings, batches, rows, false.tolist(), _FALSE)
    of_batches = np.bincount(rows.ordinal, minlength=len(batches))
    whole = np.flatnonzero((np.bincount(rows.ordinal[false], minlength=len(batches)) == of_batches) & (of_batches > 0))
    for one in whole.tolist():
        batch = batches[one]
        findings.add(
            "batch", name_batch(batch.batch_id, batch.first_place, batch.transfers),
            "none of its transfers is the one its leaf hashes are of: "
            "its recorded_at was changed, or the leaf hashes, or each transfer", batch_id=batch.batch_id,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Leaves:
    """The leaves of a piece, to be made again from its rows."""

    book_id: int
    transfers: Transfers
    ordinal: npt.NDArray[np.intp]
    recorded_at: Numbers
    details: Details

    def differing(
        self, candidates: npt.NDArray[np.intp], hashes: npt.NDArray[np.void], stored: npt.NDArray[np.void]
    ) -> npt.NDArray[np.intp]:
        """Return those of *candidates* whose leaves do not hash to what is stored, ascending."""
        different = [candidates[:0]]
        detailed = self._detailed(candidates)
        plain = candidates if detailed is None else candidates[~detailed]
        if len(plain):
            whole = len(plain) == len(self.transfers)
            rows, recorded_at = (
                (self.transfers, self.recorded_at) if whole else (self.transfers[plain], self.recorded_at[plain])
            )
            leaves = encode_leaves(self.book_id, rows, recorded_at, hashes)
            different.append(_unlike(plain, leaf_hashes(leaves, PREFIXED_BYTES), stored))
        if detailed is not None:
            for chosen in _runs(candidates[detailed], self.ordinal):
                sealing = ToSeal(
                    self.book_id, self._batch(chosen), self.details.asked[chosen], int(self.recorded_at[chosen[0]]),
                    hashes,
                )  # fmt: skip
                different.append(_unlike(chosen, hash_leaves(sealing), stored))
        return np.sort(np.concatenate(different))

    def _detailed(self, candidates: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_] | None:
        every = len(candidates) == len(self.transfers)
        detailed = find_detailed(Batch(self.transfers if every else self.transfers[candidates]))
        if self.details.references:
            detailed |= np.isin(candidates, list(self.details.references))
        return detailed if detailed.any() else None

    def _batch(self, chosen: npt.NDArray[np.intp]) -> Batch:
        references = None
        if self.details.references:
            references = [self.details.references.get(at, "") for at in chosen.tolist()]
        return Batch(
            self.transfers[chosen], self.details.related[chosen], self.details.expires_at[chosen], references
        )  # fmt: skip


def _unlike(chosen: npt.NDArray[np.intp], computed: bytes, stored: npt.NDArray[np.void]) -> npt.NDArray[np.intp]:
    expected = stored[chosen]
    if computed == expected.tobytes():
        return chosen[:0]
    different: npt.NDArray[np.intp] = chosen[np.frombuffer(computed, "V32") != expected]
    return different


def _runs(chosen: npt.NDArray[np.intp], ordinal: npt.NDArray[np.intp]) -> list[npt.NDArray[np.intp]]:
    """Cut rows, in order, where the next batch begins."""
    return np.split(chosen, np.flatnonzero(np.diff(ordinal[chosen])) + 1) if len(chosen) else []


async def check_accounts(
    connection: Connection, book: Book, findings: Findings, batches: Sequence[StoredBatch], rows: Rows,
    known: KnownAssets,
) -> None:  # fmt: skip
    """Find both accounts of each transfer, in its asset."""
    for name, accounts in (("debit", rows.debit), ("credit", rows.credit)):
        assets = await known.find(connection, book.book_id, accounts)
        strange = np.flatnonzero(assets != rows.asset_id).tolist()
        tell(findings, batches, rows, strange, f"its {name} account is not in its book and asset")


def tell(findings: Findings, batches: Sequence[StoredBatch], rows: Rows, at: Sequence[int], message: str) -> None:
    """Say the same of several transfers."""
    findings.add_each(at, lambda one: about(rows, one, batches[rows.ordinal[one]], message))


def about(rows: Rows, at: int, batch: StoredBatch | None, message: str) -> Finding:
    """Say something of a transfer."""
    first_place = None if batch is None else batch.first_place
    batch_id, position = int(rows.batch_id[at]), int(rows.position[at])
    row = name_transfer(bytes(rows.transfer_id[at]), batch_id, position, first_place)
    return Finding("transfer", row, message, batch_id, position)


def _as_transfers(rows: Rows, messages: npt.NDArray[np.intp]) -> Transfers:
    """Turn columns into a batch whose messages are named by their places among the piece's."""
    batch = np.empty(len(rows), COLUMNS)
    batch["transfer_id"], batch["message_place"] = rows.transfer_id, messages
    batch["debit_account_id"], batch["credit_account_id"] = rows.debit, rows.credit
    for name in ("amount", "effective_at", "asset_id", "reason"):
        batch[name] = getattr(rows, name)
    return batch
