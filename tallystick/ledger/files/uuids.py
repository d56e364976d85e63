"""Columns of UUIDs, between their 16 bytes and their 36 characters, a block at a time."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tallystick.ledger.files.model import Ids, Mask
from tallystick.ledger.files.texts import Bytes, Texts, absent_in, read_texts, spread

_WIDTH, _CHARACTERS = 16, 36
_DASHES = np.array([8, 13, 18, 23])
_DIGITS = np.array([place for place in range(_CHARACTERS) if place not in _DASHES])
_NO_DIGIT = 0xFF

_VALUES = np.full(256, _NO_DIGIT, dtype=np.uint8)
_VALUES[np.frombuffer(b"0123456789abcdef", dtype=np.uint8)] = np.arange(16)
_VALUES[np.frombuffer(b"ABCDEF", dtype=np.uint8)] = np.arange(10, 16)
_LETTERS = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)


def read_uuids(array: pa.Array) -> tuple[Ids, Mask, Mask]:
    """
    Read a column of UUIDs, as text (RFC 9562 §4, either case) or as 16 bytes in network order.

    Returns the ids, zeros where there is none; which rows are null; and which hold something else.
    """
    array = spread(array)
    if pa.types.is_fixed_size_binary(array.type):
        return _read_bytes(array), absent_in(array), np.zeros(len(array), dtype=np.bool_)
    texts = read_texts(array)
    fit = (texts.lengths == _CHARACTERS) & ~texts.absent
    ids = np.zeros((len(array), _WIDTH), dtype=np.uint8)
    ids[fit], valid = _parse(_characters(texts, fit))
    wrong = ~fit & ~texts.absent
    wrong[np.flatnonzero(fit)[~valid]] = True
    return ids.view("V16").reshape(-1), texts.absent, wrong


def write_uuids(ids: Ids) -> npt.NDArray[np.bytes_]:
    """Write UUIDs as text of 36 characters, lower case."""
    values = np.ascontiguousarray(ids).view(np.uint8).reshape(-1, _WIDTH)
    text = np.empty((len(ids), _CHARACTERS), dtype=np.uint8)
    text[:, _DASHES] = ord("-")
    text[:, _DIGITS[0::2]] = _LETTERS[values >> 4]
    text[:, _DIGITS[1::2]] = _LETTERS[values & 0xF]
    return text.view("S36").reshape(-1)


def _read_bytes(array: pa.Array) -> Ids:
    """Copy 16-byte values out of Arrow; nulls become zeros."""
    held = np.frombuffer(array.buffers()[1] or b"", dtype="V16")[array.offset : array.offset + len(array)].copy()
    if array.null_count:
        held[absent_in(array)] = np.void(bytes(_WIDTH))
    return held


def _characters(texts: Texts, fit: Mask) -> Bytes:
    """Lay the values that fit out as rows of 36 bytes."""
    starts = texts.starts[fit]
    if len(starts) == 0:
        return np.zeros((0, _CHARACTERS), dtype=np.uint8)
    if bool((np.diff(starts) == _CHARACTERS).all()):
        first = int(starts[0])
        return texts.data[first : first + _CHARACTERS * len(starts)].reshape(-1, _CHARACTERS)
    characters: Bytes = texts.data[starts[:, None] + np.arange(_CHARACTERS)]
    return characters


def _parse(characters: Bytes) -> tuple[Bytes, Mask]:
    """Turn rows of 36 characters into rows of 16 bytes, and say which rows were UUIDs."""
    digits: Bytes = _VALUES[characters[:, _DIGITS]]
    valid: Mask = (digits.max(axis=1, initial=0) != _NO_DIGIT) & (characters[:, _DASHES] == ord("-")).all(axis=1)
    digits[~valid] = 0
    values: Bytes = np.left_shift(digits[:, 0::2], 4, dtype=np.uint8) | digits[:, 1::2]
    return values, valid
