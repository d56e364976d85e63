"""
Find what is wrong in JSON, by name: read it with a parser that takes more than JSON is, and look around in what it held.

It is slow, and for texts that the quick decoder did not take or that may hold a name twice.
"""

import json
from collections.abc import Iterator
from typing import Any

from tallystick.usage.model import TWICE, InvalidEvent, find_repeated

_SPACE = " \t\r\n"
_NO_FRACTION = "must be an integer, or a decimal in a string: a JSON number with a fraction need not be exact"
_NO_NUMBER = "must be a number that is not negative, as in 12 or 0.5: JSON has no {value}"
_HALF = "has half of a surrogate pair, which is no character"


class _Object(dict[str, Any]):
    """A JSON object, and the first name that stands in it twice."""

    repeated: str | None = None


class _Fraction(str):
    """A JSON number that is no integer."""

    __slots__ = ()


class _NoNumber(str):
    """``NaN``, ``Infinity`` or ``-Infinity``, which JSON does not have."""

    __slots__ = ()


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    if len(made) < len(pairs):
        made.repeated = find_repeated(name for name, _ in pairs)
    return made


_loose = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_Fraction, parse_int=str, parse_constant=_NoNumber, strict=False
)


def find_flaw(raw: bytes, *, fractions: bool = False) -> InvalidEvent | None:
    """
    Return the first name that stands there twice, or value that JSON has not, and with *fractions* also any fraction.

    None also stands for a text that is no JSON whatever is allowed: the quick decoder says more of it.
    """
    try:
        return next(_flaws("", _loose.decode(raw.decode()), fractions), None)
    except (ValueError, RecursionError):
        return None


def cut_array(text: str) -> Iterator[str]:
    """
    Cut a JSON array where its commas are, whatever stands between them.

    Raises:
        ValueError: it is none.
        RecursionError: something in it is nested too deeply.
    """
    place = _after_space(text, 0)
    if text[place : place + 1] != "[":
        raise json.JSONDecodeError("Expecting '['", text, place)
    place = _after_space(text, place + 1)
    more = text[place : place + 1] != "]"
    while more:
        _, end = _loose.raw_decode(text, place)
        yield text[place:end]
        place = _after_space(text, end)
        more = text[place : place + 1] == ","
        if more:
            place = _after_space(text, place + 1)
    if text[place : place + 1] != "]":
        raise json.JSONDecodeError("Expecting ',' or ']'", text, place)
    place = _after_space(text, place + 1)
    if place < len(text):
        raise json.JSONDecodeError("Extra data", text, place)


def _after_space(text: str, place: int) -> int:
    while place < len(text) and text[place] in _SPACE:
        place += 1
    return place


def _flaws(path: str, value: object, fractions: bool) -> Iterator[InvalidEvent]:  # noqa: FBT001 - goes down as it came
    where = path or "the text"
    if isinstance(value, _Object):
        if value.repeated is not None:
            yield InvalidEvent(_join(path, value.repeated), TWICE)
        for name, inner in value.items():
            yield from _flaws(_join(path, name), inner, fractions)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _flaws(f"{path}[{place}]", inner, fractions)
    elif isinstance(value, _NoNumber):
        yield InvalidEvent(where, _NO_NUMBER.format(value=str(value)))
    elif isinstance(value, _Fraction):
        if fractions:
            yield InvalidEvent(where, _NO_FRACTION)
    elif isinstance(value, str) and not _is_text(value):
        yield InvalidEvent(where, _HALF)


def _join(path: str, name: str) -> str:
    shown = name if _is_text(name) else ascii(name)[1:-1]
    return f"{path}.{shown[:64]}" if path else shown[:64]


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
