"""
The leaf of a transfer: its canonical fixed-width encoding, bound to the hash of its message.

All integers are big-endian. Version 1, of a transfer that has no more to say, is 99 bytes:

    version u8 · book u32 · transfer id 16 bytes · debit account i64 · credit account i64 · asset u32 · amount i64
    · reason u16 · effective at i64 · recorded at i64 (microseconds since 1970 UTC) · SHA-256 of the message 32 bytes

Version 2 is 163 bytes: those, and behind them

    id of the transfer it relates to 16 bytes · expires at i64 · amount asked for i64 · SHA-256 of the reference 32 bytes

each zero where the transfer has none; a hold that never expires has 2^63 - 1. Every sweep, every reversal, every step
of a hold and all that has a reference is of version 2.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from tallystick.ledger.log.tree import leaf_hashes
from tallystick.ledger.model import NEVER, RELATES, Batch, Instants, Reason, Transfers

VERSION = 1
DETAILED_VERSION = 2
_DETAILED = (Reason.SWEEP, Reason.HOLD, *RELATES)
_ONE = struct.Struct(">BI16sqqIqHqq32s")
_ONE_DETAILED = struct.Struct(f"{_ONE.format}16sqq32s")
LEAF_BYTES = _ONE.size
_FIELDS: list[tuple[str, str]] = [
    ("prefix", "u1"),
    ("version", "u1"),
    ("book_id", ">u4"),
    ("transfer_id", "V16"),
    ("debit_account_id", ">i8"),
    ("credit_account_id", ">i8"),
    ("asset_id", ">u4"),
    ("amount", ">i8"),
    ("reason", ">u2"),
    ("effective_at", ">i8"),
    ("recorded_at", ">i8"),
    ("message_hash", "V32"),
]
_ROW = np.dtype(_FIELDS)
_DETAILED_ROW = np.dtype(
    [*_FIELDS, ("related", "V16"), ("expires_at", ">i8"), ("asked", ">i8"), ("reference_hash", "V32")]
)
PREFIXED_BYTES = _ROW.itemsize
"""A leaf of version 1 behind the zero byte that RFC 6962 §2.1 puts before the content of a leaf."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a leaf says, for a reader who holds nothing else; what only version 2 says is zero in version 1."""

    version: int
    book_id: int
    transfer_id: bytes
    debit_account_id: int
    credit_account_id: int
    asset_id: int
    amount: int
    reason: int
    effective_at: int
    recorded_at: int
    message_hash: bytes
    related: bytes = bytes(16)
    expires_at: int = 0
    asked: int = 0
    reference_hash: bytes = bytes(32)


@dataclass(frozen=True, slots=True)
class ToSeal:
    """A batch as it was posted, with what its leaves say beside its rows."""

    book_id: int
    batch: Batch
    asked: npt.NDArray[np.int64] | None
    """What sweeps and captures asked for, zero elsewhere; None where there are none."""
    recorded_at: int
    message_hashes: npt.NDArray[np.void]
    """32 bytes by message place."""


def hash_leaves(sealing: ToSeal) -> bytes:
    """Return the leaf hashes of a batch, 32 bytes each, one behind the other."""
    rows = sealing.batch.rows
    detailed = find_detailed(sealing.batch)
    if not detailed.any():
        return leaf_hashes(encode_leaves(sealing.book_id, rows, sealing.recorded_at, sealing.message_hashes),
                           PREFIXED_BYTES)  # fmt: skip
    hashes = np.empty(len(rows), "V32")
    plain = encode_leaves(sealing.book_id, rows[~detailed], sealing.recorded_at, sealing.message_hashes)
    hashes[~detailed] = np.frombuffer(leaf_hashes(plain, PREFIXED_BYTES), "V32")
    hashes[detailed] = np.frombuffer(leaf_hashes(_encode_detailed(sealing, detailed), _DETAILED_ROW.itemsize), "V32")
    return hashes.tobytes()


def leaves_of(sealing: ToSeal) -> list[bytes]:
    """Return the leaves of a batch themselves, without their zero bytes."""
    rows = sealing.batch.rows
    detailed = find_detailed(sealing.batch)
    plain = encode_leaves(sealing.book_id, rows[~detailed], sealing.recorded_at, sealing.message_hashes)
    long = _encode_detailed(sealing, detailed) if detailed.any() else b""
    short_leaves = iter(_cut(plain, PREFIXED_BYTES))
    long_leaves = iter(_cut(long, _DETAILED_ROW.itemsize))
    return [next(long_leaves) if one else next(short_leaves) for one in detailed.tolist()]


def find_detailed(batch: Batch) -> npt.NDArray[np.bool_]:
    """Say of each transfer whether its leaf is of version 2."""
    detailed = np.isin(batch.rows["reason"], _DETAILED)
    if batch.references is not None:
        detailed |= np.array([bool(reference) for reference in batch.references], np.bool_)
    return detailed


def encode_leaves(
    book_id: int, rows: Transfers, recorded_at: int | Instants, message_hashes: npt.NDArray[np.void]
) -> bytes:
    """
    Write leaves of version 1 one behind the other, each behind its zero byte: ``PREFIXED_BYTES`` per transfer.

    *message_hashes* holds 32-byte hashes by message place.
    """
    return _fill(np.zeros(len(rows), _ROW), VERSION, book_id, rows, recorded_at, message_hashes).tobytes()


def _encode_detailed(sealing: ToSeal, chosen: npt.NDArray[np.bool_]) -> bytes:
    """Write leaves of version 2."""
    batch, rows = sealing.batch, sealing.batch.rows[chosen]
    leaves = np.zeros(len(rows), _DETAILED_ROW)
    _fill(leaves, DETAILED_VERSION, sealing.book_id, rows, sealing.recorded_at, sealing.message_hashes)
    if batch.related is not None:
        related = np.isin(rows["reason"], RELATES)
        leaves["related"][related] = batch.related[chosen][related]
    expires_at = NEVER if batch.expires_at is None else batch.expires_at[chosen]
    leaves["expires_at"] = np.where(rows["reason"] == Reason.HOLD, expires_at, 0)
    if sealing.asked is not None:
        leaves["asked"] = sealing.asked[chosen]
    if batch.references is not None:
        references = [batch.references[at] for at in np.flatnonzero(chosen).tolist()]
        leaves["reference_hash"] = np.frombuffer(_hash_references(references), "V32")
    return leaves.tobytes()


def _fill(
    leaves: npt.NDArray[np.void], version: int, book_id: int, rows: Transfers, recorded_at: int | Instants,
    message_hashes: npt.NDArray[np.void],
) -> npt.NDArray[np.void]:  # fmt: skip
    leaves["version"] = version
    leaves["book_id"] = book_id
    leaves["recorded_at"] = recorded_at
    for column in ("transfer_id", "debit_account_id", "credit_account_id", "asset_id", "amount", "reason",
                   "effective_at"):  # fmt: skip
        leaves[column] = rows[column]
    leaves["message_hash"] = message_hashes[rows["message_place"]]
    return leaves


def _hash_references(references: Sequence[str]) -> bytes:
    return b"".join([sha256(one.encode()).digest() if one else bytes(32) for one in references])


def _cut(prefixed: bytes, width: int) -> list[bytes]:
    return [prefixed[start + 1 : start + width] for start in range(0, len(prefixed), width)]


def decode_leaf(leaf: bytes) -> Leaf:
    """
    Read one leaf, without its zero byte.

    Raises:
        ValueError: it is neither 99 bytes of version 1 nor 163 of version 2.
    """
    for form, version in ((_ONE, VERSION), (_ONE_DETAILED, DETAILED_VERSION)):
        if len(leaf) == form.size and leaf[0] == version:
            return Leaf(*form.unpack(leaf))
    raise ValueError("not a leaf of version 1 or 2")
