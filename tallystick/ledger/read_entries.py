"""Read the log's entries: the leaves of a range of places, made anew from the transfers as they are stored."""

import datetime as dt
import itertools
import uuid
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.encode_leaf import ToSeal, leaves_of
from tallystick.ledger.model import RELATES, Batch, microseconds, transfers


class _Sealed(NamedTuple):
    """A transfer of a sealed batch, with all that its leaf says."""

    batch_id: int
    position: int
    transfer_id: uuid.UUID
    debit_account_id: int
    credit_account_id: int
    amount: int
    effective_at: int
    asset_id: int
    message_place: int
    reason: int
    recorded_at: dt.datetime
    message_hash: bytes


@dataclass(slots=True)
class _Detail:
    """What only some transfers say; zero where they do not."""

    related: bytes = bytes(16)
    expires_at: int = 0
    asked: int = 0
    reference: str = ""


_Place = tuple[int, int]
"""A batch and a position in it."""
_PLAIN = _Detail()
_queries = queries_beside(__file__)
_read_details_of_batches = _queries.tuples("read_details_of_batches")
_read_sealed_transfers = _queries.rows("read_sealed_transfers", _Sealed)
_AS_THEY_ARE = (
    "debit_account_id",
    "credit_account_id",
    "amount",
    "effective_at",
    "asset_id",
    "reason",
)


async def read_entries(connection: Connection, book_id: int, first: int, count: int) -> list[bytes]:
    """
    Return the leaves at *count* places of the log from *first* on; fewer where the log ends.

    They come from the rows and the messages' hashes, not from what was hashed once: an entry whose row was changed
    does not hash to its leaf.
    """
    rows = await _read_sealed_transfers(connection, book_id, first, count)
    details = await _read_details(connection, book_id, rows)
    entries: list[bytes] = []
    for _, of_batch in itertools.groupby(rows, lambda row: row.batch_id):
        entries += leaves_of(_to_seal(book_id, list(of_batch), details))
    return entries


async def _read_details(connection: Connection, book_id: int, rows: list[_Sealed]) -> dict[_Place, _Detail]:
    """Return what only some of the transfers say, by batch and position."""
    batches = list({row.batch_id for row in rows})
    any_relates = any(row.reason in RELATES for row in rows)
    found: dict[_Place, _Detail] = {}
    for batch_id, position, related, expires_at, asked, reference in await _read_details_of_batches(
        connection, book_id, batches, any_relates
    ):
        detail = found.setdefault((batch_id, position), _Detail())
        if related is not None:
            detail.related = related.bytes
        detail.expires_at = expires_at or detail.expires_at
        detail.asked = asked or detail.asked
        detail.reference = reference or detail.reference
    return found


def _to_seal(book_id: int, rows: list[_Sealed], details: dict[_Place, _Detail]) -> ToSeal:
    """Put neighbouring transfers of one batch together as they were posted."""
    posted = transfers(len(rows))
    for column in _AS_THEY_ARE:
        posted[column] = [getattr(row, column) for row in rows]
    posted["transfer_id"] = np.frombuffer(b"".join(row.transfer_id.bytes for row in rows), "V16")
    posted["message_place"] = np.arange(len(rows))
    said = [details.get((row.batch_id, row.position), _PLAIN) for row in rows]
    batch = Batch(
        posted,
        np.frombuffer(b"".join(one.related for one in said), "V16"),
        np.array([one.expires_at for one in said], np.int64),
        [one.reference for one in said],
    )
    asked = np.array([one.asked for one in said], np.int64)
    hashes = np.frombuffer(b"".join(row.message_hash for row in rows), "V32")
    return ToSeal(book_id, batch, asked, microseconds(rows[0].recorded_at), hashes)
