"""Columns of instants, as microseconds since 1970 UTC."""

import datetime as dt
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tallystick.ledger.files.columns import is_text
from tallystick.ledger.files.model import Mask, Numbers, Rule
from tallystick.ledger.files.texts import absent_in, as_binary, read_texts, spread
from tallystick.ledger.model import microseconds

EARLIEST = microseconds(dt.datetime(1, 1, 1, tzinfo=dt.UTC))
LATEST = microseconds(dt.datetime(9999, 1, 1, tzinfo=dt.UTC))
"""The first instant of the calendar, and the first that is refused as too late."""

_PER_UNIT = {"s": 1_000_000, "ms": 1000, "us": 1}
_NANOSECONDS = 1000
_RFC_3339 = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
_PARTS = re.compile(_RFC_3339.replace("^", "").replace("$", ""))
_MICROSECOND_DIGITS = 6
_LONGEST = 40

Read = tuple[Numbers, Mask, list[tuple[Mask, Rule]]]


def read_instants(array: pa.Array) -> Read:
    """Read a column of instants: microseconds, 0 where there is none; which are null; and the rows each rule refuses."""
    if is_text(array.type) or pa.types.is_null(array.type):
        return _read_texts(spread(as_binary(array)))
    absent = absent_in(array)
    values = np.asarray(array.cast(pa.int64()).fill_null(0))
    finer = np.zeros(len(array), dtype=np.bool_)
    if array.type.unit == "ns":
        finer = values % _NANOSECONDS != 0
        values = values // _NANOSECONDS
        per_unit = 1
    else:
        per_unit = _PER_UNIT[array.type.unit]
    outside = (values < -(-EARLIEST // per_unit)) | (values >= LATEST // per_unit)
    values = np.where(outside | finer, 0, values) * per_unit
    return values, absent, [(finer, Rule.MICROSECONDS), (outside, Rule.CALENDAR)]


def _read_texts(array: pa.Array) -> Read:
    whole = _read_all(array)
    if whole is not None:
        return whole, np.zeros(len(array), dtype=np.bool_), []
    texts = read_texts(array)
    values = np.zeros(len(array), dtype=np.int64)
    refused: dict[Rule, Mask] = {}
    for place in np.flatnonzero(~texts.absent).tolist():
        value = _read_one(texts.value(place))
        if isinstance(value, Rule):
            refused.setdefault(value, np.zeros(len(array), dtype=np.bool_))[place] = True
        else:
            values[place] = value
    return values, texts.absent, [(mask, rule) for rule, mask in refused.items()]


def _read_all(array: pa.Array) -> Numbers | None:
    """Read a column at once if every one of its values is well-formed and in the calendar."""
    if len(array) == 0 or array.null_count:
        return None
    try:
        text = array.cast(pa.string())
        if not pc.all(pc.match_substring_regex(text, _RFC_3339)).as_py():
            return None
        values = np.asarray(text.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()))
    except pa.ArrowInvalid:
        return None
    return values if bool(((values >= EARLIEST) & (values < LATEST)).all()) else None


def _read_one(value: bytes) -> int | Rule:
    try:
        text = value[:_LONGEST].decode("ascii")
    except UnicodeDecodeError:
        return Rule.INSTANT
    parts = _PARTS.fullmatch(text)
    if parts is None:
        return Rule.INSTANT
    fraction = (parts[1] or ".")[1:]
    if fraction[_MICROSECOND_DIGITS:].strip("0"):
        return Rule.MICROSECONDS
    kept = text.replace(fraction, fraction[:_MICROSECOND_DIGITS], 1) if len(fraction) > _MICROSECOND_DIGITS else text
    try:
        instant = microseconds(dt.datetime.fromisoformat(kept.upper()))
    except (ValueError, OverflowError):
        return Rule.INSTANT
    return instant if EARLIEST <= instant < LATEST else Rule.CALENDAR
