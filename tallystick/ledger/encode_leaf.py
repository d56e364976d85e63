"""
The leaf of a transfer: its canonical fixed-width encoding, bound to the hash of its message.

All integers are big-endian. Version 1 is 99 bytes:

    version u8 · book u32 · transfer id 16 bytes · debit account i64 · credit account i64 · asset u32 · amount i64
    · reason u16 · effective at i64 · recorded at i64 (microseconds since 1970 UTC) · SHA-256 of the message 32 bytes
"""

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tallystick.ledger.model import Transfers

VERSION = 1
_ONE = struct.Struct(">BI16sqqIqHqq32s")
LEAF_BYTES = _ONE.size
_ROW = np.dtype(
    [
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
)
PREFIXED_BYTES = _ROW.itemsize
"""A leaf behind the zero byte that RFC 6962 §2.1 puts before the content of a leaf."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a leaf says, for a reader who holds nothing else."""

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


def encode_leaves(book_id: int, batch: Transfers, recorded_at: int, message_hashes: npt.NDArray[np.void]) -> bytes:
    """
    Write the leaves of a batch one behind the other, each behind its zero byte: ``PREFIXED_BYTES`` per transfer.

    *message_hashes* holds 32-byte hashes by message place.
    """
    rows = np.zeros(len(batch), dtype=_ROW)
    rows["version"] = VERSION
    rows["book_id"] = book_id
    rows["recorded_at"] = recorded_at
    for column in ("transfer_id", "debit_account_id", "credit_account_id", "asset_id", "amount", "reason",
                   "effective_at"):  # fmt: skip
        rows[column] = batch[column]
    rows["message_hash"] = message_hashes[batch["message_place"]]
    return rows.tobytes()


def decode_leaf(leaf: bytes) -> Leaf:
    """
    Read one leaf, without its zero byte.

    Raises:
        ValueError: it is not 99 bytes of version 1.
    """
    if len(leaf) != LEAF_BYTES or leaf[0] != VERSION:
        raise ValueError("not a leaf of version 1")
    return Leaf(*_ONE.unpack(leaf))
