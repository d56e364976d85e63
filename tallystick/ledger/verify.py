"""
Verify: recompute the whole ledger from its rows, and name each row that does not fit.

Batch by batch, in the order of the log:

    messages ─► leaves of the transfers ─► leaf hashes of the batch ─► tile roots ─► checkpoints ─► their signatures
                transfers ─► net changes ─► columns of the batch, rows of net_change ─► snapshots

Each arrow is recomputed from what stands left of it as it is stored, so a changed row is found where it is.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tallystick import canonical
from tallystick.db.copy import Rows, copy_out, read_columns
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import TallystickError
from tallystick.ledger.accounts import RememberedAccounts
from tallystick.ledger.encode_leaf import PREFIXED_BYTES, encode_leaves
from tallystick.ledger.findings import Findings, Verification, name_batch, name_transfer
from tallystick.ledger.fingerprint_changes import ChangeFingerprints
from tallystick.ledger.log import checkpoint as checkpoints
from tallystick.ledger.log.note import Verifier
from tallystick.ledger.log.tree import HASH_SIZE, Frontier, leaf_hashes
from tallystick.ledger.model import COLUMNS, Transfers, microseconds
from tallystick.ledger.post import NET_CHANGE, TRANSFER
from tallystick.ledger.read_log import KeptCheckpoint
from tallystick.ledger.sum_changes import NetChanges, Touched, sum_changes, touch

_queries = queries_beside(__file__)
_outline_batches = _queries.tuples("outline_batches")
_count_transfers = _queries.value("count_transfers")
_checkpoints_between = _queries.rows("checkpoints_between", KeptCheckpoint)
_find_tile_roots = _queries.tuples("find_tile_roots")
_tile_roots_beyond = _queries.tuples("tile_roots_beyond")
_sealed_without_batch = _queries.tuples("sealed_without_batch")
_false_snapshots = _queries.tuples("false_snapshots")
_moved_after_closing = _queries.tuples("moved_after_closing")
_load_accounts = _queries.tuples("load_accounts")
_name_of_book = _queries.value("name_of_book")
_transfers_between = _queries.text("transfers_between")
_every_net_change = _queries.text("every_net_change")
_net_changes_of_batches = _queries.text("net_changes_of_batches")

_TRANSFERS_AT_ONCE = 65_536
_BATCHES_AT_ONCE = 4_096
_MOST_ACCOUNTS = 1_000_000
_MOST_COMPARED = 20
"""So many batches with false net changes are looked at row by row; of the others it is said that they differ."""
_LAST = 2**63 - 1

Progress = Callable[[int, int], None]
"""Told how many transfers are done, and how many there are."""


class _Batch(NamedTuple):
    """A batch as it is stored, with its place in the log if it is sealed."""

    batch_id: int
    transfers: int
    recorded_at: dt.datetime
    leaf_hashes: bytes
    accounts: bytes
    debits: bytes
    credits: bytes
    first_place: int | None
    sealed: int | None


class _Message(NamedTuple):
    """A message as it is stored: its body's beginning and end, and what the whole hashes to now."""

    transaction_id: int
    place: int
    key: str
    operation: str
    refused: bool
    recorded_at: dt.datetime
    hash: bytes
    hash_of_body: bytes
    head: bytes
    tail: bytes

    @property
    def row(self) -> str:
        return f"message {self.key!r} (transaction {self.transaction_id}, place {self.place})"


_batches_between = _queries.rows("batches_between", _Batch)
_messages_between = _queries.rows("messages_between", _Message)


async def verify(
    connection: Connection,
    book_id: int,
    verifiers: Iterable[Verifier],
    origin: str,
    *,
    progress: Progress | None = None,
) -> Verification:
    """
    Recompute everything in the ledger of a book from its rows, and name what does not fit; it stops at nothing.

    Call it in a transaction of REPEATABLE READ, so that all it reads is of one moment; what is posted
    meanwhile is not looked at. Only the hash of a message's body is left to the server, since bodies can be
    large. Memory is bounded by the size of a batch, but for 24 bytes a batch.

    What no hash covers it cannot check: who sent a message and what it was answered, and when a checkpoint was signed.
    """
    walk = _Walk(connection, book_id, tuple(verifiers), origin, await _name_of_book(connection, book_id) or "")
    total = await _count_transfers(connection, book_id)
    before = 0
    while outline := await _outline_batches(connection, book_id, before, _BATCHES_AT_ONCE):
        for last in _cut(outline):
            await walk.verify_until(before, last)
            before = last
            if progress is not None:
                progress(walk.transfers, total)
    await walk.verify_until(before, _LAST)
    await walk.verify_net_changes()
    await walk.verify_rest()
    findings = walk.findings
    return Verification(
        len(walk.changes.batch_ids), walk.transfers, walk.messages, walk.changes.rows, walk.checkpoints,
        walk.frontier.size, findings.count, tuple(findings.first),
    )  # fmt: skip


def _cut(outline: Sequence[tuple[int, int]]) -> list[int]:
    """Cut batches into runs of bounded size; return the last batch of each."""
    ends: list[int] = []
    gathered = 0
    for batch_id, transfers in outline:
        gathered += transfers
        if gathered >= _TRANSFERS_AT_ONCE:
            ends.append(batch_id)
            gathered = 0
    if not ends or ends[-1] != outline[-1][0]:
        ends.append(outline[-1][0])
    return ends


@dataclass(slots=True)
class _Walk:
    """A verification under way: where it is in the log, and what it saw."""

    connection: Connection
    book_id: int
    verifiers: tuple[Verifier, ...]
    origin: str
    book: str
    findings: Findings = field(default_factory=Findings)
    frontier: Frontier = field(default_factory=Frontier)
    changes: ChangeFingerprints = field(default_factory=ChangeFingerprints)
    accounts: RememberedAccounts = field(default_factory=RememberedAccounts)
    transfers: int = 0
    messages: int = 0
    checkpoints: int = 0
    unsealed: bool = False
    """A batch was met that is not sealed, so none behind it may be."""
    sums: dict[int, int] = field(default_factory=dict)
    """By asset, all credits less all debits."""

    async def verify_until(self, before: int, last: int) -> None:
        """Verify the batches behind *before* up to *last*, and every transfer and message of those transactions."""
        batches = await _batches_between(self.connection, self.book_id, before, last)
        kept = await _messages_between(self.connection, self.book_id, before, last)
        rows = await read_columns(self.connection, TRANSFER, _transfers_between, self.book_id, before, last)
        await self._remember_accounts(rows)
        messages: dict[int, list[_Message]] = {}
        for message in kept:
            self._verify_message(message)
            messages.setdefault(message.transaction_id, []).append(message)
        waiting = await self._checkpoints_of(batches)
        tile_roots: list[tuple[int, int, bytes]] = []
        bounds = np.searchsorted(rows["batch_id"], [batch.batch_id for batch in batches])
        ends = np.searchsorted(rows["batch_id"], [batch.batch_id for batch in batches], side="right")
        self._verify_orphans(rows, bounds, ends)
        for batch, start, end in zip(batches, bounds.tolist(), ends.tolist(), strict=True):
            self._verify_batch(batch, rows[start:end], messages.get(batch.batch_id, []))
            if self._verify_place(batch):
                tile_roots += self.frontier.append(_whole_hashes(batch.leaf_hashes))
                self._verify_checkpoints(waiting, batch)
        await self._verify_tile_roots(tile_roots)
        for checkpoint in waiting:
            self._add_checkpoint(checkpoint, "no batch ends there")
        self.transfers += len(rows)

    def _verify_orphans(self, rows: Rows, starts: npt.NDArray[np.intp], ends: npt.NDArray[np.intp]) -> None:
        covered = np.zeros(len(rows) + 1, np.int64)
        np.add.at(covered, starts, 1)
        np.add.at(covered, ends, -1)
        for at in np.flatnonzero(np.cumsum(covered)[:-1] == 0).tolist():
            self._add_transfer(rows[at], None, "its batch is missing")

    def _verify_message(self, message: _Message) -> None:
        self.messages += 1
        if message.hash != message.hash_of_body:
            self.findings.add("message", message.row, "its hash is not that of its body")
        head = canonical.encode({"book": self.book, "id": message.key})[:-1] + b',"input":'
        tail = b',"operation":' + canonical.encode(message.operation) + b"}"
        if not (message.head.startswith(head) and message.tail.endswith(tail)):
            self.findings.add("message", message.row, "its body is of another book, id or operation")

    def _verify_batch(self, batch: _Batch, rows: Rows, messages: list[_Message]) -> None:
        name = name_batch(batch.batch_id, batch.first_place, batch.transfers)
        for message in messages:
            if message.recorded_at != batch.recorded_at:
                self.findings.add("message", message.row, "it and its batch were not recorded at the same instant")
        if len(batch.leaf_hashes) != HASH_SIZE * batch.transfers:
            self.findings.add("batch", name, "it has not one leaf hash for each transfer")
        self._verify_positions(batch, name, rows)
        if not len(rows):
            self.changes.expect(batch.batch_id, None)
            return
        transfers = _as_transfers(rows)
        self._verify_leaves(batch, name, rows, transfers, messages)
        touched = touch(transfers)
        self._verify_accounts(batch, rows, transfers, touched)
        changes = sum_changes(transfers, touched)
        stored = (batch.accounts, batch.debits, batch.credits)
        if stored != (changes.accounts.tobytes(), changes.debits.tobytes(), changes.credits.tobytes()):
            self.findings.add("batch", name, "its net changes are not those of its transfers")
        self.changes.expect(batch.batch_id, changes)

    def _verify_positions(self, batch: _Batch, name: str, rows: Rows) -> None:
        expected = np.arange(batch.transfers)
        if np.array_equal(rows["position"], expected):
            return
        for position in np.setdiff1d(expected, rows["position"]).tolist():
            place = "not sealed" if batch.first_place is None else f"place {batch.first_place + position}"
            row = f"transfer (batch {batch.batch_id}, position {position}, {place})"
            self.findings.add("transfer", row, f"it is missing from {name}")
        for at in np.flatnonzero(rows["position"] >= batch.transfers).tolist():
            self._add_transfer(rows[at], batch, f"its batch has {batch.transfers} transfers, and it is one more")

    def _verify_leaves(
        self, batch: _Batch, name: str, rows: Rows, transfers: Transfers, messages: list[_Message]
    ) -> None:
        """Hold the leaf of each transfer against the hash that its batch keeps at its position."""
        stored = np.frombuffer(_whole_hashes(batch.leaf_hashes), "V32")
        hashes, hashes_of_bodies, known = _hashes_by_place(messages)
        named = known[np.clip(transfers["message_place"], -1, len(known) - 1)]
        within = rows["position"] < len(stored)
        for at in np.flatnonzero(within & ~named).tolist():
            self._add_transfer(
                rows[at], batch, f"its message (place {rows['message_place'][at]}) is missing or was refused"
            )
        candidates = np.flatnonzero(within & named)
        false = self._false_leaves(batch, transfers, candidates, hashes, stored[rows["position"][candidates]])
        if len(false):  # a message whose hash alone was changed has been named; its transfers are as they were
            false = self._false_leaves(batch, transfers, false, hashes_of_bodies, stored[rows["position"][false]])
        if len(false) and len(false) == len(rows):
            self.findings.add(
                "batch", name, "none of its transfers is the one its leaf hashes are of: "
                "its recorded_at was changed, or the leaf hashes, or each transfer"
            )  # fmt: skip
        for at in false.tolist():
            message = "it is not the one whose hash its batch keeps: it was changed, or the leaf hash in the batch"
            self._add_transfer(rows[at], batch, message)

    def _false_leaves(
        self,
        batch: _Batch,
        transfers: Transfers,
        candidates: npt.NDArray[np.intp],
        hashes: npt.NDArray[np.void],
        stored: npt.NDArray[np.void],
    ) -> npt.NDArray[np.intp]:
        """Return those of *candidates* whose leaves do not hash to what is stored."""
        leaves = encode_leaves(self.book_id, transfers[candidates], microseconds(batch.recorded_at), hashes)
        computed = leaf_hashes(leaves, PREFIXED_BYTES)
        if computed == stored.tobytes():
            return candidates[:0]
        different: npt.NDArray[np.intp] = candidates[np.frombuffer(computed, "V32") != stored]
        return different

    async def _remember_accounts(self, rows: Rows) -> None:
        wanted = np.unique(np.concatenate([rows["debit_account_id"], rows["credit_account_id"]])).astype(np.int64)
        if len(self.accounts.ids) > _MOST_ACCOUNTS:
            self.accounts = RememberedAccounts()
        missing = self.accounts.missing(wanted)
        if len(missing):
            found = await _load_accounts(self.connection, self.book_id, missing.tolist())
            self.accounts = self.accounts.with_rows([row[:-1] for row in found])

    def _verify_accounts(self, batch: _Batch, rows: Rows, transfers: Transfers, touched: Touched) -> None:
        """Find both accounts of each transfer, in its asset; and count the asset's sum."""
        assets = self.accounts.assets_of(touched.accounts)
        for name, side, sign in (("debit", touched.debits, -1), ("credit", touched.credits, 1)):
            assets_there = assets[side]
            for at in np.flatnonzero(assets_there != transfers["asset_id"]).tolist():
                account = touched.accounts[side[at]]
                self._add_transfer(rows[at], batch, f"its {name} account {account} is not in its book and asset")
            for asset in np.unique(assets).tolist():
                amounts = transfers["amount"][assets_there == asset]
                total = (int((amounts >> 32).sum()) << 32) + int((amounts & 0xFFFFFFFF).sum())
                self.sums[asset] = self.sums.get(asset, 0) + sign * total

    def _verify_place(self, batch: _Batch) -> bool:
        """Say whether the batch belongs into the log, and find it at its place there."""
        if batch.first_place is None:
            self.unsealed = True
            return False
        row = f"sealed_batch of {name_batch(batch.batch_id, batch.first_place, batch.transfers)}"
        if self.unsealed:
            self.findings.add("sealed_batch", row, "a batch before it in the order is not sealed")
        if batch.first_place != self.frontier.size:
            self.findings.add("sealed_batch", row, f"it must begin at place {self.frontier.size}")
        if batch.sealed != batch.transfers:
            self.findings.add("sealed_batch", row, f"it says {batch.sealed} transfers; the batch, {batch.transfers}")
        return True

    async def _checkpoints_of(self, batches: Sequence[_Batch]) -> list[KeptCheckpoint]:
        """Return the checkpoints that end within *batches*; behind the last batch, all that are left."""
        start = self.frontier.size
        hashes = sum(len(_whole_hashes(one.leaf_hashes)) for one in batches if one.first_place is not None)
        end = start + hashes // HASH_SIZE if batches else _LAST
        return await _checkpoints_between(self.connection, self.book_id, start, end)

    def _verify_checkpoints(self, waiting: list[KeptCheckpoint], batch: _Batch) -> None:
        """Verify the checkpoint that *batch* is the newest of, if there is one."""
        while waiting and waiting[0].size < self.frontier.size:
            self._add_checkpoint(waiting.pop(0), "no batch ends there")
        if not waiting or waiting[0].size != self.frontier.size:
            return
        checkpoint = waiting.pop(0)
        self.checkpoints += 1
        if checkpoint.root != self.frontier.root():
            self._add_checkpoint(checkpoint, "its root is not that of the leaf hashes before it")
        if checkpoint.through != batch.batch_id:
            self._add_checkpoint(checkpoint, f"its newest batch must be {batch.batch_id}, not {checkpoint.through}")
        try:
            signed = checkpoints.verify(checkpoint.note.encode(), self.verifiers, self.origin)
        except TallystickError as error:
            self._add_checkpoint(checkpoint, f"its note: {error.message}")
            return
        if (signed.size, signed.root) != (checkpoint.size, self.frontier.root()):
            self._add_checkpoint(checkpoint, "its note signs another size or root than the leaf hashes before it have")

    async def _verify_tile_roots(self, computed: list[tuple[int, int, bytes]]) -> None:
        if not computed:
            return
        levels, places, _ = zip(*computed, strict=True)
        found = await _find_tile_roots(self.connection, self.book_id, list(levels), list(places))
        stored = {(level, place): value for level, place, value in found}
        for level, place, value in computed:
            if stored.get((level, place)) != value:
                said = "it is not the root of the leaf hashes below it"
                message = said if (level, place) in stored else "it is missing"
                self.findings.add("tile_root", _name_tile_root(level, place), message)

    async def verify_net_changes(self) -> None:
        """Hold the rows of net_change against what the transfers of each batch come to."""
        self.changes.close()
        await copy_out(self.connection, NET_CHANGE, _every_net_change, self.book_id, each=self.changes.count_in)
        differing = self.changes.differing()
        for batch_id in differing[_MOST_COMPARED:]:
            self.findings.add("net_change", f"net changes of batch {batch_id}", "they are not those of its transfers")
        for batch_id in differing[:_MOST_COMPARED]:
            await self._compare_net_changes(batch_id)

    async def _compare_net_changes(self, batch_id: int) -> None:
        before = batch_id - 1
        rows = await read_columns(self.connection, TRANSFER, _transfers_between, self.book_id, before, batch_id)
        kept = await read_columns(self.connection, NET_CHANGE, _net_changes_of_batches, self.book_id, [batch_id])
        transfers = _as_transfers(rows)
        expected = _by_account(sum_changes(transfers, touch(transfers))) if len(rows) else {}
        stored = {row["account_id"].item(): (row["debits"].item(), row["credits"].item()) for row in kept}
        for account in sorted(expected.keys() | stored.keys()):
            if stored.get(account) == expected.get(account):
                continue
            message = f"debits and credits must be {expected.get(account)} and are {stored.get(account)}"
            if account not in expected:
                message = "no transfer of the batch touches the account"
            elif account not in stored:
                message = "it is missing"
            self.findings.add("net_change", f"net change of account {account} in batch {batch_id}", message)

    async def verify_rest(self) -> None:
        """Verify what needs no walk: snapshots, closings, the end of the log, and that nothing came from nowhere."""
        found = self.findings
        for account, batch_id, *sums in await _false_snapshots(self.connection, self.book_id):
            debits, right_debits, credits_, right_credits = sums
            message = f"debits must be {right_debits} and are {debits}, credits {right_credits} and are {credits_}"
            found.add("balance_snapshot", f"snapshot of account {account} at batch {batch_id}", message)
        for account, batch_id in await _moved_after_closing(self.connection, self.book_id):
            row = f"net change of account {account} in batch {batch_id}"
            found.add("net_change", row, "the account was closed before")
        for batch_id, first_place in await _sealed_without_batch(self.connection, self.book_id):
            found.add("sealed_batch", f"sealed_batch {batch_id} at place {first_place}", "its batch is missing")
        for level, place in await _tile_roots_beyond(self.connection, self.book_id, self.frontier.size):
            found.add("tile_root", _name_tile_root(level, place), "the log does not reach so far")
        if self.frontier.size and not await _checkpoints_between(
            self.connection, self.book_id, self.frontier.size - 1, self.frontier.size
        ):
            found.add("checkpoint", f"checkpoint of size {self.frontier.size}", "it is missing")
        for asset, total in self.sums.items():
            if total:
                found.add("asset", f"asset {asset}", f"its accounts add up to {total} instead of nothing")

    def _add_checkpoint(self, checkpoint: KeptCheckpoint, message: str) -> None:
        self.findings.add("checkpoint", f"checkpoint of size {checkpoint.size}", message)

    def _add_transfer(self, row: np.void, batch: _Batch | None, message: str) -> None:
        first_place = None if batch is None else batch.first_place
        batch_id, position = row["batch_id"].item(), row["position"].item()
        name = name_transfer(bytes(row["transfer_id"]), batch_id, position, first_place)
        self.findings.add("transfer", name, message)


def _as_transfers(rows: Rows) -> Transfers:
    """Turn rows of the table into a batch."""
    batch = np.empty(len(rows), COLUMNS)
    for column in COLUMNS.names or ():
        batch[column] = rows[column]
    return batch


def _hashes_by_place(
    messages: list[_Message],
) -> tuple[npt.NDArray[np.void], npt.NDArray[np.void], npt.NDArray[np.bool_]]:
    """Return by place each message's hash as stored, its hash as recomputed, and which places have one; the last has none."""
    count = len(messages) + 1
    stored, computed = [bytes(HASH_SIZE)] * count, [bytes(HASH_SIZE)] * count
    known = np.zeros(count, np.bool_)
    for message in messages:
        if message.place >= len(messages):  # places are counted from 0 without a gap
            continue
        known[message.place] = not message.refused
        stored[message.place], computed[message.place] = message.hash, message.hash_of_body
    return np.frombuffer(b"".join(stored), "V32"), np.frombuffer(b"".join(computed), "V32"), known


def _by_account(changes: NetChanges) -> dict[int, tuple[int, int]]:
    sums = zip(changes.debits.tolist(), changes.credits.tolist(), strict=True)
    return dict(zip(changes.accounts.tolist(), sums, strict=True))


def _whole_hashes(hashes: bytes) -> bytes:
    return hashes[: len(hashes) // HASH_SIZE * HASH_SIZE]


def _name_tile_root(level: int, place: int) -> str:
    first, width = place << 8 * level, 1 << 8 * level
    return f"tile root {place} of level {level} (places {first} to {first + width - 1})"
