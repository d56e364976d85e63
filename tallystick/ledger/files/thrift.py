"""Read Thrift's compact protocol, in which Parquet writes its footer and the headers of its pages."""

from typing import Any

Fields = dict[int, Any]
"""A struct: what each field holds by its number; integers, bytes, lists and structs."""

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS = (4, 5, 6)
_DEEPEST = 16
_MOST_BITS = 63
_MANY = 15
"""The length in a list's first byte that says that the length follows."""


def read_struct(data: bytes, at: int, depth: int = 0) -> tuple[Fields, int]:
    """
    Read a struct, and return it with where it ends.

    Raises:
        IndexError: it goes on behind *data*.
        ValueError: it is nothing that Parquet writes.
    """
    if depth > _DEEPEST:
        raise ValueError(depth)
    fields: Fields = {}
    number = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _integer(data, at)
        kind = head & 0xF
        if kind in {_TRUE, _FALSE}:
            fields[number] = int(kind == _TRUE)
        else:
            fields[number], at = _value(data, at, kind, depth)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in _INTEGERS:
        return _integer(data, at)
    if kind == _BINARY:
        length, at = _varint(data, at)
        if at + length > len(data):
            raise IndexError(at)
        return data[at : at + length], at + length
    if kind == _STRUCT:
        return read_struct(data, at, depth + 1)
    if kind in {_LIST, _SET}:
        return _items(data, at, depth + 1)
    if kind in {_TRUE, _FALSE, _BYTE, _DOUBLE}:
        width = 8 if kind == _DOUBLE else 1
        return data[at], at + width
    raise ValueError(kind)


def _items(data: bytes, at: int, depth: int) -> tuple[list[Any], int]:
    head = data[at]
    at += 1
    count = head >> 4
    if count == _MANY:
        count, at = _varint(data, at)
    if count > len(data) - at or depth > _DEEPEST:
        raise ValueError(count)
    items = []
    for _ in range(count):
        item, at = _value(data, at, head & 0xF, depth)
        items.append(item)
    return items, at


def _integer(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return value >> 1 ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
            return value, at
        shift += 7
        if shift > _MOST_BITS:
            raise ValueError(shift)
