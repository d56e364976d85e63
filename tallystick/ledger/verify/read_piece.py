"""Read a piece: the rows of its batches, whole, as they are stored."""

import uuid
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tallystick.db.copy import BIGINT, INTEGER, SMALLINT, UUID, FixedTable, read_columns
from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.verify.model import Book, Extents, Piece, Rows, StoredBatch

_queries = queries_beside(__file__)
read_batches = _queries.rows("batches_between", StoredBatch)
_transfers_between = _queries.text("transfers_between")
_net_changes_between = _queries.tuples("net_changes_between")
_snapshots_between = _queries.tuples("snapshots_between")
_EXTENTS = {table: _queries.tuples(f"extents_of_{table}")
            for table in ("net_change", "balance_snapshot")}  # fmt: skip

_BLOCKS = 64
"""So many blocks are one extent."""
_TRANSFER = FixedTable(
    "transfer",
    {
        "batch_id": BIGINT,
        "debit": BIGINT,
        "credit": BIGINT,
        "amount": BIGINT,
        "effective_at": BIGINT,
        "transfer_id": UUID,
        "position": SMALLINT,
        "asset_id": INTEGER,
        "message_place": SMALLINT,
        "reason": SMALLINT,
    },
)


async def read_extents(connection: Connection, book_id: int) -> Extents:
    """
    Find which blocks of the tables that have no index by batch have rows of which batches.

    Those tables are only appended to, so each batch lies in few blocks; what lies elsewhere, because someone moved it
    there, is found all the same.
    """
    found: Extents = {}
    for table, query in _EXTENTS.items():
        found[table] = [(first, lowest, highest) for first, lowest, highest in await query(connection, book_id)]
    return found


def blocks_of(book: Book, table: str, piece: Piece) -> list[tuple[int, int]]:
    """Return the runs of blocks in which rows of the piece lie: the first of each, and the one behind its last."""
    runs: list[tuple[int, int]] = []
    for first, lowest, highest in book.extents[table]:
        if highest <= piece.before or lowest > piece.last:
            continue
        if runs and runs[-1][1] == first:
            runs[-1] = (runs[-1][0], first + _BLOCKS)
        else:
            runs.append((first, first + _BLOCKS))
    return runs


async def read_rows(
    connection: Connection, book: Book, piece: Piece, batch_ids: npt.NDArray[np.int64]
) -> tuple[Rows, Rows]:
    """Return the transfers of the batches of the piece, and those that belong to no batch."""
    bounds = book.book_id, piece.before, piece.last
    raw = await read_columns(connection, _TRANSFER, _transfers_between, *bounds)
    columns = {name: np.ascontiguousarray(raw[name]) for name in _TRANSFER.columns}
    numbers = {name: column.astype(np.int64) for name, column in columns.items() if name != "transfer_id"}
    batch_id, position = numbers["batch_id"], numbers["position"]
    later = (batch_id[1:] > batch_id[:-1]) | ((batch_id[1:] == batch_id[:-1]) & (position[1:] > position[:-1]))
    if not later.all():  # blocks are read as they lie, and processes that post at once fill them in turns
        order = np.lexsort((position, batch_id))
        numbers = {name: column[order] for name, column in numbers.items()}
        columns["transfer_id"] = columns["transfer_id"][order]
    ordinal = np.searchsorted(batch_ids, numbers["batch_id"])
    rows = Rows(**numbers, transfer_id=columns["transfer_id"], ordinal=ordinal)
    known = np.zeros(len(rows), np.bool_)
    if len(batch_ids):
        known = batch_ids[np.minimum(ordinal, len(batch_ids) - 1)] == rows.batch_id
    if known.all():
        return rows, take(rows, ~known)
    return take(rows, known), take(rows, ~known)


def take(rows: Rows, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Rows:
    """Return those of the transfers that are chosen."""
    return Rows(
        rows.batch_id[chosen], rows.position[chosen], rows.debit[chosen], rows.credit[chosen], rows.amount[chosen],
        rows.effective_at[chosen], rows.transfer_id[chosen], rows.asset_id[chosen], rows.message_place[chosen],
        rows.reason[chosen], rows.ordinal[chosen],
    )  # fmt: skip


async def read_net_changes(
    connection: Connection, book: Book, piece: Piece
) -> list[tuple[int, int, bytes, bytes, bytes]]:
    """Return the rows of net_change: batch, page, slots, amounts as PostgreSQL sends an array, positions; in that order."""
    found: list[tuple[int, int, bytes, bytes, bytes]] = []
    for run in blocks_of(book, "net_change", piece):
        found += await _net_changes_between(connection, book.book_id, piece.before, piece.last, *run)
    found.sort()
    return found


async def read_snapshots(connection: Connection, book: Book, piece: Piece) -> list[tuple[int, int, bytes, str]]:
    """Return the snapshots: page, batch, slots, sums with commas between them; in that order."""
    found: list[tuple[int, int, bytes, str]] = []
    for run in blocks_of(book, "balance_snapshot", piece):
        found += await _snapshots_between(connection, book.book_id, piece.before, piece.last, *run)
    found.sort(key=lambda row: row[:2])
    return found


def as_bytes(ids: Sequence[uuid.UUID]) -> npt.NDArray[np.void]:
    """Lay ids out as a column."""
    return np.frombuffer(b"".join([one.bytes for one in ids]), "V16")


def as_texts(ids: npt.NDArray[np.void]) -> list[str]:
    """Write ids as PostgreSQL reads them."""
    text = np.ascontiguousarray(ids).tobytes().hex()
    return [text[start : start + 32] for start in range(0, len(text), 32)]


def column(rows: Sequence[tuple[object, ...]], at: int) -> npt.NDArray[np.int64]:
    """Return one column of rows as numbers."""
    return np.array([row[at] for row in rows], np.int64)
