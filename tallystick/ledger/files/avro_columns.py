"""The fields of an Avro record as columns: each decodes its part of a row and says where the next begins."""

from collections.abc import Callable

import pyarrow as pa

Decode = Callable[[bytes, int], int]
"""
Decode what stands at a place, and return the place behind it.

Where the data ends before, that is an IndexError or a place behind its end, for whoever decodes rows to look at.
"""

_MORE = 0x80
_INSTANTS = {"timestamp-millis": "ms", "timestamp-micros": "us", "timestamp-nanos": "ns"}
_WIDE = 63


class AvroColumn:
    """A field: what was decoded of it and not taken yet."""

    def __init__(self, name: str, arrow: pa.DataType, decode: Callable[[list[object]], Decode]) -> None:
        """Decode into ``values`` by what *decode* makes."""
        self.name = name
        self.arrow = arrow
        self.values: list[object] = []
        self.read = decode(self.values)

    def take(self) -> pa.Array:
        """Take what was decoded."""
        array = pa.array(self.values, self.arrow)
        self.values.clear()
        return array


class Skipped(AvroColumn):
    """A field that is decoded only to find where the next begins."""

    def __init__(self, column: AvroColumn) -> None:
        """Decode as *column* does, and forget it."""
        self.name, self.arrow, self.values = column.name, column.arrow, column.values
        decode, values = column.read, column.values

        def read(data: bytes, at: int) -> int:
            at = decode(data, at)
            values.clear()
            return at

        self.read = read


def avro_column(name: str, kind: object) -> AvroColumn | None:
    """Make the column of a field of type *kind*; None for types that no column of a transfer can be."""
    made = _decoder(kind)
    return None if made is None else AvroColumn(name, *made)


Made = tuple[pa.DataType, Callable[[list[object]], Decode]]
"""What a type is in Arrow, and what makes its decoder."""


def _decoder(kind: object) -> Made | None:
    if isinstance(kind, list):
        return _union(kind)
    if isinstance(kind, dict):
        return _complex(kind)
    if kind in {"int", "long"}:
        return pa.int64(), _long
    return (pa.binary(), _text) if kind in {"string", "bytes"} else None


def _complex(kind: dict[str, object]) -> Made | None:
    """Make what decodes a type that is written as an object."""
    plain, logical, symbols = kind.get("type"), kind.get("logicalType"), kind.get("symbols")
    if plain == "fixed":
        return (pa.binary(16), _fixed) if kind.get("size") == 16 else None  # noqa: PLR2004 - a UUID's bytes
    if plain == "enum" and isinstance(symbols, list) and all(isinstance(symbol, str) for symbol in symbols):
        return pa.binary(), _symbol_of([symbol.encode() for symbol in symbols])
    if plain in ("int", "long") and isinstance(logical, str):
        unit = _INSTANTS.get(logical)
        return None if unit is None else (pa.timestamp(unit, tz="UTC"), _long)
    if plain in ("string", "bytes") and logical in (None, "uuid"):
        return pa.binary(), _text
    return _decoder(plain) if logical is None and isinstance(plain, str | list) else None


def _union(kinds: list[object]) -> Made | None:
    """Make what decodes null or one other type, in either order."""
    others = [kind for kind in kinds if kind != "null"]
    if len(others) != 1 or len(kinds) > 2:  # noqa: PLR2004 - null and the other
        return None
    made = _decoder(others[0]) if not isinstance(others[0], list) else None
    if made is None or len(kinds) == 1:
        return None if made is None else (made[0], _branches(made[1], None))
    return made[0], _branches(made[1], kinds.index("null"))


def _branches(decode: Callable[[list[object]], Decode], null: int | None) -> Callable[[list[object]], Decode]:
    def make(values: list[object]) -> Decode:
        append, other = values.append, decode(values)
        null_branch = None if null is None else 2 * null
        other_branch = 2 if null == 0 else 0

        def read(data: bytes, at: int) -> int:
            branch = data[at]
            if branch == other_branch:
                return other(data, at + 1)
            if branch != null_branch:
                raise ValueError(branch)
            append(None)
            return at + 1

        return read

    return make


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while (byte := data[at]) >= _MORE:
        value |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if shift > _WIDE:
            raise ValueError(shift)
    value |= byte << shift
    number = value >> 1 ^ -(value & 1)
    if not -(2**63) <= number < 2**63:
        raise ValueError(number)
    return number, at + 1


def _text(values: list[object]) -> Decode:
    append = values.append

    def read(data: bytes, at: int) -> int:
        length = data[at]
        begin = at + 1
        if length < _MORE and not length & 1:
            end = begin + (length >> 1)
        else:
            length, begin = _varint(data, at)
            end = begin + length
            if length < 0:
                raise ValueError(length)
        append(data[begin:end])
        return end

    return read


def _long(values: list[object]) -> Decode:
    append = values.append

    def read(data: bytes, at: int) -> int:
        low, more = data[at], 0
        if low >= _MORE:
            more = data[at + 1]
            if more >= _MORE:
                number, at = _varint(data, at)
                append(number)
                return at
            at += 1
            low += (more - 1) << 7
        append(low >> 1 ^ -(low & 1))
        return at + 1

    return read


def _fixed(values: list[object]) -> Decode:
    append = values.append

    def read(data: bytes, at: int) -> int:
        end = at + 16
        append(data[at:end] if end <= len(data) else None)
        return end

    return read


def _symbol_of(symbols: list[bytes]) -> Callable[[list[object]], Decode]:
    def make(values: list[object]) -> Decode:
        append = values.append

        def read(data: bytes, at: int) -> int:
            number, at = _varint(data, at)
            if number < 0:
                raise IndexError(number)
            append(symbols[number])
            return at

        return read

    return make
