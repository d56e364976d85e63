"""
Avro's binary encoding of plain values (Avro specification 1.12, "Binary Encoding").

Each ``read_…`` takes the bytes and a place, and returns the value and the place behind it. Where the bytes end before
that, or say what cannot be, it is an IndexError or a ValueError: whoever reads a whole says what was wrong with it.
"""

from collections.abc import Mapping

_MORE = 0x80
_WIDE = 63
MOST_METADATA = 64
"""So many entries may the metadata of a call or a handshake have."""


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """
    Read an ``int`` or ``long``.

    Raises:
        IndexError, ValueError: it is not there, or is none.
    """
    value = data[at]
    at += 1
    if value < _MORE:
        return value >> 1 ^ -(value & 1), at
    value &= 0x7F
    shift = 7
    while (byte := data[at]) >= _MORE:
        value |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if shift > _WIDE:
            raise ValueError("a long has more than ten bytes")
    value |= byte << shift
    if value >> _WIDE + 1:
        raise ValueError("a long has more than 64 bits")
    return value >> 1 ^ -(value & 1), at + 1


def read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    """
    Read ``bytes``, or a ``string`` as it is written.

    Raises:
        IndexError, ValueError: they are not there.
    """
    length, at = read_long(data, at)
    end = at + length
    if length < 0 or end > len(data):
        raise ValueError(f"a length of {length} with {len(data) - at} bytes left")
    return data[at:end], end


def read_string(data: bytes, at: int) -> tuple[str, int]:
    """
    Read a ``string``.

    Raises:
        IndexError, ValueError: it is not there, or is not UTF-8.
    """
    text, at = read_bytes(data, at)
    return text.decode(), at


def read_metadata(data: bytes, at: int) -> tuple[dict[str, bytes], int]:
    """
    Read a map of ``bytes``.

    Raises:
        IndexError, ValueError: it is none, or a larger one than anybody needs.
    """
    found: dict[str, bytes] = {}
    entries = 0
    while True:
        count, at = read_long(data, at)
        if count == 0:
            return found, at
        if count < 0:
            _, at = read_long(data, at)
        entries += abs(count)
        if entries > MOST_METADATA:
            raise ValueError(f"metadata of more than {MOST_METADATA} entries")
        for _ in range(abs(count)):
            name, at = read_string(data, at)
            found[name], at = read_bytes(data, at)


def write_long(value: int) -> bytes:
    """Write an ``int`` or ``long``."""
    value = value << 1 ^ value >> _WIDE
    if value < _MORE:
        return bytes((value,))
    written = bytearray()
    while value >= _MORE:
        written.append(value & 0x7F | _MORE)
        value >>= 7
    written.append(value)
    return bytes(written)


def write_bytes(value: bytes) -> bytes:
    """Write ``bytes``."""
    return write_long(len(value)) + value


def write_string(value: str) -> bytes:
    """Write a ``string``."""
    return write_bytes(value.encode())


def write_optional(value: str | None) -> bytes:
    """Write a union of null and ``string``, null first."""
    return b"\0" if value is None else b"\2" + write_string(value)


def write_metadata(value: Mapping[str, bytes]) -> bytes:
    """Write a map of ``bytes``."""
    if not value:
        return b"\0"
    entries = b"".join(write_string(name) + write_bytes(entry) for name, entry in value.items())
    return write_long(len(value)) + entries + b"\0"
