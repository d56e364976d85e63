"""Write blocks as an Avro container file (Avro specification 1.12, "Object Container Files"), compressed with deflate."""

import json
import os
import zlib
from collections.abc import Sequence
from itertools import chain
from typing import BinaryIO

import numpy as np

from tallystick.ledger.files.avro_schema import avro_schema
from tallystick.ledger.files.layout import Column, Instants, Layout, Longs, Uuids, Values, columns_of
from tallystick.ledger.files.model import Codes, Format, Mask, Numbers, Posted, Results
from tallystick.ledger.files.uuids import write_uuids

_MAGIC = b"Obj\x01"
_LEVEL = 1
"""Of deflate: higher levels take longer over rows than they save in bytes."""
_LONGEST = 10
"""Bytes of the longest number: 64 bits, seven in a byte."""
_NULL, _NOT_NULL = b"\x00", b"\x02"
"""The branches of a union of null and another type."""


class Encoder:
    """An Avro container file."""

    def __init__(self, sink: BinaryIO, layout: Layout, format_: Format) -> None:  # noqa: ARG002 - Avro is the only one
        """Write the header."""
        self._sink, self._layout = sink, layout
        self._sync = os.urandom(16)
        metadata = {"avro.schema": json.dumps(avro_schema(layout)).encode(), "avro.codec": b"deflate"}
        pairs = [_text(name.encode()) + _text(value) for name, value in metadata.items()]
        sink.write(b"".join((_MAGIC, _long(len(pairs)), *pairs, _long(0), self._sync)))

    def write(self, block: Posted | Results) -> None:
        """Write the rows of *block* as one block of the file."""
        if not len(block):
            return
        given = columns_of(block)
        columns = [_encoded(column, given[column.name]) for column in self._layout.columns]
        rows = b"".join(chain.from_iterable(zip(*columns, strict=True)))
        content = zlib.compress(rows, _LEVEL, wbits=-zlib.MAX_WBITS)
        self._sink.write(b"".join((_long(len(block)), _long(len(content)), content, self._sync)))

    def close(self) -> None:
        """Write nothing more: the last block is the end."""

    def abandon(self) -> None:
        """Write nothing more: nothing waits to be written."""


def _encoded(column: Column, values: Values) -> Sequence[bytes]:
    """Encode a column, value by value; each distinct text once."""
    ahead = _NOT_NULL if column.may_lack else b""
    match values:
        case Codes(distinct, index):
            by_index = [*(ahead + _text(text.encode()) for text in distinct), _NULL]
            return [by_index[place] for place in index.tolist()]
        case Uuids(ids, absent):
            length = ahead + _long(write_uuids(ids).itemsize)
            return _with_nulls([length + text for text in write_uuids(ids).tolist()], absent)
        case Longs(numbers, absent):
            return _with_nulls(_longs(numbers, ahead), absent)
        case Instants(instants):
            return _longs(instants, ahead)
        case texts:
            return [_NULL if text is None else ahead + _text(text.encode()) for text in texts]


def _with_nulls(values: list[bytes], absent: Mask | None) -> list[bytes]:
    if absent is not None:
        for place in np.flatnonzero(absent).tolist():
            values[place] = _NULL
    return values


def _longs(numbers: Numbers, ahead: bytes = b"") -> list[bytes]:
    """Encode numbers: zigzag, then seven bits a byte, the lowest first."""
    zigzag = (numbers << 1 ^ numbers >> 63).view(np.uint64)
    groups = (zigzag[:, None] >> np.arange(0, 7 * _LONGEST, 7, dtype=np.uint64)) & np.uint64(0x7F)
    lengths = np.maximum(_LONGEST - np.argmax(groups[:, ::-1] != 0, axis=1), 1)
    lengths[zigzag == 0] = 1
    more = np.arange(1, _LONGEST + 1) < lengths[:, None]
    data = (groups.astype(np.uint8) | np.where(more, 0x80, 0).astype(np.uint8)).tobytes()
    ends = np.arange(0, _LONGEST * len(numbers), _LONGEST) + lengths
    return [ahead + data[place * _LONGEST : end] for place, end in enumerate(ends.tolist())]


def _long(number: int) -> bytes:
    """Encode one number that is not negative."""
    rest, encoded = number << 1, bytearray()
    while rest > 0x7F:  # noqa: PLR2004 - what seven bits hold
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)


def _text(value: bytes) -> bytes:
    return _long(len(value)) + value
