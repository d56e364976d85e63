"""Single fields in PostgreSQL's binary copy format, each behind its length: for rows that are put together by hand."""

import datetime as dt
import struct
from decimal import Decimal

_NULL = (-1).to_bytes(4, "big", signed=True)
_EPOCH = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_INSTANT = struct.Struct(">iq")
_BASE = 10_000
"""What one digit of a stored number counts to, which is four decimal ones."""
_DIGITS = 4
_PLUS, _MINUS = 0x0000, 0x4000


def text(value: str | None) -> bytes:
    """Write text; None is NULL."""
    if value is None:
        return _NULL
    encoded = value.encode()
    return len(encoded).to_bytes(4, "big") + encoded


def instant(value: dt.datetime) -> bytes:
    """Write an instant as a timestamptz."""
    return _INSTANT.pack(8, (value - _EPOCH) // _MICROSECOND)


def numeric(value: Decimal) -> bytes:
    """
    Write a number as a numeric, with as many decimals as it is written with.

    Raises:
        ValueError: it is not finite.
    """
    if not value.is_finite():
        raise ValueError(f"{value} is not finite")
    sign, figures, told = value.as_tuple()
    exponent = int(told)
    if not exponent:
        decimals, behind, whole = 0, 0, abs(int(value))
    else:
        decimals = max(-exponent, 0)
        behind = -(-decimals // _DIGITS)
        whole = int("".join(map(str, figures))) * 10 ** (exponent + behind * _DIGITS)
    digits: list[int] = []
    while whole:
        whole, digit = divmod(whole, _BASE)
        digits.append(digit)
    weight = len(digits) - behind - 1
    digits.reverse()
    while digits and not digits[-1]:
        digits.pop()
    count = len(digits)
    said = _MINUS if sign and digits else _PLUS
    return struct.pack(f">ihhHH{count}H", 8 + 2 * count, count, weight, said, decimals, *digits)
